//! One program under several conditions: what a condition changes is found and attributed, what it does not is noise.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::path::Path;
use std::process::{Command, Output};

use map_trace_tests::{GoToolchain, Strip, c, go, go_toolchains, map_trace, require_root};
use serde_json::Value;

/// `map-trace compare` with options, then a program and its arguments.
fn compare(options: &[&str], program: &Path, arguments: &[&str]) -> Output {
    require_root();
    Command::new(map_trace())
        .args(["compare", "--no-progress"])
        .args(options)
        .arg("--")
        .arg(program)
        .args(arguments)
        .output()
        .expect("map-trace starts")
}

/// The comparison as a document, and the table that was shown.
fn compared(options: &[&str], program: &Path, arguments: &[&str]) -> (Value, String) {
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("comparison.json");
    let options = [options, &["--summary", summary.to_str().unwrap()]].concat();
    let output = compare(&options, program, arguments);
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(0), "{stderr}");
    let text = std::fs::read_to_string(summary).unwrap();
    (serde_json::from_str(&text).unwrap(), stderr)
}

/// The row of an operation and event in a contrast.
fn row<'a>(contrast: &'a Value, operation: &str, event: &str) -> &'a Value {
    let rows = contrast["rows"].as_array().unwrap();
    let found = rows
        .iter()
        .find(|row| row["operation"] == operation && row["event"] == event);
    found.unwrap_or_else(|| panic!("no row {operation} {event}: {contrast}"))
}

fn counts(spread: &Value) -> Vec<u64> {
    let counts = spread["counts"].as_array().unwrap();
    counts.iter().map(|count| count.as_u64().unwrap()).collect()
}

/// Go 1.23 has both `GODEBUG=efence=1` that protects what it frees and classic maps that are seen to grow.
fn go_1_23() -> GoToolchain {
    let toolchains = go_toolchains();
    let found = toolchains
        .iter()
        .find(|toolchain| toolchain.version.starts_with("go1.23"));
    found.expect("Go 1.23: run cargo xtask setup").clone()
}

#[test]
fn the_protection_of_freed_memory_is_attributed_to_the_variable_that_asks_for_it() {
    let growth = go(&go_1_23(), Strip::No, "growth");
    let options = ["--vary", "GODEBUG=,efence=1", "--repeat", "3"];
    let (comparison, shown) = compared(&options, &growth, &[]);
    let contrasts = comparison["contrasts"].as_array().unwrap();
    let [contrast] = &contrasts[..] else {
        panic!("one contrast: {comparison}")
    };
    assert_eq!(contrast["variable"], "GODEBUG");
    assert_eq!(contrast["open"], Value::Null, "{shown}");
    let mprotect = row(contrast, "runtime", "mprotect");
    assert_eq!(mprotect["finding"], "attributed", "{mprotect}");
    assert_eq!(counts(&mprotect["from"]), [0, 0, 0]);
    assert!(
        counts(&mprotect["to"]).iter().all(|count| *count > 0),
        "{mprotect}"
    );
    // Neither way does an iteration protect anything.
    let rows = contrast["rows"].as_array().unwrap();
    let iterating = rows
        .iter()
        .find(|row| row["operation"] == "iterate" && row["event"] == "mprotect");
    assert_eq!(iterating, None);
    assert!(shown.contains("GODEBUG: unset against efence=1"), "{shown}");
    let line = shown
        .lines()
        .find(|line| line.trim_start().starts_with("runtime ") && line.contains("mprotect"));
    assert!(line.is_some_and(|line| line.contains('+')), "{shown}");
}

#[test]
fn a_variable_the_program_does_not_know_makes_no_difference() {
    let (comparison, shown) = compared(&["--vary", "FOO=1,2"], &c("first_touch"), &["100"]);
    let contrast = &comparison["contrasts"][0];
    let touches = row(contrast, "none", "first_touch");
    // The hundred pages were seen in each of the five runs, so nothing was overlooked either.
    assert!(
        counts(&touches["from"]).iter().all(|count| *count >= 100),
        "{touches}"
    );
    assert_eq!(counts(&touches["from"]).len(), 5);
    assert!(shown.contains("No difference beyond noise."), "{shown}");
}

#[test]
fn a_process_can_be_kept_from_huge_pages_without_touching_the_systems_setting() {
    let setting = "/sys/kernel/mm/transparent_hugepage/enabled";
    let Ok(before) = std::fs::read_to_string(setting) else {
        map_trace_tests::skipped("huge pages", "this kernel has none");
        return;
    };
    let options = ["--vary", "THP=madvise,never", "--repeat", "3"];
    let (comparison, shown) = compared(&options, &c("huge"), &["4"]);
    let touches = row(&comparison["contrasts"][0], "none", "first_touch");
    // Four blocks of 2 MiB: 512 small pages each when there are no huge ones.
    assert!(
        counts(&touches["to"]).iter().all(|count| *count >= 2048),
        "{touches}"
    );
    assert!(
        counts(&touches["from"]).iter().all(|count| *count < 2048),
        "{touches}"
    );
    assert_eq!(touches["finding"], "attributed", "{shown}");
    assert_eq!(std::fs::read_to_string(setting).unwrap(), before);
}

