//! A recording from start to end: launch, arm, release, pump, finish.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
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
use super::processes::{self, Events, Subject};
use super::progress::Progress;
use super::recording::Recording;
use super::settings::{Detail, Level, ProgramSettings, RecordSettings, RunSettings, User};
use super::stacks::Stacks;
use super::{AttachSettings, ProgramStatus, RunOutcome, aggregates, options, watched};
use crate::claim::Setup;
use crate::error::{Error, Result};
use crate::kernel::counters::Inherit;
use crate::kernel::perf_programs::{self, Target};
use crate::kernel::{host, privilege, totals};
use crate::maps::pattern::Glob;
use crate::maps::{Tables, user};
use crate::model::Operation;
use crate::model::header::{HeaderLine, Probe, TRACE_SCHEMA};
use crate::model::summary::{RusageWitness, Status};
use crate::target::identity::UserChoice;
use crate::target::launch::{self, Command, Running, Suspended};
use crate::target::limits;
use crate::target::stop;
use crate::target::wait::{self, Waited};
use crate::trace::TraceFile;

/// How often the side band is read and the ring looked at: beyond [`PUMP_BYTES`] it holds what seven CPUs
/// can fault in this time.
const TICK: Duration = Duration::from_millis(10);
/// Fill at which the ring is read. The reading and what follows take CPU time from the program, so they wait
/// until there is something to do; a short program is told after its end.
const PUMP_BYTES: usize = 2 << 20;
/// Age at which the ring is read however little is in it.
const PUMP_AFTER: Duration = Duration::from_millis(250);
/// The same once the program has ended and only its children run: the last one's end is to be seen soon.
const PUMP_SOON: Duration = Duration::from_millis(50);
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
    let subject = Subject::Child {
        pid: suspended.pid(),
        argv,
    };
    let session = Session::arm(&settings.record, subject)?;
    runtime()?.block_on(session.launch(suspended))
}

/// Observes running processes.
///
/// # Errors
/// 125 when a process is not there or map-trace fails.
pub fn attach(settings: &AttachSettings) -> Result<RunOutcome> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    privilege::require(&arguments)?;
    let _kept_raised = limits::raise();
    let processes = processes::open(&settings.pids)?;
    let session = Session::arm(&settings.record, Subject::Running(&processes))?;
    runtime()?.block_on(session.follow())
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

/// The user's rows of the operation tables.
fn rows(settings: &RecordSettings) -> Result<Vec<(Glob, Operation)>> {
    let Some(path) = &settings.operations else {
        return Ok(Vec::new());
    };
    let name = path.display().to_string();
    let what = || format!("cannot use operations {name}");
    let text = std::fs::read_to_string(path).map_err(|why| Error::usage(what(), why))?;
    user::parse_operations(&name, &text).map_err(|why| Error::usage(what(), why))
}

/// Operation tables with the user's rows and regions.
fn tables(settings: &RecordSettings, rows: Vec<(Glob, Operation)>) -> Result<Tables> {
    let regions = settings.regions.iter().map(|region| {
        user::Region::parse(&format!("{}={}", region.name, region.pattern))
            .map_err(|why| Error::usage("--region", why))
    });
    Ok(Tables::new(rows, &regions.collect::<Result<Vec<_>>>()?))
}

/// Why a recording stopped.
enum End {
    /// The program and all its children ended.
    Program(Option<Waited>),
    /// Somebody stopped the recording; the program may have ended meanwhile.
    Stopped(String, Option<Waited>),
}

/// The signals that end a recording, caught.
struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    fn catch() -> Result<Self> {
        let failed = |why: io::Error| Error::failed("cannot watch for signals", why);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }
}

/// A recording with every probe armed.
struct Session<'a> {
    settings: &'a RecordSettings,
    instrument: Instrument,
    events: Events,
    /// Threads whose perf events are opened; those they start inherit them.
    targets: Vec<Target>,
    pipeline: Pipeline,
    progress: Progress,
    /// The program, when it is our child.
    pid: Option<u32>,
    received: u64,
    start_ns: u64,
    blind_ns: u64,
    lost_mappings: u64,
    proven: Proven,
}

