//! Whom a session follows: a child that has not started yet, or processes that run already.

use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::kernel::counters::{Counters, Inherit};
use crate::kernel::perf_programs::{PerfPrograms, Target};
use crate::kernel::side_band::SideBand;
use crate::model::summary::PerfWitness;
use crate::target::limits;
use crate::target::procfs::{ProcError, Process};

use super::instrument::{self, Instrument};
use super::pipeline::Pipeline;
use super::structure::Structure;
use super::{marks, modules};

/// Whom to follow.
pub enum Subject<'a> {
    /// A suspended child; its events count from its exec on.
    Child {
        pid: u32,
        argv: Vec<String>,
        /// The file that will be run.
        program: PathBuf,
    },
    /// Running processes; their events count from now on.
    Running(&'a [Process]),
}

/// Opens processes by pid.
///
/// # Errors
/// 125 when one is not there or has no memory of its own.
pub fn open(pids: &[u32]) -> Result<Vec<Process>> {
    let open = |&pid: &u32| {
        let process = Process::open(pid).map_err(|why| cannot(pid, &why))?;
        let without = process.without_memory().map_err(|why| cannot(pid, &why))?;
        match without {
            Some(why) => Err(Error::failed(what(pid), why)),
            None => Ok(process),
        }
    };
    pids.iter().map(open).collect()
}

fn what(pid: u32) -> String {
    format!("cannot attach to process {pid}")
}

fn cannot(pid: u32, why: &ProcError) -> Error {
    Error::failed(what(pid), why)
}

impl Subject<'_> {
    /// The pid of the child, if it is one.
    pub const fn child(&self) -> Option<u32> {
        match self {
            Self::Child { pid, .. } => Some(*pid),
            Self::Running(_) => None,
        }
    }

    /// The command line, of the first process when they run already.
    pub fn argv(&self) -> Vec<String> {
        match self {
            Self::Child { argv, .. } => argv.clone(),
            Self::Running(processes) => {
                let first = processes
                    .first()
                    .and_then(|process| process.arguments().ok());
                let words = first.unwrap_or_default();
                words
                    .iter()
                    .map(|word| word.to_string_lossy().into_owned())
                    .collect()
            }
        }
    }

    /// The pids of processes that run already.
    pub fn attached(&self) -> Vec<u32> {
        match self {
            Self::Child { .. } => Vec::new(),
            Self::Running(processes) => processes.iter().map(Process::pid).collect(),
        }
    }

    /// Threads to open perf events on.
    ///
    /// # Errors
    /// 125 when a process is gone.
    pub fn threads(&self, inherit: Inherit) -> Result<Vec<Target>> {
        let target = |pid| Target {
            pid,
            inherit,
            at_exec: false,
        };
        match self {
            Self::Child { pid, .. } => Ok(vec![target(*pid)]),
            Self::Running(processes) => {
                let mut targets = Vec::new();
                for process in *processes {
                    let threads = process
                        .threads()
                        .map_err(|why| cannot(process.pid(), &why))?;
                    targets.extend(threads.into_iter().map(target));
                }
                Ok(targets)
            }
        }
    }

    /// The program that is about to run.
    pub fn program(&self) -> Option<&Path> {
        match self {
            Self::Child { program, .. } => Some(program),
            Self::Running(_) => None,
        }
    }

    /// Probes the programs: of a child before it runs an instruction.
    pub fn probe(&self, instrument: &mut Instrument, structure: &mut Structure) {
        let Instrument { object, probes, .. } = instrument;
        match self {
            Self::Child { program, .. } => {
                let _not_go = probes.file(object, program, structure);
            }
            Self::Running(processes) => {
                for process in *processes {
                    let _not_go = probes.program_of(object, process.pid(), structure);
                }
            }
        }
    }

    /// Notes the first entry into each of these functions of a child's program.
    ///
    /// # Errors
    /// 2 for a function that is not there, 125 when the kernel refuses the probe.
    pub fn mark(
        &self,
        symbols: &[String],
        instrument: &mut Instrument,
        structure: &mut Structure,
    ) -> Result<()> {
        match self {
            Self::Child { program, .. } if !symbols.is_empty() => {
                let Instrument { object, probes, .. } = instrument;
                marks::attach(object, probes, structure, (program, symbols))
            }
            _ => Ok(()),
        }
    }

    /// Counts entries into functions of a child's program that match these globs.
    pub fn count_entries(&self, globs: &[String], instrument: &mut Instrument) {
        if let Self::Child { program, .. } = self
            && !globs.is_empty()
        {
            let Instrument { object, probes, .. } = instrument;
            probes.count_entries(object, program, globs);
        }
    }

    /// Registers everyone with the programs and the pipeline. Returns the blind window: how long the oldest
    /// of them ran before anyone watched, nanoseconds.
    ///
    /// # Errors
    /// 125 when a process is gone or the map is full.
    pub fn begin(
        &self,
        instrument: &mut Instrument,
        pipeline: &mut Pipeline,
        start_ns: u64,
    ) -> Result<u64> {
        match self {
            Self::Child { pid, .. } => {
                instrument.register(*pid, false)?;
                pipeline.follow(*pid, start_ns);
                Ok(0)
            }
            Self::Running(processes) => {
                let mut blind_ns = 0;
                for process in *processes {
                    blind_ns = blind_ns.max(begin_running(process, instrument, pipeline)?);
                }
                Ok(blind_ns)
            }
        }
    }
}

