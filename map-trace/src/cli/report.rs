//! `map-trace report`: renders a saved trace. Needs neither root nor the program.
//!
//! ```text
//! $ map-trace report app.trace.jsonl.zst
//! $ map-trace report app.trace.jsonl.zst --format html -o app.html
//! $ zstdcat app.trace.jsonl.zst | map-trace report -
//! ```

use std::io;
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueHint};

use super::color::When;
use super::print;
use crate::error::{Error, Result};
use crate::evidence::summarize;
use crate::exit_code::ExitCode;
use crate::model::summary::Summary;
use crate::output::{EXPORTERS, View, exporter};
use crate::trace::{OutputFile, TraceReader};

/// Show a saved trace
#[derive(Debug, Args)]
pub struct ReportArgs {
    /// The trace; - reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    trace: PathBuf,
    #[arg(long, default_value = "text", value_parser = formats(), help = "What to make of it")]
    format: String,
    /// Save it instead of printing it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
    /// Use colours
    #[arg(long, value_name = "WHEN", default_value = "auto")]
    color: When,
}

fn formats() -> PossibleValuesParser {
    let values = EXPORTERS
        .iter()
        .map(|exporter| PossibleValue::new(exporter.name).help(exporter.about));
    PossibleValuesParser::new(values)
}

impl ReportArgs {
    pub fn run(self) -> Result<ExitCode> {
        let Some(exporter) = exporter(&self.format) else {
            return Err(Error::usage("unknown format", self.format));
        };
        let summary = read_summary(&self.trace)?;
        let view = View {
            color: self.output.is_none() && self.color.decide(&io::stdout()),
            saved: None,
        };
        deliver(
            &(exporter.render)(&summary, &view),
            self.output.as_deref(),
            &[&self.trace],
        )
    }
}

/// Opens a trace; `-` is standard input.
pub fn open(path: &Path) -> Result<TraceReader> {
    let opened = if path.as_os_str() == "-" {
        TraceReader::new(io::stdin())
    } else {
        TraceReader::open(path)
    };
    opened.map_err(|error| error.into_error(&path.display().to_string()))
}

/// Reads a trace to its summary; says on stderr when it is cut short.
pub fn read_summary(path: &Path) -> Result<Summary> {
    let name = path.display().to_string();
    let mut reader = open(path)?;
    let summary = summarize(&mut reader).map_err(|error| error.into_error(&name))?;
    note_cut_short(&name, &reader);
    Ok(summary)
}

/// Says on stderr that a trace that was read to its end is not whole.
pub fn note_cut_short(name: &str, reader: &TraceReader) {
    if let Some(reason) = &reader.tally().cut_short {
        let why = format!("{reason}; what is whole in it is used");
        print::error(&Error::failed(format!("{name} is cut short"), why));
    }
}

/// Writes a rendering to a file or to stdout; never over one of the files it was made from.
pub fn deliver(bytes: &[u8], output: Option<&Path>, sources: &[&PathBuf]) -> Result<ExitCode> {
    match output {
        None => print::to_stdout(bytes)?,
        Some(path) => {
            refuse_source(path, sources)?;
            OutputFile::create(path)?.fill(bytes)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Refuses an output that is one of the traces it is made from.
pub fn refuse_source(output: &Path, sources: &[&PathBuf]) -> Result<()> {
    let real = output.canonicalize().ok().filter(|path| path.is_file());
    if real.is_some()
        && sources
            .iter()
            .any(|source| source.canonicalize().ok() == real)
    {
        let what = format!("cannot write {}", output.display());
        return Err(Error::usage(what, "it is the trace itself"));
    }
    Ok(())
}
