//! Running the experiments: under a session, or bare and repeated.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::build::Built;
use super::plan::{Plan, RunId};
use super::toolchain::GoToolchain;
use super::workspace::{Workspace, failed};
use crate::claim::Claim;
use crate::claim::catalogue::{Amount, Catalogue, End, Experiment};
use crate::claim::facts::Printed;
use crate::claim::proof::ProofRun;
use crate::error::{Error, Result};
use crate::model::signal;
use crate::model::summary::{self, Status, Summary};
use crate::session::settings::{
    Detail, Level, ProgramSettings, RecordSettings, Region, RunSettings, ScreenSettings,
    StopSettings, StreamFiles, User,
};
use crate::session::{self, RunOutcome, places};

/// Most of an output that is read, bytes.
const MAX_OUTPUT: u64 = 16 << 20;

/// One experiment, done.
#[derive(Debug, Default)]
pub struct Ran {
    /// Of each repetition, in order.
    pub printed: Vec<Printed>,
    /// Of the last repetition.
    pub status: Status,
    /// Why it is no evidence, if so.
    pub problem: Option<String>,
    /// Of a recorded run: its rules as they were asked for, judged.
    pub judged: Vec<(Claim, summary::Claim)>,
    pub summary: Option<Summary>,
    pub duration: Duration,
}

/// Every experiment of a plan.
#[derive(Debug, Default)]
pub struct Runs(pub BTreeMap<RunId, Ran>);

impl Runs {
    /// For the report.
    pub fn told(&self, catalogue: &Catalogue, toolchains: &[GoToolchain]) -> Vec<ProofRun> {
        self.0
            .iter()
            .map(|(id, ran)| {
                let experiment = &catalogue.experiments[id.experiment];
                ProofRun {
                    name: experiment.name.clone(),
                    about: experiment.about.clone(),
                    go: id.go.map(|go| toolchains[go].version.to_string()),
                    duration_ms: u64::try_from(ran.duration.as_millis()).unwrap_or(u64::MAX),
                    events: ran.summary.as_ref().map(|summary| summary.loss.counted),
                    problem: ran.problem.clone(),
                }
            })
            .collect()
    }
}

/// Runs everything that was built, one after the other; repeated ones in turn.
pub fn all(
    catalogue: &Catalogue,
    plan: &Plan,
    toolchains: &[GoToolchain],
    built: &Built,
    workspace: &Workspace,
    tell: &mut dyn FnMut(&str),
) -> Result<Runs> {
    let mut runs = Runs::default();
    let rounds = plan
        .runs
        .keys()
        .map(|id| catalogue.experiments[id.experiment].repeat)
        .max()
        .unwrap_or(0);
    let mut number = 0;
    for round in 0..rounds {
        for (id, rules) in &plan.runs {
            let experiment = &catalogue.experiments[id.experiment];
            if round >= experiment.repeat {
                continue;
            }
            let go = id.go.map(|go| toolchains[go].version.to_string());
            if round == 0 {
                number += 1;
                let of = go
                    .as_ref()
                    .map_or_else(String::new, |go| format!(", Go {go}"));
                tell(&format!(
                    "running {number}/{}: {}{of}",
                    plan.runs.len(),
                    experiment.name
                ));
            } else {
                tell(&format!("run {} of {}", round + 1, experiment.name));
            }
            let ran = runs.0.entry(*id).or_default();
            let program = match built.get(id) {
                Some(Ok(program)) => program,
                Some(Err(why)) => {
                    ran.problem = Some(why.clone());
                    continue;
                }
                None => continue,
            };
            let place = |end: &str| workspace.file(go.as_deref(), &experiment.name, end);
            if experiment.trace {
                *ran = record(experiment, program, rules, &place, workspace.kept)?;
            } else if ran.problem.is_none() {
                bare(experiment, program, &place, ran)?;
            }
        }
    }
    Ok(runs)
}

