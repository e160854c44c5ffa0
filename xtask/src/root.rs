//! Being root, or becoming it for one command.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::Command;

use anyhow::{Result, bail};

use crate::process::on_path;

/// True when this process is root: /proc/self belongs to the effective user.
pub fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|facts| facts.uid() == 0)
}

/// A command that runs `program` as root: as it is, or through `sudo -E`.
///
/// # Errors
///
/// The caller is not root and there is no sudo.
pub fn command(program: &Path) -> Result<Command> {
    if is_root() {
        return Ok(Command::new(program));
    }
    let mut command = Command::new(sudo()?);
    command.args(["-E", "--"]).arg(program);
    Ok(command)
}

/// What cargo is to start test programs with: as root, whoever calls. Without the marks of sudo, for with them
/// map-trace would run what it traces as the caller, which is not what every test is about.
///
/// # Errors
///
/// There is no sudo.
pub fn runner() -> Result<String> {
    Ok(format!(
        "{} -E -- env -u SUDO_UID -u SUDO_GID -u SUDO_USER",
        sudo()?
    ))
}

/// sudo's name.
///
/// # Errors
///
/// There is no sudo.
pub fn sudo() -> Result<&'static str> {
    if !on_path("sudo") {
        bail!("this step needs root and there is no sudo: run it as root");
    }
    Ok("sudo")
}
