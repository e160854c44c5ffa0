//! Judging a part of a run.

use std::io::Cursor;

use super::sessions::{HOT, MAIN, Session, hot, mprotect, sound};
use crate::claim::{Claim, Part, Setup, judge_trace};
use crate::maps::pattern::Glob;
use crate::model::Operation;
use crate::model::summary::Claim as Judged;
use crate::model::summary::VerdictWord::{Inconclusive, Refuted, Supported};
use crate::trace::TraceReader;

fn judge(run: &Session, part: Part, rule: &str) -> Judged {
    let text: String = run.text().iter().map(|line| format!("{line}\n")).collect();
    let mut reader = TraceReader::new(Cursor::new(text.into_bytes())).unwrap();
    let setup = Setup {
        claims: vec![Claim::expect(rule, 1, &[]).unwrap()],
        part,
        ..Setup::default()
    };
    judge_trace(&mut reader, setup).unwrap().claims.remove(0)
}

fn from(name: &str) -> Part {
    Part {
        from: Some(Glob::new(name)),
        ..Part::default()
    }
}

#[test]
fn what_comes_before_the_symbol_is_left_out() {
    let run = sound();
    assert_eq!(
        judge(&run, Part::default(), "mprotect == 1").verdict,
        Supported
    );
    // The call comes after the fault in hot.
    assert_eq!(judge(&run, from("hot"), "mprotect == 1").verdict, Supported);
    let until = Part {
        until: Some(Glob::new("main")),
        ..from("hot")
    };
    // The fault that begins it has main on its stack, too, so that it ends where it begins.
    let judged = judge(&run, until, "mprotect == 0");
    assert_eq!(judged.verdict, Supported, "{judged:?}");
    assert_eq!(judged.reason, "0 seen in the part that was judged");
    let judged = judge(&run, from("ho?"), "mprotect == 0");
    assert_eq!(judged.verdict, Refuted, "{judged:?}");
}

#[test]
fn a_part_that_never_begins_supports_nothing() {
    let judged = judge(&sound(), from("cold"), "mprotect == 0");
    assert_eq!(judged.verdict, Inconclusive);
    assert!(
        judged.reason.contains("no event has cold on its stack"),
        "{judged:?}"
    );
    let part = Part {
        after_ops: 5,
        ..Part::default()
    };
    let judged = judge(&sound(), part, "mprotect == 0");
    assert_eq!(judged.verdict, Inconclusive);
    assert!(
        judged
            .reason
            .contains("0 events in map operations, 5 needed"),
        "{judged:?}"
    );
}

#[test]
fn events_counted_in_groups_are_in_no_part_for_certain() {
    let judged = judge(
        &sound(),
        from("hot"),
        "page_fault where cause=first_touch <= 1",
    );
    assert_eq!(judged.verdict, Inconclusive);
    assert!(judged.reason.contains("counted in groups"), "{judged:?}");
}

#[test]
fn operations_are_left_out_by_the_events_they_made() {
    let run = sound()
        .with(mprotect(Operation::Assign, Some(MAIN)))
        .with(mprotect(Operation::Assign, Some(MAIN)))
        .with(mprotect(hot(), Some(HOT)));
    let part = |after_ops| Part {
        after_ops,
        ..Part::default()
    };
    assert_eq!(judge(&run, part(0), "mprotect == 4").verdict, Supported);
    assert_eq!(judge(&run, part(1), "mprotect == 2").verdict, Supported);
    assert_eq!(judge(&run, part(2), "mprotect == 1").verdict, Supported);
    assert_eq!(judge(&run, part(2), "mprotect == 2").verdict, Refuted);
    assert_eq!(judge(&run, part(3), "mprotect == 0").verdict, Inconclusive);
}