/// Runs a program under a session of map-trace.
fn record(
    experiment: &Experiment,
    program: &Path,
    rules: &[Claim],
    place: &dyn Fn(&str) -> PathBuf,
    keep: bool,
) -> Result<Ran> {
    let start = Instant::now();
    let streams = StreamFiles {
        stdout: place(".stdout"),
        stderr: place(".stderr"),
    };
    // Ids of this run alone: one claim may have several rules here.
    let claims: Vec<Claim> = rules
        .iter()
        .enumerate()
        .map(|(number, rule)| Claim {
            id: number.to_string(),
            ..rule.clone()
        })
        .collect();
    let settings = RunSettings {
        program: ProgramSettings {
            program: program.into(),
            arguments: experiment.args.iter().map(OsString::from).collect(),
            user: User::Keep,
            environment: environment(experiment),
            streams: Some(streams.clone()),
        },
        record: record_settings(experiment, claims, place, keep)?,
    };
    let outcome = match session::run(&settings) {
        Ok(outcome) => outcome,
        Err(why) => {
            return Ok(Ran {
                problem: Some(format!("it could not be recorded: {why}")),
                duration: start.elapsed(),
                ..Ran::default()
            });
        }
    };
    let timed_out = end_of(&outcome)?;
    let printed = read(&streams)?;
    let summary = outcome.summary;
    let status = summary.program.status.clone();
    let mut problem = outcome.problem.map(|why| why.to_string());
    if timed_out {
        problem = Some(format!("it did not end within {} s", experiment.timeout_s));
    }
    let problem = problem.or_else(|| unexpected(&experiment.exit, &status, &printed));
    Ok(Ran {
        printed: vec![printed],
        status,
        problem,
        judged: rules.iter().cloned().zip(summary.claims.clone()).collect(),
        summary: Some(summary),
        duration: start.elapsed(),
    })
}

fn record_settings(
    experiment: &Experiment,
    claims: Vec<Claim>,
    place: &dyn Fn(&str) -> PathBuf,
    keep: bool,
) -> Result<RecordSettings> {
    let wrong = |why: String| Error::failed(format!("experiment {}", experiment.name), why);
    let watch = experiment.watch.iter().map(|text| places::watch(text));
    let ranges = experiment
        .watch_ranges
        .iter()
        .map(|text| places::watch_range(text));
    let regions = experiment.distinct_regions();
    Ok(RecordSettings {
        output: keep.then(|| place(".jsonl.zst")),
        claims,
        regions: regions
            .map(|(name, pattern)| Region {
                name: name.clone(),
                pattern: pattern.clone(),
            })
            .collect(),
        entries: experiment.entries.clone(),
        census: level(experiment.census),
        pte: level(experiment.pte),
        watch: watch.collect::<Result<_, _>>().map_err(wrong)?,
        watch_ranges: ranges.collect::<Result<_, _>>().map_err(wrong)?,
        detail: experiment.detail.map_or(Detail::All, Detail::Limit),
        limits: StopSettings {
            duration: Some(Duration::from_secs(experiment.timeout_s)),
            max_events: None,
        },
        screen: ScreenSettings {
            quiet: true,
            ..ScreenSettings::default()
        },
        ..RecordSettings::default()
    })
}

fn level(amount: Amount) -> Level {
    match amount {
        Amount::Off => Level::Off,
        Amount::Sample => Level::Sample,
        Amount::Full => Level::Full,
    }
}

fn environment(experiment: &Experiment) -> Vec<(OsString, OsString)> {
    let variables = experiment.env.iter();
    variables
        .map(|(name, value)| (name.into(), value.into()))
        .collect()
}

/// Ends a program that is still running; true when its time was over. An interruption ends everything.
fn end_of(outcome: &RunOutcome) -> Result<bool> {
    if let Some(pid) = outcome.running
        && let Some(pid) = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
    {
        // It may have ended by itself meanwhile.
        let _gone = rustix::process::kill_process(pid, rustix::process::Signal::KILL);
        let _reaped = rustix::process::waitpid(Some(pid), rustix::process::WaitOptions::empty());
    }
    match outcome.summary.stopped_early.as_deref() {
        None => Ok(false),
        Some("duration") => Ok(true),
        Some(by) => Err(interrupted(by)),
    }
}