impl<'a> Session<'a> {
    /// Loads and attaches everything and registers whom to follow.
    fn arm(settings: &'a RecordSettings, subject: Subject<'_>) -> Result<Self> {
        let rows = rows(settings)?;
        let tables = tables(settings, rows.clone())?;
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
            stop_at_exec: watches(settings) && subject.child().is_some(),
        };
        let controls = Controls::prepare(settings.follow_forks)?;
        let mut instrument = Instrument::prepare(wishes, &host)?;
        let inherit = if settings.follow_forks {
            Inherit::Children
        } else {
            Inherit::Threads
        };
        let mut events = Events::open(&subject, inherit, &mut instrument)?;
        let proven = controls.run(&mut instrument)?;
        // Orphans of the program come to us, so that their use can be added to the program's.
        let _without = wait::become_subreaper();
        let start_ns = now_ns();
        let header = HeaderLine {
            schema: TRACE_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_ns,
            started: super::clock::utc_now(),
            argv: subject.argv(),
            attached: subject.attached(),
            host,
            probes: probes(&instrument, settings),
            calibration: instrument.calibration.clone(),
            options: options::options(settings, &rows),
            ..HeaderLine::default()
        };
        let claims = Setup {
            claims: settings.claims.clone(),
            regions: Vec::new(),
        };
        let recorder = Recording::begin(&header, file, claims);
        let ptes = instrument.ptes(settings.show_physical);
        let mut pipeline = Pipeline::new(start_ns, Stacks::new(tables), ptes, detail, recorder);
        let blind_ns = subject.begin(&mut instrument, &mut pipeline, start_ns)?;
        events.count(&subject, inherit);
        let progress = Progress::new(settings.screen.progress);
        Ok(Self {
            settings,
            instrument,
            events,
            targets: subject.threads(inherit)?,
            pipeline,
            progress,
            pid: subject.child(),
            received: 0,
            start_ns,
            blind_ns,
            lost_mappings: 0,
            proven,
        })
    }

    /// Records running processes until the end.
    async fn follow(mut self) -> Result<RunOutcome> {
        let mut stops = Stops::catch()?;
        if watches(self.settings) {
            self.arm_watches(self.targets.first().map_or(0, |target| target.pid))?;
        }
        let end = self.watch(None, &mut stops).await?;
        self.finish(end, None)
    }

    /// Releases the child and records until the end.
    async fn launch(mut self, suspended: Suspended) -> Result<RunOutcome> {
        // Before the program runs: whoever waits for it to say something may signal us at once.
        let mut stops = Stops::catch()?;
        let mut running = suspended.release()?;
        if watches(self.settings) {
            self.watch_memory(running.pid())?;
        }
        let end = self.watch(Some(&mut running), &mut stops).await?;
        self.finish(end, Some(&running))
    }

    /// The program stands at its first instruction: finds what is to be watched, arms it, lets it go on.
    fn watch_memory(&mut self, pid: u32) -> Result<()> {
        let failed = |why: io::Error| Error::failed("cannot watch memory", why);
        if !stop::wait(pid).map_err(failed)? {
            // It ended before it could be stopped; there is nothing to watch.
            return Ok(());
        }
        match self.arm_watches(pid) {
            Ok(()) => stop::go_on(pid).map_err(failed),
            // It has not run an instruction, and is not to run without what was asked for.
            Err(why) => stop::end(pid).map_err(failed).and(Err(why)),
        }
    }

    fn arm_watches(&mut self, pid: u32) -> Result<()> {
        let what = "cannot watch memory";
        let (binary, bias) = watched::executable(pid)?;
        let settings = self.settings;
        let watched = watched::resolve(&binary, bias, &settings.watch_ranges, &settings.watch)?;
        let object = &mut self.instrument.object;
        let programs = &mut self.events.programs;
        perf_programs::set_ranges(object, &watched.kernel_ranges())
            .map_err(|why| Error::failed(what, why))?;
        for target in &self.targets {
            if !watched.ranges.is_empty() && settings.pte != Level::Off {
                programs
                    .samples(object, *target, settings.sample_hz)
                    .map_err(|why| Error::failed(what, why))?;
            }
            for word in &watched.words {
                let armed = programs.watch(object, *target, word.address, word.length);
                armed.map_err(|why| {
                    Error::failed(format!("cannot watch {}", word.name), why)
                        .fix("map-trace doctor shows whether this machine has debug registers")
                })?;
            }
        }
        self.pipeline.watched = watched;
        Ok(())
    }

    /// Pumps until the program and its children have ended or somebody stops the recording.
    async fn watch(&mut self, mut running: Option<&mut Running>, stops: &mut Stops) -> Result<End> {
        let failed = |why: io::Error| Error::failed("cannot wait for the program", why);
        // Whoever attaches has to know from when on something is recorded.
        if running.is_none() && !self.settings.screen.quiet {
            eprintln!("map-trace: recording; Ctrl-C ends the recording");
        }
        let pidfd = running.as_deref().map(pidfd).transpose().map_err(failed)?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = self
            .settings
            .limits
            .duration
            .map(|duration| Instant::now() + duration);
        let mut roll_call = Instant::now();
        let mut pumped = Instant::now();
        let mut ended: Option<Waited> = None;
        loop {
            let mut now = false;
            tokio::select! {
                _ = ticks.tick() => {}
                ready = readable(pidfd.as_ref()), if ended.is_none() && pidfd.is_some() => {
                    ready.map_err(failed)?;
                    ended = try_wait(&mut running)?;
                    now = ended.is_some();
                    if let (Some(pid), Some(_)) = (self.pid, &ended) {
                        self.pipeline.bury(pid);
                    }
                }
                _ = stops.interrupt.recv() => return self.stopped("SIGINT", running, ended).await,
                _ = stops.terminate.recv() => return self.stopped("SIGTERM", running, ended).await,
            }
            self.drain_side_band();
            let patience = if ended.is_some() {
                PUMP_SOON
            } else {
                PUMP_AFTER
            };
            if !(now || pumped.elapsed() >= patience || self.presses()) {
                continue;
            }
            self.pump();
            pumped = Instant::now();
            if roll_call.elapsed() >= ROLL_CALL {
                self.call_roll();
                roll_call = Instant::now();
            }
            if self.pipeline.alive().is_empty() && (ended.is_some() || pidfd.is_none()) {
                return Ok(End::Program(ended));
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
        mut running: Option<&mut Running>,
        mut ended: Option<Waited>,
    ) -> Result<End> {
        default_signals();
        let start = Instant::now();
        while ended.is_none() && running.is_some() && start.elapsed() < GRACE {
            self.pump();
            tokio::time::sleep(TICK).await;
            ended = try_wait(&mut running)?;
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

    /// Whether the ring has to be read now.
    fn presses(&self) -> bool {
        self.settings.limits.max_events.is_some()
            || self
                .instrument
                .ring
                .fill()
                .is_none_or(|bytes| bytes >= PUMP_BYTES)
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
        self.drain_side_band();
        if let Some(side_band) = &mut self.events.side_band {
            // A replay with holes is worth nothing until the next exec.
            let lost = side_band.lost().unwrap_or(u64::MAX);
            if lost > self.lost_mappings {
                self.lost_mappings = lost;
                self.pipeline.spaces.lose_all();
            }
        }
    }

    fn drain_side_band(&mut self) {
        if let Some(side_band) = &mut self.events.side_band {
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

    fn finish(mut self, end: End, running: Option<&Running>) -> Result<RunOutcome> {
        let (stopped_early, waited) = match end {
            End::Program(waited) => (None, waited),
            End::Stopped(by, waited) => (Some(by), waited),
        };
        // Detached first: what a program that still runs does now is no longer counted by anyone.
        self.instrument.object.detach();
        drop(std::mem::take(&mut self.events.programs));
        let perf = self.events.read();
        let duration_ns = now_ns().saturating_sub(self.start_ns);
        let orphans =
            wait::reap_orphans(&self.pid.into_iter().collect::<Vec<_>>()).unwrap_or_default();
        let totals = self.instrument.totals()?.since(&self.proven.before);
        self.drain();
        self.progress.finish();
        let mappings = match self.events.side_band {
            Some(_) => self.lost_mappings,
            None => u64::MAX,
        };
        let mut finished = self.pipeline.finish();
        let groups = totals::aggregates(&self.instrument.object)
            .map_err(|why| Error::failed("cannot read the aggregates", why))?;
        let held_back = aggregates::tell(&mut finished, &groups);
        let rusage = waited.as_ref().zip(running).map(|(waited, running)| {
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
            controls_ns: self.proven.duration_ns,
            regions: finished.stacks.region_sizes(),
            stopped_early,
            undecodable: finished.trouble.undecodable,
            unattributed: finished.trouble.unattributed + held_back,
            blind_ns: self.blind_ns,
            mappings,
            received: self.received,
        });
        let recorded = finished.recorder.finish(footer);
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
}

/// A descriptor that is readable once the program has ended.
fn pidfd(running: &Running) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = running.as_fd().try_clone_to_owned()?;
    // SAFETY: the AsyncFd owns the descriptor, which stays open and the same for its lifetime.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

async fn readable(pidfd: Option<&AsyncFd<OwnedFd>>) -> io::Result<()> {
    match pidfd {
        Some(pidfd) => pidfd.readable().await.map(|mut ready| ready.clear_ready()),
        None => Ok(()),
    }
}

fn try_wait(running: &mut Option<&mut Running>) -> Result<Option<Waited>> {
    match running {
        Some(running) => running.try_wait(),
        None => Ok(None),
    }
}

/// Every probe of the session; those on watched memory are armed once the program can be looked at.
fn probes(instrument: &Instrument, settings: &RecordSettings) -> Vec<Probe> {
    let mut probes = instrument.object.probes().to_vec();
    let mut add = |name: &str, event: &str, emits: &str| {
        probes.push(Probe {
            name: name.to_owned(),
            attach_point: format!("perf_event:{event}"),
            emits: vec![emits.to_owned()],
        });
    };
    if !settings.watch_ranges.is_empty() && settings.pte != Level::Off {
        add("sample", "cpu-clock", "pte_sample");
    }
    if !settings.watch.is_empty() {
        add("watch", "breakpoint", "watch_hit");
    }
    probes
}

/// Whether memory is to be watched, for which the program must be stopped at its start.
fn watches(settings: &RecordSettings) -> bool {
    !settings.watch.is_empty() || !settings.watch_ranges.is_empty()
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
