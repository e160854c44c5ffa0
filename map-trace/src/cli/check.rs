//! `map-trace check`: judges claims, of a saved trace or of a program that is run for it. The gate of a CI job.
//!
//! ```text
//! $ sudo map-trace check --region hot=compute --expect 'mprotect during hot == 0' -- ./app
//! $ map-trace check app.trace.jsonl.zst --claims claims.toml --format junit --report claims.xml
//! $ map-trace check app.trace.jsonl.zst --baseline last-week.json --max-increase 5%
//! ```
//!
//! The exit status is 0 when every claim came out as expected, 1 when one did not, 3 when none failed and one is
//! inconclusive, 4 when the program itself failed. A claim that failed says more than a program that did, and that
//! more than an open question: 1 goes before 4, 4 before 3.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueHint};

use super::print;
use super::record::{RecordArgs, Results};
use super::report::{note_cut_short, open, read_summary};
use super::run::WhoArgs;
use crate::claim::baseline::{self, Increase};
use crate::claim::{AfterOperations, Setup, Window, judge_trace_within, regions_of};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::model::summary::{Claim, SUMMARY_SCHEMA, Status, Summary, VerdictWord};
use crate::output::View;
use crate::output::verdicts::FORMATS;
use crate::session::settings::{Level, RecordSettings, RunSettings};
use crate::session::{self, ProgramStatus};
use crate::trace::{OutputFile, ReadError};

/// Largest summary taken as a baseline, bytes.
const MAX_SUMMARY: u64 = 64 << 20;

/// Judge claims on a saved trace, or on a program that is run (needs root)
#[derive(Debug, Args)]
#[command(override_usage = "map-trace check [OPTIONS] TRACE\n       \
                            map-trace check [OPTIONS] -- PROGRAM [ARG]...")]
pub struct CheckArgs {
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    who: WhoArgs,
    /// Judge the claims even when the program failed
    #[arg(long)]
    ignore_status: bool,
    /// Judge only what comes after the first entry into a function
    #[arg(long, value_name = "SYMBOL")]
    from: Option<String>,
    /// Judge only what comes before the first entry into a function
    #[arg(long, value_name = "SYMBOL")]
    until: Option<String>,
    /// Judge only what comes once N map operations are over (of one kind: assign=N); counts with --census full
    #[arg(long, value_name = "[OPERATION=]N", value_parser = AfterOperations::parse)]
    after_ops: Option<AfterOperations>,
    #[arg(long, default_value = "text", value_parser = formats(), help = "What to make of the verdicts")]
    format: String,
    /// Save the verdicts; - is stdout [default: stdout with a trace, stderr with a program]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
    /// Compare with an earlier run: a trace, or a summary in JSON
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    baseline: Option<PathBuf>,
    /// How many more events of a kind an operation may have than in the baseline
    #[arg(long, value_name = "N[%]", default_value = "0", requires = "baseline",
          value_parser = Increase::parse)]
    max_increase: Increase,
    /// The trace; - reads standard input
    #[arg(value_hint = ValueHint::FilePath, required_unless_present = "program",
          conflicts_with = "program")]
    trace: Option<PathBuf>,
    /// The program to run, and its arguments
    #[arg(last = true, value_name = "PROGRAM", value_hint = ValueHint::CommandWithArguments)]
    program: Vec<OsString>,
}

fn formats() -> PossibleValuesParser {
    let values = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(values)
}

/// Where the verdicts go and as what.
struct Report {
    render: fn(&Summary, &View<'_>) -> Vec<u8>,
    place: Place,
}

enum Place {
    Stdout,
    Stderr,
    File(OutputFile),
}

/// What to compare with.
struct Baseline {
    name: String,
    summary: Summary,
    increase: Increase,
}

impl CheckArgs {
    pub fn run(self) -> Result<ExitCode> {
        match &self.trace {
            Some(path) => self.check_trace(path),
            None => self.check_program(),
        }
    }

    fn check_trace(&self, path: &Path) -> Result<ExitCode> {
        if let Some(option) = self.record.only_recording() {
            return Err(Error::usage(
                option,
                "it is for recording, and a trace is recorded already",
            ));
        }
        let name = path.display().to_string();
        let mut reader =
            open(path).map_err(|error| error.fix("map-trace check -- PROGRAM runs one"))?;
        let (claims, regions) = self.record.claims_over(&regions_of(reader.header()))?;
        self.something_to_judge(claims.len())?;
        let baseline = self.baseline()?;
        let report = self.open_report(Place::Stdout, Some(path))?;
        let mut summary = judge_trace_within(&mut reader, Setup { claims, regions }, self.window())
            .map_err(|error| error.into_error(&name))?;
        note_cut_short(&name, &reader);
        baseline
            .iter()
            .for_each(|baseline| baseline.judge(&mut summary));
        let failed = match &summary.program.status {
            Status::Exited(code) => *code != 0,
            Status::Signaled(_) => true,
            Status::Running | Status::Unknown => false,
        };
        let view = View {
            color: self.record.color_on(&io::stdout()),
            saved: None,
        };
        report.deliver(&summary, &view, !self.record.is_quiet())?;
        Ok(self.exit_code(&summary.claims, failed))
    }

