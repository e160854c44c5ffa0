//! Finding bpf-linker.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::cache::cache_dir;

/// The version set-up builds, and the only one taken from `PATH`.
pub const BPF_LINKER_VERSION: &str = "0.13.0";

/// Where set-up installs bpf-linker: `<cache>/bpf-linker-<version>/bin/bpf-linker`.
pub fn pinned_linker() -> Option<PathBuf> {
    let folder = format!("bpf-linker-{BPF_LINKER_VERSION}");
    Some(cache_dir()?.join(folder).join("bin/bpf-linker"))
}

/// The bpf-linker to use: `MAP_TRACE_BPF_LINKER` (any version), set-up's own, then one in `PATH` of the
/// right version. `None` when there is none that runs.
pub fn find() -> Option<PathBuf> {
    if let Some(chosen) = env::var_os("MAP_TRACE_BPF_LINKER").map(PathBuf::from) {
        return version_of(&chosen).map(|_| chosen);
    }
    pinned_linker()
        .into_iter()
        .chain(on_path())
        .find(|path| version_of(path).as_deref() == Some(BPF_LINKER_VERSION))
}

fn on_path() -> Vec<PathBuf> {
    let path = env::var_os("PATH").unwrap_or_default();
    env::split_paths(&path)
        .map(|folder| folder.join("bpf-linker"))
        .collect()
}

/// What `bpf-linker --version` says, without the name; `None` when it does not run.
fn version_of(linker: &Path) -> Option<String> {
    if !linker.is_file() {
        return None;
    }
    let output = Command::new(linker)
        .arg("--version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    text.trim().strip_prefix("bpf-linker ").map(str::to_owned)
}
