//! A recording from start to end: launch, arm, release, pump, finish.

use std::io;
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::clock::now_ns;
use super::controls::{Controls, Proven};
use super::footer::{self, Ending};
use super::instrument::{Instrument, Wishes};
use super::order::SLACK_NS;
use super::pipeline::Pipeline;
use super::progress::Progress;
use super::settings::{Detail, ProgramSettings, RecordSettings, RunSettings, User};
use super::stacks::Stacks;
use super::{AttachSettings, ProgramStatus, RunOutcome, aggregates, options};
use crate::error::{Error, Result};
use crate::evidence::Recorder;
use crate::kernel::counters::{Counters, Inherit};
use crate::kernel::side_band::SideBand;
use crate::kernel::{host, privilege, totals};
use crate::maps::{Tables, user};
use crate::model::header::{HeaderLine, TRACE_SCHEMA};
use crate::model::summary::{RusageWitness, Status};
use crate::target::identity::UserChoice;
use crate::target::launch::{self, Command, Running, Suspended};
use crate::target::limits;
use crate::target::wait::{self, Waited};
use crate::trace::TraceFile;

/// How often ring and side band are read: 8 MiB of ring hold what ten CPUs can fault in this time.
const TICK: Duration = Duration::from_millis(10);
/// How long an interrupted program gets to end, since Ctrl-C reaches it too.
const GRACE: Duration = Duration::from_millis(300);
/// How often processes thought alive are looked for.
const ROLL_CALL: Duration = Duration::from_secs(1);

/// Runs a program under observation to its end.
///
/// # Errors
/// 126 or 127 when the program cannot be run, 125 when map-trace fails.
pub fn run(settings: &RunSettings) -> Result<RunOutcome> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    privilege::require(&arguments)?;
    let command = command(&settings.program);
    let suspended = launch::prepare(&command)?.spawn()?;
    let argv = command
        .argv
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let session = Session::arm(&settings.record, argv, suspended.pid())?;
    runtime()?.block_on(session.launch(suspended))
}

/// Observes running processes.
///
/// # Errors
/// 125 when map-trace fails.
pub fn attach(_settings: &AttachSettings) -> Result<RunOutcome> {
    Err(Error::failed("cannot attach", "not built yet"))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|why| Error::failed("cannot start the event loop", why))
}

fn command(program: &ProgramSettings) -> Command {
    let user = match &program.user {
        User::Caller => UserChoice::SudoCaller,
        User::Named(name) => UserChoice::Named(name.clone()),
        User::Keep => UserChoice::Root,
    };
    let mut argv = vec![program.program.clone()];
    argv.extend(program.arguments.iter().cloned());
    Command {
        argv,
        user,
        limits: limits::raise(),
    }
}

/// Operation tables with the user's rows and regions.
fn tables(settings: &RecordSettings) -> Result<Tables> {
    let rows = match &settings.operations {
        None => Vec::new(),
        Some(path) => {
            let name = path.display().to_string();
            let what = || format!("cannot use operations {name}");
            let text = std::fs::read_to_string(path).map_err(|why| Error::usage(what(), why))?;
            user::parse_operations(&name, &text).map_err(|why| Error::usage(what(), why))?
        }
    };
    let regions = settings.regions.iter().map(|region| {
        user::Region::parse(&format!("{}={}", region.name, region.pattern))
            .map_err(|why| Error::usage("--region", why))
    });
    Ok(Tables::new(rows, &regions.collect::<Result<Vec<_>>>()?))
}

/// Why a recording stopped.
enum End {
    /// The program and all its children ended.
    Program(Waited),
    /// Somebody stopped the recording; the program may have ended meanwhile.
    Stopped(String, Option<Waited>),
}

/// A recording with every probe armed.
struct Session<'a> {
    settings: &'a RecordSettings,
    instrument: Instrument,
    side_band: Option<SideBand>,
    counters: Option<Counters>,
    pipeline: Pipeline,
    progress: Progress,
    pid: u32,
    received: u64,
    start_ns: u64,
    proven: Proven,
}