/// Registers a running process, then reads its mappings: what changes in between is replayed over them.
fn begin_running(
    process: &Process,
    instrument: &mut Instrument,
    pipeline: &mut Pipeline,
) -> Result<u64> {
    let pid = process.pid();
    let gone = |why: ProcError| cannot(pid, &why);
    instrument
        .object
        .register_running(pid, &crate::kernel::object::text_bounds(pid))
        .map_err(|why| instrument::refused(&why))?;
    let Instrument { object, probes, .. } = instrument;
    probes.process(object, pid, &mut pipeline.structure);
    pipeline.follow(pid, super::clock::now_ns());
    pipeline.ends.await_end_of(pid);
    snapshot(process, pipeline)?;
    if let (Some(space), Ok(limit)) = (pipeline.spaces.space_mut(pid), limits::stack(pid)) {
        space.set_stack_limit(limit);
    }
    modules::open_hidden(pid, &pipeline.spaces, pipeline.stacks.symbolizer());
    let started = process.start_boottime_ns().map_err(gone)?;
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let now_ns = u64::try_from(now.tv_sec).unwrap_or(0) * 1_000_000_000
        + u64::try_from(now.tv_nsec).unwrap_or(0);
    Ok(now_ns.saturating_sub(started))
}

/// Times that mappings are read when a text does not hold together.
const READS: usize = 64;

/// Reads the mappings of a running process. The kernel lets it go on meanwhile: a text may have some twice when they
/// were split or joined, and is read again.
fn snapshot(process: &Process, pipeline: &mut Pipeline) -> Result<()> {
    let pid = process.pid();
    let mut reads = 0;
    loop {
        let maps = process.maps().map_err(|why| cannot(pid, &why))?;
        let text = String::from_utf8_lossy(&maps);
        let now_ns = super::clock::now_ns();
        reads += 1;
        match pipeline.spaces.load_snapshot(pid, &text, now_ns) {
            Ok(()) => return Ok(()),
            Err(_) if reads < READS => {}
            Err(why) => return Err(Error::failed(what(pid), why)),
        }
    }
}

/// The perf events of a session.
#[derive(Default)]
pub struct Events {
    pub side_band: Option<SideBand>,
    counters: Vec<Counters>,
    pub programs: PerfPrograms,
}

impl Events {
    /// Opens what must be there before anyone is registered.
    ///
    /// # Errors
    /// 125 when a process is gone.
    pub fn open(
        subject: &Subject<'_>,
        inherit: Inherit,
        instrument: &mut Instrument,
    ) -> Result<Self> {
        let mut events = Self::default();
        let at_exec = subject.child().is_some();
        events.side_band = match subject {
            Subject::Child { pid, .. } => SideBand::at_exec(*pid).ok(),
            Subject::Running(_) => SideBand::system_wide().ok(),
        };
        for target in subject.threads(inherit)? {
            let target = Target { at_exec, ..target };
            // Without them the trace says that durations are not known.
            let _no_stalls = events.programs.fault_ends(&mut instrument.object, target);
        }
        Ok(events)
    }

    /// Opens the counters of the perf witness, as late as possible. Without a
    /// witness the run is not balanced, and says so.
    pub fn count(&mut self, subject: &Subject<'_>, inherit: Inherit) {
        let opened: Vec<_> = match subject {
            Subject::Child { pid, .. } => vec![Counters::at_exec(*pid, inherit)],
            Subject::Running(processes) => processes
                .iter()
                .map(|process| Counters::attach(process, inherit))
                .collect(),
        };
        self.counters = opened
            .into_iter()
            .collect::<Result<_, _>>()
            .unwrap_or_default();
    }

    /// The perf witness, when every counter could be read.
    pub fn read(&mut self) -> Option<PerfWitness> {
        let mut sum = PerfWitness::default();
        for counters in &mut self.counters {
            let one = counters.read().ok()?;
            sum.page_faults += one.page_faults;
            sum.minor_faults += one.minor_faults;
            sum.major_faults += one.major_faults;
        }
        (!self.counters.is_empty()).then_some(sum)
    }
}
