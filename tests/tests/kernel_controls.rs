//! The controls of a session, on the real kernel.

use std::collections::BTreeSet;

use map_trace::model::TraceLine;
use map_trace::model::event::EventKind;
use map_trace_tests::{Session, Traced, c};

fn controls(traced: &Traced) -> Vec<(&str, u64, u64, bool)> {
    let controls = traced.summary.controls.iter();
    controls
        .map(|control| {
            let name = control.name.as_str();
            (name, control.expected, control.seen, control.passed)
        })
        .collect()
}

#[test]
fn ten_controls_are_exact_whatever_the_detail_and_whether_children_are_followed() {
    let options = [
        ["--detail", "0"],
        ["--detail", "1"],
        ["--detail", "all"],
        ["--follow-forks", "no"],
    ];
    for [option, value] in options {
        let traced = Session::run("/bin/true")
            .option(option)
            .option(value)
            .traced();
        let copies = if option == "--follow-forks" { 4 } else { 8 };
        let expected = [
            ("first_touch", 4, 4, true),
            ("zero_page_read", 4, 4, true),
            ("zero_page_cow", 4, 4, true),
            ("mprotect", 4, 4, true),
            ("read_only_write", 4, 4, true),
            ("prot_none_read", 4, 4, true),
            ("prot_exec", 4, 4, true),
            ("map_fixed", 4, 4, true),
            ("fork_cow", copies, copies, true),
            ("kernel_read", 4, 4, true),
        ];
        assert_eq!(controls(&traced), expected, "{option} {value}");
        assert!(
            traced.stderr().contains("10 of 10 controls exact"),
            "{}",
            traced.stderr()
        );
    }
}

#[test]
fn nothing_of_the_control_child_is_among_the_programs_events() {
    let traced = Session::run(c("first_touch"))
        .argument("300")
        .in_full()
        .traced()
        .sound();
    let pids: BTreeSet<u32> = traced.trace.lines().iter().filter_map(pid).collect();
    assert_eq!(pids.len(), 1, "{pids:?}");
    let own = traced.trace.faults_in(traced.said.range());
    assert_eq!(own.len(), 300);
    // The controls make SIGSEGVs, forks and protection changes; this program makes none of these.
    assert_eq!(traced.summary.events.signal.values().sum::<u64>(), 0);
    assert_eq!(traced.trace.forks().count(), 0);
    assert_eq!(traced.trace.exits().count(), 1);
    let calls: u64 = traced.trace.calls(EventKind::Mprotect).count() as u64;
    assert_eq!(calls, traced.summary.events.mprotect);
}

fn pid(line: &TraceLine) -> Option<u32> {
    match line {
        TraceLine::PageFault(event) => Some(event.pid),
        TraceLine::Mprotect(event)
        | TraceLine::PkeyMprotect(event)
        | TraceLine::Mmap(event)
        | TraceLine::Munmap(event)
        | TraceLine::Mremap(event)
        | TraceLine::Brk(event)
        | TraceLine::Madvise(event) => Some(event.pid),
        TraceLine::Signal(event) => Some(event.pid),
        TraceLine::Fork(event) => Some(event.pid),
        TraceLine::Exec(event) => Some(event.pid),
        TraceLine::Exit(event) => Some(event.pid),
        TraceLine::Aggregate(line) => Some(line.pid),
        _ => None,
    }
}
