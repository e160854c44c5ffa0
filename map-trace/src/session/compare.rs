//! Runs a program under several conditions, each time in a whole session with its own controls.
//!
//! The runs are interleaved, every other round backwards, so that whatever drifts with time (the page cache, other
//! programs) touches all conditions alike.

mod go;
mod huge_pages;
mod interrupt;

use std::ffi::OsString;
use std::io;
use std::path::PathBuf;

use self::go::Builds;
use self::huge_pages::{SystemSetting, Wanted};
use super::live::{run_in, user_choice};
use super::settings::{RecordSettings, RunSettings};
use crate::compare::{Comparison, Condition, Run, Setting, Trials, Variable, compare as weigh};
use crate::error::{Error, Result};
use crate::kernel::privilege;
use crate::target::surroundings::{Cpus, Surroundings};

/// Settings of `map-trace compare`.
#[derive(Clone, Debug)]
pub struct CompareSettings {
    /// The program as given, and how each run is recorded; `record.output` is not used.
    pub run: RunSettings,
    pub conditions: Vec<Condition>,
    /// Runs of each condition.
    pub repeat: u32,
    /// Where each run's trace goes.
    pub folder: Option<PathBuf>,
}

/// What is about to happen.
#[derive(Clone, Copy, Debug)]
pub enum Step<'a> {
    /// A program is built with a version of Go.
    Build(&'a str),
    /// Run `number` of `of`, from 1.
    Run {
        number: usize,
        of: usize,
        condition: &'a Condition,
    },
}

/// A condition made ready.
struct Ready {
    settings: RunSettings,
    surroundings: Surroundings,
}

/// Runs everything and weighs it. Ctrl-C ends it after the run that it stopped, which does not count.
///
/// # Errors
/// 126 or 127 when a program cannot be run, 2 when a condition cannot be had on this machine, 125 when map-trace
/// fails.
pub fn compare(settings: &CompareSettings, tell: &mut dyn FnMut(Step<'_>)) -> Result<Comparison> {
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    privilege::require(&arguments)?;
    interrupt::watch();
    if let Some(folder) = &settings.folder {
        let what = || format!("cannot save traces in {}", folder.display());
        std::fs::create_dir_all(folder).map_err(|why| Error::failed(what(), why))?;
    }
    let user = user_choice(&settings.run.program.user);
    let mut builds = Builds::new(&settings.run.program.program, &user);
    for condition in &settings.conditions {
        if let Some(version) = value(condition, &Variable::Go) {
            builds.build(version, || tell(Step::Build(version)))?;
        }
    }
    let conditions = || settings.conditions.iter();
    let wanted: Vec<_> = conditions()
        .filter_map(|condition| Wanted::from_word(value(condition, &Variable::HugePages)?))
        .collect();
    let system = SystemSetting::for_all(&wanted)?;
    let ready: Vec<_> = conditions()
        .map(|condition| ready(settings, condition, &builds, system.as_ref()))
        .collect::<Result<_>>()?;
    let runs = run_all(settings, &ready, tell);
    // Put back before anything is made of the runs.
    drop((system, builds));
    let trials = settings.conditions.iter().zip(runs?);
    let trials = trials.map(|(condition, runs)| Trials {
        condition: condition.clone(),
        runs,
    });
    let program = &settings.run.program;
    let words = [&program.program].into_iter().chain(&program.arguments);
    let argv = words.map(|word| word.to_string_lossy().into_owned());
    Ok(weigh(argv.collect(), settings.repeat, trials.collect()))
}

/// All runs, by condition.
fn run_all(
    settings: &CompareSettings,
    ready: &[Ready],
    tell: &mut dyn FnMut(Step<'_>),
) -> Result<Vec<Vec<Run>>> {
    let mut runs: Vec<Vec<Run>> = ready.iter().map(|_| Vec::new()).collect();
    let of = ready
        .len()
        .saturating_mul(usize::try_from(settings.repeat).unwrap_or(0));
    // A file on standard input is read again by each run.
    let input = io::stdin();
    let start = rustix::fs::seek(&input, rustix::fs::SeekFrom::Current(0)).ok();
    let mut number = 0;
    for round in 0..settings.repeat {
        let mut order: Vec<usize> = (0..ready.len()).collect();
        if round % 2 == 1 {
            order.reverse();
        }
        for index in order {
            let (Some(ready), Some(condition), Some(own)) = (
                ready.get(index),
                settings.conditions.get(index),
                runs.get_mut(index),
            ) else {
                continue;
            };
            number += 1;
            tell(Step::Run {
                number,
                of,
                condition,
            });
            if let Some(start) = start {
                // It could be sought in before, and a run that reads nothing shows in its status.
                let _unmoved = rustix::fs::seek(&input, rustix::fs::SeekFrom::Start(start));
            }
            let name = format!("condition-{}.run-{}.jsonl.zst", index + 1, round + 1);
            if let Some(run) = one(settings, ready, name)? {
                own.push(run);
            }
            if interrupt::seen() {
                return Ok(runs);
            }
        }
    }
    Ok(runs)
}

/// One run; `None` when somebody stopped it.
fn one(settings: &CompareSettings, ready: &Ready, name: String) -> Result<Option<Run>> {
    let settings_of_run = RunSettings {
        program: ready.settings.program.clone(),
        record: RecordSettings {
            output: settings.folder.as_ref().map(|folder| folder.join(&name)),
            ..ready.settings.record.clone()
        },
    };
    let outcome = run_in(&settings_of_run, &ready.surroundings)?;
    if let Some(problem) = outcome.problem {
        return Err(problem);
    }
    let saved = settings.folder.is_some().then_some(name);
    Ok((!interrupt::seen()).then(|| Run::new(&outcome.summary, saved)))
}

fn value<'a>(condition: &'a Condition, variable: &Variable) -> Option<&'a str> {
    let mut settings = condition.settings.iter();
    let found = settings.find(|setting| setting.variable == *variable)?;
    Some(&found.value)
}

/// The settings and surroundings that make a condition.
fn ready(
    settings: &CompareSettings,
    condition: &Condition,
    builds: &Builds,
    system: Option<&SystemSetting>,
) -> Result<Ready> {
    let mut ready = Ready {
        settings: settings.run.clone(),
        surroundings: Surroundings::default(),
    };
    for Setting { variable, value } in &condition.settings {
        match variable {
            Variable::Environment(name) => {
                let value = (!value.is_empty()).then(|| OsString::from(value));
                ready.surroundings.environment.push((name.into(), value));
            }
            Variable::HugePages => {
                let wanted = Wanted::from_word(value);
                ready.surroundings.huge_pages = wanted
                    .zip(system)
                    .and_then(|(wanted, system)| system.own(wanted));
            }
            Variable::Go => {
                if let Some(program) = builds.program(value) {
                    ready.settings.program.program = program.into();
                }
            }
            Variable::Program => ready.settings.program.program = value.into(),
            Variable::Nice => ready.surroundings.nice = value.parse().ok(),
            Variable::Cpus => ready.surroundings.cpus = Some(cpus(value)?),
        }
    }
    Ok(ready)
}

fn cpus(value: &str) -> Result<Cpus> {
    let what = || format!("cannot run on cpus={value}");
    let found =
        Cpus::first(value.parse().unwrap_or(0)).map_err(|why| Error::failed(what(), why))?;
    found.ok_or_else(|| {
        Error::usage(what(), "map-trace itself may not run on as many")
            .fix("nproc(1) tells how many there are")
    })
}
