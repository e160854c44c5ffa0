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
    if let Err(why) = embed(&mut cargo) {
        writeln!(cargo, "cargo::error={why}")?;
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

/// Where the claims of the catalogue are, and the programs they are judged on.
const CATALOGUE: &str = "src/claim/catalogue";
const WORKLOADS: &str = "../tests/workloads";
/// Folders of programs, and what they are written in.
const PROGRAMS: [&str; 4] = ["go", "rust", "c", "snippets"];
const SOURCES: [&str; 7] = ["go", "rs", "c", "h", "s", "mod", "txt"];

/// Writes `embedded.rs`: every file of the catalogue and of its programs.
fn embed(cargo: &mut impl Write) -> Result<(), String> {
    let here = env::var_os("CARGO_MANIFEST_DIR")
        .map(PathBuf::from)
        .ok_or("CARGO_MANIFEST_DIR is not set")?;
    let mut text = String::from("pub const CATALOGUE: &[(&str, &str)] = &[\n");
    let folder = here.join(CATALOGUE);
    tell(cargo, &folder)?;
    for (name, path) in files(&folder)? {
        if name.ends_with(".toml") {
            text.push_str(&format!("({name:?}, include_str!({path:?})),\n"));
        }
    }
    text.push_str("];\npub const WORKLOADS: &[(&str, &[u8])] = &[\n");
    for program in PROGRAMS {
        let folder = here.join(WORKLOADS).join(program);
        // A folder that is not there would make cargo run this every time.
        if !folder.is_dir() {
            continue;
        }
        tell(cargo, &folder)?;
        for (name, path) in files(&folder)? {
            let source = path.extension().and_then(|extension| extension.to_str());
            if source.is_some_and(|source| SOURCES.contains(&source)) {
                let name = format!("{program}/{name}");
                text.push_str(&format!("({name:?}, include_bytes!({path:?})),\n"));
            }
        }
    }
    text.push_str("];\n");
    let out = env::var_os("OUT_DIR").ok_or("OUT_DIR is not set")?;
    let out = Path::new(&out).join("embedded.rs");
    fs::write(&out, text).map_err(|why| format!("cannot write {}: {why}", out.display()))
}

fn tell(cargo: &mut impl Write, folder: &Path) -> Result<(), String> {
    writeln!(cargo, "cargo::rerun-if-changed={}", folder.display()).map_err(|why| why.to_string())
}

/// Every file under a folder, by its path inside it, sorted.
fn files(folder: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let failed = |why: io::Error| format!("cannot read {}: {why}", current.display());
        for entry in fs::read_dir(&current).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            if path.is_dir() {
                folders.push(path);
            } else if let Some(inside) = path.strip_prefix(folder).ok().and_then(Path::to_str) {
                found.push((inside.to_owned(), path));
            }
        }
    }
    found.sort();
    Ok(found)
}
