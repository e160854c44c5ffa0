//! The CI script of docs/cookbook.md, run as it stands there: it passes a clean program and fails a saboteur.
#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use map_trace_tests::{c, map_trace, require_root};
use tempfile::TempDir;

/// The script's text, out of the page that shows it.
fn script() -> String {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cookbook.md");
    let text = fs::read_to_string(page).unwrap();
    let (_, rest) = text
        .split_once("```sh\n#!/bin/sh\n# ci-faults.sh")
        .expect("the script in the cookbook");
    let (body, _) = rest.split_once("\n```").expect("the end of the script");
    format!("#!/bin/sh\n# ci-faults.sh{body}\n")
}

/// What a run of the script leaves.
struct Job {
    status: i32,
    said: String,
    folder: TempDir,
}

/// Runs the script in an empty folder, with map-trace in PATH.
fn job(program: &Path, arguments: &[&str]) -> Job {
    require_root();
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("ci-faults.sh");
    fs::write(&file, script()).unwrap();
    let own = map_trace().parent().unwrap().to_str().unwrap();
    let path = format!("{own}:{}", std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .arg(&file)
        .arg(program)
        .args(arguments)
        .current_dir(folder.path())
        .env("PATH", path)
        .output()
        .unwrap();
    let said =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    Job {
        status: output.status.code().expect("the script ends by itself"),
        said: said.join("\n"),
        folder,
    }
}

impl Job {
    fn report(&self) -> String {
        fs::read_to_string(self.folder.path().join("faults.xml")).unwrap()
    }
}

#[test]
fn a_clean_program_passes_and_leaves_its_report_and_trace() {
    let job = job(&c("hot"), &["1000", "0"]);
    assert_eq!(job.status, 0, "{}", job.said);
    assert!(job.said.contains("faults: every rule held"), "{}", job.said);
    let report = job.report();
    assert!(
        report.contains("tests=\"2\" failures=\"0\" skipped=\"0\""),
        "{report}"
    );
    let trace = job.folder.path().join("faults.trace.jsonl.zst");
    assert!(fs::metadata(trace).unwrap().len() > 0);
}

#[test]
fn a_saboteur_fails_and_the_report_says_where() {
    let job = job(&c("hot"), &["1000", "0", "protect"]);
    assert_eq!(job.status, 1, "{}", job.said);
    assert!(
        job.said.contains("faults: a rule was broken"),
        "{}",
        job.said
    );
    let report = job.report();
    assert!(report.contains("failures=\"1\""), "{report}");
    assert!(
        report.contains("mprotect(0x") && report.contains("hot hot.c:"),
        "{report}"
    );
}

#[test]
fn a_saboteur_that_also_fails_is_a_saboteur_first() {
    let job = job(&c("hot"), &["10", "3", "protect"]);
    assert_eq!(job.status, 1, "{}", job.said);
}

#[test]
fn a_program_that_fails_by_itself_is_told_from_one_that_breaks_a_rule() {
    let job = job(&c("hot"), &["10", "3"]);
    assert_eq!(job.status, 4, "{}", job.said);
    assert!(
        job.said.contains("faults: the program itself failed"),
        "{}",
        job.said
    );
}

#[test]
fn a_program_without_the_function_is_not_clean() {
    let job = job(&c("first_touch"), &["10"]);
    assert_eq!(job.status, 3, "{}", job.said);
    assert!(
        job.said.contains("the evidence does not suffice"),
        "{}",
        job.said
    );
    assert!(job.report().contains("skipped=\"2\""), "{}", job.report());
}

#[test]
fn a_program_that_is_not_there_is_not_judged() {
    let job = job(Path::new("/nonexistent/program"), &[]);
    assert_eq!(job.status, 127, "{}", job.said);
    assert!(
        job.said.contains("faults: not judged (status 127)"),
        "{}",
        job.said
    );
}
