//! A child that was stopped before its first instruction, and is let go on.

use std::io;

/// Waits until the child has stopped (true) or ended (false); leaves its status for whoever waits for it.
///
/// # Errors
/// What waitid(2) answered.
pub fn wait(pid: u32) -> io::Result<bool> {
    let mut info = std::mem::MaybeUninit::<libc::siginfo_t>::zeroed();
    loop {
        let options = libc::WSTOPPED | libc::WEXITED | libc::WNOWAIT;
        // SAFETY: the pointer is to a writable siginfo_t.
        if unsafe { libc::waitid(libc::P_PID, pid, info.as_mut_ptr(), options) } == 0 {
            break;
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
    // SAFETY: zeroed is a valid siginfo_t, and waitid filled it.
    let info = unsafe { info.assume_init() };
    Ok(info.si_code == libc::CLD_STOPPED)
}

/// Lets the stopped child go on.
///
/// # Errors
/// What kill(2) answered.
pub fn go_on(pid: u32) -> io::Result<()> {
    send(pid, libc::SIGCONT)
}

/// Ends the stopped child, which has not run an instruction of its program.
///
/// # Errors
/// What kill(2) answered.
pub fn end(pid: u32) -> io::Result<()> {
    send(pid, libc::SIGKILL)
}

fn send(pid: u32, signal: i32) -> io::Result<()> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    // SAFETY: takes two integers.
    match unsafe { libc::kill(pid, signal) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
