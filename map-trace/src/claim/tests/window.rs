//! The part of a run between two entries.

use std::io::Cursor;

use super::sessions::*;
use crate::claim::{AfterOperations, Claim, Setup, Window, judge_trace_within};
use crate::model::event::{EventKind, MarkEvent};
use crate::model::summary::VerdictWord::{Inconclusive, Refuted, Supported};
use crate::model::summary::{Claim as Judged, Count, CountKind, VerdictWord};
use crate::model::{Operation, TraceLine};
use crate::trace::TraceReader;

fn mark(symbol: &str, time_ns: u64) -> TraceLine {
    TraceLine::Mark(MarkEvent {
        time_ns,
        pid: 7,
        tid: 7,
        symbol: Some(symbol.to_owned()),
        after_operations: None,
        operation: None,
    })
}

fn window(from: &str, until: &str) -> Window {
    let some = |symbol: &str| (!symbol.is_empty()).then(|| symbol.to_owned());
    Window {
        from: some(from),
        until: some(until),
        after: None,
    }
}

fn judge(run: &Session, rule: &str, window: Window) -> Judged {
    let text: String = run.text().iter().map(|line| format!("{line}\n")).collect();
    let mut reader = TraceReader::new(Cursor::new(text.into_bytes())).unwrap();
    let setup = Setup {
        claims: vec![Claim::expect(rule, 1, &[]).unwrap()],
        regions: Vec::new(),
    };
    judge_trace_within(&mut reader, setup, window)
        .unwrap()
        .claims
        .remove(0)
}

/// The verdict on `mprotect == 0` over a sound run that has marks before the lines of these numbers.
fn verdict(window: Window, marks: &[(&str, usize)]) -> VerdictWord {
    let mut run = sound();
    let mut sorted = marks.to_vec();
    sorted.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
    for (symbol, at) in sorted {
        run.lines
            .insert(at, mark(symbol, u64::try_from(at).unwrap()));
    }
    judge(&run, "mprotect == 0", window).verdict
}

#[test]
fn only_events_between_the_two_entries_are_judged() {
    let lines = sound().lines;
    let protects = |line: &TraceLine| matches!(line, TraceLine::Mprotect(_));
    let first = lines.iter().position(protects).unwrap();
    let after = lines.iter().rposition(protects).unwrap() + 1;
    assert_eq!(verdict(Window::default(), &[]), Refuted);
    assert_eq!(verdict(window("work", ""), &[("work", first)]), Refuted);
    assert_eq!(verdict(window("work", ""), &[("work", after)]), Supported);
    assert_eq!(verdict(window("", "done"), &[("done", first)]), Supported);
    assert_eq!(verdict(window("", "done"), &[("done", after)]), Refuted);
    let around = [("work", first), ("done", after)];
    assert_eq!(verdict(window("work", "done"), &around), Refuted);
    let behind = [("work", after), ("done", after + 1)];
    assert_eq!(verdict(window("work", "done"), &behind), Supported);
}

#[test]
fn a_function_that_was_never_entered_leaves_the_claim_open() {
    for (from, until, marks, why) in [
        ("work", "", vec![("other", 0)], "work was never entered"),
        ("", "done", vec![], "done was never entered"),
        (
            "work",
            "done",
            vec![("done", 0), ("work", 1)],
            "done was entered before work",
        ),
    ] {
        let mut run = sound();
        for (index, (symbol, at)) in marks.iter().enumerate() {
            run.lines
                .insert(at + index, mark(symbol, u64::try_from(*at).unwrap()));
        }
        let judged = judge(&run, "signal == 0", window(from, until));
        assert_eq!(judged.verdict, Inconclusive, "{judged:?}");
        assert!(judged.reason.contains(why), "{judged:?}");
    }
}

#[test]
fn only_the_first_entry_of_each_counts() {
    let lines = sound().lines;
    let last = lines
        .iter()
        .rposition(|line| matches!(line, TraceLine::Mprotect(_)))
        .unwrap();
    let again = [
        ("work", 0),
        ("work", last + 1),
        ("done", last + 1),
        ("done", 0),
    ];
    // `done` at the start closes the window there.
    assert_eq!(verdict(window("", "done"), &again), Supported);
    assert_eq!(verdict(window("work", ""), &again), Refuted);
}

