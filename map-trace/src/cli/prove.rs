//! `map-trace prove`: runs the experiments of the catalogue and judges every claim.
//!
//! ```text
//! $ sudo map-trace prove
//! $ sudo map-trace prove --only '1.*' --go 1.23,1.27 -o proof/
//! $ sudo map-trace prove --counterfactuals
//! ```
//!
//! The exit status is 0 when every verdict is the expected one, 1 when one is another, 3 when none is and one is
//! inconclusive. With `--counterfactuals`, a claim that does not turn round on its saboteur counts as another verdict.

use std::io::{self, IsTerminal};
use std::path::PathBuf;

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueHint};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::color::When;
use super::print;
use crate::claim::catalogue;
use crate::claim::proof::Proof;
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::output::json;
use crate::output::prove::FORMATS;
use crate::prove::{self, ProveSettings};
use crate::trace::OutputFile;

/// Judge what is said of Go maps: build experiments, run them, decide claim by claim (needs root)
#[derive(Debug, Args)]
pub struct ProveArgs {
    /// The article's claims; they are the catalogue, and what is judged without this, too
    #[arg(long)]
    article: bool,
    /// Programs to use in place of the built-in ones: a folder with go/, rust/ and c/
    #[arg(long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    workloads: Option<PathBuf>,
    /// Keep traces, summaries, outputs and the verdicts there
    #[arg(short, long, value_name = "DIR", value_hint = ValueHint::DirPath)]
    output: Option<PathBuf>,
    /// Go toolchains: versions, go commands or GOROOTs [default: every one that is found]
    #[arg(long, value_name = "VERSION", value_delimiter = ',')]
    go: Vec<String>,
    /// Judge the claims on saboteurs, too, where they must turn round
    #[arg(long)]
    counterfactuals: bool,
    /// Only claims whose id matches, such as 1.4 or '2.*'
    #[arg(long, value_name = "ID", value_delimiter = ',')]
    only: Vec<String>,
    #[arg(long, default_value = "text", value_parser = formats(), help = "What to make of the verdicts")]
    format: String,
    /// Save the verdicts; - is stdout [default: stdout]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    report: Option<PathBuf>,
    /// Compilers at work at a time; 0: one for each CPU
    #[arg(long, value_name = "N", default_value_t = 0)]
    jobs: usize,
    /// Show the claims; run nothing
    #[arg(long)]
    list: bool,
    /// No progress line
    #[arg(long)]
    no_progress: bool,
    /// Colours: auto, always, never
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
}

fn formats() -> PossibleValuesParser {
    let values = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(values)
}

impl ProveArgs {
    pub fn run(self) -> Result<ExitCode> {
        if self.list {
            return list();
        }
        let Some(format) = FORMATS.iter().find(|format| format.name == self.format) else {
            return Err(Error::usage("unknown format", &self.format));
        };
        // Opened before anything runs: a place that cannot be written costs no run.
        let to_stdout = self
            .report
            .as_ref()
            .is_none_or(|path| path.as_os_str() == "-");
        let file = match &self.report {
            Some(path) if !to_stdout => Some(OutputFile::create(path)?),
            _ => None,
        };
        let settings = ProveSettings {
            workloads: self.workloads.clone(),
            output: self.output.clone(),
            go: self.go.clone(),
            counterfactuals: self.counterfactuals,
            only: self.only.clone(),
            jobs: self.jobs,
        };
        let bar = progress(!self.no_progress && io::stderr().is_terminal());
        let done = prove::prove(&settings, &json::document, &mut |what| {
            if let Some(bar) = &bar {
                bar.set_message(format!("map-trace: {what}"));
                bar.tick();
            }
        });
        if let Some(bar) = &bar {
            bar.finish_and_clear();
        }
        let proof = done?;
        if let Some(folder) = &self.output {
            for (name, format) in [("verdicts.json", "json"), ("report.md", "markdown")] {
                if let Some(format) = FORMATS.iter().find(|one| one.name == format) {
                    let mut file = OutputFile::create(&folder.join(name))?;
                    file.fill(&(format.render)(&proof, false))?;
                }
            }
        }
        let color = to_stdout && self.color.decide(&io::stdout());
        let bytes = (format.render)(&proof, color);
        match file {
            None => print::to_stdout(&bytes)?,
            Some(mut file) => file.fill(&bytes)?,
        }
        Ok(code(&proof))
    }
}

fn code(proof: &Proof) -> ExitCode {
    if proof.failed() {
        ExitCode::CLAIM_FAILED
    } else if proof.open() {
        ExitCode::INCONCLUSIVE
    } else {
        ExitCode::SUCCESS
    }
}

fn list() -> Result<ExitCode> {
    let catalogue = catalogue::read(catalogue::embedded_files())
        .map_err(|why| Error::failed("the catalogue cannot be read", why))?;
    let mut text = String::new();
    for claim in &catalogue.claims {
        text.push_str(&format!("{:<9} {}\n", claim.id, claim.statement));
    }
    print::to_stdout(text.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

fn progress(shown: bool) -> Option<ProgressBar> {
    if !shown {
        return None;
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    if let Ok(style) = ProgressStyle::with_template("{msg}") {
        bar.set_style(style);
    }
    Some(bar)
}
