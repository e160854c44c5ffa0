//! bpf-linker, built against Debian's LLVM.

use std::env;
use std::path::Path;

use anyhow::{Context, Result};
use map_trace_bpf_build as bpf_build;

use super::linker_root;
use crate::process::{cargo, run as spawn};

/// The LLVM of Debian's rustc-web; bpf-linker has to read the bitcode that compiler writes.
const LLVM: &str = "/usr/lib/llvm-22";
const LLVM_FEATURE: &str = "llvm-22";

/// Builds bpf-linker into the cache unless one that fits is there. Takes about a minute.
pub fn install_for_debian() -> Result<()> {
    if bpf_build::find_linker().is_some() {
        return Ok(());
    }
    eprintln!(
        "building bpf-linker {} against {LLVM}",
        bpf_build::BPF_LINKER_VERSION
    );
    let old = env::var_os("PATH").unwrap_or_default();
    let folders = std::iter::once(Path::new(LLVM).join("bin")).chain(env::split_paths(&old));
    let path = env::join_paths(folders).context("PATH holds a folder that cannot be listed")?;
    spawn(
        cargo()
            .args([
                "install",
                "bpf-linker",
                "--version",
                bpf_build::BPF_LINKER_VERSION,
            ])
            .args([
                "--no-default-features",
                "--features",
                LLVM_FEATURE,
                "--locked",
                "--root",
            ])
            .arg(linker_root()?)
            .env("LLVM_PREFIX", LLVM)
            .env("PATH", path),
    )
}
