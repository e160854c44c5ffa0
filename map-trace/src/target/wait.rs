//! How processes ended, and what the kernel charged them.

use std::io;
use std::time::Duration;

use crate::exit_code::ExitCode;
use crate::model::signal;
use crate::model::summary::Status;

/// What wait4(2) says a process and its waited-for children used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// `ru_minflt`: faults served without input/output.
    pub minor_faults: u64,
    /// `ru_majflt`: faults that needed input/output.
    pub major_faults: u64,
    /// `ru_utime`
    pub user: Duration,
    /// `ru_stime`
    pub system: Duration,
}

impl Usage {
    /// Adds another process's use.
    pub fn add(&mut self, other: &Self) {
        self.minor_faults = self.minor_faults.saturating_add(other.minor_faults);
        self.major_faults = self.major_faults.saturating_add(other.major_faults);
        self.user = self.user.saturating_add(other.user);
        self.system = self.system.saturating_add(other.system);
    }
}

/// The end of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waited {
    pub status: Status,
    /// The word wait4(2) gave (not an exit code).
    pub raw: i32,
    pub usage: Usage,
}

impl Waited {
    /// The status `run` passes on: the program's own, or 128 + n when it died of signal n.
    pub fn exit_code(&self) -> ExitCode {
        let code = if libc::WIFSIGNALED(self.raw) {
            128 + libc::WTERMSIG(self.raw)
        } else {
            libc::WEXITSTATUS(self.raw)
        };
        ExitCode(u8::try_from(code).unwrap_or(u8::MAX))
    }
}

/// Descendants that outlived their parents and were reaped here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Orphans {
    pub count: u64,
    pub usage: Usage,
}

/// Makes orphaned descendants children of this process instead of init's, so that [`reap_orphans`] can
/// collect their usage (`PR_SET_CHILD_SUBREAPER`, prctl(2)). Not inherited by the program.
///
/// # Errors
/// What prctl answered.
pub fn become_subreaper() -> io::Result<()> {
    // SAFETY: this prctl takes an integer and touches no memory of ours.
    match unsafe {
        libc::prctl(
            libc::PR_SET_CHILD_SUBREAPER,
            1_usize,
            0_usize,
            0_usize,
            0_usize,
        )
    } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Waits for every child that has ended, except those in `known`, without blocking.
///
/// `known` are the processes that someone else waits for: the program and any control child. Call it
/// after the program ended, and now and then before: its result is to be added to the program's usage.
///
/// # Errors
/// The children could not be listed.
pub fn reap_orphans(known: &[u32]) -> io::Result<Orphans> {
    let mut orphans = Orphans::default();
    for pid in children()? {
        if known.contains(&pid) {
            continue;
        }
        if let Ok(Some(waited)) = wait4(pid, libc::WNOHANG) {
            orphans.count += 1;
            orphans.usage.add(&waited.usage);
        }
    }
    Ok(orphans)
}

/// Waits for one child; `None` with `WNOHANG` when it still runs. Stops and continues are not ends.
pub(super) fn wait4(pid: u32, options: i32) -> io::Result<Option<Waited>> {
    let target = libc::pid_t::try_from(pid).map_err(|_| io::ErrorKind::InvalidInput)?;
    let mut raw = 0;
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    loop {
        // SAFETY: both pointers are to writable memory of the types wait4 fills.
        let found =
            unsafe { libc::wait4(target, &mut raw, options | libc::__WALL, usage.as_mut_ptr()) };
        match found {
            0 => return Ok(None),
            -1 => {
                let error = io::Error::last_os_error();
                if error.kind() != io::ErrorKind::Interrupted {
                    return Err(error);
                }
            }
            _ => break,
        }
    }
    // SAFETY: zeroed is a valid rusage, and wait4 filled it.
    let usage = unsafe { usage.assume_init() };
    Ok(Some(Waited {
        status: status(raw),
        raw,
        usage: Usage {
            minor_faults: u64::try_from(usage.ru_minflt).unwrap_or(0),
            major_faults: u64::try_from(usage.ru_majflt).unwrap_or(0),
            user: duration(usage.ru_utime),
            system: duration(usage.ru_stime),
        },
    }))
}

/// What a word of wait4(2) says.
pub fn status(raw: i32) -> Status {
    if libc::WIFSIGNALED(raw) {
        Status::Signaled(signal::name(libc::WTERMSIG(raw)))
    } else if libc::WIFEXITED(raw) {
        Status::Exited(libc::WEXITSTATUS(raw))
    } else {
        Status::Unknown
    }
}

fn duration(time: libc::timeval) -> Duration {
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let micros = u64::try_from(time.tv_usec).unwrap_or(0);
    Duration::from_secs(seconds) + Duration::from_micros(micros)
}

/// Ids of this process's children, dead ones included.
fn children() -> io::Result<Vec<u32>> {
    let mut all = Vec::new();
    for task in std::fs::read_dir("/proc/self/task")? {
        match std::fs::read_to_string(task?.path().join("children")) {
            Ok(text) => all.extend(
                text.split_ascii_whitespace()
                    .filter_map(|id| id.parse::<u32>().ok()),
            ),
            // A thread that ended meanwhile has no children left: they moved to another thread.
            Err(error) if error.raw_os_error() == Some(libc::ESRCH) => {}
            // No CONFIG_PROC_CHILDREN, or that thread's directory is gone.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return children_by_parent(),
            Err(error) => return Err(error),
        }
    }
    Ok(all)
}

/// The slow way: every process whose parent we are.
fn children_by_parent() -> io::Result<Vec<u32>> {
    let us = std::process::id();
    let mut all = Vec::new();
    for entry in std::fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<u32>().ok()) else {
            continue;
        };
        if let Ok(process) = super::procfs::Process::open(pid)
            && process.stat().is_ok_and(|stat| stat.parent == us)
        {
            all.push(pid);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ended(raw: i32) -> Waited {
        Waited {
            status: status(raw),
            raw,
            usage: Usage::default(),
        }
    }

    #[test]
    fn an_exit_status_is_the_programs_own() {
        for code in [0, 1, 125, 126, 127, 255] {
            let waited = ended(code << 8);
            assert_eq!(waited.status, Status::Exited(code));
            assert_eq!(i32::from(waited.exit_code().0), code);
        }
    }

    #[test]
    fn a_death_by_signal_is_128_more_with_and_without_a_core_dump() {
        for core in [0, 0x80] {
            let waited = ended(libc::SIGSEGV | core);
            assert_eq!(waited.status, Status::Signaled("SIGSEGV".into()));
            assert_eq!(waited.exit_code(), ExitCode(139));
        }
        assert_eq!(ended(libc::SIGKILL).exit_code(), ExitCode(137));
    }
}
