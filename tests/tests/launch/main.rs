//! Launching real programs: status, signals, user, environment, and what happens when the launcher dies.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

mod common;
mod refused;

use std::io::{BufRead, BufReader};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Command, Stdio};

use map_trace::target::prepare;

use common::{await_end, first_line, helper, open_directory, run, stdout};

#[test]
fn the_exit_status_is_the_programs_own() {
    for code in [0, 1, 42, 125, 126, 127, 255] {
        let output = run(&["sh", "-c", &format!("exit {code}")]);
        assert_eq!(output.status.code(), Some(code));
        assert_eq!(output.stderr, b"");
    }
}

#[test]
fn a_death_by_signal_is_128_more() {
    for (name, number) in [("SEGV", 11), ("KILL", 9), ("TERM", 15)] {
        let output = run(&["sh", "-c", &format!("kill -{name} $$")]);
        assert_eq!(output.status.code(), Some(128 + number), "{name}");
    }
}

/// Stops itself, and is continued by its child once /proc says that it is stopped.
const STOPS_ITSELF: &str = "(until grep -q '^State:.T' /proc/$$/status; do :; done; kill -CONT $$) & \
                            kill -STOP $$; exit 7";

#[test]
fn a_stopped_and_continued_program_has_not_ended() {
    let output = run(&["sh", "-c", STOPS_ITSELF]);
    assert_eq!(output.status.code(), Some(7));
}

#[test]
fn streams_arguments_directory_and_environment_are_the_callers() {
    let directory = open_directory();
    let output = helper("run")
        .args([
            "--",
            "sh",
            "-c",
            "echo \"$1|$ODD|$(pwd -P)\"; cat",
            "x",
            " a b ",
        ])
        .env("ODD", "x=y\n z")
        .current_dir(directory.path())
        .stdin(Stdio::null())
        .output()
        .unwrap();
    let here = std::fs::canonicalize(directory.path()).unwrap();
    assert_eq!(
        stdout(&output),
        format!(" a b |x=y\n z|{}\n", here.display())
    );

    let ours = Command::new("env")
        .env_clear()
        .env("A", "1")
        .output()
        .unwrap();
    let mut launched = helper("run");
    let launched = launched
        .env_clear()
        .env("A", "1")
        .args(["--", "/usr/bin/env"]);
    assert_eq!(stdout(&launched.output().unwrap()), stdout(&ours));
}

#[test]
fn no_descriptor_of_ours_reaches_the_program() {
    let listing = stdout(&run(&["ls", "/proc/self/fd"]));
    let bare = stdout(&Command::new("ls").arg("/proc/self/fd").output().unwrap());
    assert_eq!(listing, bare);
}

#[test]
fn the_program_stays_in_our_group_and_session() {
    let fields = "read a b c d group session rest < /proc/self/stat; echo $group $session";
    let mut command = helper("run");
    // Blanks in a command name would shift the fields; sh has none.
    let output = command.args(["--", "sh", "-c", fields]).output().unwrap();
    let ours = Command::new("sh").args(["-c", fields]).output().unwrap();
    assert_eq!(stdout(&output), stdout(&ours));
}

#[test]
fn signal_dispositions_and_mask_are_the_callers_with_sigpipe_default() {
    let show = ["grep", "-E", "^Sig(Blk|Ign|Cgt)", "/proc/self/status"];
    for ignored in [&[][..], &[libc::SIGPIPE], &[libc::SIGHUP, libc::SIGPIPE]] {
        let mut bare = Command::new(show[0]);
        bare.args(&show[1..]);
        let mut launched = helper("run");
        launched.arg("--").args(show);
        let mut answers = Vec::new();
        for command in [&mut bare, &mut launched] {
            // SAFETY: signal and sigprocmask are async-signal-safe.
            unsafe {
                command.pre_exec(|| {
                    for signal in [libc::SIGHUP, libc::SIGPIPE] {
                        let wanted = if ignored.contains(&signal) {
                            libc::SIG_IGN
                        } else {
                            libc::SIG_DFL
                        };
                        libc::signal(signal, wanted);
                    }
                    let mut set = std::mem::zeroed();
                    libc::sigemptyset(&mut set);
                    libc::sigaddset(&mut set, libc::SIGUSR2);
                    libc::sigprocmask(libc::SIG_SETMASK, &set, std::ptr::null_mut());
                    Ok(())
                });
            }
            answers.push(stdout(&command.output().unwrap()));
        }
        assert_eq!(answers[0], answers[1], "ignored: {ignored:?}");
        assert!(answers[0].contains("SigBlk:\t0000000000000800"));
    }
}

