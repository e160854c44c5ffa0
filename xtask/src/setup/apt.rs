//! Debian packages.

use std::process::{Command, Stdio};

use anyhow::{Context, Result};

use crate::process::on_path;

/// What each package is for.
const PACKAGES: [(&str, &str); 11] = [
    ("rustc-web", "a compiler whose LLVM matches llvm-22-dev"),
    ("libstd-rust-web-dev-bpf", "core for the BPF target"),
    ("llvm-22-dev", "bpf-linker links to it"),
    (
        "libpolly-22-dev",
        "llvm-22-dev's static libraries ask for it",
    ),
    ("libzstd-dev", "llvm-22-dev's static libraries ask for it"),
    ("gcc", "the C workloads, and linking"),
    ("g++", "bpf-linker links LLVM's C++"),
    ("golang-go", "the Go workloads on an old Go"),
    ("python3-venv", "the Go workloads on other Go versions"),
    ("strace", "an independent witness in the tests"),
    ("linux-perf", "an independent witness in the tests"),
];

/// True on Debian and its relatives.
pub fn available() -> bool {
    on_path("apt-get") && on_path("dpkg-query")
}

/// The commands that install what is missing; none when nothing is.
pub fn commands() -> Result<Vec<Vec<String>>> {
    let missing = missing(&installed()?);
    if missing.is_empty() {
        return Ok(Vec::new());
    }
    for (name, purpose) in &missing {
        eprintln!("missing package {name}: {purpose}");
    }
    let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
    let mut install =
        words("env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends");
    install.extend(missing.iter().map(|(name, _)| (*name).to_owned()));
    Ok(vec![words("apt-get update"), install])
}

fn missing(installed: &[String]) -> Vec<(&'static str, &'static str)> {
    let has = |name: &str| installed.iter().any(|package| package == name);
    PACKAGES
        .into_iter()
        .filter(|(name, _)| !has(name))
        .collect()
}

/// Those of our packages that are installed.
fn installed() -> Result<Vec<String>> {
    // Status 1 only says that dpkg has never heard of one of them.
    let output = Command::new("dpkg-query")
        .args(["-W", "-f", "${Package} ${db:Status-Status}\\n"])
        .args(PACKAGES.map(|(name, _)| name))
        .stderr(Stdio::null())
        .output()
        .context("cannot start dpkg-query")?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

fn parse(listing: &str) -> Vec<String> {
    listing
        .lines()
        .filter_map(|line| line.strip_suffix(" installed"))
        .map(str::to_owned)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_package_counts_as_missing() {
        let names = PACKAGES.map(|(name, _)| name);
        let mut listing = names.map(|name| format!("{name} installed\n")).concat();
        assert_eq!(missing(&parse(&listing)), []);
        listing = listing.replace("strace installed", "strace config-files");
        let left: Vec<_> = missing(&parse(&listing))
            .into_iter()
            .map(|(name, _)| name)
            .collect();
        assert_eq!(left, ["strace"]);
    }
}
