//! Facts about a running process from /proc.
//!
//! A [`Process`] holds its /proc directory open: once the process is gone, reads fail even if its id was
//! given to another process, so facts of two processes never mix.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use rustix::fs::{Dir, Mode, OFlags, openat, readlinkat};

/// Most bytes taken from one /proc file: 64 MiB hold the maps of some 600,000 mappings.
const MAX_BYTES: u64 = 64 << 20;

/// Why a fact could not be had.
#[derive(Debug, thiserror::Error)]
pub enum ProcError {
    /// The process does not exist, or has ended.
    #[error("process {0} is gone")]
    Gone(u32),
    /// Not permitted to look.
    #[error("not permitted to read /proc/{pid}/{file}")]
    Denied { pid: u32, file: String },
    /// The file could not be read for another reason.
    #[error("cannot read /proc/{pid}/{file}: {source}")]
    Unreadable {
        pid: u32,
        file: String,
        source: io::Error,
    },
    /// The file is not as proc(5) describes it.
    #[error("/proc/{pid}/{file} is not as expected: {found:?}")]
    Malformed {
        pid: u32,
        file: String,
        found: String,
    },
}

/// Fields of /proc/PID/stat (proc(5)).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stat {
    /// The command name, at most 15 bytes, any bytes.
    pub name: OsString,
    /// `R`, `S`, `T`, `Z`, ...
    pub state: u8,
    /// The parent's id.
    pub parent: u32,
    /// Faults of all threads, without children: minor and major.
    pub minor_faults: u64,
    pub major_faults: u64,
    /// Start time, clock ticks since boot.
    pub start_ticks: u64,
}

/// The program file of a process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Executable {
    /// Its path as the process sees it (its root and mount namespace may differ from ours).
    pub path: PathBuf,
    /// The file has been unlinked or replaced since.
    pub deleted: bool,
}

/// A process, pinned.
#[derive(Debug)]
pub struct Process {
    pid: u32,
    directory: OwnedFd,
}