#[test]
fn raised_limits_are_given_back() {
    let show = "ulimit -Sn; ulimit -Hn; ulimit -Sl; ulimit -Hl";
    let low = format!("ulimit -Sn 200; {show}; exec \"$@\"");
    let output = Command::new("bash")
        .args(["-c", &low, "x", env!("CARGO_BIN_EXE_launch-helper")])
        .args(["limits", "--", "bash", "-c", show])
        .output()
        .unwrap();
    let text = stdout(&output);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 8);
    assert_eq!(lines[..4], lines[4..]);
    assert_eq!(lines[0], "200");
}

#[test]
fn the_sudo_caller_gets_ids_groups_and_home_and_keeps_sudos_variables() {
    let output = helper("run")
        .args([
            "--",
            "sh",
            "-c",
            "id -u; id -g; id -G; echo $HOME $USER $LOGNAME $SUDO_UID",
        ])
        .env("SUDO_UID", "65534")
        .env("SUDO_GID", "65534")
        .output()
        .unwrap();
    assert_eq!(
        stdout(&output),
        "65534\n65534\n65534\n/nonexistent nobody nobody 65534\n"
    );
}

#[test]
fn as_root_and_a_named_user_overrule_sudo() {
    for (options, uid) in [
        (&["--as-root"][..], "0\n"),
        (&["--user", "nobody"], "65534\n"),
    ] {
        let output = helper("run")
            .args(options)
            .args(["--", "id", "-u"])
            .env("SUDO_UID", "1")
            .env("SUDO_GID", "1")
            .output()
            .unwrap();
        assert_eq!(stdout(&output), uid);
    }
}

#[test]
fn a_program_cannot_regain_root_after_the_drop() {
    let output = helper("run")
        .args([
            "--user",
            "nobody",
            "--",
            "grep",
            "-E",
            "^(Uid|Gid|CapEff|CapPrm)",
            "/proc/self/status",
        ])
        .output()
        .unwrap();
    let text = stdout(&output);
    assert!(text.contains("Uid:\t65534\t65534\t65534\t65534"), "{text}");
    assert!(text.contains("Gid:\t65534\t65534\t65534\t65534"), "{text}");
    assert!(text.contains("CapEff:\t0000000000000000"), "{text}");
    assert!(text.contains("CapPrm:\t0000000000000000"), "{text}");
}