impl<'a> Session<'a> {
    /// Loads and attaches everything and registers the suspended child.
    fn arm(settings: &'a RecordSettings, argv: Vec<String>, pid: u32) -> Result<Self> {
        let tables = tables(settings)?;
        let file = settings
            .output
            .as_deref()
            .map(TraceFile::create)
            .transpose()?;
        let host = host::host();
        let detail = match settings.detail {
            Detail::Limit(limit) => limit,
            Detail::All => u64::MAX,
        };
        let wishes = Wishes {
            detail,
            follow_forks: settings.follow_forks,
        };
        let controls = Controls::prepare(settings.follow_forks)?;
        let mut instrument = Instrument::prepare(wishes, &host)?;
        let inherit = if settings.follow_forks {
            Inherit::Children
        } else {
            Inherit::Threads
        };
        let counters = Counters::at_exec(pid, inherit).ok();
        let side_band = SideBand::at_exec(pid).ok();
        let proven = controls.run(&mut instrument)?;
        instrument.register(pid, false)?;
        // Orphans of the program come to us, so that their use can be added to the program's.
        let _without = wait::become_subreaper();
        let start_ns = now_ns();
        let header = HeaderLine {
            schema: TRACE_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_ns,
            started: super::clock::utc_now(),
            argv,
            host,
            probes: instrument.object.probes().to_vec(),
            calibration: instrument.calibration.clone(),
            options: options::options(settings),
            ..HeaderLine::default()
        };
        let recorder = Recorder::begin(&header, file);
        let ptes = instrument.ptes(settings.show_physical);
        let mut pipeline = Pipeline::new(start_ns, Stacks::new(tables), ptes, detail, recorder);
        pipeline.follow(pid, start_ns);
        let progress = Progress::new(settings.screen.progress);
        Ok(Self {
            settings,
            instrument,
            side_band,
            counters,
            pipeline,
            progress,
            pid,
            received: 0,
            start_ns,
            proven,
        })
    }

    /// Releases the child and records until the end.
    async fn launch(mut self, suspended: Suspended) -> Result<RunOutcome> {
        let failed = |why: io::Error| Error::failed("cannot watch for signals", why);
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut running = suspended.release()?;
        let end = self
            .watch(&mut running, &mut interrupt, &mut terminate)
            .await?;
        self.finish(end, &running)
    }

