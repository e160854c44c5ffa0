//! `cargo xtask kernels`: the programs that run in the kernel, on other kernels than this machine's.
//!
//! Kernels come from Debian's suites, each boots in a machine emulated in software (slow, but any machine can), traces
//! programs that say what they did, and its answers are compared with theirs. Not a part of `cargo xtask test`: it
//! fetches a hundred megabytes a kernel and takes minutes.

mod cases;
mod guest;
mod packages;
mod verdict;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use map_trace_bpf_build as bpf_build;
use map_trace_workloads as workloads;

use crate::process::target_dir;
use crate::{build, setup};
use guest::Installed;
use packages::Apt;
use verdict::Guest;

/// Suites with a kernel each: 5.10, 6.1, 6.12 and the newest.
const SUITES: [&str; 4] = ["bullseye", "bookworm", "trixie", "sid"];

#[derive(clap::Args)]
pub struct Options {
    /// A Debian suite whose kernel to run on, repeatable [default: bullseye bookworm trixie sid]
    #[arg(long = "kernel", value_name = "SUITE")]
    kernels: Vec<String>,
    /// Seconds a guest may take
    #[arg(long, value_name = "SECONDS", default_value_t = 900)]
    limit: u64,
}

/// Fetches kernels, boots each, and tells what worked there.
///
/// # Errors
///
/// A step that failed, by its command; or, after all kernels, how many checks failed.
pub fn run(options: &Options) -> Result<()> {
    setup::run()?;
    packages::tools()?;
    let binary = build::release()?;
    let suites = if options.kernels.is_empty() {
        SUITES.map(str::to_owned).to_vec()
    } else {
        options.kernels.clone()
    };
    let cache = bpf_build::cache_dir().context("no home directory: set HOME")?;
    let apt = Apt::prepare(&cache.join("kernels"), &suites)?;
    let folder = target_dir().join("kernels");
    fs::create_dir_all(&folder)?;
    let image = guest::image(&folder, &programs(binary)?, &cases::script())?;
    let limit = Duration::from_secs(options.limit);
    let mut failed = 0;
    for suite in &suites {
        let kernel = apt.kernel(suite)?;
        failed += on(suite, &kernel, (&image, &folder), limit);
    }
    if failed > 0 {
        bail!(
            "{failed} checks failed: the guests' output is in {}",
            folder.display()
        );
    }
    Ok(())
}

/// map-trace and what it traces, by their places in the guest.
fn programs(binary: PathBuf) -> Result<Vec<Installed>> {
    let c = workloads::build_c().context("building the C workloads")?;
    let mut programs = vec![Installed {
        from: binary,
        to: "bin/map-trace".to_owned(),
    }];
    programs.extend(cases::C_PROGRAMS.map(|name| Installed {
        from: c.join(name),
        to: format!("programs/{name}"),
    }));
    let toolchains = workloads::go_toolchains();
    let (Some(oldest), Some(newest)) = (toolchains.first(), toolchains.last()) else {
        bail!("no Go toolchain: install one with: cargo xtask setup");
    };
    for (toolchain, name) in [(oldest, "go_old"), (newest, "go_new")] {
        let plain = workloads::Flavour::Plain;
        let from = workloads::build_go_program(toolchain, plain, "operations")
            .with_context(|| format!("building a workload with {}", toolchain.version))?;
        let to = format!("programs/{name}");
        programs.push(Installed { from, to });
    }
    Ok(programs)
}

/// Boots one kernel and prints a line for each check; how many failed.
fn on(suite: &str, kernel: &Path, (image, folder): (&Path, &Path), limit: Duration) -> usize {
    let start = Instant::now();
    let log = folder.join(format!("{suite}.log"));
    let said = match guest::boot(kernel, image, &log, limit) {
        Ok(said) => said,
        Err(why) => {
            eprintln!("{suite:<9} FAILED  {why:#}");
            return 1;
        }
    };
    let guest = Guest::read(&said);
    let name = if guest.kernel.is_empty() {
        suite
    } else {
        &guest.kernel
    };
    let mut failed = 0;
    for check in guest.checks() {
        let word = if check.passed { "ok" } else { "FAILED" };
        failed += usize::from(!check.passed);
        let line = format!("{name:<24} {word:<6}  {:<75} {}", check.what, check.detail);
        eprintln!("{}", line.trim_end());
    }
    for line in guest.degraded() {
        eprintln!("{name:<24} {}", line.trim());
    }
    let seconds = start.elapsed().as_secs();
    eprintln!("{name:<24} {failed} failed, in {seconds} s\n");
    failed
}