#[test]
fn the_program_does_not_run_when_the_launcher_dies_before_the_release() {
    let directory = open_directory();
    let marker = directory.path().join("ran");
    let mut launcher = helper("hold")
        .args(["--", "touch", marker.to_str().unwrap()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (word, pid) = first_line(&mut launcher);
    assert_eq!(word, "suspended");
    assert!(Path::new(&format!("/proc/{pid}")).exists());
    launcher.kill().unwrap();
    assert_eq!(launcher.wait().unwrap().signal(), Some(libc::SIGKILL));
    await_end(pid);
    assert!(!marker.exists());
}

#[test]
fn the_program_runs_on_unharmed_when_the_launcher_dies_after_the_release() {
    let directory = open_directory();
    let (gate, marker) = (directory.path().join("gate"), directory.path().join("ran"));
    assert!(
        Command::new("mkfifo")
            .arg(&gate)
            .status()
            .unwrap()
            .success()
    );
    let script = format!(
        "read x < {}; echo $x > {}",
        gate.display(),
        marker.display()
    );
    let mut launcher = helper("abandon")
        .args(["--", "sh", "-c", &script])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let (word, pid) = first_line(&mut launcher);
    assert_eq!(word, "released");
    launcher.kill().unwrap();
    launcher.wait().unwrap();
    std::fs::write(&gate, "alive\n").unwrap();
    await_end(pid);
    assert_eq!(std::fs::read_to_string(&marker).unwrap(), "alive\n");
}

#[test]
fn orphans_are_reaped_with_their_usage() {
    let mut launcher = helper("orphans")
        .args([
            "--",
            "sh",
            "-c",
            "(setsid sh -c 'read x; exit 0' < /proc/self/fd/0 &) ; exit 3",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    drop(launcher.stdin.take());
    let mut line = String::new();
    let out = launcher.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    assert_eq!(launcher.wait().unwrap().code(), Some(3));
    let words: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(words[0], "orphans");
    assert!(words[1].parse::<u64>().unwrap() >= 1, "{line}");
    assert!(words[3].parse::<u64>().unwrap() > 0, "{line}");
}

#[test]
fn the_launcher_costs_the_program_few_faults() {
    let directory = open_directory();
    let usage = directory.path().join("usage");
    let output = helper("run")
        .args(["--", "true"])
        .env("LAUNCH_HELPER_USAGE", &usage)
        .output()
        .unwrap();
    assert!(output.status.success());
    let text = std::fs::read_to_string(&usage).unwrap();
    let numbers: Vec<u64> = text.split(' ').map(|word| word.parse().unwrap()).collect();
    let (all, launcher) = (numbers[0], numbers[1]);
    assert!(launcher > 0 && launcher <= 20, "{launcher} before the exec");
    assert!(all > launcher, "{all}");
}

#[test]
fn a_suspended_program_that_is_dropped_never_runs_even_while_others_hold_its_pipe() {
    let directory = open_directory();
    let marker = directory.path().join("ran");
    let touch = |name: &str| map_trace::target::Command {
        argv: ["touch", name].map(Into::into).to_vec(),
        ..map_trace::target::Command::default()
    };
    let name = marker.to_str().unwrap();
    let first = prepare(&touch(name)).unwrap().spawn().unwrap();
    // Forked later, the second holds a copy of the first's pipe.
    let second = prepare(&touch(name)).unwrap().spawn().unwrap();
    let (one, two) = (first.pid(), second.pid());
    drop(first);
    assert!(!Path::new(&format!("/proc/{one}")).exists());
    drop(second);
    assert!(!Path::new(&format!("/proc/{two}")).exists());
    assert!(!marker.exists());
}

#[test]
fn a_program_killed_while_suspended_is_an_error_that_names_the_signal() {
    let command = map_trace::target::Command {
        argv: vec!["true".into()],
        ..map_trace::target::Command::default()
    };
    let suspended = prepare(&command).unwrap().spawn().unwrap();
    // SAFETY: the process is our suspended child.
    unsafe { libc::kill(suspended.pid() as i32, libc::SIGINT) };
    await_end(suspended.pid());
    let error = suspended.release().unwrap_err();
    assert_eq!(error.code.0, 125);
    assert!(error.to_string().contains("killed by SIGINT"), "{error}");
}

#[test]
fn many_threads_launch_at_once() {
    let launch = || {
        let command = map_trace::target::Command {
            argv: ["sh", "-c", "exit 5"].map(Into::into).to_vec(),
            ..map_trace::target::Command::default()
        };
        for _ in 0..20 {
            let suspended = prepare(&command).unwrap().spawn().unwrap();
            let waited = suspended.release().unwrap().wait().unwrap();
            assert_eq!(waited.exit_code().0, 5);
        }
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(launch);
        }
    });
}
