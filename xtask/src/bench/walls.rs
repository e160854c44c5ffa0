//! A Go program bare and traced: the time of its own loops, and of the whole command.

use std::path::Path;
use std::process::Command;

use anyhow::{Context, Result};
use map_trace_workloads::{self as workloads, GoToolchain};

use super::measure::{Run, median, run};
use super::{Bench, Figure};
use crate::process::on_path;

/// Most that tracing may stretch the program's own loops.
const LOOP_RATIO: f64 = 1.03;
/// Most that a whole `map-trace run` may take beyond the bare program, seconds.
const WALL_SECONDS: f64 = 0.20;

/// Measures one Go version: a million assigns, one range, one range with assign.
pub fn measure(bench: &Bench, toolchain: &GoToolchain) -> Result<(String, Vec<Figure>)> {
    let demo = workloads::build_go_program(toolchain, workloads::Flavour::Plain, "demo")
        .with_context(|| format!("building the Go workloads with {}", toolchain.version))?;
    let (mut bare, mut traced) = (Vec::new(), Vec::new());
    let mut peers: Vec<(&str, Vec<Run>)> = Vec::new();
    // The first run of each finds caches cold.
    run(&mut Command::new(&demo))?;
    run(&mut map_trace(bench, &demo))?;
    for _ in 0..bench.rounds {
        bare.push(run(&mut Command::new(&demo))?);
        traced.push(run(&mut map_trace(bench, &demo))?);
        if bench.peers {
            for (name, mut command) in peer_commands(&demo) {
                let run = run(&mut command)?;
                match peers.iter_mut().find(|(known, _)| *known == name) {
                    Some((_, runs)) => runs.push(run),
                    None => peers.push((name, vec![run])),
                }
            }
        }
    }
    let (bare_loop, bare_wall) = medians(&bare)?;
    let (loops, wall) = medians(&traced)?;
    let memory = traced.iter().map(|run| run.memory).fold(0.0, f64::max);
    let mut figures = vec![
        Figure::context("bare: loops", bare_loop / 1e9, " s"),
        Figure::context("bare: whole command", bare_wall, " s"),
        Figure::limited(
            "map-trace run: loops, to bare",
            loops / bare_loop,
            "x",
            LOOP_RATIO,
        ),
        Figure::limited(
            "map-trace run: whole command, beyond bare",
            wall - bare_wall,
            " s",
            WALL_SECONDS,
        ),
        Figure::limited(
            "map-trace's own memory",
            memory,
            " MB",
            super::storm::MEMORY_MB,
        ),
    ];
    for (name, runs) in peers {
        let (loops, wall) = medians(&runs)?;
        figures.push(Figure::context(
            format!("{name}: loops, to bare"),
            loops / bare_loop,
            "x",
        ));
        figures.push(Figure::context(
            format!("{name}: beyond bare"),
            wall - bare_wall,
            " s",
        ));
    }
    let title = format!(
        "{}: 1,000,000 assigns, range, range with assign",
        toolchain.version
    );
    Ok((title, figures))
}

fn map_trace(bench: &Bench, program: &Path) -> Command {
    let mut command = Command::new(&bench.map_trace);
    command.args(["run", "--"]).arg(program);
    command
}

/// Others that see the same events.
fn peer_commands(program: &Path) -> Vec<(&'static str, Command)> {
    let mut peers = Vec::new();
    if on_path("perf") {
        let mut command = Command::new("perf");
        command.args([
            "record",
            "-q",
            "-e",
            "page-faults",
            "-c1",
            "-d",
            "-g",
            "-o",
            "/dev/null",
            "--",
        ]);
        command.arg(program);
        peers.push(("perf record -g", command));
    }
    if on_path("strace") {
        let mut command = Command::new("strace");
        command.args([
            "-f",
            "-qq",
            "--seccomp-bpf",
            "-e",
            "trace=%memory",
            "-o",
            "/dev/null",
            "--",
        ]);
        command.arg(program);
        peers.push(("strace --seccomp-bpf", command));
    }
    peers
}

/// Median loop time, ns, and median wall time, s.
fn medians(runs: &[Run]) -> Result<(f64, f64)> {
    let loops: Result<Vec<_>> = runs.iter().map(|run| run.said("loop_ns")).collect();
    let walls: Vec<_> = runs.iter().map(|run| run.wall).collect();
    Ok((median(&loops?)?, median(&walls)?))
}
