//! `cargo xtask setup`: installs what is missing and says so; asks nothing; a second run finds nothing to do.
//!
//! What needs root (packages, mounting tracefs) is done when we are root. Otherwise the exact commands
//! are printed and set-up stops, so that no password is asked for behind the user's back. Everything
//! else goes into the cache folder of [`map_trace_bpf_build::cache_dir`]; under sudo that is the
//! caller's, and what was made there is given to the caller.

mod apt;
mod go;
mod linker;
mod rustup;
mod tracefs;

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use map_trace_bpf_build as bpf_build;
use map_trace_workloads as workloads;

use crate::process::run as spawn;
use crate::root;

#[derive(clap::Args)]
// Flattened into those of `test`: a group of the same name there would clash.
#[group(skip)]
pub struct Options {
    /// Go versions besides the usual, by commas: 1.24, 1.24.11, 1.24+noswissmap, all
    #[arg(long, value_name = "VERSIONS")]
    pub go: Option<String>,
}

/// Installs what is missing, and what is asked for.
///
/// # Errors
///
/// As [`run`].
pub fn with(options: &Options) -> Result<()> {
    if let Some(versions) = &options.go {
        workloads::ask_for_go(versions);
    }
    run()
}

/// Installs what is missing.
///
/// # Errors
///
/// Root is needed (the message holds the commands), or an installation failed.
pub fn run() -> Result<()> {
    let cache = bpf_build::cache_dir().context("no home directory: set HOME")?;
    as_root()?;
    if bpf_build::detect().is_err() {
        if apt::available() {
            linker::install_for_debian()?;
        } else {
            rustup::install()?;
        }
    }
    go::install(&cache)?;
    give_to_sudo_caller(&cache)?;
    report()
}

/// The part that needs root: distribution packages and tracefs.
fn as_root() -> Result<()> {
    let mut commands = Vec::new();
    if apt::available() {
        commands.extend(apt::commands()?);
    }
    commands.extend(tracefs::command());
    if commands.is_empty() {
        return Ok(());
    }
    if !root::is_root() {
        let lines: Vec<_> = commands
            .iter()
            .map(|words| format!("  sudo {}", words.join(" ")))
            .collect();
        bail!(
            "set-up needs root for these; run them, then repeat this command:\n{}",
            lines.join("\n")
        );
    }
    for words in &commands {
        let Some((program, arguments)) = words.split_first() else {
            continue;
        };
        spawn(Command::new(program).args(arguments))?;
    }
    Ok(())
}

/// Under sudo, what root made in the caller's cache must belong to the caller.
fn give_to_sudo_caller(cache: &Path) -> Result<()> {
    let (Ok(user), Ok(group)) = (env::var("SUDO_UID"), env::var("SUDO_GID")) else {
        return Ok(());
    };
    if !root::is_root() || user == "0" || !cache.exists() {
        return Ok(());
    }
    spawn(
        Command::new("chown")
            .args(["-R", &format!("{user}:{group}")])
            .arg(cache),
    )
}

fn report() -> Result<()> {
    let toolchain = bpf_build::detect()?;
    let route = match &toolchain.route {
        bpf_build::Route::Debian { rustc } => format!("{} (Debian)", rustc.display()),
        bpf_build::Route::Rustup => format!("rustup {}", bpf_build::NIGHTLY),
    };
    let go: Vec<_> = workloads::go_toolchains()
        .into_iter()
        .map(|found| found.label())
        .collect();
    eprintln!(
        "set up: BPF compiler {route}, linker {}, Go for workloads: {}",
        toolchain.linker.display(),
        go.join(", ")
    );
    Ok(())
}

/// Where set-up puts bpf-linker, as the `--root` of `cargo install`.
fn linker_root() -> Result<PathBuf> {
    let linker = bpf_build::pinned_linker().context("no home directory: set HOME")?;
    linker
        .parent()
        .and_then(Path::parent)
        .map(Path::to_owned)
        .context("the cache folder has no parent")
}
