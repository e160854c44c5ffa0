//! Resource limits that map-trace raises for itself and gives back to the program.

use std::io;
use std::sync::OnceLock;

/// A limit as it was before it was raised.
#[derive(Clone, Copy, Debug)]
pub struct Saved {
    /// `RLIMIT_...`
    pub(super) resource: u32,
    pub(super) before: libc::rlimit64,
}

/// The limits the program must find as map-trace's caller set them.
#[derive(Clone, Debug, Default)]
pub struct Limits(pub(super) Vec<Saved>);

/// Raises the number of open files to its hard limit and, where permitted, locked memory to infinity.
///
/// One perf event takes one descriptor; rings and BPF maps of kernels before 5.11 are charged to locked
/// memory. Failure is no error here: what then does not fit fails where it is opened, with its reason.
///
/// Only the first call of a process raises anything; all answer what was there before it.
pub fn raise() -> Limits {
    static BEFORE: OnceLock<Limits> = OnceLock::new();
    BEFORE.get_or_init(raise_now).clone()
}

fn raise_now() -> Limits {
    let mut saved = Limits::default();
    saved.raise(libc::RLIMIT_NOFILE, false);
    saved.raise(libc::RLIMIT_MEMLOCK, true);
    saved
}

impl Limits {
    fn raise(&mut self, resource: u32, hard_too: bool) {
        let Ok(before) = get(0, resource) else { return };
        let mut wanted = before;
        if hard_too {
            wanted.rlim_max = libc::RLIM64_INFINITY;
        }
        wanted.rlim_cur = wanted.rlim_max;
        if wanted.rlim_cur != before.rlim_cur && set(resource, wanted).is_ok() {
            self.0.push(Saved { resource, before });
        }
    }
}

/// How far the stack of a process may grow: its RLIMIT_STACK (soft), `u64::MAX` for no limit.
///
/// # Errors
/// What prlimit(2) answered.
pub fn stack(pid: u32) -> io::Result<u64> {
    let pid = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    Ok(get(pid, libc::RLIMIT_STACK)?.rlim_cur)
}

/// The limit of a process; 0 is the caller.
fn get(pid: libc::pid_t, resource: u32) -> io::Result<libc::rlimit64> {
    let mut value = libc::rlimit64 {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: the pointer is to a writable rlimit64.
    match unsafe { libc::prlimit64(pid, resource, std::ptr::null(), &mut value) } {
        0 => Ok(value),
        _ => Err(io::Error::last_os_error()),
    }
}

fn set(resource: u32, value: libc::rlimit64) -> io::Result<()> {
    // SAFETY: the pointer is to a readable rlimit64; pid 0 is the caller.
    match unsafe { libc::prlimit64(0, resource, &value, std::ptr::null_mut()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
