//! `cargo xtask bench`: the speed targets, each beside what was measured.
//!
//! Variants of one measurement run in turn, round after round, so that a change of the machine's mood
//! meets all of them; medians are compared. Nothing fails on a figure unless `--check` asks for it:
//! figures of a busy machine say little.

mod attach;
mod census;
mod inspect;
mod measure;
mod storm;
mod structure;
mod walls;
mod watching;

use std::fs;
use std::io::{self, Write};
use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use map_trace_workloads as workloads;

use crate::{build, root, setup};

#[derive(clap::Args)]
pub struct Options {
    /// One round of each, only to see that the benchmark still works
    #[arg(long)]
    smoke: bool,
    /// Fail when a target is missed
    #[arg(long)]
    check: bool,
    /// Rounds of each measurement
    #[arg(long, default_value_t = 7)]
    rounds: usize,
    /// Faults of the storm
    #[arg(long, default_value_t = 3_000_000)]
    faults: u64,
    /// Also run perf and strace, where installed
    #[arg(long)]
    peers: bool,
    /// Only the figures of Go maps: structure probes, census, attach, inspect
    #[arg(long)]
    maps: bool,
}

/// What every measurement needs.
pub struct Bench {
    map_trace: PathBuf,
    rounds: usize,
    faults: u64,
    peers: bool,
}

/// One measured figure and its target.
pub struct Figure {
    what: String,
    measured: f64,
    /// Shown after the figure: `x`, ` s`, ` MB`, ` ns`.
    unit: &'static str,
    /// At most this; `None` for a figure that only gives context.
    target: Option<f64>,
}

impl Figure {
    /// A figure that has to stay at or under a target.
    pub fn limited(
        what: impl Into<String>,
        measured: f64,
        unit: &'static str,
        target: f64,
    ) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            target: Some(target),
        }
    }

    /// A figure for context.
    pub fn context(what: impl Into<String>, measured: f64, unit: &'static str) -> Self {
        Self {
            what: what.into(),
            measured,
            unit,
            target: None,
        }
    }

    fn missed(&self) -> bool {
        self.target.is_some_and(|target| self.measured > target)
    }

    fn line(&self) -> String {
        let target = match self.target {
            None => String::new(),
            Some(target) => {
                let verdict = if self.missed() { "MISSED" } else { "met" };
                format!("at most {target}{}: {verdict}", self.unit)
            }
        };
        let figure = format!("{:.3}{}", self.measured, self.unit);
        format!("  {:<52} {figure:>14}   {target}", self.what)
            .trim_end()
            .to_owned()
    }
}

/// Measures and prints; as root, since map-trace has to be.
///
/// # Errors
///
/// A program failed, counts were wrong, or with `--check` a target was missed.
pub fn run(options: &Options) -> Result<()> {
    setup::run()?;
    if !root::is_root() {
        bail!(
            "the bench measures without sudo in between: sudo -E env \"PATH=$PATH\" cargo xtask bench"
        );
    }
    let bench = Bench {
        map_trace: build::release()?,
        rounds: if options.smoke {
            1
        } else {
            options.rounds.max(1)
        },
        faults: if options.smoke {
            200_000
        } else {
            options.faults
        },
        peers: options.peers,
    };
    let mut out = io::stdout().lock();
    writeln!(out, "{}", surroundings()?)?;
    let mut missed = 0;
    for toolchain in workloads::go_toolchains() {
        if !options.maps {
            missed += print(&mut out, &walls::measure(&bench, &toolchain)?)?;
        }
        missed += print(&mut out, &structure::measure(&bench, &toolchain)?)?;
        missed += print(&mut out, &census::measure(&bench, &toolchain)?)?;
        missed += print(&mut out, &attach::measure(&bench, &toolchain)?)?;
    }
    if let Some(newest) = workloads::go_toolchains().last() {
        missed += print(&mut out, &inspect::measure(&bench, newest)?)?;
    }
    if !options.maps {
        missed += print(&mut out, &storm::measure(&bench)?)?;
        missed += print(&mut out, &watching::measure(&bench)?)?;
    }
    if options.check && missed > 0 {
        bail!("{missed} targets missed");
    }
    Ok(())
}

/// Prints figures under their title as they come; returns how many missed their target.
fn print(out: &mut impl Write, (title, figures): &(String, Vec<Figure>)) -> Result<usize> {
    writeln!(out, "\n{title}")?;
    for figure in figures {
        writeln!(out, "{}", figure.line())?;
    }
    out.flush()?;
    Ok(figures.iter().filter(|figure| figure.missed()).count())
}

/// Kernel, processor and day: a figure means little without them.
fn surroundings() -> Result<String> {
    let kernel = fs::read_to_string("/proc/sys/kernel/osrelease").context("kernel version")?;
    let cpuinfo = fs::read_to_string("/proc/cpuinfo").context("/proc/cpuinfo")?;
    let models: Vec<_> = cpuinfo
        .lines()
        .filter_map(|line| line.strip_prefix("model name")?.split_once(':'))
        .map(|(_, model)| model.trim())
        .collect();
    let load = fs::read_to_string("/proc/loadavg").context("/proc/loadavg")?;
    Ok(format!(
        "Linux {}, {} x {}, {}, load {}",
        kernel.trim(),
        models.len(),
        models.first().unwrap_or(&"unknown processor"),
        measure::today()?,
        load.split(' ').next().unwrap_or("?")
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_over_its_target_is_missed_and_says_so() {
        let slow = Figure::limited("a", 1.2, "x", 1.1);
        assert!(slow.missed() && slow.line().ends_with("1.200x   at most 1.1x: MISSED"));
        let fast = Figure::limited("a", 1.1, "x", 1.1);
        assert!(!fast.missed() && fast.line().ends_with("met"));
        assert!(!Figure::context("a", 9.0, " s").missed());
    }
}