impl Process {
    /// # Errors
    /// [`ProcError::Gone`] when there is no such process.
    pub fn open(pid: u32) -> Result<Self, ProcError> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = rustix::fs::open(format!("/proc/{pid}"), flags, Mode::empty())
            .map_err(|error| classify(pid, ".", error.into()))?;
        Ok(Self { pid, directory })
    }

    pub const fn pid(&self) -> u32 {
        self.pid
    }

    /// The text of /proc/PID/maps.
    ///
    /// # Errors
    /// [`ProcError::Gone`] also for a zombie and for a kernel thread: neither has an address space.
    pub fn maps(&self) -> Result<Vec<u8>, ProcError> {
        self.memory_file("maps")
    }

    /// The text of /proc/PID/smaps: maps with `VmFlags` and sizes. The kernel walks all page tables for
    /// it, which takes milliseconds for large processes.
    ///
    /// # Errors
    /// As for [`Self::maps`].
    pub fn smaps(&self) -> Result<Vec<u8>, ProcError> {
        self.memory_file("smaps")
    }

    /// The program file. It can be opened through [`Self::executable_file`] even when deleted or in
    /// another mount namespace.
    ///
    /// # Errors
    /// As for [`Self::maps`].
    pub fn executable(&self) -> Result<Executable, ProcError> {
        let link = readlinkat(&self.directory, "exe", Vec::new())
            .map_err(|error| self.error("exe", error.into()))?;
        let bytes = link.into_bytes();
        let (path, deleted) = match bytes.strip_suffix(b" (deleted)") {
            Some(path) => (path.to_vec(), true),
            None => (bytes, false),
        };
        Ok(Executable {
            path: OsString::from_vec(path).into(),
            deleted,
        })
    }

    /// The program file itself, opened for reading.
    ///
    /// # Errors
    /// As for [`Self::maps`].
    pub fn executable_file(&self) -> Result<File, ProcError> {
        self.file("exe")
    }

    /// Why a process that is there has no memory to look at, when it has none.
    ///
    /// # Errors
    /// [`ProcError::Gone`] when the process is gone.
    pub fn without_memory(&self) -> Result<Option<&'static str>, ProcError> {
        if !matches!(self.executable(), Err(ProcError::Gone(_))) {
            return Ok(None);
        }
        Ok(Some(match self.stat()?.state {
            b'Z' | b'X' => "it has ended, and its parent has not waited for it",
            _ => "it is a thread of the kernel, without memory of its own",
        }))
    }

    /// The arguments; empty for a process that erased them.
    ///
    /// # Errors
    /// [`ProcError::Gone`] when the process is gone.
    pub fn arguments(&self) -> Result<Vec<OsString>, ProcError> {
        let bytes = self.read("cmdline")?;
        let bytes = bytes.strip_suffix(b"\0").unwrap_or(&bytes);
        if bytes.is_empty() {
            return Ok(Vec::new());
        }
        Ok(bytes
            .split(|byte| *byte == 0)
            .map(|argument| OsString::from_vec(argument.to_vec()))
            .collect())
    }

    /// A variable of the environment the process was started with (such as `GODEBUG`).
    ///
    /// # Errors
    /// As for [`Self::maps`].
    pub fn variable(&self, name: &str) -> Result<Option<OsString>, ProcError> {
        let bytes = self.read("environ")?;
        Ok(bytes.split(|byte| *byte == 0).find_map(|entry| {
            let value = entry.strip_prefix(name.as_bytes())?.strip_prefix(b"=")?;
            Some(OsStr::from_bytes(value).to_owned())
        }))
    }

    /// Ids of the threads alive now, ascending.
    ///
    /// # Errors
    /// [`ProcError::Gone`] when the process is gone.
    pub fn threads(&self) -> Result<Vec<u32>, ProcError> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let directory = openat(&self.directory, "task", flags, Mode::empty())
            .map_err(|error| self.error("task", error.into()))?;
        let mut threads = Vec::new();
        let entries = Dir::new(directory).map_err(|error| self.error("task", error.into()))?;
        for entry in entries {
            let entry = entry.map_err(|error| self.error("task", error.into()))?;
            let name = entry.file_name().to_str().ok();
            threads.extend(name.and_then(|name| name.parse::<u32>().ok()));
        }
        if threads.is_empty() {
            return Err(ProcError::Gone(self.pid));
        }
        threads.sort_unstable();
        Ok(threads)
    }

    /// /proc/PID/stat.
    ///
    /// # Errors
    /// [`ProcError::Gone`] when the process is gone (a zombie is not).
    pub fn stat(&self) -> Result<Stat, ProcError> {
        let bytes = self.read("stat")?;
        parse_stat(&bytes).ok_or_else(|| ProcError::Malformed {
            pid: self.pid,
            file: "stat".into(),
            found: String::from_utf8_lossy(bytes.get(..200).unwrap_or(&bytes)).into_owned(),
        })
    }

    /// Start time on CLOCK_BOOTTIME, nanoseconds, to the clock tick (10 ms).
    ///
    /// # Errors
    /// As for [`Self::stat`].
    pub fn start_boottime_ns(&self) -> Result<u64, ProcError> {
        let ticks = u128::from(self.stat()?.start_ticks);
        let per_second = u128::from(rustix::param::clock_ticks_per_second().max(1));
        Ok(u64::try_from(ticks * 1_000_000_000 / per_second).unwrap_or(u64::MAX))
    }

    /// A file that is empty when the process has no address space.
    fn memory_file(&self, name: &str) -> Result<Vec<u8>, ProcError> {
        let bytes = self.read(name)?;
        if bytes.is_empty() {
            return Err(ProcError::Gone(self.pid));
        }
        Ok(bytes)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ProcError> {
        let mut bytes = Vec::new();
        self.file(name)?
            .take(MAX_BYTES)
            .read_to_end(&mut bytes)
            .map_err(|error| self.error(name, error))?;
        Ok(bytes)
    }

    fn file(&self, name: &str) -> Result<File, ProcError> {
        let flags = OFlags::RDONLY | OFlags::CLOEXEC;
        let file = openat(&self.directory, name, flags, Mode::empty())
            .map_err(|error| self.error(name, error.into()))?;
        Ok(File::from(file))
    }

    fn error(&self, name: &str, error: io::Error) -> ProcError {
        classify(self.pid, name, error)
    }
}

