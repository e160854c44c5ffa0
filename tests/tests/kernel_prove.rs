//! The catalogue, end to end: programs built, run and judged; verdicts that turn round on saboteurs.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use map_trace_tests::{go_toolchains, map_trace, require_root};
use serde_json::Value;

fn prove(arguments: &[&str]) -> Output {
    require_root();
    Command::new(map_trace())
        .arg("prove")
        .args(arguments)
        .output()
        .unwrap()
}

fn document(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&output.stderr)))
}

/// `CLAIM GO VERDICT` of every verdict.
fn verdicts(document: &Value) -> Vec<String> {
    let claims = document["claims"].as_array().unwrap();
    claims
        .iter()
        .flat_map(|claim| {
            let verdicts = claim["verdicts"].as_array().unwrap();
            verdicts.iter().map(|one| {
                format!(
                    "{} {} {}",
                    claim["id"].as_str().unwrap(),
                    one["maps"].as_str().unwrap_or("-"),
                    one["verdict"].as_str().unwrap()
                )
            })
        })
        .collect()
}

/// The oldest and the newest Go, as `--go` takes them.
fn oldest_and_newest() -> String {
    let toolchains = go_toolchains();
    let [oldest, newest] = [&toolchains[0], &toolchains[toolchains.len() - 1]];
    format!("{},{}", oldest.version, newest.version)
}

#[test]
fn claims_are_judged_for_both_kinds_of_maps_and_turn_round_on_saboteurs() {
    let go = oldest_and_newest();
    let folder = tempfile::tempdir().unwrap();
    let output = prove(&[
        "--only",
        "1.1,1.4,2.3c,4.4e-c",
        "--go",
        &go,
        "--counterfactuals",
        "--format",
        "json",
        "-o",
        folder.path().to_str().unwrap(),
    ]);
    let document = document(&output);
    assert_eq!(
        verdicts(&document),
        [
            "1.1 classic supported",
            "1.1 swiss supported",
            "1.4 classic refuted",
            "1.4 swiss refuted",
            "2.3c classic refuted",
            "2.3c swiss refuted",
            "4.4e-c classic supported",
            "4.4e-c swiss supported",
        ],
        "{document:#}"
    );
    let turns = document["counterfactuals"].as_array().unwrap();
    let sorts = |must: bool| {
        let of = turns.iter().filter(|turn| turn["must_turn"] == must);
        of.count()
    };
    assert!(sorts(true) >= 2 && sorts(false) >= 1, "{turns:?}");
    assert!(turns.iter().all(|turn| turn["held"] == true), "{turns:#?}");
    assert_eq!(output.status.code(), Some(0));
    same_from_the_saved_trace(folder.path());
    for name in ["verdicts.json", "report.md"] {
        assert!(folder.path().join(name).is_file(), "{name}");
    }
    every_kept_trace_has_its_summary(folder.path());
}

fn every_kept_trace_has_its_summary(folder: &Path) {
    let mut traces = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let Some(run) = path.to_str().unwrap().strip_suffix(".jsonl.zst") else {
            continue;
        };
        traces += 1;
        let text = fs::read_to_string(format!("{run}.summary.json")).unwrap();
        let summary: Value = serde_json::from_str(&text).unwrap();
        assert!(summary["loss"]["counted"].as_u64().unwrap() > 0, "{run}");
    }
    assert!(traces >= 4, "{traces} traces");
}

/// The kept trace of a saboteur, judged again by its rule.
fn same_from_the_saved_trace(folder: &Path) {
    let mut traces = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let trace = traces
        .find(|path| {
            path.to_string_lossy()
                .ends_with("-range_mprotect.jsonl.zst")
        })
        .unwrap();
    let status = |rule: &str| {
        let output = Command::new(map_trace())
            .arg("check")
            .arg(&trace)
            .args(["--expect", rule])
            .output()
            .unwrap();
        output.status.code()
    };
    assert_eq!(status("mprotect where prot=r-- during range >= 1"), Some(0));
    assert_eq!(status("mprotect where prot=r-- during range == 0"), Some(1));
}

