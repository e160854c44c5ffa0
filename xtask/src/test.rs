//! `cargo xtask test`: everything a change has to pass, in one command.

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use map_trace_workloads as workloads;

use crate::process::{cargo, run as spawn, show};
use crate::{build, root, setup};

/// The packages whose tests trace programs or ask the kernel what only root may, and therefore run as root.
const ROOT_PACKAGES: [&str; 2] = ["map-trace", "map-trace-tests"];

#[derive(clap::Args)]
pub struct Options {
    /// Only tests whose name contains this; skips formatting and clippy
    filter: Option<String>,
    #[command(flatten)]
    setup: setup::Options,
}

/// Tests that passed, failed and were ignored, or said that they cannot run here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    ignored: u64,
}

/// Sets up, builds, checks and tests.
///
/// # Errors
///
/// The first step that fails; for tests, after all of them ran.
pub fn run(options: &Options) -> Result<()> {
    let start = Instant::now();
    setup::with(&options.setup)?;
    if options.filter.is_none() {
        spawn(cargo().args(["fmt", "--all", "--check"]))?;
        // The probes are a workspace of their own.
        let probes = ["fmt", "--check", "--manifest-path"];
        spawn(cargo().args(probes).arg("map-trace-ebpf/Cargo.toml"))?;
        let clippy = [
            "clippy",
            "--workspace",
            "--all-targets",
            "--",
            "-D",
            "warnings",
        ];
        spawn(cargo().args(clippy))?;
    }
    let binary = build::debug()?;
    for toolchain in workloads::go_toolchains() {
        build::build_workloads(&toolchain)?;
    }
    let mut counts = Counts::default();
    let mut all_passed = true;
    for mut command in [unprivileged(), privileged(&binary)?] {
        command.env(workloads::GO_VARIABLE, workloads::asked_go());
        if let Some(filter) = &options.filter {
            command.arg("--").arg(filter);
        }
        all_passed &= count(&mut command, &mut counts)?;
    }
    let Counts {
        passed,
        failed,
        ignored,
    } = counts;
    let seconds = start.elapsed().as_secs();
    eprintln!("\n{passed} tests passed, {failed} failed, {ignored} ignored, in {seconds} s");
    if !all_passed {
        bail!("{failed} tests failed");
    }
    Ok(())
}

fn unprivileged() -> Command {
    let mut command = cargo();
    command.args(["test", "--workspace", "--no-fail-fast"]);
    for package in ROOT_PACKAGES {
        command.args(["--exclude", package]);
    }
    command
}

/// Cargo builds as the caller; only the test programs themselves run as root, through cargo's runner.
fn privileged(binary: &Path) -> Result<Command> {
    let mut command = cargo();
    command
        .args(["test", "--no-fail-fast"])
        .env("MAP_TRACE_BIN", binary);
    for package in ROOT_PACKAGES {
        command.args(["-p", package]);
    }
    if !root::is_root() {
        let runner = root::runner()?;
        command.env("CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER", runner);
    }
    // A trace writer must not depend on the tester's terminal settings.
    command.env_remove("NO_COLOR");
    Ok(command)
}

/// The same command with the signals of a terminal at their defaults: started by nohup(1) or in the background
/// they are ignored, programs inherit that, and tests send them.
fn in_foreground(command: &Command) -> Command {
    let mut attended = Command::new("env");
    attended
        .arg("--default-signal=HUP,INT,QUIT")
        .arg(command.get_program())
        .args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => attended.env(name, value),
            None => attended.env_remove(name),
        };
    }
    if let Some(folder) = command.get_current_dir() {
        attended.current_dir(folder);
    }
    attended
}

/// Runs a `cargo test`, shows what it says, adds up its counts; true when it succeeded.
fn count(command: &mut Command, counts: &mut Counts) -> Result<bool> {
    let shown = show(command);
    eprintln!("  $ {shown}");
    let command = &mut in_foreground(command);
    if env::var_os("CARGO_TERM_COLOR").is_none() {
        command.env("CARGO_TERM_COLOR", "auto");
    }
    let mut child = command
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("cannot start `{shown}`"))?;
    let output = child.stdout.take().context("no pipe to the tests")?;
    let mut terminal = std::io::stdout().lock();
    for line in BufReader::new(output).lines() {
        let line = line?;
        if let Some(found) = result_line(&line) {
            counts.passed += found.passed;
            counts.failed += found.failed;
            counts.ignored += found.ignored;
        }
        // Said by a test that then counts as passed, too (`map_trace_tests::skipped`).
        if line.contains("skipped: ") {
            counts.ignored += 1;
        }
        writeln!(terminal, "{line}")?;
    }
    Ok(child.wait()?.success())
}

/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 2 filtered out; finished in 0.00s`
fn result_line(line: &str) -> Option<Counts> {
    let rest = line.trim().strip_prefix("test result: ")?;
    let (_, rest) = rest.split_once(". ")?;
    let figure = |word: &str| {
        rest.split("; ")
            .find_map(|part| part.strip_suffix(word)?.trim().parse::<u64>().ok())
    };
    Some(Counts {
        passed: figure(" passed")?,
        failed: figure(" failed")?,
        ignored: figure(" ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tests_run_with_the_signals_of_a_terminal_however_they_were_started() {
        let ignoring = |command: &str| {
            let script = format!("trap '' INT; {command}");
            let output = Command::new("sh").args(["-c", &script]).output();
            String::from_utf8_lossy(&output.expect("sh runs").stdout).into_owned()
        };
        let mut ask = Command::new("grep");
        ask.args(["SigIgn", "/proc/self/status"]);
        let attended = in_foreground(&ask);
        let words: Vec<_> = std::iter::once(attended.get_program())
            .chain(attended.get_args())
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let ignored = |said: &str| said.trim_end().ends_with('2');
        assert!(ignored(&ignoring("grep SigIgn /proc/self/status")));
        assert!(!ignored(&ignoring(&words.join(" "))));
    }

    #[test]
    fn the_counts_of_a_result_line_are_read() {
        let line = "test result: FAILED. 3 passed; 2 failed; 1 ignored; 0 measured; 9 filtered out; finished in 0.00s";
        assert_eq!(
            result_line(line),
            Some(Counts {
                passed: 3,
                failed: 2,
                ignored: 1
            })
        );
        assert_eq!(result_line("test result"), None);
        assert_eq!(
            result_line("test result: ok. many passed; 0 failed; 0 ignored"),
            None
        );
    }
}
