//! `map-trace explain`: what a word of a report means, in plain words.
//!
//! ```text
//! $ map-trace explain                    # lists all topics
//! $ map-trace explain zero_page_cow
//! $ map-trace explain error-code 7
//! ```

use clap::Args;

use super::print;
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::output::explain::explain;

/// Explain an error code, a cause, a verdict or a page-table bit
#[derive(Debug, Args)]
pub struct ExplainArgs {
    /// What to explain, such as `zero_page_cow` or `error-code 7`; nothing lists all topics
    topic: Vec<String>,
}

impl ExplainArgs {
    pub fn run(self) -> Result<ExitCode> {
        let topic: Vec<&str> = self.topic.iter().map(String::as_str).collect();
        let text = explain(&topic).map_err(|unknown| Error::usage("cannot explain", unknown))?;
        print::to_stdout(text.as_bytes())?;
        Ok(ExitCode::SUCCESS)
    }
}