#[test]
fn a_program_that_cannot_be_built_leaves_its_claims_open_with_the_compilers_words() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("go/range");
    fs::create_dir_all(&program).unwrap();
    fs::write(
        folder.path().join("go/go.mod"),
        "module broken\n\ngo 1.19\n",
    )
    .unwrap();
    fs::write(
        program.join("main.go"),
        "package main\nfunc main() { nothing() }\n",
    )
    .unwrap();
    let toolchains = go_toolchains();
    let output = prove(&[
        "--only",
        "1.4",
        "--go",
        &toolchains[0].version,
        "--workloads",
        folder.path().to_str().unwrap(),
        "--format",
        "json",
    ]);
    let document = document(&output);
    assert_eq!(verdicts(&document), ["1.4 classic inconclusive"]);
    let reason = document["claims"][0]["verdicts"][0]["reason"]
        .as_str()
        .unwrap();
    assert!(reason.contains("undefined: nothing"), "{reason}");
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn a_program_that_ends_otherwise_than_it_should_is_no_evidence() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("go/range");
    fs::create_dir_all(&program).unwrap();
    fs::write(folder.path().join("go/go.mod"), "module dying\n\ngo 1.19\n").unwrap();
    fs::write(
        program.join("main.go"),
        "package main\nimport \"os\"\nfunc main() { os.Stderr.WriteString(\"no luck\\n\"); os.Exit(7) }\n",
    )
    .unwrap();
    let toolchains = go_toolchains();
    let output = prove(&[
        "--only",
        "1.1,1.4",
        "--go",
        &toolchains[0].version,
        "--workloads",
        folder.path().to_str().unwrap(),
        "--format",
        "json",
    ]);
    let document = document(&output);
    assert_eq!(
        verdicts(&document),
        ["1.1 classic inconclusive", "1.4 classic inconclusive"]
    );
    let reason = document["claims"][0]["verdicts"][0]["reason"]
        .as_str()
        .unwrap();
    assert!(
        reason.contains("exited 7") && reason.contains("no luck"),
        "{reason}"
    );
    assert_eq!(output.status.code(), Some(3));
}

#[test]
fn without_any_go_its_claims_stay_open_by_name_and_how_to_get_one_is_said() {
    require_root();
    let home = tempfile::tempdir().unwrap();
    // The folders that a Go is looked for in, hidden in a mount namespace of its own.
    let hide = "for place in /usr/lib/go* /usr/local/go*; do \
                [ -d $place ] && mount -t tmpfs none $place; done; exec \"$@\"";
    let output = Command::new("unshare")
        .args([
            "--mount",
            "sh",
            "-c",
            hide,
            "sh",
            map_trace().to_str().unwrap(),
        ])
        .args(["prove", "--only", "1.4,1.7", "--format", "json"])
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HOME", home.path())
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    let document = document(&output);
    let open: Vec<_> = document["claims"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|claim| claim["verdicts"].as_array().unwrap())
        .map(|one| {
            (
                one["verdict"].as_str().unwrap(),
                one["reason"].as_str().unwrap(),
            )
        })
        .collect();
    assert!(open.len() >= 2, "{open:?}");
    for (verdict, reason) in open {
        assert_eq!(verdict, "inconclusive");
        assert!(reason.contains("no Go"), "{reason}");
    }
    let note = document["notes"][0].as_str().unwrap();
    assert!(
        note.contains("no Go") && note.contains("https://go.dev/dl/"),
        "{note}"
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_runs() {
    for (arguments, says) in [
        (&["--only", "9.9"][..], "no such claim"),
        (&["--go", "1.2"][..], "found are"),
        (&["--go", "/etc"][..], "no go command and no GOROOT"),
    ] {
        let output = prove(arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{text}");
        assert!(
            text.starts_with("map-trace: ") && text.contains(says),
            "{text}"
        );
        assert_eq!(text.lines().count(), 1, "{text}");
        assert!(output.stdout.is_empty());
    }
}

#[test]
fn the_claims_can_be_listed_without_running_anything() {
    let output = prove(&["--list"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text.lines().count() > 80, "{text}");
    assert!(text.starts_with("1.1 "), "{text}");
}
