//! A storm of first touches: what one fault costs, bare and traced, and that every one is counted.

use std::fs;
use std::path::Path;
use std::process::{self, Command};

use anyhow::{Context, Result, bail};
use map_trace_workloads as workloads;
use serde_json::Value;

use super::measure::{Run, median, run};
use super::{Bench, Figure};

/// Most that a fault may cost by default, to bare, with page-table entries and causes.
const CAUSES_RATIO: f64 = 1.25;
/// The same for a tracer without them. One mode does both today, so both targets stand beside it.
const TRACING_RATIO: f64 = 1.2;
/// The same with every event in full.
const FULL_RATIO: f64 = 1.6;
/// Most memory map-trace itself may hold, whatever the number of events.
pub const MEMORY_MB: f64 = 96.0;
/// Faults a program has besides the storm: starting up, above all. Far fewer than this.
const BESIDES: f64 = 1000.0;

/// Measures the storm bare, traced by default and traced in full.
pub fn measure(bench: &Bench) -> Result<(String, Vec<Figure>)> {
    let program = workloads::build_c()
        .context("building the C workloads")?
        .join("fault_storm");
    let summary = std::env::temp_dir().join(format!("map-trace-bench-{}.json", process::id()));
    let faults = bench.faults.to_string();
    let (mut bare, mut default, mut full) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..bench.rounds {
        bare.push(run(Command::new(&program).arg(&faults))?);
        for (runs, detail) in [(&mut default, None), (&mut full, Some("--detail=all"))] {
            let mut command = Command::new(&bench.map_trace);
            command
                .arg("run")
                .args(detail)
                .arg("--summary")
                .arg(&summary)
                .arg("--");
            let run = run(command.arg(&program).arg(&faults))?;
            assert_exact(&run, &summary)?;
            runs.push(run);
        }
    }
    // A file of our own; that it is gone already is no failure.
    let _ = fs::remove_file(&summary);
    let nanoseconds = |runs: &[Run]| {
        let each: Result<Vec<_>> = runs
            .iter()
            .map(|run| Ok(run.said("storm_ns")? / run.said("storm")?))
            .collect();
        median(&each?)
    };
    let base = nanoseconds(&bare)?;
    let memory = default
        .iter()
        .chain(&full)
        .map(|run| run.memory)
        .fold(0.0, f64::max);
    let by_default = nanoseconds(&default)? / base;
    let title = format!(
        "fault storm: {} first touches, every total exact",
        bench.faults
    );
    Ok((
        title,
        vec![
            Figure::context("bare: a fault", base, " ns"),
            Figure::limited(
                "by default, to bare (tracing)",
                by_default,
                "x",
                TRACING_RATIO,
            ),
            Figure::limited(
                "by default, to bare (tracing and causes)",
                by_default,
                "x",
                CAUSES_RATIO,
            ),
            Figure::limited(
                "--detail all, to bare",
                nanoseconds(&full)? / base,
                "x",
                FULL_RATIO,
            ),
            Figure::limited("map-trace's own memory", memory, " MB", MEMORY_MB),
        ],
    ))
}

/// The summary has every fault the program made, lost none, and agrees with its witnesses.
fn assert_exact(run: &Run, summary: &Path) -> Result<()> {
    let text = fs::read_to_string(summary).with_context(|| summary.display().to_string())?;
    let summary: Value = serde_json::from_str(&text)?;
    let counted = summary["events"]["page_fault"]
        .as_f64()
        .context("no events.page_fault")?;
    let made = run.said("first_touch")?;
    if counted < made || counted > made + BESIDES {
        bail!("{made} faults were made and {counted} counted");
    }
    if summary["loss"]["dropped"] != 0 || summary["witnesses"]["balanced"] != true {
        bail!(
            "loss {}, witnesses {}",
            summary["loss"],
            summary["witnesses"]
        );
    }
    Ok(())
}
