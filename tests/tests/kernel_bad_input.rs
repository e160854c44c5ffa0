//! What goes wrong is said in one line, with the right status, and leaves nothing that looks whole.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output};

use map_trace_tests::{Session, as_nobody, c, map_trace, require_root};

/// Checks status and that stderr is one line that names what is wrong.
fn assert_refused(output: &Output, status: i32, words: &[&str]) {
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(status), "{stderr}");
    let lines: Vec<_> = stderr.lines().collect();
    assert_eq!(lines.len(), 1, "{stderr}");
    assert!(lines[0].starts_with("map-trace: "), "{stderr}");
    for word in words {
        assert!(lines[0].contains(word), "no {word:?} in: {stderr}");
    }
}

#[test]
fn a_program_that_is_not_there_is_127() {
    assert_refused(
        &Session::run("/no/such/program").output(),
        127,
        &["/no/such/program"],
    );
    assert_refused(
        &Session::run("no-such-program-anywhere").output(),
        127,
        &["no-such-program"],
    );
}

#[test]
fn what_cannot_be_executed_is_126() {
    let folder = tempfile::tempdir().unwrap();
    let text = folder.path().join("text");
    fs::write(&text, "not a program\n").unwrap();
    assert_refused(&Session::run(&text).output(), 126, &["text"]);
    assert_refused(&Session::run(folder.path()).output(), 126, &[]);

    // An ELF header of another machine: e_machine (offset 18) is AArch64, 183.
    let foreign = folder.path().join("foreign");
    let mut bytes = fs::read(c("end")).unwrap();
    bytes[18..20].copy_from_slice(&183_u16.to_le_bytes());
    fs::write(&foreign, bytes).unwrap();
    fs::set_permissions(&foreign, fs::Permissions::from_mode(0o755)).unwrap();
    assert_refused(&Session::run(&foreign).output(), 126, &["foreign"]);
}

#[test]
fn no_program_is_wrong_usage() {
    let output = Command::new(map_trace()).arg("run").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    let output = Command::new(map_trace())
        .args(["run", "--detail", "x", "--", "true"])
        .output();
    assert_eq!(output.unwrap().status.code(), Some(2));
    assert_refused(&Session::run("").output(), 127, &[]);
}

#[test]
fn an_output_that_cannot_be_written_is_said_before_the_program_runs() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("ran");
    let output = Session::run("/usr/bin/touch")
        .argument(&witness)
        .option("-o")
        .option("/no/such/folder/trace.jsonl")
        .output();
    assert_refused(&output, 125, &["/no/such/folder/trace.jsonl"]);
    assert!(!witness.exists(), "the program ran");
}

#[test]
fn a_full_disk_is_said_and_does_not_harm_the_program() {
    let folder = tempfile::tempdir().unwrap();
    let witness = folder.path().join("ran");
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o777)).unwrap();
    let output = Session::run("/usr/bin/touch")
        .argument(&witness)
        .option("-o")
        .option("/dev/full")
        .output();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("/dev/full"), "{stderr}");
    assert!(witness.exists(), "the program did not run to its end");
}

#[test]
fn an_export_that_does_not_fit_leaves_nothing_that_looks_whole() {
    let traced = Session::run(c("first_touch"))
        .argument("50")
        .traced()
        .sound();
    let folder = tempfile::tempdir().unwrap();
    let script = r#"mount -t tmpfs -o size=4k none "$1" && cd "$1" || exit 99
        for format in folded perfetto; do
            "$0" export "$2" --format $format -o $format; echo "$? $(stat -c %s $format)"
        done
        "$0" report "$2" --format json -o report; echo "$? $(stat -c %s report)""#;
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c", script])
        .arg(map_trace())
        .arg(folder.path())
        .arg(&traced.trace_file)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(said, "125 0\n125 0\n125 0\n", "{output:?}");
}

#[test]
fn without_root_the_command_that_helps_is_named() {
    require_root();
    let output = as_nobody()
        .args(["run", "--", "/bin/true"])
        .output()
        .unwrap();
    assert_refused(&output, 125, &["root", "sudo"]);
}

#[test]
fn the_doctor_needs_no_root_and_names_what_is_missing() {
    require_root();
    let output = as_nobody().arg("doctor").output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    for word in ["privilege", "sudo", "btf", "tracepoints"] {
        assert!(text.contains(word), "no {word}: {output:?}");
    }
    assert_ne!(output.status.code(), Some(0));
    let as_root = Command::new(map_trace()).arg("doctor").output().unwrap();
    assert_eq!(as_root.status.code(), Some(0), "{as_root:?}");
}

#[test]
fn a_saved_trace_is_reported_without_root() {
    let traced = Session::run(c("first_touch"))
        .argument("123")
        .compressed()
        .traced()
        .sound();
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join("trace.jsonl.zst");
    fs::copy(&traced.trace_file, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let output = as_nobody()
        .args(["report", "--format", "json"])
        .arg(&copy)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let again: map_trace::model::summary::Summary = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(again.events, traced.summary.events);
    assert_eq!(again.causes, traced.summary.causes);
    assert_eq!(again.operations, traced.summary.operations);
    assert_eq!(again.witnesses, traced.summary.witnesses);
}

#[test]
fn a_trace_cut_short_is_reported_as_such() {
    let traced = Session::run(c("first_touch"))
        .argument("50")
        .traced()
        .sound();
    let whole = fs::read(&traced.trace_file).unwrap();
    let folder = tempfile::tempdir().unwrap();
    for keep in [whole.len() - 2, whole.len() / 2] {
        let cut = folder.path().join("cut.jsonl");
        fs::write(&cut, &whole[..keep]).unwrap();
        let output = Command::new(map_trace())
            .arg("report")
            .arg(&cut)
            .output()
            .unwrap();
        let said = format!(
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
        assert!(
            said.contains("cut short"),
            "{keep} of {}: {said}",
            whole.len()
        );
    }
}
