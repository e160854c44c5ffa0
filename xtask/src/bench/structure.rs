//! What the probes in functions that make and grow maps cost a program that grows one.
//!
//! The same program is recorded twice: as it is, and as a copy whose code is the same and whose Go version is one
//! that never was. That one is not probed, since without debug information its maps' layout is not known.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{self, Command};

use anyhow::{Context, Result, bail};
use map_trace_workloads::{self as workloads, Flavour, GoToolchain};
use serde_json::Value;

use super::measure::{median, ratios, run};
use super::{Bench, Figure};

/// Most that the probes may stretch the assigns.
const RATIO: f64 = 1.02;
/// Rounds for each of the others': one takes half a second, and differs from the next by several parts in a hundred.
const TIMES: usize = 3;

/// Measures one Go version: a million assigns with the probes, to the same without.
pub fn measure(bench: &Bench, toolchain: &GoToolchain) -> Result<(String, Vec<Figure>)> {
    let program = workloads::build_go_program(toolchain, Flavour::Stripped, "demo")
        .with_context(|| format!("building the Go workloads with {}", toolchain.version))?;
    let temporary = std::env::temp_dir();
    let other = temporary.join(format!("map-trace-bench-{}", process::id()));
    of_no_version(&program, &toolchain.version, &other)?;
    let summary = other.with_extension("json");
    let measured = rounds(bench, [&program, &other], &summary);
    // Files of our own; that they are gone already is no failure.
    let _ = (fs::remove_file(&other), fs::remove_file(&summary));
    let ([probed, plain], hits) = measured?;
    let (of_medians, of_least) = ratios(&probed, &plain)?;
    let title = format!(
        "{}: structure probes alone, 1,000,000 assigns",
        toolchain.version
    );
    let figures = vec![
        Figure::context(
            "without: CPU time of the assigns",
            median(&plain)? / 1e6,
            " ms",
        ),
        Figure::context("growths and makes told", hits, ""),
        Figure::context("with, to without: medians", of_medians, "x"),
        Figure::limited("with, to without: least of each", of_least, "x", RATIO),
    ];
    Ok((title, figures))
}

/// CPU time of the assigns, ns, in each round; and how often a map was made or grew.
fn rounds(bench: &Bench, programs: [&PathBuf; 2], summary: &Path) -> Result<([Vec<f64>; 2], f64)> {
    let mut taken = [Vec::new(), Vec::new()];
    let mut hits = [0.0; 2];
    let times = if bench.rounds == 1 {
        1
    } else {
        bench.rounds * TIMES
    };
    for _ in 0..times {
        for (n, program) in programs.into_iter().enumerate() {
            let mut command = Command::new(&bench.map_trace);
            command.args(["run", "--census", "off", "--pte", "off", "--summary"]);
            command.arg(summary).arg("--").arg(program);
            taken[n].push(run(&mut command)?.said("assign_cpu_ns")?);
            let text = fs::read_to_string(summary).context("the summary")?;
            let summary: Value = serde_json::from_str(&text)?;
            let events = |kind: &str| summary["events"][kind].as_f64().unwrap_or(0.0);
            hits[n] = events("map_make") + events("map_grow");
        }
    }
    if hits[0] < 1.0 || hits[1] > 0.0 {
        bail!("{} hits with probes and {} without", hits[0], hits[1]);
    }
    Ok((taken, hits[0]))
}

/// Copies a program, with a version that never was: `go1.99.9`.
fn of_no_version(program: &Path, version: &str, copy: &Path) -> Result<()> {
    let mut bytes = fs::read(program).with_context(|| program.display().to_string())?;
    let minor = "go1.".len();
    let mut from = 0;
    let mut found = 0;
    while let Some(next) = position(&bytes[from..], version.as_bytes()) {
        bytes[from + next + minor..][..2].copy_from_slice(b"99");
        from += next + version.len();
        found += 1;
    }
    if found == 0 {
        bail!("{} does not say {version}", program.display());
    }
    fs::write(copy, bytes).with_context(|| copy.display().to_string())?;
    fs::set_permissions(copy, fs::Permissions::from_mode(0o755))?;
    Ok(())
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|piece| piece == wanted)
}
