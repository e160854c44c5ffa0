//! What comes with every session, and what a user asks for: calibration and controls, entries on a timer.

use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context, Result};
use map_trace_workloads as workloads;
use serde_json::Value;

use super::measure::{median, run};
use super::{Bench, Figure};
use crate::process::on_path;

/// Most that calibration and controls may take together, ms.
const START_MS: f64 = 80.0;
/// Most that a thousand samples a second of 64 MB may stretch a program's work.
const SAMPLING_RATIO: f64 = 1.01;
/// The symbol and its bytes that `sampled` fills.
const RANGE: &str = "block";

/// Measures a program that computes: bare, and with its 64 MiB sampled a thousand times a second.
pub fn measure(bench: &Bench) -> Result<(String, Vec<Figure>)> {
    let program = workloads::build_c()
        .context("building the C workloads")?
        .join("sampled");
    let trace = std::env::temp_dir().join(format!("map-trace-bench-{}.jsonl", process::id()));
    let (mut bare, mut sampled, mut starts) = (Vec::new(), Vec::new(), Vec::new());
    let mut timer = Vec::new();
    for _ in 0..bench.rounds {
        if on_path("perf") {
            timer.push(run(&mut timer_alone(&program))?.said("work_ns")?);
        }
        bare.push(run(&mut Command::new(&program))?.said("work_ns")?);
        let mut command = Command::new(&bench.map_trace);
        command
            .args(["run", "--watch-range", RANGE, "--sample-rate", "1000", "-o"])
            .arg(&trace)
            .arg("--")
            .arg(&program);
        sampled.push(run(&mut command)?.said("work_ns")?);
        let text = fs::read_to_string(&trace).with_context(|| trace.display().to_string())?;
        starts.push(start_ms(&text)?);
    }
    // A file of our own; that it is gone already is no failure.
    let _ = fs::remove_file(&trace);
    let base = median(&bare)?;
    let mut figures = vec![
        Figure::limited(
            "calibration and controls, of every session",
            median(&starts)?,
            " ms",
            START_MS,
        ),
        Figure::context("bare: the work", base / 1e9, " s"),
    ];
    if !timer.is_empty() {
        let ratio = median(&timer)? / base;
        figures.push(Figure::context(
            "perf's timer of 1 kHz alone, to bare",
            ratio,
            "x",
        ));
    }
    figures.push(Figure::limited(
        "64 MiB sampled at 1 kHz, to bare",
        median(&sampled)? / base,
        "x",
        SAMPLING_RATIO,
    ));
    Ok((
        "start, and samples of page-table entries".to_owned(),
        figures,
    ))
}

/// The same timer without map-trace: what of the figure is the interrupt's own.
fn timer_alone(program: &Path) -> Command {
    let mut command = Command::new("perf");
    command
        .args(["record", "-q", "-e", "cpu-clock", "-F", "1000", "-o"])
        .args(["/dev/null", "--"])
        .arg(program);
    command
}

/// What the trace's last line says of calibration and controls, milliseconds.
fn start_ms(trace: &str) -> Result<f64> {
    let last = trace.lines().next_back().context("an empty trace")?;
    let footer: Value = serde_json::from_str(last)?;
    let nanoseconds = |value: &Value| value.as_f64().context("no duration in the footer");
    Ok(
        (nanoseconds(&footer["calibration"]["duration_ns"])?
            + nanoseconds(&footer["controls_ns"])?)
            / 1e6,
    )
}
