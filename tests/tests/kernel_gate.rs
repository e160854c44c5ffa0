//! The script of docs/cookbook.md that gates a CI job, as it stands there.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::fs;
use std::path::Path;
use std::process::Command;

use map_trace_tests::{c, map_trace, require_root};

/// The script: the one block of the cookbook that begins like one.
fn script() -> String {
    let cookbook = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cookbook.md");
    let text = fs::read_to_string(cookbook).unwrap();
    let (_, rest) = text.split_once("```sh\n#!/bin/sh\n").unwrap();
    let (script, _) = rest.split_once("```").unwrap();
    format!("#!/bin/sh\n{script}")
}

#[test]
fn the_gate_of_the_cookbook_lets_a_clean_program_pass_and_stops_a_saboteur() {
    require_root();
    for (arguments, status, says, failures) in [
        (&["7", "0"][..], 0, "the memory rules hold", 0),
        (
            &["7", "0", "protect"][..],
            1,
            "a memory rule does not hold",
            1,
        ),
        (&["3", "5"][..], 4, "the program failed", 0),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let gate = folder.path().join("gate.sh");
        fs::write(&gate, script()).unwrap();
        let output = Command::new("sh")
            .arg(&gate)
            .arg(c("hot"))
            .args(arguments)
            .env("MAP_TRACE", map_trace())
            .current_dir(folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(status), "{said}{errors}");
        assert!(said.contains(says), "{said}{errors}");
        let report = fs::read_to_string(folder.path().join("gate.xml")).unwrap();
        assert_eq!(report.matches("<failure").count(), failures, "{report}");
        assert_eq!(report.matches("<testcase").count(), 2, "{report}");
        assert!(folder.path().join("gate.jsonl.zst").is_file());
    }
}