#[test]
fn a_group_that_lies_on_both_sides_of_an_entry_is_not_concluded_from() {
    for (time, expected) in [(0, Refuted), (15, Inconclusive), (1000, Supported)] {
        let mut run = sound();
        run.lines
            .retain(|line| !matches!(line, TraceLine::Mprotect(_)));
        let grouped = crate::model::event::AggregateLine {
            first_ns: 10,
            last_ns: 20,
            ..group(EventKind::Mprotect, Operation::None, 1)
        };
        run.lines.insert(0, mark("work", time));
        let run = run.with(TraceLine::Aggregate(Box::new(grouped)));
        let judged = judge(&run, "mprotect == 0", window("work", ""));
        assert_eq!(judged.verdict, expected, "{time}: {judged:?}");
    }
}

/// The verdict on `mprotect == 0` of a sound run in which so many assigns were counted, judged once 2 were over, with
/// a mark of that before the line of this number.
fn after_assigns(mark_at: Option<usize>, counted: Option<(u64, CountKind)>) -> Judged {
    let mut run = sound();
    if let Some((value, kind)) = counted {
        let count = Count { value, kind };
        run.footer.counts.insert("assign".to_owned(), count);
    } else {
        run.footer.counts.remove("assign");
    }
    if let Some(at) = mark_at {
        let noted = TraceLine::Mark(MarkEvent {
            time_ns: u64::try_from(at).unwrap(),
            pid: 7,
            tid: 7,
            symbol: None,
            after_operations: Some(2),
            operation: Some(Operation::Assign),
        });
        run.lines.insert(at, noted);
    }
    let after = AfterOperations::parse("assign=2").unwrap();
    let window = Window {
        after: Some(after),
        ..Window::default()
    };
    judge(&run, "mprotect == 0", window)
}

#[test]
fn only_events_after_a_number_of_operations_are_judged() {
    let lines = sound().lines;
    let protects = |line: &TraceLine| matches!(line, TraceLine::Mprotect(_));
    let first = lines.iter().position(protects).unwrap();
    let after = lines.iter().rposition(protects).unwrap() + 1;
    let counted = Some((100, CountKind::Exact));
    assert_eq!(after_assigns(Some(first), counted).verdict, Refuted);
    assert_eq!(after_assigns(Some(after), counted).verdict, Supported);
}

#[test]
fn a_moment_that_may_have_been_earlier_refutes_and_does_not_support() {
    let lines = sound().lines;
    let protects = |line: &TraceLine| matches!(line, TraceLine::Mprotect(_));
    let first = lines.iter().position(protects).unwrap();
    let after = lines.iter().rposition(protects).unwrap() + 1;
    let counted = Some((100, CountKind::LowerBound));
    assert_eq!(after_assigns(Some(first), counted).verdict, Refuted);
    let judged = after_assigns(Some(after), counted);
    assert_eq!(judged.verdict, Inconclusive);
    assert!(
        judged.reason.contains("not every assign is counted"),
        "{judged:?}"
    );
}

#[test]
fn operations_that_were_not_counted_or_too_few_leave_the_claim_open() {
    for (counted, why) in [
        (None, "--census full counts them"),
        (Some((2, CountKind::Exact)), "2 were counted"),
        (
            Some((3, CountKind::Exact)),
            "recorded without --after-ops assign=2",
        ),
    ] {
        let judged = after_assigns(None, counted);
        assert_eq!(judged.verdict, Inconclusive, "{judged:?}");
        assert!(judged.reason.contains(why), "{judged:?}");
    }
}

#[test]
fn a_number_of_operations_is_read_with_or_without_their_kind() {
    let all = AfterOperations::parse("1000").unwrap();
    assert_eq!((all.operation.clone(), all.count), (None, 1000));
    assert_eq!(all.operations().count(), 5);
    let some = AfterOperations::parse("delete=7").unwrap();
    assert_eq!(
        (some.operation.clone(), some.count),
        (Some(Operation::Delete), 7)
    );
    assert_eq!(some.given(), "delete=7");
    for wrong in ["", "x", "assign", "assign=", "-1", "make=3", "hot=3", "=3"] {
        assert!(AfterOperations::parse(wrong).is_err(), "{wrong}");
    }
}
