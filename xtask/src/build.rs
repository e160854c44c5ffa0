//! `cargo xtask build`: the release binary and the workloads.

use std::path::PathBuf;

use anyhow::{Context, Result};
use map_trace_workloads as workloads;

use crate::process::{cargo, run as spawn, target_dir};

/// Builds everything the other steps run.
///
/// # Errors
///
/// A build that fails, by its command.
pub fn run() -> Result<()> {
    let binary = release()?;
    for toolchain in workloads::go_toolchains() {
        build_workloads(&toolchain)?;
    }
    eprintln!("built {}", binary.display());
    Ok(())
}

/// Builds `map-trace` optimised; returns its path.
pub fn release() -> Result<PathBuf> {
    spawn(cargo().args(["build", "--release", "-p", "map-trace"]))?;
    Ok(target_dir().join("release/map-trace"))
}

/// Builds `map-trace` with debug assertions, for the tests; returns its path.
pub fn debug() -> Result<PathBuf> {
    spawn(cargo().args(["build", "-p", "map-trace"]))?;
    Ok(target_dir().join("debug/map-trace"))
}

/// Builds the C workloads and, with one Go toolchain, the Go workloads.
pub fn build_workloads(toolchain: &workloads::GoToolchain) -> Result<()> {
    workloads::build_c().context("building the C workloads")?;
    workloads::build_go(toolchain, workloads::Strip::No)
        .and_then(|_| workloads::build_go(toolchain, workloads::Strip::Yes))
        .with_context(|| format!("building the Go workloads with {}", toolchain.version))?;
    Ok(())
}
