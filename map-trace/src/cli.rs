//! The command line: parse, resolve into settings, run, print. One subcommand a file.
//!
//! A new subcommand is one file here, one variant of [`Command`] and one arm of its `run`.

mod attach;
mod check;
mod color;
mod compare;
mod completions;
mod diff;
mod doctor;
mod explain;
mod export;
mod inspect;
mod man;
mod print;
mod prove;
mod record;
mod report;
mod rules;
mod run;
#[cfg(test)]
mod tests;
mod usage;
mod values;

use std::ffi::OsString;

use clap::{Parser, Subcommand};

use crate::error::Result;
use crate::exit_code::ExitCode;

/// Shows what the memory hardware did while a program used its maps: page faults, protection calls, signals.
#[derive(Debug, Parser)]
#[command(
    name = "map-trace",
    version,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "map-trace run needs root. docs/exit-codes.md lists the exit statuses."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    Run(run::RunArgs),
    Attach(attach::AttachArgs),
    Check(check::CheckArgs),
    Compare(compare::CompareArgs),
    Prove(prove::ProveArgs),
    Report(report::ReportArgs),
    Export(export::ExportArgs),
    Diff(diff::DiffArgs),
    Inspect(inspect::InspectArgs),
    Explain(explain::ExplainArgs),
    Doctor(doctor::DoctorArgs),
    #[command(hide = true)]
    Completions(completions::CompletionsArgs),
    #[command(hide = true)]
    Man(man::ManArgs),
}

impl Command {
    fn run(self) -> Result<ExitCode> {
        match self {
            Self::Run(args) => args.run(),
            Self::Attach(args) => args.run(),
            Self::Check(args) => args.run(),
            Self::Compare(args) => args.run(),
            Self::Prove(args) => args.run(),
            Self::Report(args) => args.run(),
            Self::Export(args) => args.run(),
            Self::Diff(args) => args.run(),
            Self::Inspect(args) => args.run(),
            Self::Explain(args) => args.run(),
            Self::Doctor(args) => args.run(),
            Self::Completions(args) => args.run(),
            Self::Man(args) => args.run(),
        }
    }
}

/// Parses the command line, runs it, prints what went wrong.
pub fn main() -> ExitCode {
    main_of(std::env::args_os())
}

fn main_of(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let arguments: Vec<_> = arguments.into_iter().collect();
    let done = match Cli::try_parse_from(&arguments) {
        Ok(cli) => cli.command.run(),
        Err(stopped) => usage::stopped(&stopped, &arguments),
    };
    done.unwrap_or_else(|error| {
        print::error(&error);
        error.code
    })
}
