//! What clap has to say, said our way: help on stdout, a mistake in one line on stderr.

use std::ffi::OsString;

use clap::CommandFactory;
use clap::error::ErrorKind;

use super::{Cli, print};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;

/// Ends a command line that was not to be run.
pub fn stopped(stopped: &clap::Error, arguments: &[OsString]) -> Result<ExitCode> {
    let text = stopped.render().to_string();
    match stopped.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            print::to_stdout(text.as_bytes())?;
            Ok(ExitCode::SUCCESS)
        }
        ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            print::to_stderr(text.as_bytes());
            Ok(ExitCode::USAGE)
        }
        _ => Err(Error::usage("wrong usage", message(&text)).fix(help(arguments))),
    }
}

/// The mistake itself, without the usage that follows it.
fn message(text: &str) -> String {
    let text = text.strip_prefix("error: ").unwrap_or(text);
    let end = ["\n\nUsage:", "\n\nFor more information"]
        .iter()
        .filter_map(|mark| text.find(mark))
        .min();
    let text = text.get(..end.unwrap_or(text.len())).unwrap_or(text);
    let (mistake, tips) = text.split_once("\n\n").unwrap_or((text, ""));
    let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    let similar = tips
        .lines()
        .filter_map(|tip| tip.trim().strip_prefix("tip: a similar "));
    let tip = similar.map(|tip| format!("; a similar {}", words(tip)));
    tip.fold(words(mistake), |all, tip| all + &tip)
}

/// The help that fits: that of the subcommand, if one was named.
fn help(arguments: &[OsString]) -> String {
    let command = Cli::command();
    let named = arguments
        .get(1)
        .and_then(|name| command.find_subcommand(name));
    match named {
        Some(named) => format!("see map-trace {} --help", named.get_name()),
        None => "see map-trace --help".to_owned(),
    }
}
