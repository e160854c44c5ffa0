//! Attaching to a process that runs already.

#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdout, Command, Stdio};

use map_trace::model::Cause;
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
        "{:?}",
        faults[0]
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
