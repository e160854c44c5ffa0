//! `cargo xtask demo`: the main job, seen.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use map_trace_workloads as workloads;

use crate::process::{run as spawn, workspace};
use crate::{build, root, setup};

/// Traces the demo program, built with the oldest and the newest Go that set-up knows.
///
/// # Errors
///
/// A step that failed, by its command; or the traced program's own failure.
pub fn run() -> Result<()> {
    setup::run()?;
    let binary = build::release()?;
    let toolchains = workloads::go_toolchains();
    let (Some(oldest), Some(newest)) = (toolchains.first(), toolchains.last()) else {
        bail!("no Go toolchain: install one with: cargo xtask setup");
    };
    for toolchain in [oldest, newest] {
        let demo = workloads::build_go_program(toolchain, workloads::Flavour::Plain, "demo")
            .with_context(|| format!("building the demo with {}", toolchain.version))?;
        eprintln!(
            "\n== {}: assign 1,000,000 entries, range, range with assign",
            toolchain.version
        );
        let mut command = root::command(&short(&binary))?;
        command
            .current_dir(workspace())
            .args(["run", "--"])
            .arg(short(&demo));
        spawn(&mut command)?;
    }
    Ok(())
}

/// A path as one would type it in the workspace's root.
fn short(path: &Path) -> PathBuf {
    path.strip_prefix(workspace())
        .map_or_else(|_| path.to_owned(), |inside| Path::new(".").join(inside))
}
