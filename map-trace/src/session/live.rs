//! A recording from start to end: launch, arm, release, watch, finish.

mod arm;
mod finish;
mod watch;

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;

use super::controls::Proven;
use super::duty::Duty;
use super::instrument::Instrument;
use super::pipeline::Pipeline;
use super::probes::Detaching;
use super::processes::{self, Events, Subject};
use super::progress::Progress;
use super::reread::Reread;
use super::sampler::Sampler;
use super::settings::{ProgramSettings, RecordSettings, RunSettings, StreamFiles, User};
use super::{AttachSettings, RunOutcome};
use crate::error::{Error, Result};
use crate::kernel::perf_programs::Target;
use crate::kernel::privilege;
use crate::target::identity::UserChoice;
use crate::target::launch::{self, Command, Suspended};
use crate::target::limits;
use crate::target::surroundings::Surroundings;

/// Runs a program under observation to its end.
///
/// # Errors
/// 126 or 127 when the program cannot be run, 125 when map-trace fails.
pub fn run(settings: &RunSettings) -> Result<RunOutcome> {
    run_in(settings, &Surroundings::default())
}

/// The same in other surroundings than map-trace's own. May be called again and again.
///
/// # Errors
/// As for [`run`]; 125 also when the kernel refuses the surroundings.
pub fn run_in(settings: &RunSettings, surroundings: &Surroundings) -> Result<RunOutcome> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    privilege::require(&arguments)?;
    let mut command = command(&settings.program)?;
    let more = std::mem::take(&mut command.surroundings.environment);
    command.surroundings = surroundings.clone();
    command.surroundings.environment.extend(more);
    let prepared = launch::prepare(&command)?;
    let program = prepared.path().to_owned();
    let suspended = prepared.spawn()?;
    let argv = command
        .argv
        .iter()
        .map(|word| word.to_string_lossy().into_owned())
        .collect();
    let subject = Subject::Child {
        pid: suspended.pid(),
        argv,
        program,
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

/// Who the program runs as, in the launcher's words.
pub fn user_choice(user: &User) -> UserChoice {
    match user {
        User::Caller => UserChoice::SudoCaller,
        User::Named(name) => UserChoice::Named(name.clone()),
        User::Keep => UserChoice::Root,
    }
}

fn command(program: &ProgramSettings) -> Result<Command> {
    let mut argv = vec![program.program.clone()];
    argv.extend(program.arguments.iter().cloned());
    Ok(Command {
        argv,
        user: user_choice(&program.user),
        limits: limits::raise(),
        surroundings: Surroundings {
            environment: program
                .environment
                .iter()
                .map(|(name, value)| (name.clone(), Some(value.clone())))
                .collect(),
            ..Surroundings::default()
        },
        streams: program.streams.as_ref().map(streams).transpose()?,
    })
}

/// Opens the files a program's output goes to.
fn streams(files: &StreamFiles) -> Result<Arc<[OwnedFd; 3]>> {
    let failed =
        |path: &Path, why: io::Error| Error::failed(format!("cannot use {}", path.display()), why);
    let null = Path::new("/dev/null");
    let input = File::open(null).map_err(|why| failed(null, why))?;
    let output = File::create(&files.stdout).map_err(|why| failed(&files.stdout, why))?;
    let error = File::create(&files.stderr).map_err(|why| failed(&files.stderr, why))?;
    Ok(Arc::new([input.into(), output.into(), error.into()]))
}

/// A recording with every probe armed.
struct Session<'a> {
    settings: &'a RecordSettings,
    instrument: Instrument,
    events: Events,
    /// Threads whose perf events are opened; those they start inherit them.
    targets: Vec<Target>,
    /// Samples of the memory of maps.
    sampler: Option<Sampler>,
    /// Counting of operations by duty cycle.
    duty: Option<Duty>,
    pipeline: Pipeline,
    /// Probes in programs that are being taken off already.
    detaching: Option<Detaching>,
    progress: Progress,
    /// The program, when it is our child.
    pid: Option<u32>,
    received: u64,
    start_ns: u64,
    blind_ns: u64,
    lost_mappings: u64,
    reread: Reread,
    proven: Proven,
}

impl Session<'_> {
    /// Records running processes until the end.
    async fn follow(mut self) -> Result<RunOutcome> {
        let mut stops = watch::Stops::catch()?;
        if arm::watches(self.settings) {
            self.arm_watches(self.targets.first().map_or(0, |target| target.pid))?;
        }
        let end = self.watch(None, &mut stops).await?;
        self.finish(end, None)
    }

    /// Releases the child and records until the end.
    async fn launch(mut self, suspended: Suspended) -> Result<RunOutcome> {
        // Before the program runs: whoever waits for it to say something may signal us at once.
        let mut stops = watch::Stops::catch()?;
        let mut running = suspended.release()?;
        if arm::watches(self.settings) {
            self.watch_memory(running.pid())?;
        }
        let end = self.watch(Some(&mut running), &mut stops).await?;
        self.finish(end, Some(&running))
    }
}