#[test]
fn each_condition_is_what_it_says() {
    let script = "echo $A,$(nice),$(nproc)";
    let options = [
        "--vary", "A=,x", "--vary", "nice=0,7", "--vary", "cpus=1,1", "--repeat", "1",
    ];
    let output = compare(&options, Path::new("sh"), &["-c", script]);
    assert_eq!(output.status.code(), Some(2), "the same value twice");
    let options = [
        "--vary",
        "A=,x=1\\,2",
        "--vary",
        "nice=3,7",
        "--cross",
        "--repeat",
        "1",
    ];
    let output = compare(&options, Path::new("sh"), &["-c", script]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let said: Vec<_> = said
        .lines()
        .filter_map(|line| line.rsplit_once(','))
        .collect();
    let said: Vec<_> = said.into_iter().map(|(front, _)| front).collect();
    assert_eq!(said, [",3", ",7", "x=1,2,3", "x=1,2,7"]);
    let output = compare(
        &["--vary", "cpus=1", "--vary", "A=1,2"],
        Path::new("nproc"),
        &[],
    );
    assert_eq!(output.status.code(), Some(2), "one value");
    let options = ["--vary", "program=nproc,sh", "--repeat", "1"];
    let output = compare(&options, Path::new("unused"), &["--version"]);
    assert!(String::from_utf8_lossy(&output.stdout).contains("nproc"));
}

#[test]
fn the_exit_status_tells_of_the_program_and_not_of_the_finding() {
    let fails = ["--vary", "A=0,3", "--repeat", "1"];
    let output = compare(&fails, Path::new("sh"), &["-c", "exit $A"]);
    assert_eq!(output.status.code(), Some(4));
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        stderr.contains("With A=3 the program exited 3."),
        "{stderr}"
    );
    let ignored = [&fails[..], &["--ignore-status"]].concat();
    let output = compare(&ignored, Path::new("sh"), &["-c", "exit $A"]);
    assert_eq!(output.status.code(), Some(0));
    let missing = compare(&fails, Path::new("/nonexistent/program"), &[]);
    assert_eq!(missing.status.code(), Some(127));
    let claims = [&fails[..], &["--expect", "mprotect == 0"]].concat();
    assert_eq!(
        compare(&claims, Path::new("sh"), &["-c", "true"])
            .status
            .code(),
        Some(2)
    );
}

#[test]
fn a_go_program_is_built_with_each_version_and_every_trace_is_kept() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("main.go");
    let program = "package main\n\nfunc main() {\n\tm := map[int]int{}\n\tfor i := 0; i < 1000; i++ {\n\t\tm[i] = i\n\t}\n\tprintln(len(m))\n}\n";
    std::fs::write(&source, program).unwrap();
    let traces = folder.path().join("traces");
    let toolchains = go_toolchains();
    let versions: Vec<_> = toolchains
        .iter()
        .map(|toolchain| toolchain.version.as_str())
        .collect();
    let vary = format!("go={}", versions.join(","));
    let options = [
        "--vary",
        &vary,
        "--repeat",
        "1",
        "-o",
        traces.to_str().unwrap(),
    ];
    let (comparison, shown) = compared(&options, &source, &[]);
    let conditions = comparison["conditions"].as_array().unwrap();
    assert_eq!(conditions.len(), versions.len());
    for (condition, version) in conditions.iter().zip(&versions) {
        let run = &condition["runs"][0];
        let built = run["program"].as_str().unwrap();
        assert!(built.starts_with(version), "{built} {version}");
        let trace = traces.join(run["trace"].as_str().unwrap());
        let report = Command::new(map_trace())
            .arg("report")
            .arg(trace)
            .output()
            .unwrap();
        assert!(report.status.success(), "{shown}");
        assert!(
            String::from_utf8_lossy(&report.stdout).contains(version),
            "{version}"
        );
    }
    let unknown = compare(&["--vary", "go=1.2,1.3"], &source, &[]);
    assert_eq!(unknown.status.code(), Some(2));
    let said = String::from_utf8_lossy(&unknown.stderr).into_owned();
    assert!(
        said.contains("no Go 1.2 to build with") && said.contains(&versions[0][2..]),
        "{said}"
    );
}