    /// Pumps until the program and its children have ended or somebody stops the recording.
    async fn watch(
        &mut self,
        running: &mut Running,
        interrupt: &mut Signal,
        terminate: &mut Signal,
    ) -> Result<End> {
        let failed = |why: io::Error| Error::failed("cannot wait for the program", why);
        let descriptor = running.as_fd().try_clone_to_owned().map_err(failed)?;
        // SAFETY: the AsyncFd owns the descriptor, which stays open and the same for its lifetime.
        let pidfd = unsafe { AsyncFd::register(descriptor) }
            .map_err(io::Error::from)
            .map_err(failed)?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = self
            .settings
            .limits
            .duration
            .map(|duration| Instant::now() + duration);
        let mut roll_call = Instant::now();
        let mut ended: Option<Waited> = None;
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                ready = pidfd.readable(), if ended.is_none() => {
                    ready.map_err(failed)?.clear_ready();
                    ended = running.try_wait()?;
                    if ended.is_some() {
                        self.pipeline.bury(self.pid);
                    }
                }
                _ = interrupt.recv() => return self.stopped("SIGINT", running, ended).await,
                _ = terminate.recv() => return self.stopped("SIGTERM", running, ended).await,
            }
            self.pump();
            if roll_call.elapsed() >= ROLL_CALL {
                self.call_roll();
                roll_call = Instant::now();
            }
            if let Some(waited) = &ended
                && self.pipeline.alive().is_empty()
            {
                return Ok(End::Program(waited.clone()));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(End::Stopped("duration".to_owned(), ended));
            }
            if self
                .settings
                .limits
                .max_events
                .is_some_and(|max| self.pipeline.events() >= max)
            {
                return Ok(End::Stopped("max-events".to_owned(), ended));
            }
        }
    }

    /// Somebody wants an end: a program that got the same signal is given a moment, so that its status is
    /// known; a second signal is not caught any more.
    async fn stopped(
        &mut self,
        by: &str,
        running: &mut Running,
        mut ended: Option<Waited>,
    ) -> Result<End> {
        default_signals();
        let start = Instant::now();
        while ended.is_none() && start.elapsed() < GRACE {
            self.pump();
            tokio::time::sleep(TICK).await;
            ended = running.try_wait()?;
        }
        Ok(End::Stopped(by.to_owned(), ended))
    }

    /// Reads ring and side band and tells what is certain to be in order.
    fn pump(&mut self) {
        let now = now_ns();
        self.drain();
        self.pipeline.release(now.saturating_sub(SLACK_NS));
        let undecodable = self.pipeline.trouble().undecodable;
        self.progress.update(self.pipeline.events(), undecodable);
    }

    fn drain(&mut self) {
        let Self {
            instrument,
            pipeline,
            received,
            ..
        } = self;
        instrument
            .ring
            .drain(|bytes| *received += u64::from(pipeline.accept(bytes)));
        if let Some(side_band) = &mut self.side_band {
            for record in side_band.drain().records {
                self.pipeline.accept_side_band(record);
            }
        }
    }

    /// Forgets processes whose end was not seen, so that the recording can end.
    fn call_roll(&mut self) {
        let gone = |tgid: &u32| !std::path::Path::new(&format!("/proc/{tgid}")).exists();
        let buried: Vec<u32> = self.pipeline.alive().iter().copied().filter(gone).collect();
        for tgid in buried {
            self.pipeline.bury(tgid);
        }
    }

    fn finish(mut self, end: End, running: &Running) -> Result<RunOutcome> {
        let (stopped_early, waited) = match end {
            End::Program(waited) => (None, Some(waited)),
            End::Stopped(by, waited) => (Some(by), waited),
        };
        // Detached first: what a program that still runs does now is no longer counted by anyone.
        self.instrument.object.detach();
        let perf = self
            .counters
            .as_mut()
            .and_then(|counters| counters.read().ok());
        let duration_ns = now_ns().saturating_sub(self.start_ns);
        let orphans = wait::reap_orphans(&[self.pid]).unwrap_or_default();
        let totals = self.instrument.totals()?.since(&self.proven.before);
        self.drain();
        self.progress.finish();
        let mappings = self.lost_mappings();
        let mut finished = self.pipeline.finish();
        let groups = totals::aggregates(&self.instrument.object)
            .map_err(|why| Error::failed("cannot read the aggregates", why))?;
        let held_back = aggregates::tell(&mut finished, &groups);
        let rusage = waited.as_ref().map(|waited| {
            let mut usage = waited.usage;
            usage.add(&orphans.usage);
            let before = running.before_exec();
            RusageWitness {
                minor_faults: usage.minor_faults.saturating_sub(before.minor_faults),
                major_faults: usage.major_faults.saturating_sub(before.major_faults),
            }
        });
        let footer = footer::footer(Ending {
            duration_ns,
            status: waited
                .as_ref()
                .map_or(Status::Running, |waited| waited.status.clone()),
            totals,
            perf,
            rusage,
            executables: finished.executables,
            calibration: self.instrument.recheck(),
            controls: self.proven.controls,
            stopped_early,
            undecodable: finished.trouble.undecodable,
            unattributed: finished.trouble.unattributed + held_back,
            blind_ns: 0,
            mappings,
            received: self.received,
        });
        let recorded = finished.recorder.finish(&footer);
        let (saved, problem) = match recorded.saved {
            None => (None, None),
            Some(Ok(saved)) => (Some(saved), None),
            Some(Err(why)) => (None, Some(why.into())),
        };
        Ok(RunOutcome {
            status: status(waited.as_ref()),
            summary: recorded.summary,
            saved,
            problem,
        })
    }

    /// Mapping records the side band lost; all of them when there was none.
    fn lost_mappings(&mut self) -> u64 {
        match &mut self.side_band {
            Some(side_band) => side_band.lost().unwrap_or(u64::MAX),
            None => u64::MAX,
        }
    }
}

/// A second Ctrl-C ends map-trace at once.
fn default_signals() {
    for number in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: sets the default action; no handler of ours runs afterwards.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}

fn status(waited: Option<&Waited>) -> ProgramStatus {
    match waited {
        None => ProgramStatus::Running,
        Some(waited) if libc::WIFSIGNALED(waited.raw) => {
            ProgramStatus::Signaled(libc::WTERMSIG(waited.raw))
        }
        Some(waited) => ProgramStatus::Exited(libc::WEXITSTATUS(waited.raw)),
    }
}
