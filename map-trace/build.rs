//! Builds the BPF object and puts it where `include_bytes_aligned!` finds it:
//! `$OUT_DIR/map-trace.bpf.o`.
//!
//! `MAP_TRACE_BPF_OBJECT=<path>` uses an object built elsewhere; no BPF toolchain is needed then.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::{env, fs};

use map_trace_bpf_build as bpf_build;

const OBJECT_OVERRIDE: &str = "MAP_TRACE_BPF_OBJECT";

fn main() -> io::Result<()> {
    let mut cargo = io::stdout().lock();
    for name in [OBJECT_OVERRIDE, "MAP_TRACE_BPF_LINKER"] {
        writeln!(cargo, "cargo::rerun-if-env-changed={name}")?;
    }
    for input in bpf_build::inputs() {
        writeln!(cargo, "cargo::rerun-if-changed={}", input.display())?;
    }
    // One line on failure; cargo ends the build because of it.
    if let Err(why) = object() {
        writeln!(cargo, "cargo::error={why}")?;
    }
    Ok(())
}

/// Makes the object, or takes the one the user names, and copies it into `OUT_DIR`.
fn object() -> Result<(), String> {
    let out_dir = env::var_os("OUT_DIR")
        .map(PathBuf::from)
        .ok_or("OUT_DIR is not set")?;
    let object = match env::var_os(OBJECT_OVERRIDE) {
        Some(path) => PathBuf::from(path),
        None => bpf_build::build(&out_dir).map_err(|why| why.to_string())?,
    };
    copy(&object, &out_dir.join("map-trace.bpf.o"))
}

fn copy(from: &Path, to: &Path) -> Result<(), String> {
    fs::copy(from, to)
        .map(drop)
        .map_err(|why| format!("cannot copy the BPF object {}: {why}", from.display()))
}
