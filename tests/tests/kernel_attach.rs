//! Attaching to a process that runs already.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::io::{BufRead, BufReader, Write};
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ChildStdout, Command, Stdio};

use map_trace::model::Cause;
use map_trace::model::summary::Status;
use map_trace_tests::{Said, Session, Traced, c, require_root};

/// The `gated` workload, before its gate.
struct Gated {
    child: Child,
    lines: BufReader<ChildStdout>,
    said: Said,
}

impl Gated {
    fn start(pages: u32) -> Self {
        require_root();
        let mut child = Command::new(c("gated"))
            .arg(pages.to_string())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap());
        let text = read_until(&mut lines, "ready\n");
        Self {
            child,
            lines,
            said: Said::parse(&text),
        }
    }

    /// Opens the gate and waits until the pages are touched.
    fn touch(&mut self) {
        self.child.stdin.as_mut().unwrap().write_all(b"x").unwrap();
        read_until(&mut self.lines, "done\n");
    }

    fn end(&mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

fn read_until(lines: &mut impl BufRead, last: &str) -> String {
    let mut text = String::new();
    while !text.ends_with(last) {
        assert!(
            lines.read_line(&mut text).unwrap() > 0,
            "no {last:?} after: {text}"
        );
    }
    text
}

fn assert_touches(gated: &Gated, traced: &Traced, pages: usize) {
    let faults = traced.trace.faults_in(gated.said.range());
    assert_eq!(faults.len(), pages);
    assert!(
        faults.iter().all(|fault| fault.cause == Cause::FirstTouch),
        "{:?} {:?}",
        faults[0],
        traced.summary.loss
    );
    assert!(traced.summary.loss.sums(), "{:?}", traced.summary.loss);
    assert_eq!(traced.summary.loss.dropped, 0);
}

#[test]
fn what_a_process_does_after_the_attach_is_recorded_and_the_time_before_is_called_blind() {
    let mut gated = Gated::start(140);
    let mut live = Session::attach(&[gated.child.id()]).in_full().live();
    live.wait_for_error("map-trace: recording");
    gated.touch();
    gated.end();
    let traced = live.finish();
    assert_touches(&gated, &traced, 140);
    assert!(
        traced.summary.loss.blind_ns > 0,
        "{:?}",
        traced.summary.loss
    );
    assert!(
        !traced.summary.loss.complete(),
        "absence cannot be concluded from a part of a run"
    );
    assert_eq!(traced.trace.header().attached, [gated.child.id()]);
    let executables = &traced.summary.program.executables;
    assert_eq!(executables.len(), 1, "{executables:?}");
    assert_eq!(executables[0].path, c("gated").to_string_lossy());
    assert!(executables[0].build_id.is_some());
    assert_eq!(&traced.trace.header().executables, executables);
}

#[test]
fn ctrl_c_ends_the_recording_and_leaves_the_process_alone() {
    let mut gated = Gated::start(60);
    let mut live = Session::attach(&[gated.child.id()]).in_full().live();
    live.wait_for_error("map-trace: recording");
    gated.touch();
    live.signal(libc::SIGINT);
    let traced = live.finish();
    assert_touches(&gated, &traced, 60);
    gated.end();
}

#[test]
fn two_processes_are_recorded_side_by_side() {
    let (mut first, mut second) = (Gated::start(30), Gated::start(70));
    let ids = [first.child.id(), second.child.id()];
    let mut live = Session::attach(&ids).in_full().live();
    live.wait_for_error("map-trace: recording");
    first.touch();
    second.touch();
    first.end();
    second.end();
    let traced = live.finish();
    for (id, gated, pages) in [(ids[0], &first, 30), (ids[1], &second, 70)] {
        let range = gated.said.range();
        let own = |fault: &&map_trace::model::event::PageFaultEvent| {
            fault.pid == id && range.contains(fault.address.0)
        };
        assert_eq!(
            traced.trace.faults().filter(own).count(),
            pages,
            "process {id}"
        );
    }
}

#[test]
fn a_process_that_is_not_there_is_said_in_one_line() {
    let mut gone = Command::new("/bin/true").spawn().unwrap();
    let id = gone.id();
    gone.wait().unwrap();
    let output = Session::attach(&[id]).output();
    assert_eq!(output.status.code(), Some(125), "{output:?}");
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert_eq!(stderr.lines().count(), 1, "{stderr}");
    assert!(stderr.contains(&id.to_string()), "{stderr}");
}

#[test]
fn how_an_attached_process_ends_is_told_and_passed_on() {
    for (ending, status) in [("exit 7", 7), ("exit 0", 0), ("kill -KILL $$", 137)] {
        let mut shell = Command::new("/bin/sh")
            .args(["-c", &format!("read line; {ending}")])
            .stdin(Stdio::piped())
            .spawn()
            .unwrap();
        let mut live = Session::attach(&[shell.id()]).live();
        live.wait_for_error("map-trace: recording");
        drop(shell.stdin.take());
        let alone = shell.wait().unwrap();
        let traced = live.finish();
        assert_eq!(traced.status(), status, "{ending}: {}", traced.stderr());
        let told = match alone.signal() {
            Some(_) => Status::Signaled("SIGKILL".to_owned()),
            None => Status::Exited(status),
        };
        assert_eq!(traced.summary.program.status, told, "{ending}");
        assert!(!traced.stderr().contains("still running"));
    }
}

#[test]
fn a_process_without_memory_is_told_as_what_it_is() {
    require_root();
    // Thread 2 of every Linux is the kernel's.
    let mut zombie = Command::new("/bin/true").spawn().unwrap();
    let ended = |id| {
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap();
        stat.contains(") Z ")
    };
    while !ended(zombie.id()) {
        std::thread::yield_now();
    }
    for (id, words) in [(2, "thread of the kernel"), (zombie.id(), "has ended")] {
        let output = Session::attach(&[id]).output();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(125), "{stderr}");
        assert!(stderr.contains(words), "{stderr}");
    }
    zombie.wait().unwrap();
}
