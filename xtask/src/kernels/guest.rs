//! A guest: a root filesystem of what it needs and nothing else, and a machine emulated in software that boots it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

use crate::process::{on_path, show};

/// The first process.
const INIT: &str = include_str!("init.sh");
/// How often the machine is asked whether it is off.
const POLL: Duration = Duration::from_millis(200);

/// A program of the guest: where it is here and what it is called there.
pub struct Installed {
    pub from: PathBuf,
    pub to: String,
}

/// Makes the initramfs: busybox, map-trace, programs, the libraries of all, and the cases.
///
/// # Errors
///
/// A file cannot be read or written, or a command fails.
pub fn image(folder: &Path, programs: &[Installed], cases: &str) -> Result<PathBuf> {
    let root = folder.join("root");
    if root.exists() {
        fs::remove_dir_all(&root)?;
    }
    let busybox = which("busybox")?;
    install(&root, &busybox, "bin/busybox")?;
    let mut libraries = BTreeSet::new();
    for program in programs {
        install(&root, &program.from, &program.to)?;
        libraries.extend(needed(&program.from)?);
    }
    for library in &libraries {
        let inside = library.strip_prefix("/").unwrap_or(library);
        install(&root, library, &inside.to_string_lossy())?;
    }
    symlink("busybox", root.join("bin/sh"))?;
    fs::write(root.join("cases"), cases)?;
    let init = root.join("init");
    fs::write(&init, INIT)?;
    fs::set_permissions(&init, fs::Permissions::from_mode(0o755))?;
    let image = folder.join("initramfs");
    let script = "cd \"$1\" && find . | cpio --quiet -o -H newc >\"$2\"";
    let mut command = Command::new("sh");
    command.args(["-ec", script, "sh"]).arg(&root).arg(&image);
    crate::process::run(&mut command)?;
    Ok(image)
}

fn install(root: &Path, from: &Path, to: &str) -> Result<()> {
    let to = root.join(to);
    if let Some(folder) = to.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::copy(from, &to).with_context(|| format!("copying {}", from.display()))?;
    Ok(())
}

fn which(name: &str) -> Result<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).map(|folder| folder.join(name));
    places
        .find(|place| place.is_file())
        .with_context(|| format!("no {name} in PATH"))
}

/// The shared libraries of a program, the loader included; none of a static one.
fn needed(program: &Path) -> Result<Vec<PathBuf>> {
    let listing = Command::new("ldd").arg(program).output();
    let listing = listing.context("cannot start ldd")?;
    let text = String::from_utf8_lossy(&listing.stdout);
    let paths = text.split_whitespace().filter(|word| word.starts_with('/'));
    Ok(paths
        .map(|path| path.trim_end_matches(':').into())
        .collect())
}

/// Boots a kernel and waits until the guest switches itself off; what it wrote on its serial line.
///
/// # Errors
///
/// There is no emulator, or the guest is not done in time (its output so far is in the log).
pub fn boot(kernel: &Path, image: &Path, log: &Path, limit: Duration) -> Result<String> {
    if !on_path("qemu-system-x86_64") {
        bail!("no qemu-system-x86_64");
    }
    let mut command = Command::new("qemu-system-x86_64");
    command
        .args(["-accel", "tcg,thread=multi", "-cpu", "max"])
        .args(["-smp", "2", "-m", "2048"])
        .args(["-nodefaults", "-no-reboot", "-display", "none"])
        .args(["-serial", "stdio", "-append"])
        .arg("console=ttyS0 quiet loglevel=1 panic=-1")
        .arg("-kernel")
        .arg(kernel)
        .arg("-initrd")
        .arg(image)
        .stdin(Stdio::null())
        .stdout(File::create(log)?);
    let shown = show(&command);
    eprintln!("  $ {shown} > {}", log.display());
    let start = Instant::now();
    let mut machine = command
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let status = loop {
        if let Some(status) = machine.try_wait()? {
            break status;
        }
        if start.elapsed() > limit {
            machine.kill()?;
            machine.wait()?;
            bail!(
                "not done after {} s: see {}",
                limit.as_secs(),
                log.display()
            );
        }
        sleep(POLL);
    };
    if !status.success() {
        bail!("`{shown}` failed: {status}");
    }
    let said = fs::read(log)?;
    Ok(String::from_utf8_lossy(&said).replace('\r', ""))
}
