//! `map-trace man`: the manual pages, made from the command line's own help.
//!
//! ```text
//! $ map-trace man run | man -l -
//! $ map-trace man > map-trace.1
//! ```

use clap::{Args, CommandFactory};
use clap_mangen::Man;

use super::{Cli, print};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;

/// Print the manual page of map-trace or of one of its commands
#[derive(Debug, Args)]
pub struct ManArgs {
    command: Option<String>,
}

impl ManArgs {
    pub fn run(self) -> Result<ExitCode> {
        let mut root = Cli::command();
        // Gives every subcommand its full name.
        root.build();
        let command = match &self.command {
            None => Some(root),
            Some(name) => root
                .find_subcommand(name)
                .map(|found| found.clone().name(format!("map-trace-{name}"))),
        };
        let Some(command) = command else {
            let why = format!("there is no command {:?}", self.command.unwrap_or_default());
            return Err(Error::usage("no manual page", why).fix("see map-trace --help"));
        };
        let mut page = Vec::new();
        Man::new(command)
            .render(&mut page)
            .map_err(|error| Error::failed("cannot make the manual page", error))?;
        print::to_stdout(&page)?;
        Ok(ExitCode::SUCCESS)
    }
}
