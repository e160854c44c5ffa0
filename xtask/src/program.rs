//! `cargo xtask run -- PROGRAM [ARG...]`: build, then trace a program as root.

use std::ffi::OsString;

use anyhow::{Context, Result};

use crate::process::show;
use crate::{build, root, setup};

#[derive(clap::Args)]
pub struct Options {
    /// Options of `map-trace run`, `--`, the program and its arguments
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<OsString>,
}

/// Runs it; returns the program's own status, as map-trace passes it on.
///
/// # Errors
///
/// The build failed, or root cannot be had.
pub fn run(options: &Options) -> Result<u8> {
    setup::run()?;
    let binary = build::release()?;
    let mut command = root::command(&binary)?;
    command.arg("run").args(&options.command);
    let shown = show(&command);
    eprintln!("  $ {shown}");
    let status = command
        .status()
        .with_context(|| format!("cannot start `{shown}`"))?;
    Ok(status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(125))
}
