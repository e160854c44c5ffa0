//! Kernels as Debian packages, fetched with apt from the mirror of this machine. Nothing of the system's apt is
//! changed: the list of sources, the indexes and the packages are in a folder of their own.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::process::{on_path, run as spawn, show};
use crate::root;

/// What a guest needs besides a kernel, and the package that has it.
const TOOLS: [(&str, &str); 3] = [
    ("qemu-system-x86_64", "qemu-system-x86"),
    ("busybox", "busybox-static"),
    ("cpio", "cpio"),
];
/// The metapackage that leads to the kernel of a suite.
const KERNEL: &str = "linux-image-amd64";
/// Packages from there to the kernel, at most.
const MOST_STEPS: usize = 4;
/// Signs all of Debian's suites.
const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";

/// Installs what is missing for making and booting guests.
///
/// # Errors
///
/// Root is needed (the message holds the command), or the installation failed.
pub fn tools() -> Result<()> {
    let missing: Vec<&str> = TOOLS
        .into_iter()
        .filter(|(tool, _)| !on_path(tool))
        .map(|(_, package)| package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !root::is_root() {
        bail!(
            "guests need more packages; run this, then repeat the command:\n  sudo apt-get install {}",
            missing.join(" ")
        );
    }
    spawn(Command::new("apt-get").arg("update"))?;
    let install = ["install", "-y", "--no-install-recommends"];
    spawn(Command::new("apt-get").args(install).args(missing))
}

/// apt with a folder of its own.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// Writes the list of sources and fetches their indexes.
    ///
    /// # Errors
    ///
    /// There is no mirror of Debian, or it lacks a suite.
    pub fn prepare(folder: &Path, suites: &[String]) -> Result<Self> {
        for inside in ["lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(folder.join(inside))?;
        }
        let apt = Self {
            folder: folder.to_owned(),
        };
        let mirror = mirror()?;
        let line = |suite: &String| format!("deb [signed-by={KEYRING}] {mirror} {suite} main\n");
        let sources: String = suites.iter().map(line).collect();
        fs::write(apt.sources(), sources)?;
        spawn(apt.command("apt-get").arg("update"))?;
        Ok(apt)
    }

    /// Fetches the kernel of a suite; what is there already is kept.
    ///
    /// # Errors
    ///
    /// The suite has none, or it cannot be fetched.
    pub fn kernel(&self, suite: &str) -> Result<PathBuf> {
        let folder = self.folder.join(suite);
        if let Some(kernel) = find_kernel(&folder)? {
            return Ok(kernel);
        }
        let mut package = KERNEL.to_owned();
        for _ in 0..MOST_STEPS {
            let file = self.download(&package, suite, &folder)?;
            let root = folder.join("root");
            spawn(Command::new("dpkg").arg("-x").arg(&file).arg(&root))?;
            let depends = output(Command::new("dpkg-deb").arg("-f").arg(&file).arg("Depends"))?;
            fs::remove_file(&file)?;
            if let Some(kernel) = find_kernel(&root)? {
                let kept = folder.join(kernel.file_name().context("a kernel without a name")?);
                fs::rename(&kernel, &kept)?;
                fs::remove_dir_all(&root)?;
                return Ok(kept);
            }
            package = next(&depends)
                .with_context(|| format!("{package} of {suite} leads to no kernel"))?
                .to_owned();
        }
        bail!("no kernel within {MOST_STEPS} packages of {KERNEL} in {suite}")
    }

    fn download(&self, package: &str, suite: &str, folder: &Path) -> Result<PathBuf> {
        fs::create_dir_all(folder)?;
        let mut command = self.command("apt-get");
        command.args(["download", &format!("{package}/{suite}")]);
        spawn(command.current_dir(folder))?;
        files(folder)?
            .into_iter()
            .find(|file| file.extension().is_some_and(|extension| extension == "deb"))
            .with_context(|| format!("apt-get left no {package}"))
    }

    fn sources(&self) -> PathBuf {
        self.folder.join("sources.list")
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let mut option = |name: &str, value: &str| {
            command.args(["-o", &format!("{name}={value}")]);
        };
        option("Dir::Etc::sourcelist", &self.sources().to_string_lossy());
        option("Dir::Etc::sourceparts", "-");
        for (name, inside) in [("Dir::State::lists", "lists"), ("Dir::Cache", "cache")] {
            option(name, &self.folder.join(inside).to_string_lossy());
        }
        // As root apt would change to a user who may not write here.
        option("APT::Sandbox::User", "root");
        option("Acquire::Languages", "none");
        option(
            "Acquire::IndexTargets::deb::DEP-11::DefaultEnabled",
            "false",
        );
        command
    }
}

/// The mirror of Debian that this machine uses.
fn mirror() -> Result<String> {
    let format = "$(REPO_URI)|$(ORIGIN)|$(LABEL)";
    let mut command = Command::new("apt-get");
    command.args(["indextargets", "--format", format, "Created-By: Packages"]);
    let listing = output(&mut command)?;
    let mut lines = listing.lines();
    let found = lines.find_map(|line| line.strip_suffix("|Debian|Debian"));
    found
        .map(str::to_owned)
        .context("apt knows no mirror of Debian: this step needs one, and apt-get update")
}

/// The package to look into after one with these dependencies: the next towards the kernel itself.
fn next(depends: &str) -> Option<&str> {
    let names = depends
        .split(',')
        .filter_map(|one| one.split_whitespace().next());
    let mut towards = names.filter(|name| {
        let wanted = ["linux-image-", "linux-binary-"];
        wanted.iter().any(|start| name.starts_with(start))
    });
    towards.next()
}

/// A kernel anywhere below a folder: `boot/vmlinuz-…`, or beside its modules in newer packages.
fn find_kernel(folder: &Path) -> Result<Option<PathBuf>> {
    for path in files(folder)? {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        if path.is_dir() {
            if let Some(found) = find_kernel(&path)? {
                return Ok(Some(found));
            }
        } else if name.starts_with("vmlinuz") {
            return Ok(Some(path));
        }
    }
    Ok(None)
}

fn files(folder: &Path) -> Result<Vec<PathBuf>> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Ok(Vec::new());
    };
    let paths = entries.map(|entry| Ok(entry?.path()));
    paths.collect()
}

/// What a command says.
pub fn output(command: &mut Command) -> Result<String> {
    let shown = show(command);
    let output = command
        .stderr(Stdio::inherit())
        .output()
        .with_context(|| format!("cannot start `{shown}`"))?;
    if !output.status.success() {
        bail!("`{shown}` failed: {}", output.status);
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dependencies_lead_to_the_kernel() {
        let old = "linux-image-5.10.0-32-amd64 (= 5.10.223-1)";
        assert_eq!(next(old), Some("linux-image-5.10.0-32-amd64"));
        let new = "dracut | linux-initramfs-tool, linux-base-7 (= 1), linux-binary-7 (= 1), linux-modules-7";
        assert_eq!(next(new), Some("linux-binary-7"));
        assert_eq!(next("kmod, linux-base"), None);
    }
}
