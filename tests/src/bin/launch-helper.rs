//! A launcher that tests can kill: `launch-helper MODE [--user NAME|--as-root] -- PROGRAM [ARG...]`.
//!
//! - `run`: launches the program and ends with its status; the usage goes to the file in
//!   `LAUNCH_HELPER_USAGE` when set.
//! - `hold`: prints `suspended PID` and never releases.
//! - `abandon`: releases, prints `released PID` and waits to be killed.
//! - `limits`: as `run`, with the resource limits raised first.
//! - `orphans`: as `run`, as a subreaper; prints the number and the faults of the orphans reaped.

use std::ffi::OsString;
use std::io::{Read, Write};
use std::process::ExitCode;

use map_trace::error::Error;
use map_trace::target::{Command, UserChoice, limits, prepare, wait};

fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            eprintln!("map-trace: {error}");
            error.code.into()
        }
    }
}

fn run() -> Result<ExitCode, Error> {
    let mut arguments = std::env::args_os().skip(1);
    let mode = arguments.next().unwrap_or_default();
    let mut command = Command::default();
    while let Some(option) = arguments.next() {
        match option.to_str() {
            Some("--as-root") => command.user = UserChoice::Root,
            Some("--user") => {
                let name: OsString = arguments.next().unwrap_or_default();
                command.user = UserChoice::Named(name.to_string_lossy().into_owned());
            }
            _ => break,
        }
    }
    command.argv = arguments.collect();
    let mode = mode.to_string_lossy().into_owned();
    if mode == "limits" {
        command.limits = limits::raise();
    }
    if mode == "orphans" {
        wait::become_subreaper().map_err(|error| Error::failed("subreaper", error))?;
    }
    let suspended = prepare(&command)?.spawn()?;
    if mode == "hold" {
        say(&format!("suspended {}", suspended.pid()));
        wait_to_be_killed();
    }
    let mut running = suspended.release()?;
    if mode == "abandon" {
        say(&format!("released {}", running.pid()));
        wait_to_be_killed();
    }
    let waited = running.wait()?;
    if mode == "orphans" {
        let orphans = all_orphans()?;
        say(&format!(
            "orphans {} minor {}",
            orphans.count, orphans.usage.minor_faults
        ));
    }
    if let Some(file) = std::env::var_os("LAUNCH_HELPER_USAGE") {
        let text = format!(
            "{} {}",
            waited.usage.minor_faults,
            running.before_exec().minor_faults
        );
        std::fs::write(file, text).map_err(|error| Error::failed("usage", error))?;
    }
    Ok(waited.exit_code().into())
}

/// Reaps until standard input ends, which is when the last descendant closed its copy.
fn all_orphans() -> Result<wait::Orphans, Error> {
    let mut all = wait::Orphans::default();
    let failed = |error| Error::failed("orphans", error);
    std::io::stdin()
        .read_to_end(&mut Vec::new())
        .map_err(failed)?;
    while all.count == 0 {
        let some = wait::reap_orphans(&[]).map_err(failed)?;
        all.count += some.count;
        all.usage.add(&some.usage);
    }
    Ok(all)
}

fn say(line: &str) {
    let mut out = std::io::stdout();
    let _closed = writeln!(out, "{line}").and_then(|()| out.flush());
}

fn wait_to_be_killed() {
    let _end = std::io::stdin().read_to_end(&mut Vec::new());
}
