//! From words to settings.

use std::ffi::OsString;
use std::time::Duration;

use clap::{CommandFactory, Parser};

use super::{Cli, Command, main_of};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::session::settings::*;

fn words(line: &[&str]) -> Vec<OsString> {
    std::iter::once("map-trace")
        .chain(line.iter().copied())
        .map(Into::into)
        .collect()
}

fn run(line: &[&str]) -> Result<RunSettings> {
    let words = words(&[&["run"], line].concat());
    match Cli::try_parse_from(&words) {
        Ok(Cli {
            command: Command::Run(args),
        }) => Ok(RunSettings {
            program: args.program.resolve()?,
            record: args.record.resolve()?,
        }),
        Ok(other) => panic!("not run: {other:?}"),
        Err(stopped) => Err(super::usage::stopped(&stopped, &words).expect_err("a mistake")),
    }
}

fn mistake(line: &[&str]) -> Error {
    run(line).expect_err("a mistake")
}

#[test]
fn the_commands_hang_together() {
    Cli::command().debug_assert();
}

#[test]
fn the_defaults_are_those_of_the_contract() {
    let settings = run(&["./app"]).unwrap();
    let screen = settings.record.screen;
    assert_eq!(
        settings.record,
        RecordSettings {
            screen,
            ..RecordSettings::default()
        }
    );
    assert_eq!(settings.program.program, "./app");
    assert_eq!(settings.program.user, User::Caller);
}

#[test]
fn everything_after_the_program_belongs_to_the_program() {
    let tail = ["-o", "x", "--summary", "--", "-h", "--version", ""];
    for front in [
        &["./app"][..],
        &["--", "./app"],
        &["-o", "t", "./app"],
        &["-o", "t", "--", "./app"],
    ] {
        let settings = run(&[front, &tail].concat()).unwrap();
        assert_eq!(settings.program.program, "./app", "{front:?}");
        assert_eq!(settings.program.arguments, tail, "{front:?}");
    }
    let dashed = run(&["--", "--app", "-x"]).unwrap();
    assert_eq!(dashed.program.program, "--app");
}

#[test]
fn an_unknown_option_before_the_program_is_a_mistake_and_no_program() {
    let error = mistake(&["--bogus", "./app"]);
    assert_eq!(error.code, ExitCode::USAGE);
    let text = error.to_string();
    assert!(
        text.contains("--bogus") && text.ends_with("see map-trace run --help"),
        "{text}"
    );
    assert!(!text.contains('\n'));
}

#[test]
fn every_option_arrives_in_the_settings() {
    let folder = tempfile::tempdir().unwrap();
    let claims = folder.path().join("claims.toml");
    std::fs::write(&claims, "[[claim]]\nid = \"a\"\nrule = \"mmap == 0\"\n").unwrap();
    let settings = run(&[
        "-o",
        "t.zst",
        "--summary",
        "-",
        "--claims",
        claims.to_str().unwrap(),
        "--expect",
        "mprotect during hot == 0",
        "--expect",
        "signal == 0",
        "--region",
        "hot=main.*",
        "--operations",
        "ops.toml",
        "--census",
        "off",
        "--pte",
        "full",
        "--watch",
        "main.x:4",
        "--watch-range",
        "0x1000-0x3000",
        "--sample-rate",
        "50",
        "--detail",
        "all",
        "--follow-forks",
        "no",
        "-u",
        "nobody",
        "--duration",
        "200ms",
        "--max-events",
        "9",
        "--show-physical",
        "-vv",
        "--color",
        "always",
        "--no-progress",
        "p",
    ])
    .unwrap();
    assert_eq!(settings.program.user, User::Named("nobody".to_owned()));
    let record = settings.record;
    assert_eq!(record.output, Some("t.zst".into()));
    assert_eq!(record.summary, Some(SummaryPlace::Stdout));
    let ids: Vec<_> = record
        .claims
        .iter()
        .map(|claim| claim.id.as_str())
        .collect();
    assert_eq!(ids, ["expect-1", "expect-2", "a"]);
    assert_eq!(record.regions.len(), 1);
    assert_eq!(record.operations, Some("ops.toml".into()));
    assert_eq!((record.census, record.pte), (Level::Off, Level::Full));
    assert_eq!((record.watch.len(), record.watch_ranges.len()), (1, 1));
    assert_eq!((record.sample_hz, record.detail), (50, Detail::All));
    assert!(!record.follow_forks && record.show_physical);
    assert_eq!(record.limits.duration, Some(Duration::from_millis(200)));
    assert_eq!(record.limits.max_events, Some(9));
    let screen = record.screen;
    assert_eq!(
        (screen.verbosity, screen.color, screen.progress),
        (2, true, false)
    );
}

#[test]
fn options_that_contradict_each_other_are_mistakes() {
    let five = ["--watch", "a"].repeat(5);
    for line in [
        &[][..],
        &["--"],
        &["-u", "x", "--as-root", "p"],
        &["-u", "", "p"],
        &["-q", "-v", "p"],
        &["--sample-rate", "0", "p"],
        &["--max-events", "0", "p"],
        &["--detail", "some", "p"],
        &["--duration", "soon", "p"],
        &["--region", "iterate=x", "p"],
        &["--region", "a=x", "--region", "a=y", "p"],
        &["-o", "t", "--summary", "./t", "p"],
        &[&five[..], &["p"]].concat(),
    ] {
        let error = mistake(line);
        assert_eq!(error.code, ExitCode::USAGE, "{line:?}: {error}");
        assert!(!error.to_string().contains('\n'), "{error}");
    }
}

#[test]
fn a_device_may_take_trace_and_summary() {
    assert!(run(&["-o", "/dev/null", "--summary", "/dev/null", "p"]).is_ok());
}

#[test]
fn a_program_without_a_name_is_not_found() {
    assert_eq!(mistake(&[""]).code, ExitCode::NOT_FOUND);
}

#[test]
fn pids_are_split_and_each_is_kept_once() {
    let line = words(&["attach", "-p", "7,3", "-p", "7"]);
    let Ok(Cli {
        command: Command::Attach(args),
    }) = Cli::try_parse_from(line)
    else {
        panic!("not attach")
    };
    assert_eq!(args.resolve().unwrap().pids, [3, 7]);
    assert!(Cli::try_parse_from(words(&["attach", "-p", "0"])).is_err());
    assert!(Cli::try_parse_from(words(&["attach"])).is_err());
}

#[test]
fn no_arguments_not_even_a_name_is_wrong_usage() {
    assert_eq!(main_of([]), ExitCode::USAGE);
}