    fn check_program(self) -> Result<ExitCode> {
        let baseline = self.baseline()?;
        let report = self.open_report(Place::Stderr, None)?;
        let (ignore_status, given) = (self.ignore_status, baseline.is_some());
        let window = self.window();
        let mut record = RecordSettings {
            window,
            ..self.record.resolve()?
        };
        // The moment is known only where every operation is counted.
        if record.window.after.is_some() && record.census == Level::Sample {
            record.census = Level::Full;
        }
        let settings = RunSettings {
            program: self.who.resolve(self.program)?,
            record,
        };
        if settings.record.claims.is_empty() && !given {
            return Err(nothing_to_judge());
        }
        let results = Results::open(&settings.record)?;
        let mut outcome = session::run(&settings)?;
        baseline
            .iter()
            .for_each(|baseline| baseline.judge(&mut outcome.summary));
        let screen = results.wants_screen();
        let code = results.deliver_as(&outcome, |summary, view| {
            report.deliver(summary, view, screen)
        })?;
        if outcome.problem.is_some() {
            return Ok(code);
        }
        let failed = match outcome.status {
            ProgramStatus::Exited(code) => code & 0xff != 0,
            ProgramStatus::Signaled(_) => true,
            ProgramStatus::Running => false,
        };
        Ok(verdict_code(
            &outcome.summary.claims,
            failed && !ignore_status,
        ))
    }

    fn exit_code(&self, claims: &[Claim], failed: bool) -> ExitCode {
        verdict_code(claims, failed && !self.ignore_status)
    }

    fn something_to_judge(&self, claims: usize) -> Result<()> {
        match claims == 0 && self.baseline.is_none() {
            true => Err(nothing_to_judge()),
            false => Ok(()),
        }
    }

    /// The part of the run that the claims are about.
    fn window(&self) -> Window {
        Window {
            from: self.from.clone(),
            until: self.until.clone(),
            after: self.after_ops.clone(),
        }
    }

    fn baseline(&self) -> Result<Option<Baseline>> {
        let Some(path) = &self.baseline else {
            return Ok(None);
        };
        Ok(Some(Baseline {
            name: path.display().to_string(),
            summary: read_baseline(path)?,
            increase: self.max_increase,
        }))
    }

    fn open_report(&self, otherwise: Place, source: Option<&Path>) -> Result<Report> {
        let format = FORMATS.iter().find(|format| format.name == self.format);
        let Some(format) = format else {
            return Err(Error::usage("unknown format", &self.format));
        };
        let place = match &self.report {
            None => otherwise,
            Some(path) if path.as_os_str() == "-" => Place::Stdout,
            Some(path) => {
                let sources: Vec<PathBuf> = source.map(Path::to_owned).into_iter().collect();
                super::report::refuse_source(path, &sources.iter().collect::<Vec<_>>())?;
                Place::File(OutputFile::create(path)?)
            }
        };
        Ok(Report {
            render: format.render,
            place,
        })
    }
}

impl Report {
    /// Writes the verdicts; on the terminal only when `screen` says so.
    fn deliver(self, summary: &Summary, view: &View<'_>, screen: bool) -> Result<()> {
        let in_file = matches!(self.place, Place::File(_));
        if !screen && !in_file {
            return Ok(());
        }
        let view = View {
            color: view.color && !in_file,
            ..*view
        };
        let bytes = (self.render)(summary, &view);
        match self.place {
            Place::Stdout => print::to_stdout(&bytes),
            Place::Stderr => {
                print::to_stderr(&bytes);
                Ok(())
            }
            Place::File(mut file) => file.fill(&bytes).map_err(Error::from),
        }
    }
}

impl Baseline {
    fn judge(&self, summary: &mut Summary) {
        let judged = baseline::judge(&self.summary, summary, &self.name, self.increase);
        summary.claims.push(judged);
    }
}

fn nothing_to_judge() -> Error {
    Error::usage("nothing to judge", "no claim was given")
        .fix("give --expect RULE, --claims FILE or --baseline FILE")
}

/// A trace, or a summary that was saved as JSON.
fn read_baseline(path: &Path) -> Result<Summary> {
    let name = path.display().to_string();
    let what = || format!("cannot use the baseline {name}");
    match crate::trace::TraceReader::open(path) {
        Ok(_) => return read_summary(path),
        Err(ReadError::Io(why)) => return Err(Error::failed(what(), why)),
        Err(_) => {}
    }
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|why| Error::failed(what(), why))?;
    file.take(MAX_SUMMARY)
        .read_to_end(&mut bytes)
        .map_err(|why| Error::failed(what(), why))?;
    let summary: Option<Summary> = serde_json::from_slice(&bytes).ok();
    summary
        .filter(|summary| summary.schema == SUMMARY_SCHEMA)
        .ok_or_else(|| Error::failed(what(), "it is neither a trace nor a summary in JSON"))
}

/// The status that says how the claims came out.
fn verdict_code(claims: &[Claim], program_failed: bool) -> ExitCode {
    let open = |claim: &Claim| claim.verdict == VerdictWord::Inconclusive;
    let unexpected = || {
        claims
            .iter()
            .filter(|claim| claim.verdict != claim.expected)
    };
    if unexpected().any(|claim| !open(claim)) {
        ExitCode::CLAIM_FAILED
    } else if program_failed {
        ExitCode::PROGRAM_FAILED
    } else if unexpected().next().is_some() {
        ExitCode::INCONCLUSIVE
    } else {
        ExitCode::SUCCESS
    }
}
