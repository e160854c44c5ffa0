//! The traced program is left as it would be alone: its status, streams, identity and surroundings.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::Command;

use map_trace::model::summary::Status;
use map_trace_tests::{Said, Session, c, map_trace, require_root};
use tempfile::TempDir;

#[test]
fn the_exit_status_is_the_programs_own() {
    for code in [0, 1, 2, 3, 125, 126, 127, 255] {
        let traced = Session::run(c("end"))
            .arguments(&["exit", &code.to_string()])
            .traced();
        assert_eq!(traced.status(), code);
        assert_eq!(traced.summary.program.status, Status::Exited(code));
    }
}

#[test]
fn death_by_a_signal_is_128_and_its_number() {
    for signal in [libc::SIGKILL, libc::SIGTERM, libc::SIGUSR1] {
        let traced = Session::run(c("end"))
            .arguments(&["kill", &signal.to_string()])
            .traced();
        assert_eq!(traced.status(), 128 + signal);
    }
    let traced = Session::run(c("end")).argument("abort").traced();
    assert_eq!(traced.status(), 128 + libc::SIGABRT);
    assert_eq!(
        traced.summary.program.status,
        Status::Signaled("SIGABRT".to_owned())
    );
}

#[test]
fn streams_pass_through_unchanged() {
    let bytes: Vec<u8> = (0..1_000_000_u32)
        .map(|n| n.wrapping_mul(31).to_le_bytes()[0])
        .collect();
    let traced = Session::run(c("copy")).stdin(&bytes).traced();
    assert_eq!(traced.status(), 0);
    assert!(traced.output.stdout == bytes, "stdout is not what went in");
    assert!(
        traced.stderr().contains("bytes=1000000"),
        "{}",
        traced.stderr()
    );
}

/// What the workload says of its surroundings, alone and traced.
fn alone_and_traced(prepare: impl Fn(&mut Command)) -> (Said, Said) {
    require_root();
    let program = c("surroundings");
    let mut command = Command::new(&program);
    command.args(["a b", "", "--version", "é"]);
    prepare(&mut command);
    let alone = command.output().unwrap();
    let traced = Session::run(&program)
        .arguments(&["a b", "", "--version", "é"])
        .option("--as-root")
        .with(|command| prepare(command.env_remove("RUST_BACKTRACE")))
        .traced();
    (
        Said::parse(&String::from_utf8(alone.stdout).unwrap()),
        traced.said,
    )
}

#[test]
fn arguments_directory_environment_and_identity_are_the_callers() {
    let folder = tempfile::tempdir().unwrap();
    let (alone, traced) = alone_and_traced(|command| {
        command
            .current_dir(folder.path())
            .env("WITH_SPACE", "a b=c")
            .env_remove("RUST_BACKTRACE");
    });
    assert_eq!(alone.under("env."), traced.under("env."));
    assert_eq!(traced.text("env.WITH_SPACE"), "a b=c");
    assert_eq!(alone.under("argv."), traced.under("argv."));
    for key in ["uid", "euid", "gid", "egid", "groups", "cwd", "sid"] {
        assert_eq!(alone.text(key), traced.text(key), "{key}");
    }
}

#[test]
fn no_signal_state_and_no_file_of_ours_leaks_into_the_program() {
    let (alone, traced) = alone_and_traced(|_| {});
    for prefix in ["blocked", "ignored", "fd"] {
        assert_eq!(alone.under(prefix), traced.under(prefix), "{prefix}");
    }
}

/// A copy of a workload that every user may run, wherever this repository lies: home folders are often closed.
fn open_to_all(workload: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().unwrap();
    fs::set_permissions(folder.path(), fs::Permissions::from_mode(0o755)).unwrap();
    let copy = folder.path().join(workload);
    fs::copy(c(workload), &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o755)).unwrap();
    (folder, copy)
}

#[test]
fn under_sudo_the_program_runs_as_the_caller() {
    let (_folder, program) = open_to_all("surroundings");
    let traced = Session::run(&program)
        .with(|command| {
            command
                .env("SUDO_UID", "65534")
                .env("SUDO_GID", "65534")
                .env("SUDO_USER", "nobody");
            command.env("HOME", "/root").current_dir("/");
        })
        .traced();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    for (key, value) in [
        ("uid", "65534"),
        ("euid", "65534"),
        ("gid", "65534"),
        ("cwd", "/"),
    ] {
        assert_eq!(traced.said.text(key), value, "{key}");
    }
    assert_eq!(traced.said.text("groups"), "65534");
    assert_ne!(traced.said.text("env.HOME"), "/root");
}

#[test]
fn as_root_keeps_root_under_sudo() {
    let traced = Session::run(c("surroundings"))
        .option("--as-root")
        .with(|command| {
            command
                .env("SUDO_UID", "65534")
                .env("SUDO_GID", "65534")
                .env("SUDO_USER", "nobody");
        })
        .traced();
    assert_eq!(traced.said.text("uid"), "0");
}

#[test]
fn a_named_user_is_who_the_program_runs_as() {
    let (_folder, program) = open_to_all("surroundings");
    let traced = Session::run(&program)
        .option("--user")
        .option("nobody")
        .with(|command| {
            command.current_dir("/");
        })
        .traced();
    assert_eq!(traced.said.text("uid"), "65534");
}

#[test]
fn a_program_is_found_in_the_path_as_a_shell_would() {
    let (folder, program) = open_to_all("end");
    fs::rename(&program, folder.path().join("my-program")).unwrap();
    let path = format!(
        "{}:{}",
        folder.path().display(),
        std::env::var("PATH").unwrap()
    );
    let traced = Session::run("my-program")
        .arguments(&["exit", "9"])
        .with(|command| {
            command.env("PATH", &path);
        })
        .traced();
    assert_eq!(traced.status(), 9);
}

#[test]
fn the_summary_can_go_to_stdout_after_the_programs_output() {
    require_root();
    let output = Command::new(map_trace())
        .args(["run", "--summary", "-", "--"])
        .arg(c("end"))
        .args(["exit", "4"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(4));
    let text = String::from_utf8(output.stdout).unwrap();
    let json = text
        .strip_prefix("ending=4\n")
        .unwrap_or_else(|| panic!("{text}"));
    let summary: map_trace::model::summary::Summary = serde_json::from_str(json).unwrap();
    assert_eq!(summary.program.status, Status::Exited(4));
}

#[test]
fn a_recording_ends_when_its_time_is_over_and_the_program_goes_on() {
    // The best of some: a busy machine may take longer.
    let lasted = (0..5).map(|_| {
        let traced = Session::run("/bin/sleep")
            .argument("1")
            .option("--duration")
            .option("20ms")
            .traced();
        assert_eq!(traced.status(), 0);
        assert_eq!(traced.summary.program.status, Status::Running);
        assert_eq!(traced.summary.stopped_early.as_deref(), Some("duration"));
        traced.summary.duration_ns
    });
    let least = lasted.min().unwrap();
    assert!((20_000_000..200_000_000).contains(&least), "{least} ns");
}

#[test]
fn a_script_without_a_hash_bang_is_refused_like_by_the_kernel() {
    let folder = tempfile::tempdir().unwrap();
    let script = folder.path().join("script");
    let mut file = fs::File::create(&script).unwrap();
    writeln!(file, "exit 0").unwrap();
    drop(file);
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
    let output = Session::run(&script).output();
    assert_eq!(output.status.code(), Some(126), "{output:?}");
}
