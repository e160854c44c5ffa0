//! The route for systems without Debian's packages: rustup's nightly and a prebuilt bpf-linker.

use std::process::Command;

use anyhow::{Result, bail};
use map_trace_bpf_build as bpf_build;

use super::linker_root;
use crate::process::{on_path, run as spawn};

/// Installs nightly with `rust-src`, and bpf-linker by cargo-binstall.
///
/// # Errors
///
/// rustup or cargo-binstall is not there; the message says where they come from.
pub fn install() -> Result<()> {
    if bpf_build::nightly_source().is_none() {
        if !on_path("rustup") {
            bail!("no rustup: install it from https://rustup.rs, then: cargo xtask setup");
        }
        eprintln!("installing rustup's {} with rust-src", bpf_build::NIGHTLY);
        let nightly = [
            "toolchain",
            "install",
            bpf_build::NIGHTLY,
            "--profile",
            "minimal",
        ];
        spawn(
            Command::new("rustup")
                .args(nightly)
                .args(["--component", "rust-src"]),
        )?;
    }
    if bpf_build::find_linker().is_none() {
        let version = format!("bpf-linker@{}", bpf_build::BPF_LINKER_VERSION);
        if !on_path("cargo-binstall") {
            bail!(
                "no bpf-linker: put release {} of https://github.com/aya-rs/bpf-linker into PATH, \
                 or install cargo-binstall, then: cargo xtask setup",
                bpf_build::BPF_LINKER_VERSION
            );
        }
        let root = linker_root()?;
        spawn(
            Command::new("cargo-binstall")
                .args(["-y", &version, "--root"])
                .arg(root),
        )?;
    }
    Ok(())
}