fn classify(pid: u32, file: &str, source: io::Error) -> ProcError {
    match source.raw_os_error() {
        Some(libc::ENOENT | libc::ESRCH) => ProcError::Gone(pid),
        Some(libc::EACCES | libc::EPERM) => ProcError::Denied {
            pid,
            file: file.to_owned(),
        },
        _ => ProcError::Unreadable {
            pid,
            file: file.to_owned(),
            source,
        },
    }
}

/// `pid (name) state ppid ...`: the name may hold blanks and parentheses, so it ends at the last `)`.
fn parse_stat(bytes: &[u8]) -> Option<Stat> {
    let open = bytes.iter().position(|byte| *byte == b'(')?;
    let close = bytes.iter().rposition(|byte| *byte == b')')?;
    let name = bytes.get(open + 1..close)?;
    let rest = std::str::from_utf8(bytes.get(close + 1..)?).ok()?;
    // Field n of proc(5) is at index n - 3 here.
    let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
    let number = |field: usize| fields.get(field - 3)?.parse::<u64>().ok();
    Some(Stat {
        name: OsString::from_vec(name.to_vec()),
        state: *fields.first()?.as_bytes().first()?,
        parent: u32::try_from(number(4)?).ok()?,
        minor_faults: number(10)?,
        major_faults: number(12)?,
        start_ticks: number(22)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_facts_are_as_known() {
        let us = Process::open(std::process::id()).unwrap();
        let maps = String::from_utf8(us.maps().unwrap()).unwrap();
        assert!(maps.contains("[stack]"));
        let executable = us.executable().unwrap();
        assert_eq!(executable.path, std::env::current_exe().unwrap());
        assert!(!executable.deleted);
        let arguments: Vec<_> = std::env::args_os().collect();
        assert_eq!(us.arguments().unwrap(), arguments);
        // SAFETY: gettid has no preconditions.
        let thread = unsafe { libc::gettid() } as u32;
        assert!(us.threads().unwrap().contains(&thread));
        assert_eq!(us.variable("PATH").unwrap(), std::env::var_os("PATH"));
        assert_eq!(us.variable("PAT").unwrap(), None);
        assert!(us.start_boottime_ns().unwrap() > 0);
    }

    #[test]
    fn a_process_that_never_was_is_gone() {
        assert!(matches!(
            Process::open(u32::MAX),
            Err(ProcError::Gone(u32::MAX))
        ));
    }

    #[test]
    fn a_zombie_and_then_a_reaped_process_are_gone() {
        let mut child = std::process::Command::new("/bin/true")
            .stdin(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let process = Process::open(child.id()).unwrap();
        let ended = rustix::process::waitid(
            rustix::process::WaitId::Pid(rustix::process::Pid::from_child(&child)),
            rustix::process::WaitIdOptions::EXITED | rustix::process::WaitIdOptions::NOWAIT,
        );
        assert!(ended.unwrap().is_some());
        assert_eq!(process.stat().unwrap().state, b'Z');
        assert!(matches!(process.maps(), Err(ProcError::Gone(_))));
        assert!(matches!(process.executable(), Err(ProcError::Gone(_))));
        child.wait().unwrap();
        assert!(matches!(process.stat(), Err(ProcError::Gone(_))));
        assert!(matches!(process.threads(), Err(ProcError::Gone(_))));
    }

    #[test]
    fn a_command_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let line = b"7 (a) R (b ) S 3 7 7 0 -1 4194304 11 0 2 0 0 0 0 0 20 0 1 0 999 1 1";
        let stat = parse_stat(line).unwrap();
        assert_eq!(stat.name, "a) R (b ");
        assert_eq!((stat.state, stat.parent), (b'S', 3));
        assert_eq!((stat.minor_faults, stat.major_faults), (11, 2));
        assert_eq!(stat.start_ticks, 999);
    }

    #[test]
    fn stat_lines_cut_anywhere_are_refused_without_a_panic() {
        let line = b"7 (a) S 3 7 7 0 -1 4194304 11 0 2 0 0 0 0 0 20 0 1 0 999";
        for length in 0..line.len() - 3 {
            assert_eq!(parse_stat(&line[..length]), None, "{length}");
        }
        assert_eq!(parse_stat(b")("), None);
    }
}
