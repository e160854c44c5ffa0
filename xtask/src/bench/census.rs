//! What counting costs a program that does nothing but operations on maps, as its own CPU time tells.

use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context, Result};
use map_trace_workloads::{self as workloads, GoToolchain};
use serde_json::Value;

use super::measure::{median, ratios, run};
use super::{Bench, Figure};

/// What `--census sample` may cost: the default of `--census-budget`, over the rest of a recording.
const SAMPLE_RATIO: f64 = 1.02;
const SAMPLE_PERCENT: f64 = 2.0;
/// An operation counted, with what the map was like at its beginning; with the page-table entry of its storage, too.
const FULL_NS: f64 = 1_000.0;
const FULL_PTE_NS: f64 = 1_200.0;
/// Rounds of the program with every operation probed: 960,000 operations.
const FULL_ROUNDS: u64 = 300;
/// CPU time of the program that is sampled.
const LONG: &str = "3s";
const SHORT: &str = "200ms";

/// Measures one Go version.
pub fn measure(bench: &Bench, toolchain: &GoToolchain) -> Result<(String, Vec<Figure>)> {
    let flavour = workloads::Flavour::Plain;
    let program = workloads::build_go_program(toolchain, flavour, "operations")
        .with_context(|| format!("building the Go workloads with {}", toolchain.version))?;
    let long = if bench.rounds == 1 { SHORT } else { LONG };
    let rounds = run(Command::new(&program).args(["-cpu", long]))?.said("rounds")? as u64;
    let account = std::env::temp_dir().join(format!("map-trace-bench-{}.json", process::id()));
    let summary = account.to_string_lossy();
    let sampled = cpu(
        bench,
        &program,
        rounds,
        &[
            None,
            Some(&["--census", "off"]),
            Some(&["--summary", &summary]),
        ],
    )?;
    let spent = spent(&account)?;
    // A file of our own; that it is gone already is no failure.
    let _ = fs::remove_file(&account);
    let full = cpu(
        bench,
        &program,
        FULL_ROUNDS,
        &[
            Some(&["--census", "off"]),
            Some(&["--census", "full"]),
            Some(&["--census", "full", "--pte", "full"]),
        ],
    )?;
    let said = run(Command::new(&program).args(["-rounds", &FULL_ROUNDS.to_string()]))?;
    let words = ["assigns", "accesses", "deletes", "steps", "clears"];
    let operations: Result<f64> = words.iter().map(|word| said.said(word)).sum();
    let operations = operations?;
    let full: Result<Vec<f64>> = full.iter().map(|taken| median(taken)).collect();
    let full = full?;
    let each = |n: usize| (full[n] - full[0]) / operations;
    let off = ratios(&sampled[1], &sampled[0])?;
    let sample = ratios(&sampled[2], &sampled[1])?;
    let figures = vec![
        Figure::context("bare: CPU time", median(&sampled[0])? / 1e9, " s"),
        Figure::context("--census off, to bare: medians", off.0, "x"),
        Figure::context("--census sample, to --census off: medians", sample.0, "x"),
        Figure::limited(
            "--census sample, to --census off: least of each",
            sample.1,
            "x",
            SAMPLE_RATIO,
        ),
        Figure::limited(
            "--census sample: spent of CPU time, as accounted for",
            spent * 100.0,
            " %",
            SAMPLE_PERCENT,
        ),
        Figure::limited("--census full: an operation", each(1), " ns", FULL_NS),
        Figure::limited(
            "--census full --pte full: an operation",
            each(2),
            " ns",
            FULL_PTE_NS,
        ),
    ];
    let title = format!("{}: nothing but operations on maps", toolchain.version);
    Ok((title, figures))
}

/// What part of the program's CPU time counting by duty cycle took, by its own account; 0 when there was no time for it.
fn spent(summary: &Path) -> Result<f64> {
    let text = fs::read_to_string(summary).with_context(|| summary.display().to_string())?;
    let summary: Value = serde_json::from_str(&text)?;
    let number = |key: &str| summary["census_sample"][key].as_f64().unwrap_or(0.0);
    Ok(number("spent_ns") / number("cpu_ns").max(1.0))
}

/// CPU time of the program in each round, ns: by itself, and under map-trace with options.
fn cpu(
    bench: &Bench,
    program: &Path,
    rounds: u64,
    variants: &[Option<&[&str]>],
) -> Result<Vec<Vec<f64>>> {
    let mut taken = vec![Vec::new(); variants.len()];
    for _ in 0..bench.rounds {
        for (variant, taken) in variants.iter().zip(&mut taken) {
            let mut command = match variant {
                None => Command::new(program),
                Some(options) => {
                    let mut command = Command::new(&bench.map_trace);
                    command.arg("run").args(*options).arg("--").arg(program);
                    command
                }
            };
            command.args(["-rounds", &rounds.to_string()]);
            taken.push(run(&mut command)?.said("cpu_ns")?);
        }
    }
    Ok(taken)
}
