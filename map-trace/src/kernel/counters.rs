//! The perf witness: the kernel's own software counters of page faults, independent of our probes.
//!
//! One event each for page-faults, minor-faults and major-faults, on any CPU, in user and kernel mode,
//! inherited by what the program starts. On a suspended child they start at exec (`enable_on_exec`): the
//! kernel enables them in `begin_new_exec` (fs/exec.c), after the launcher's own faults.
//!
//! The kernel drops a task's events when it executes a file that the task may not read or that changes
//! its user (`perf_event_exit_task` in `begin_new_exec`): the counters then stop, and do not balance.

use std::io;

use perf_event::events::Software;
use perf_event::{Builder, Counter};

use crate::model::summary::PerfWitness;
use crate::target::procfs::{ProcError, Process};

/// Attempts to open the counters of a running process whose threads come and go.
const MAX_ATTEMPTS: usize = 20;

/// Whom the counters follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Inherit {
    /// New threads and child processes.
    Children,
    /// New threads only (`inherit_thread`, Linux 5.13).
    Threads,
}

/// Why there is no perf witness; the run goes on without it.
#[derive(Debug, thiserror::Error)]
pub enum NoWitness {
    #[error("perf events are not permitted (kernel.perf_event_paranoid is {paranoid}): {source}")]
    Denied { paranoid: String, source: io::Error },
    #[error("this kernel has no perf events")]
    Absent,
    #[error("counting threads without child processes needs Linux 5.13 or later")]
    NoThreadsOnly,
    #[error("the process is gone")]
    Gone,
    #[error("its threads come and go too fast to count each of them")]
    Unsteady,
    #[error("opening the event {event} failed: {source}")]
    Open {
        event: &'static str,
        source: io::Error,
    },
    #[error("reading the event {event} failed: {source}")]
    Read {
        event: &'static str,
        source: io::Error,
    },
}

const EVENTS: [(&str, Software); 3] = [
    ("page-faults", Software::PAGE_FAULTS),
    ("minor-faults", Software::PAGE_FAULTS_MIN),
    ("major-faults", Software::PAGE_FAULTS_MAJ),
];

/// Open counters of a program or of a running process.
pub struct Counters {
    /// One set of three for each thread that was there at the start.
    threads: Vec<[Counter; 3]>,
}

impl Counters {
    /// Counters of a suspended child, which start counting at its exec.
    ///
    /// # Errors
    /// Why there is no witness.
    pub fn at_exec(pid: u32, inherit: Inherit) -> Result<Self, NoWitness> {
        let threads = vec![open(pid, inherit, true)?];
        Ok(Self { threads })
    }

    /// Counters of a running process, counting from now.
    ///
    /// Every thread there is gets its own; threads started later are inherited. A thread that appears
    /// while they are being opened could be counted twice or not at all, so opening starts over until
    /// the list of threads holds still.
    ///
    /// # Errors
    /// Why there is no witness.
    pub fn attach(process: &Process, inherit: Inherit) -> Result<Self, NoWitness> {
        for _ in 0..MAX_ATTEMPTS {
            let before = threads(process)?;
            let mut opened = Vec::with_capacity(before.len());
            for thread in &before {
                match open(*thread, inherit, false) {
                    Ok(counters) => opened.push(counters),
                    // The thread ended; the list below will differ.
                    Err(NoWitness::Gone) => {}
                    Err(error) => return Err(error),
                }
            }
            if threads(process)? == before && opened.len() == before.len() {
                return Ok(Self { threads: opened });
            }
        }
        Err(NoWitness::Unsteady)
    }

    /// Totals so far, of exited threads and children too.
    ///
    /// # Errors
    /// What read(2) answered.
    pub fn read(&mut self) -> Result<PerfWitness, NoWitness> {
        let mut totals = [0_u64; 3];
        for counters in &mut self.threads {
            let named = counters.iter_mut().zip(EVENTS).zip(&mut totals);
            for ((counter, (event, _)), total) in named {
                let value = counter
                    .read()
                    .map_err(|source| NoWitness::Read { event, source })?;
                *total = total.saturating_add(value);
            }
        }
        let [page_faults, minor_faults, major_faults] = totals;
        Ok(PerfWitness {
            page_faults,
            minor_faults,
            major_faults,
        })
    }
}

fn threads(process: &Process) -> Result<Vec<u32>, NoWitness> {
    process.threads().map_err(|error| match error {
        ProcError::Gone(_) => NoWitness::Gone,
        other => NoWitness::Open {
            event: "page-faults",
            source: io::Error::other(other),
        },
    })
}

