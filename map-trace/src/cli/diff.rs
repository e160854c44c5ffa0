//! `map-trace diff`: compares two saved traces by operation and cause.
//!
//! ```text
//! $ map-trace diff before.jsonl.zst after.jsonl.zst
//! operation       event                A       B   change
//! assign          zero_page_cow   18,513       0  -18,513
//! ```

use std::path::PathBuf;

use clap::{Args, ValueEnum, ValueHint};

use super::report::{deliver, read_summary};
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::output::diff;

/// Compare two saved traces by operation and cause
#[derive(Debug, Args)]
pub struct DiffArgs {
    /// The trace to compare with
    #[arg(value_hint = ValueHint::FilePath)]
    a: PathBuf,
    /// The trace that may differ
    #[arg(value_hint = ValueHint::FilePath)]
    b: PathBuf,
    #[arg(long, default_value = "text", help = "What to make of it")]
    format: DiffFormat,
    /// Save it instead of printing it
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DiffFormat {
    /// A table of what changed
    Text,
    /// Everything, for programs
    Json,
}

impl DiffArgs {
    pub fn run(self) -> Result<ExitCode> {
        let told = diff::diff(&read_summary(&self.a)?, &read_summary(&self.b)?);
        let bytes = match self.format {
            DiffFormat::Text => diff::text(&told),
            DiffFormat::Json => diff::json(&told),
        };
        deliver(&bytes, self.output.as_deref(), &[&self.a, &self.b])
    }
}
