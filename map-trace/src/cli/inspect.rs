//! `map-trace inspect`: what a binary says of its maps without being run. Needs no root.
//!
//! ```text
//! $ map-trace inspect ./app
//! $ map-trace inspect ./app --reach mprotect
//! $ map-trace inspect ./app --format json | jq '.functions[].name'
//! ```

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::print;
use crate::binary::reach::SystemCall;
use crate::binary::{Binary, BinaryError};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::maps::inspection;
use crate::output::inspect;

/// Show a binary's map functions, their probe places, layouts and reachable system calls
#[derive(Debug, Args)]
#[command(
    after_help = "Nothing is run and no root is needed. System calls are told of Go programs only."
)]
pub struct InspectArgs {
    /// An executable or a library
    #[arg(value_hint = ValueHint::FilePath)]
    binary: PathBuf,
    #[arg(long, default_value = "text", help = "How to show it")]
    format: InspectFormat,
    /// Show how each map function can make this system call, by name or number
    #[arg(long, value_name = "CALL", value_delimiter = ',')]
    reach: Vec<SystemCall>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum InspectFormat {
    /// Tables, or the ways to the system calls asked about
    Text,
    /// Everything, for programs
    Json,
}

impl InspectArgs {
    pub fn run(self) -> Result<ExitCode> {
        let path = self.binary.display().to_string();
        let binary = Binary::open(&self.binary).map_err(|error| refused(&path, error))?;
        let asked = !self.reach.is_empty();
        let calls = if asked {
            self.reach
        } else {
            SystemCall::memory()
        };
        let told = inspection::inspect(&path, &binary, &calls);
        if asked && told.calls.is_none() {
            let what = format!("cannot tell what the map functions of {path} can reach");
            return Err(Error::failed(what, told.notes.join("; ")));
        }
        let text = match self.format {
            InspectFormat::Text if asked => inspect::reach_text(&told),
            InspectFormat::Text => inspect::text(&told),
            InspectFormat::Json => inspect::json(&told),
        };
        print::to_stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}

fn refused(path: &str, error: BinaryError) -> Error {
    let what = format!("cannot inspect {path}");
    match error {
        BinaryError::Io { source, .. } => Error::failed(what, source),
        BinaryError::NotElf { .. } => Error::failed(what, "it is not an ELF file"),
        BinaryError::Malformed { what: damage, .. } => {
            Error::failed(what, format!("it is a damaged ELF file: {damage}"))
        }
    }
}
