//! `map-trace completions`: a script that lets a shell complete map-trace's command line.
//!
//! ```text
//! $ map-trace completions bash > /etc/bash_completion.d/map-trace
//! ```

use clap::{Args, CommandFactory};
use clap_complete::Shell;

use super::{Cli, print};
use crate::error::Result;
use crate::exit_code::ExitCode;

/// Print a completion script for a shell
#[derive(Debug, Args)]
pub struct CompletionsArgs {
    shell: Shell,
}

impl CompletionsArgs {
    pub fn run(self) -> Result<ExitCode> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "map-trace", &mut script);
        print::to_stdout(&script)?;
        Ok(ExitCode::SUCCESS)
    }
}