fn interrupted(by: &str) -> Error {
    Error::failed("prove was not finished", format!("interrupted by {by}"))
}

/// Runs a program alone, once.
fn bare(
    experiment: &Experiment,
    program: &Path,
    place: &dyn Fn(&str) -> PathBuf,
    ran: &mut Ran,
) -> Result<()> {
    let start = Instant::now();
    let streams = StreamFiles {
        stdout: place(".stdout"),
        stderr: place(".stderr"),
    };
    let open = |path: &Path| File::create(path).map_err(|why| failed(path, why));
    let mut command = Command::new(program);
    command
        .args(&experiment.args)
        .envs(environment(experiment))
        .stdin(Stdio::null())
        .stdout(open(&streams.stdout)?)
        .stderr(open(&streams.stderr)?);
    let child = match command.spawn() {
        Ok(child) => child,
        Err(why) => {
            ran.problem = Some(format!("it cannot be started: {why}"));
            return Ok(());
        }
    };
    let ended = wait(child, start + Duration::from_secs(experiment.timeout_s))
        .map_err(|why| Error::failed("cannot wait for a program", why))?;
    let printed = read(&streams)?;
    ran.duration += start.elapsed();
    match ended {
        None => ran.problem = Some(format!("it did not end within {} s", experiment.timeout_s)),
        Some(status) => {
            ran.status = told(status);
            // Ctrl-C reaches the program, and map-trace only while it records.
            if let Status::Signaled(name) = &ran.status
                && matches!(name.as_str(), "SIGINT" | "SIGTERM")
                && experiment.exit != End::Signal(name.clone())
            {
                return Err(interrupted(name));
            }
            ran.problem = unexpected(&experiment.exit, &ran.status, &printed);
        }
    }
    ran.printed.push(printed);
    Ok(())
}

/// How a child ended; none: it was still running at the deadline and was ended.
fn wait(mut child: Child, deadline: Instant) -> std::io::Result<Option<ExitStatus>> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() >= deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

fn told(status: ExitStatus) -> Status {
    match (status.code(), status.signal()) {
        (Some(code), _) => Status::Exited(code),
        (None, Some(number)) => Status::Signaled(signal::name(number)),
        (None, None) => Status::Unknown,
    }
}

fn read(streams: &StreamFiles) -> Result<Printed> {
    let text = |path: &Path| -> Result<String> {
        let mut bytes = Vec::new();
        let file = File::open(path).map_err(|why| failed(path, why))?;
        file.take(MAX_OUTPUT)
            .read_to_end(&mut bytes)
            .map_err(|why| failed(path, why))?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    Ok(Printed::new(text(&streams.stdout)?, text(&streams.stderr)?))
}

/// Why a program's end is not what it should be, with the first line it wrote about it.
fn unexpected(wanted: &End, status: &Status, printed: &Printed) -> Option<String> {
    let fits = match (wanted, status) {
        (End::Any, _) => true,
        (End::Status(wanted), Status::Exited(code)) => wanted == code,
        (End::Signal(wanted), Status::Signaled(signal)) => wanted == signal,
        _ => false,
    };
    if fits {
        return None;
    }
    let how = match status {
        Status::Exited(code) => format!("it exited {code}"),
        Status::Signaled(signal) => format!("it was ended by {signal}"),
        Status::Running | Status::Unknown => "how it ended is not known".to_owned(),
    };
    let first = printed.stderr.lines().find(|line| !line.trim().is_empty());
    Some(match first {
        Some(line) => format!("{how}: {}", crate::binary::name::clean(line)),
        None => how,
    })
}

/// Values of a key over all repetitions; none when one repetition has no number there.
pub fn values(ran: &Ran, key: &str) -> Option<Vec<f64>> {
    ran.printed.iter().map(|one| one.number(key)).collect()
}

/// Verdicts by rule.
pub fn verdict<'a>(ran: &'a Ran, wanted: &Claim) -> Option<&'a summary::Claim> {
    let judged = ran.judged.iter();
    judged
        .filter(|(rule, _)| super::plan::same(rule, wanted))
        .map(|(_, judged)| judged)
        .next()
}