fn open(thread: u32, inherit: Inherit, at_exec: bool) -> Result<[Counter; 3], NoWitness> {
    let open = |(event, software)| open_one(thread, event, software, inherit, at_exec);
    let [all, minor, major] = EVENTS;
    Ok([open(all)?, open(minor)?, open(major)?])
}

fn open_one(
    thread: u32,
    event: &'static str,
    software: Software,
    inherit: Inherit,
    at_exec: bool,
) -> Result<Counter, NoWitness> {
    let thread = libc::pid_t::try_from(thread).map_err(|_| NoWitness::Gone)?;
    Builder::new(software)
        .observe_pid(thread)
        .any_cpu()
        .include_kernel()
        .include_hv()
        .inherit(true)
        .inherit_thread(inherit == Inherit::Threads)
        .enable_on_exec(at_exec)
        .enabled(!at_exec)
        .build()
        .map_err(|source| explain(event, source, inherit))
}

fn explain(event: &'static str, source: io::Error, inherit: Inherit) -> NoWitness {
    match source.raw_os_error() {
        Some(libc::EACCES | libc::EPERM) => {
            let paranoid = std::fs::read_to_string("/proc/sys/kernel/perf_event_paranoid");
            NoWitness::Denied {
                paranoid: paranoid.map_or_else(|_| "unknown".into(), |text| text.trim().into()),
                source,
            }
        }
        Some(libc::ENOSYS) => NoWitness::Absent,
        Some(libc::ESRCH) => NoWitness::Gone,
        Some(libc::EINVAL) if inherit == Inherit::Threads => NoWitness::NoThreadsOnly,
        _ => NoWitness::Open { event, source },
    }
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;
    use crate::target::{self, prepare};

    fn launch(argv: &[&str], inherit: Inherit) -> (PerfWitness, target::Waited, target::Usage) {
        let command = target::Command {
            argv: argv.iter().map(Into::into).collect(),
            user: target::UserChoice::Root,
            ..target::Command::default()
        };
        let suspended = prepare(&command).unwrap().spawn().unwrap();
        let mut counters = Counters::at_exec(suspended.pid(), inherit).unwrap();
        assert_eq!(counters.read().unwrap(), PerfWitness::default());
        let mut running = suspended.release().unwrap();
        let waited = running.wait().unwrap();
        (counters.read().unwrap(), waited, running.before_exec())
    }

    #[test]
    fn the_counters_start_at_exec_and_agree_with_rusage_but_for_the_exec_itself() {
        let (perf, waited, before) = launch(&["/bin/true"], Inherit::Children);
        assert!(perf.page_faults > 20, "{perf:?}");
        assert_eq!(perf.page_faults, perf.minor_faults + perf.major_faults);
        let charged = waited.usage.minor_faults + waited.usage.major_faults;
        let residue = charged - before.minor_faults - before.major_faults - perf.page_faults;
        assert!(residue <= 8, "{residue} faults of the exec itself");
    }

    #[test]
    fn children_are_counted_unless_only_threads_are() {
        let argv = ["/bin/sh", "-c", "/bin/true; /bin/true; /bin/true; exit 0"];
        let (all, ..) = launch(&argv, Inherit::Children);
        let (own, ..) = launch(&argv, Inherit::Threads);
        let (one, ..) = launch(&["/bin/true"], Inherit::Children);
        assert!(
            all.page_faults > own.page_faults + 2 * one.page_faults,
            "{all:?} {own:?} {one:?}"
        );
        assert!(own.page_faults > 0);
    }

    #[test]
    fn a_running_process_is_counted_from_the_attach_on() {
        let mut child = Command::new("/bin/sh")
            .args(["-c", "echo; read x; /bin/true; /bin/true"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut ready = [0];
        std::io::Read::read_exact(child.stdout.as_mut().unwrap(), &mut ready).unwrap();
        let process = Process::open(child.id()).unwrap();
        let mut counters = Counters::attach(&process, Inherit::Children).unwrap();
        std::io::Write::write_all(child.stdin.as_mut().unwrap(), b"\n").unwrap();
        child.wait().unwrap();
        assert!(counters.read().unwrap().page_faults > 40);
    }

    #[test]
    fn a_process_that_is_gone_is_said_to_be() {
        let refused = Counters::at_exec(i32::MAX as u32, Inherit::Children);
        assert!(matches!(refused, Err(NoWitness::Gone)));
    }
}
