//! The command as a user meets it: output, one-line errors, exit statuses. Nothing here needs root.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

fn map_trace(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_map-trace"));
    command
        .args(arguments)
        .env_remove("NO_COLOR")
        .stdin(Stdio::null());
    command
}

fn ran(arguments: &[&str]) -> (i32, String, String) {
    told(map_trace(arguments).output().unwrap())
}

fn told(output: Output) -> (i32, String, String) {
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (
        output.status.code().unwrap(),
        text(output.stdout),
        text(output.stderr),
    )
}

/// A saved trace of the repository.
fn saved(name: &str) -> PathBuf {
    let path = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../tests/replay")
        .join(name);
    assert!(path.is_file(), "{}", path.display());
    path
}

fn word(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// The one line of an error.
fn complaint((code, stdout, stderr): (i32, String, String), expected: i32) -> String {
    assert_eq!(code, expected, "{stderr}");
    assert_eq!(stdout, "");
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.starts_with("map-trace: "), "{stderr}");
    stderr
}

#[test]
fn help_and_version_go_to_stdout() {
    let (code, help, errors) = ran(&["--help"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(help.contains("report") && help.lines().all(|line| line.chars().count() <= 100));
    let (code, version, _) = ran(&["--version"]);
    assert_eq!(
        (code, version),
        (0, format!("map-trace {}\n", env!("CARGO_PKG_VERSION")))
    );
    let (code, help, _) = ran(&["run", "--help"]);
    assert!(code == 0 && help.contains("--follow-forks"));
}

#[test]
fn no_subcommand_is_answered_with_help_on_stderr() {
    let (code, stdout, stderr) = ran(&[]);
    assert_eq!((code, stdout.as_str()), (2, ""));
    assert!(stderr.contains("Usage: map-trace"));
}

#[test]
fn a_mistake_is_one_line_and_status_2() {
    for arguments in [
        &["frobnicate"][..],
        &["run"],
        &["run", "--bogus", "./app"],
        &["run", "--duration", "soon", "./app"],
        &["report"],
        &["report", "x", "--format", "pdf"],
        &["attach", "-p", "zero"],
    ] {
        let line = complaint(ran(arguments), 2);
        assert!(
            line.contains("wrong usage: ") && line.contains("; see map-trace"),
            "{line}"
        );
    }
}

#[test]
fn a_program_without_a_name_is_status_127() {
    complaint(ran(&["run", ""]), 127);
}

#[test]
fn a_trace_is_reported_in_every_format() {
    let trace = saved("go-growth.jsonl");
    for (format, start) in [
        ("text", "map-trace: ./grow"),
        ("json", "{\n"),
        ("markdown", "# "),
        ("html", "<!DOCTYPE"),
    ] {
        let (code, stdout, stderr) = ran(&["report", word(&trace), "--format", format]);
        assert_eq!((code, stderr.as_str()), (0, ""), "{format}");
        assert!(stdout.starts_with(start), "{format}: {stdout}");
    }
}

#[test]
fn a_report_is_saved_where_it_is_wanted() {
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("page.html");
    let trace = saved("c-protect.jsonl");
    let (code, stdout, _) = ran(&[
        "report",
        word(&trace),
        "--format",
        "html",
        "-o",
        word(&page),
    ]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(fs::read_to_string(&page).unwrap().ends_with("</html>\n"));
}

#[test]
fn a_report_does_not_replace_its_own_trace() {
    let place = tempfile::tempdir().unwrap();
    let trace = place.path().join("t.jsonl");
    fs::copy(saved("c-protect.jsonl"), &trace).unwrap();
    let before = fs::read(&trace).unwrap();
    complaint(ran(&["report", word(&trace), "-o", word(&trace)]), 2);
    assert_eq!(fs::read(&trace).unwrap(), before);
}

#[test]
fn a_trace_comes_from_stdin_too_compressed_or_not() {
    let plain = fs::read(saved("c-protect.jsonl")).unwrap();
    let place = tempfile::tempdir().unwrap();
    let from = |bytes: &[u8]| {
        let path = place.path().join("input");
        fs::write(&path, bytes).unwrap();
        let mut command = map_trace(&["report", "-", "--format", "json"]);
        told(
            command
                .stdin(fs::File::open(&path).unwrap())
                .output()
                .unwrap(),
        )
    };
    let (code, direct, _) = from(&plain);
    assert_eq!(code, 0);
    let (_, unpacked, _) = from(&zstd::encode_all(plain.as_slice(), 3).unwrap());
    assert_eq!(direct, unpacked);
}

#[test]
fn a_trace_that_is_cut_short_is_used_and_said_to_be() {
    let (code, stdout, stderr) = ran(&["report", word(&saved("go-cut-short.jsonl"))]);
    assert_eq!(code, 0);
    assert!(
        stderr.contains("is cut short: its last line is broken"),
        "{stderr}"
    );
    assert!(stdout.contains("the trace is cut short"));
}

#[test]
fn what_is_no_trace_is_said_in_one_line() {
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, bytes: &[u8]| {
        let path = place.path().join(name);
        fs::write(&path, bytes).unwrap();
        path
    };
    for (path, why) in [
        (place.path().join("none"), "No such file or directory"),
        (place.path().to_owned(), "Is a directory"),
        (file("empty", b""), "the file is empty"),
        (file("\x1b[31mtext\n", b"hello\n"), "not a trace"),
        (file("binary", &[0xff; 5000]), "not a trace"),
        (
            file("zst", b"\x28\xb5\x2f\xfd garbage"),
            "cut short inside its first line",
        ),
        (
            file(
                "newer",
                b"{\"type\":\"header\",\"schema\":\"map-trace/trace/9\"}\n",
            ),
            "map-trace/trace/9",
        ),
    ] {
        let line = complaint(ran(&["report", word(&path)]), 125);
        assert!(line.contains(why), "{line}");
        assert!(
            !line.contains('\x1b') && !line.contains("os error"),
            "{line}"
        );
    }
}

#[test]
fn an_output_that_cannot_be_made_is_found_out_before_the_program_starts() {
    let place = tempfile::tempdir().unwrap();
    let mark = place.path().join("started");
    let summary = place.path().join("none/summary.json");
    let run = ran(&["run", "--summary", word(&summary), "touch", word(&mark)]);
    let line = complaint(run, 125);
    assert!(line.contains("cannot create"), "{line}");
    assert!(!mark.exists());
}

#[test]
fn a_full_disk_is_reported() {
    let full = fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap();
    let mut command = map_trace(&["report", word(&saved("c-protect.jsonl"))]);
    let (code, _, stderr) = told(command.stdout(full).output().unwrap());
    assert_eq!(code, 125);
    assert!(
        stderr.contains("standard output: No space left on device"),
        "{stderr}"
    );
}

#[test]
fn a_reader_that_goes_away_is_no_failure() {
    let mut command = map_trace(&["report", word(&saved("c-protect.jsonl"))]);
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let (code, _, stderr) = told(command.stdout(writer).output().unwrap());
    assert_eq!((code, stderr.as_str()), (0, ""));
}

#[test]
fn colours_come_only_when_wanted() {
    let trace = saved("go-cut-short.jsonl");
    let colored = |when: &str| {
        ran(&["report", word(&trace), "--color", when])
            .1
            .contains('\x1b')
    };
    assert!(colored("always"));
    assert!(!colored("never") && !colored("auto"));
}

#[test]
fn two_traces_are_compared() {
    let (a, b) = (saved("c-protect.jsonl"), saved("go-growth.jsonl"));
    let (code, stdout, _) = ran(&["diff", word(&a), word(&b)]);
    assert_eq!(code, 0);
    assert!(
        stdout.contains("zero_page_cow") && stdout.contains("+18,513"),
        "{stdout}"
    );
    let (_, json, _) = ran(&["diff", word(&a), word(&b), "--format", "json"]);
    assert!(json.contains("\"schema\": \"map-trace/diff/1\""));
}

#[test]
fn a_trace_is_converted_for_other_tools() {
    let trace = saved("go-growth.jsonl");
    let (code, stdout, stderr) = ran(&["export", word(&trace), "--format", "folded"]);
    assert_eq!((code, stderr.as_str()), (0, ""));
    assert!(
        stdout.contains("main.main;runtime.mapassign_fast64;"),
        "{stdout}"
    );
    let place = tempfile::tempdir().unwrap();
    let page = place.path().join("app.json");
    let (code, stdout, _) = ran(&[
        "export",
        word(&trace),
        "--format",
        "perfetto",
        "-o",
        word(&page),
    ]);
    assert_eq!((code, stdout.as_str()), (0, ""));
    assert!(
        fs::read_to_string(&page)
            .unwrap()
            .starts_with("{\"displayTimeUnit\"")
    );
    let table = place.path().join("app.parquet");
    let (code, ..) = ran(&[
        "export",
        word(&trace),
        "--format",
        "parquet",
        "-o",
        word(&table),
    ]);
    assert_eq!(code, 0);
    let bytes = fs::read(&table).unwrap();
    assert!(bytes.starts_with(b"PAR1") && bytes.ends_with(b"PAR1"));
    complaint(ran(&["export", word(&trace), "--format", "arrow"]), 2);
}

#[test]
fn explain_tells_a_word_lists_all_and_names_the_nearest_of_an_unknown_one() {
    let (code, text, errors) = ran(&["explain", "error-code", "7"]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(text.contains("write"), "{text}");
    let (code, list, _) = ran(&["explain"]);
    assert_eq!(code, 0);
    assert!(list.contains("zero_page_cow") && list.contains("supported"));
    let told = complaint(ran(&["explain", "zero_page_cwo"]), 2);
    assert!(told.contains("zero_page_cow"), "{told}");
}

#[test]
fn doctor_ends_with_a_status_that_agrees_with_what_it_says() {
    let (code, text, errors) = ran(&["doctor"]);
    assert_eq!(errors, "");
    assert_eq!(code == 0, text.contains("\nTracing works"), "{text}");
    assert!(code == 0 || code == 1, "{code}");
    let (json_code, json, _) = ran(&["doctor", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["ready"], code == 0);
    assert_eq!(json_code, code);
    assert!(document["checks"].as_array().unwrap().len() > 10);
}

#[test]
fn a_binary_is_inspected_without_root_as_text_and_as_json() {
    let own = env!("CARGO_BIN_EXE_map-trace");
    let (code, text, errors) = ran(&["inspect", own]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert!(
        text.starts_with(&format!("map-trace: {own} (rust)\n")),
        "{text}"
    );
    assert!(text.contains("HashMap::insert"), "{text}");
    let (code, json, _) = ran(&["inspect", own, "--format", "json"]);
    assert_eq!(code, 0);
    let document: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(document["schema"], "map-trace/inspect/1");
    assert_eq!(document["language"], "rust");
    let first = &document["functions"][0];
    assert!(first["address"].as_str().unwrap().starts_with("0x"));
    assert!(first["probes"]["entry"]["cost_ns"].is_u64());
}

#[test]
fn what_cannot_be_inspected_is_said_in_one_line() {
    let own = env!("CARGO_BIN_EXE_map-trace");
    for (arguments, status, word) in [
        (&["inspect", "/nonexistent"][..], 125, "No such file"),
        (&["inspect", "/etc/passwd"], 125, "not an ELF file"),
        (&["inspect", "/"], 125, "regular file"),
        (&["inspect", own, "--reach", "mprotect"], 125, "not Go"),
        (&["inspect", own, "--reach", "nosuchcall"], 2, "nosuchcall"),
        (&["inspect"], 2, "BINARY"),
    ] {
        let told = complaint(ran(arguments), status);
        assert!(told.contains(word), "{told}");
    }
}

#[test]
fn completions_and_manual_pages_name_every_command() {
    for shell in ["bash", "zsh", "fish"] {
        let (code, script, errors) = ran(&["completions", shell]);
        assert_eq!((code, errors.as_str()), (0, ""), "{shell}");
        assert!(
            script.contains("inspect") && script.contains("reach"),
            "{shell}"
        );
    }
    let (code, page, _) = ran(&["man"]);
    assert_eq!(code, 0);
    assert!(page.contains(".TH") && page.contains("inspect"));
    let (code, page, _) = ran(&["man", "inspect"]);
    assert_eq!(code, 0);
    assert!(page.contains("reach"), "{page}");
    complaint(ran(&["man", "nosuch"]), 2);
    let (_, help, _) = ran(&["--help"]);
    assert!(!help.contains("completions") && !help.contains("manual page"));
}
