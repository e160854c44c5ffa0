//! `map-trace export`: converts a saved trace for other tools.
//!
//! ```text
//! $ map-trace export app.trace.jsonl.zst --format folded | flamegraph.pl > faults.svg
//! $ map-trace export app.trace.jsonl.zst --format perfetto -o app.json
//! ```

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PossibleValue, PossibleValuesParser};
use clap::{Args, ValueHint};

use super::report::{deliver, open, read_summary, refuse_source};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::output::export::{Convert, ExportError, FORMATS, format};
use crate::trace::{OutputFile, take_back};

/// Convert a saved trace for another tool
#[derive(Debug, Args)]
pub struct ExportArgs {
    /// The trace; - reads standard input
    #[arg(value_hint = ValueHint::FilePath)]
    trace: PathBuf,
    #[arg(long, value_parser = formats(), help = "The tool's format")]
    format: String,
    /// Save it instead of printing it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

fn formats() -> PossibleValuesParser {
    let values = FORMATS
        .iter()
        .map(|format| PossibleValue::new(format.name).help(format.about));
    PossibleValuesParser::new(values)
}

impl ExportArgs {
    pub fn run(self) -> Result<ExitCode> {
        let Some(format) = format(&self.format) else {
            return Err(Error::usage("unknown format", self.format));
        };
        let convert = match format.convert {
            Convert::Summary(convert) => {
                let bytes = convert(&read_summary(&self.trace)?);
                return deliver(&bytes, self.output.as_deref(), &[&self.trace]);
            }
            Convert::Trace(convert) => convert,
        };
        let name = self.trace.display().to_string();
        let mut reader = open(&self.trace)?;
        let (output, place): (Box<dyn Write + Send>, _) = match self.output.as_deref() {
            None => (Box::new(io::stdout()), Path::new("standard output")),
            Some(path) => {
                refuse_source(path, &[&self.trace])?;
                (Box::new(OutputFile::create(path)?), path)
            }
        };
        let mut output = BufWriter::new(output);
        let done = convert(&mut reader, &mut output).and_then(|()| Ok(output.flush()?));
        if let (Err(_), Some(path)) = (&done, self.output.as_deref()) {
            drop(output);
            take_back(path);
        }
        match done {
            Err(ExportError::Write(error)) if error.kind() == io::ErrorKind::BrokenPipe => {}
            Err(ExportError::Write(error)) => {
                let what = format!("cannot write all of {}", place.display());
                return Err(Error::failed(what, error));
            }
            Err(ExportError::Read(error)) => return Err(error.into_error(&name)),
            Ok(()) => {}
        }
        super::report::note_cut_short(&name, &reader);
        Ok(ExitCode::SUCCESS)
    }
}
