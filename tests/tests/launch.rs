//! Launching real programs: status, signals, user, environment, and what happens when the launcher dies.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};

fn helper(mode: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launch-helper"));
    command
        .arg(mode)
        .env_remove("SUDO_UID")
        .env_remove("SUDO_GID");
    command
}

fn run(arguments: &[&str]) -> Output {
    helper("run").arg("--").args(arguments).output().unwrap()
}

fn code_and_line(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (output.status.code().unwrap(), text.trim_end().to_owned())
}

fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A directory that every user may enter.
fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The first line a child prints, split at the blank.
fn first_line(child: &mut Child) -> (String, u32) {
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    let (word, pid) = line.trim_end().split_once(' ').unwrap();
    (word.to_owned(), pid.parse().unwrap())
}

/// Waits until a process that is not our child has ended.
fn await_end(pid: u32) {
    // SAFETY: pidfd_open takes two integers and returns a descriptor or -1.
    let pidfd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
    if pidfd < 0 {
        return;
    }
    let mut poll = libc::pollfd {
        fd: pidfd as i32,
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one pollfd is passed; the descriptor was just opened and is closed once.
    let ready = unsafe {
        let ready = libc::poll(&mut poll, 1, 10_000);
        libc::close(pidfd as i32);
        ready
    };
    assert_eq!(ready, 1, "process {pid} did not end");
}

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
fn what_is_not_found_is_127_with_a_reason() {
    let (code, line) = code_and_line(&run(&["no-such-program-here"]));
    assert_eq!(code, 127);
    assert!(line.contains("not in PATH"), "{line}");
    let (code, line) = code_and_line(&run(&["./no/such/file"]));
    assert_eq!(code, 127);
    assert!(line.contains("no such file"), "{line}");
    assert_eq!(code_and_line(&run(&[""])).0, 127);
}

#[test]
fn no_program_at_all_is_wrong_usage() {
    assert_eq!(code_and_line(&run(&[])).0, 2);
}

#[test]
fn what_cannot_be_executed_is_126_with_a_reason_and_a_fix() {
    let directory = open_directory();
    let here = directory.path();
    let elf = std::fs::read("/bin/true").unwrap();
    let mut foreign = elf.clone();
    foreign[18] = 183;
    let mut small = elf.clone();
    (small[4], small[18]) = (1, 3);
    let mut loaderless = elf.clone();
    let at = find(&loaderless, b"/lib64/ld-linux");
    loaderless[at + 5] = b'X';
    let cases = [
        (here.to_str().unwrap().to_owned(), "is a directory"),
        (file(here, "plain", &elf, 0o644), "chmod +x"),
        (
            file(here, "text", b"echo hi\n", 0o755),
            "map-trace run -- sh",
        ),
        (file(here, "empty", b"", 0o755), "it is empty"),
        (file(here, "arm", &foreign, 0o755), "AArch64"),
        (file(here, "x86", &small, 0o755), "32-bit"),
        (file(here, "loader", &loaderless, 0o755), "dynamic loader"),
        (
            file(here, "lost", b"#!/no/such/shell\n", 0o755),
            "/no/such/shell",
        ),
        (
            file(here, "dos", b"#!/bin/sh\r\n", 0o755),
            "carriage return",
        ),
        (file(here, "none", b"#!\n", 0o755), "without an interpreter"),
        (
            file(here, "junk", b"\xca\xfe\xba\xbe\0\0\0\0", 0o755),
            "format",
        ),
        (file(here, "cut", b"\x7fELF", 0o755), "cut short"),
        ("/dev/null".to_owned(), "not a regular file"),
    ];
    for (program, part) in cases {
        let (code, line) = code_and_line(&run(&[&program]));
        assert_eq!(code, 126, "{line}");
        assert!(line.contains(part), "{program}: {line}");
        assert!(line.starts_with("map-trace: cannot run "), "{line}");
    }
}

fn find(bytes: &[u8], part: &[u8]) -> usize {
    bytes
        .windows(part.len())
        .position(|window| window == part)
        .unwrap()
}

#[test]
fn a_program_closed_to_its_user_is_126_and_names_what_closes_it() {
    let directory = open_directory();
    let elf = std::fs::read("/bin/true").unwrap();
    let own = file(directory.path(), "own", &elf, 0o700);
    let closed = directory.path().join("closed");
    std::fs::create_dir(&closed).unwrap();
    let inside = file(&closed, "inside", &elf, 0o755);
    std::fs::set_permissions(&closed, std::fs::Permissions::from_mode(0o700)).unwrap();
    for (program, part) in [(own, "no execute permission"), (inside, "may not enter")] {
        let output = helper("run")
            .args(["--user", "nobody", "--", &program])
            .output()
            .unwrap();
        let (code, line) = code_and_line(&output);
        assert_eq!(code, 126, "{line}");
        assert!(line.contains(part), "{line}");
        assert!(run(&[&program]).status.success(), "root may run {program}");
    }
}

#[test]
fn what_only_the_kernel_finds_is_126_too() {
    let directory = open_directory();
    let busy = file(
        directory.path(),
        "busy",
        &std::fs::read("/bin/true").unwrap(),
        0o755,
    );
    let _writer = std::fs::OpenOptions::new().write(true).open(&busy).unwrap();
    let (code, line) = code_and_line(&run(&[&busy]));
    assert_eq!(code, 126);
    assert!(line.contains("open for writing"), "{line}");
    let mut damaged = std::fs::read("/bin/true").unwrap();
    damaged[32..64].fill(0xff);
    let damaged = file(directory.path(), "damaged", &damaged, 0o755);
    let (code, line) = code_and_line(&run(&[&damaged]));
    assert_eq!(code, 126);
    assert!(line.contains("format"), "{line}");
}

#[test]
fn the_search_skips_what_cannot_be_executed_like_execvp() {
    let directory = open_directory();
    let (first, second) = (directory.path().join("1"), directory.path().join("2"));
    for place in [&first, &second] {
        std::fs::create_dir(place).unwrap();
    }
    file(&first, "tool", b"#!/bin/sh\necho first\n", 0o644);
    file(&second, "tool", b"#!/bin/sh\necho second\n", 0o755);
    let path = format!("{}:{}:/bin:/usr/bin", first.display(), second.display());
    let mut command = helper("run");
    let command = command.args(["--", "tool"]).env("PATH", path);
    assert_eq!(stdout(&command.output().unwrap()), "second\n");
}

#[test]
fn an_empty_entry_of_path_is_the_current_directory() {
    let directory = open_directory();
    file(directory.path(), "tool", b"#!/bin/sh\necho here\n", 0o755);
    let mut command = helper("run");
    let command = command
        .args(["--", "tool"])
        .env("PATH", "/usr/bin::/bin")
        .current_dir(directory.path());
    assert_eq!(stdout(&command.output().unwrap()), "here\n");
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
