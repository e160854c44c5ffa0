//! `map-trace compare`: one program under several conditions; what the conditions change.
//!
//! ```text
//! $ sudo map-trace compare --vary GODEBUG=,efence=1 -- ./app
//! $ sudo map-trace compare --vary go=1.23,1.27 --repeat 10 -- ./cmd/app -n 1000
//! $ sudo map-trace compare --vary THP=madvise,never --vary cpus=1,2 --cross -o traces -- ./app
//! ```
//!
//! The program runs `--repeat` times under each condition, the runs interleaved, each a whole session with its own
//! controls. It keeps its standard streams; a file on standard input is read from the same place in every run, a
//! pipe is empty after the first.
//!
//! The exit status is 0 whatever the comparison finds, 4 when the program failed in a run.

use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueHint};

use super::print;
use super::record::RecordArgs;
use super::run::ProgramArgs;
use crate::compare::{Comparison, MAX_REPEAT, Vary, plan};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::model::summary::Status;
use crate::output::comparison::{self, FORMATS};
use crate::output::plain::clean;
use crate::session::compare::{CompareSettings, Step, compare};
use crate::session::settings::{RunSettings, ScreenSettings, SummaryPlace};
use crate::trace::OutputFile;

/// Run a program under several conditions and show what they change (needs root)
#[derive(Debug, Args)]
#[command(
    mut_arg("output", |arg| arg.value_name("DIR").value_hint(ValueHint::DirPath)
        .help("Save the trace of every run in this folder")),
    mut_arg("summary", |arg| arg
        .help("Save the comparison as JSON; - writes it to stdout in place of the screen")),
    mut_arg("claims", |arg| arg.hide(true)),
    mut_arg("expect", |arg| arg.hide(true)),
    after_help = "NAME is a variable of the environment (an empty value takes it away), or one of THP \
                  (always, madvise, never), go (versions; PROGRAM is Go source), program (paths), nice, \
                  cpus (how many). env:NAME is always the environment. \\ before a comma keeps it."
)]
pub struct CompareArgs {
    /// What differs, its values between commas; may be repeated
    #[arg(long, value_name = "NAME=V1,V2", required = true, value_parser = Vary::parse)]
    vary: Vec<Vary>,
    /// Runs of each condition; fewer than 3 attribute nothing
    #[arg(long, value_name = "N", default_value_t = 5,
          value_parser = clap::value_parser!(u32).range(1..=i64::from(MAX_REPEAT)))]
    repeat: u32,
    /// Every combination of values, in place of one variable at a time
    #[arg(long)]
    cross: bool,
    /// End with 0 even when the program failed
    #[arg(long)]
    ignore_status: bool,
    #[arg(long, default_value = "text", value_parser = formats(), help = "What to make of the comparison")]
    format: String,
    /// Save it in place of printing it on stderr; - is stdout
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
    #[command(flatten)]
    record: RecordArgs,
    #[command(flatten)]
    program: ProgramArgs,
}

fn formats() -> PossibleValuesParser {
    let values = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(values)
}

/// Places that are opened before anything runs.
struct Places {
    report: Option<OutputFile>,
    summary: Option<OutputFile>,
    screen: ScreenSettings,
    summary_on_stdout: bool,
    report_on_stdout: bool,
}

impl CompareArgs {
    pub fn run(self) -> Result<ExitCode> {
        let Some(format) = FORMATS.iter().find(|format| format.name == self.format) else {
            return Err(Error::usage("unknown format", &self.format));
        };
        let conditions = plan(&self.vary, self.cross).map_err(|why| Error::usage("--vary", why))?;
        let mut run = RunSettings {
            program: self.program.resolve()?,
            record: self.record.resolve()?,
        };
        if !run.record.claims.is_empty() {
            let error = Error::usage("--expect", "a comparison judges no claims");
            return Err(error.fix("map-trace check judges each trace that -o saves"));
        }
        let folder = run.record.output.take();
        let mut places = Places::open(self.report, run.record.summary.take(), run.record.screen)?;
        let settings = CompareSettings {
            run,
            conditions,
            repeat: self.repeat,
            folder,
        };
        let screen = places.screen;
        let found = compare(&settings, &mut |step| tell(screen, step))?;
        places.deliver(&found, format.render)?;
        let failed = failed(&found) && !self.ignore_status;
        Ok(if failed {
            ExitCode::PROGRAM_FAILED
        } else {
            ExitCode::SUCCESS
        })
    }
}

impl Places {
    fn open(
        report: Option<PathBuf>,
        summary: Option<SummaryPlace>,
        screen: ScreenSettings,
    ) -> Result<Self> {
        let report_on_stdout = report
            .as_deref()
            .is_some_and(|path| path.as_os_str() == "-");
        let report = report.filter(|_| !report_on_stdout);
        let summary_on_stdout = summary == Some(SummaryPlace::Stdout);
        if report_on_stdout && summary_on_stdout {
            let why = "summary and report cannot both go there";
            return Err(Error::usage("standard output", why));
        }
        let summary = match summary {
            Some(SummaryPlace::File(path)) => Some(OutputFile::create(&path)?),
            _ => None,
        };
        Ok(Self {
            report: report.as_deref().map(OutputFile::create).transpose()?,
            summary,
            screen,
            summary_on_stdout,
            report_on_stdout,
        })
    }

    fn deliver(
        &mut self,
        found: &Comparison,
        render: fn(&Comparison, bool) -> Vec<u8>,
    ) -> Result<()> {
        if let Some(file) = &mut self.report {
            file.fill(&render(found, false))?;
        } else if self.report_on_stdout {
            print::to_stdout(&render(found, false))?;
        } else if !self.screen.quiet && !self.summary_on_stdout {
            print::to_stderr(&render(found, self.screen.color));
        }
        if let Some(file) = &mut self.summary {
            file.fill(&comparison::json(found))?;
        } else if self.summary_on_stdout {
            print::to_stdout(&comparison::json(found))?;
        }
        Ok(())
    }
}

/// Says what is about to happen, to whoever watches.
fn tell(screen: ScreenSettings, step: Step<'_>) {
    if screen.quiet || !(screen.progress || screen.verbosity > 0) {
        return;
    }
    let line = match step {
        Step::Build(version) => format!("building with Go {}", clean(version)),
        Step::Run {
            number,
            of,
            condition,
        } => format!("run {number} of {of}: {}", clean(&condition.say())),
    };
    print::to_stderr(format!("map-trace: {line}\n").as_bytes());
}

/// Whether the program failed in any run.
fn failed(found: &Comparison) -> bool {
    let runs = found.conditions.iter().flat_map(|trials| &trials.runs);
    let ended = |status: &Status| matches!(status, Status::Exited(0) | Status::Running);
    runs.into_iter().any(|run| !ended(&run.status))
}
