//! `cargo xtask prove`: the catalogue judged on this machine.

use std::process::{Command, ExitStatus};

use anyhow::{Context, Result, bail};

use crate::process::{show, workspace};
use crate::{build, root, setup};

/// The page made from a run.
const ARTICLE: &str = "docs/article.md";

#[derive(clap::Args)]
pub struct Options {
    /// Write docs/article.md from this run, counterfactuals and all
    #[arg(long)]
    article: bool,
    /// Options of map-trace prove
    #[arg(last = true)]
    options: Vec<String>,
}

/// Sets up, builds, judges; the exit status is that of `map-trace prove`.
///
/// # Errors
///
/// A step that failed, by its command.
pub fn run(options: &Options) -> Result<u8> {
    setup::run()?;
    let binary = build::release()?;
    let mut command = root::command(&binary)?;
    command.current_dir(workspace()).arg("prove");
    if options.article {
        command.args([
            "--counterfactuals",
            "--format",
            "markdown",
            "--report",
            ARTICLE,
        ]);
    }
    command.args(&options.options);
    let status = status(&mut command)?;
    let code = status.code().and_then(|code| u8::try_from(code).ok());
    match code {
        Some(code) => {
            if options.article && code != 125 {
                eprintln!("wrote {ARTICLE}");
            }
            Ok(code)
        }
        None => bail!("`{}`: {status}", show(&command)),
    }
}

/// Runs it on this terminal; its status is an answer, not a failure.
fn status(command: &mut Command) -> Result<ExitStatus> {
    let shown = show(command);
    eprintln!("  $ {shown}");
    command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))
}
