//! What cannot be run: one line with the cause and the fix, and the right status.

use std::os::unix::fs::PermissionsExt;

use crate::common::{code_and_line, file, helper, open_directory, run, stdout};

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
