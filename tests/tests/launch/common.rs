//! What the tests of launching share.

use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Child, Command, Output};

pub fn helper(mode: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_launch-helper"));
    command
        .arg(mode)
        .env_remove("SUDO_UID")
        .env_remove("SUDO_GID");
    command
}

pub fn run(arguments: &[&str]) -> Output {
    helper("run").arg("--").args(arguments).output().unwrap()
}

pub fn code_and_line(output: &Output) -> (i32, String) {
    let text = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    (output.status.code().unwrap(), text.trim_end().to_owned())
}

pub fn stdout(output: &Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn file(directory: &Path, name: &str, content: &[u8], mode: u32) -> String {
    let path = directory.join(name);
    std::fs::write(&path, content).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    path.to_str().unwrap().to_owned()
}

/// A directory that every user may enter.
pub fn open_directory() -> tempfile::TempDir {
    let directory = tempfile::tempdir().unwrap();
    std::fs::set_permissions(directory.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    directory
}

/// The first line a child prints, split at the blank.
pub fn first_line(child: &mut Child) -> (String, u32) {
    let mut line = String::new();
    let out = child.stdout.take().unwrap();
    BufReader::new(out).read_line(&mut line).unwrap();
    let (word, pid) = line.trim_end().split_once(' ').unwrap();
    (word.to_owned(), pid.parse().unwrap())
}

/// Waits until a process that is not our child has ended.
pub fn await_end(pid: u32) {
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
