//! Each way in which evidence can be damaged, on a claim that holds: it must not hold any more.

use super::sessions::*;
use crate::claim::{Claim, Needs, parse};
use crate::model::Operation;
use crate::model::event::EventKind;
use crate::model::summary::VerdictWord::{self, Inconclusive, Refuted, Supported};
use crate::model::summary::{Claim as Judged, CountKind};

const CLEAN: [&str; 6] = [
    "mprotect during hot == 0",
    "page_fault where cause=protection == 0",
    "signal == 0",
    "page_fault == 14",
    "mprotect >= 1",
    "page_fault where error_code.write=true == all",
];

/// Judges the clean claims after a damage to the run; none of them may be supported.
fn voids(name: &str, reason: &str, damage: impl Fn(&mut Session)) {
    let mut run = sound();
    assert!(
        run.judge(&CLEAN)
            .iter()
            .all(|judged| judged.verdict == Supported),
        "{:?}",
        run.judge(&CLEAN)
    );
    damage(&mut run);
    for judged in run.judge(&CLEAN) {
        assert_ne!(judged.verdict, Supported, "{name}: {judged:?}");
        assert!(judged.reason.contains(reason), "{name}: {judged:?}");
    }
}

#[test]
fn any_event_line_taken_out_is_noticed() {
    let run = sound();
    for (index, line) in run.lines.iter().enumerate() {
        if crate::claim::matching::EventView::of(line).is_none() {
            continue;
        }
        let mut damaged = run.clone();
        damaged.lines.remove(index);
        for judged in damaged.judge(&CLEAN) {
            assert_ne!(judged.verdict, Supported, "line {index}: {judged:?}");
        }
    }
}

#[test]
fn every_kind_of_loss_voids_absence() {
    voids("dropped", "12 events were lost", |run| {
        run.footer.loss.counted += 12;
        run.footer.loss.dropped += 12;
    });
    voids("sums", "do not add up", |run| run.footer.loss.counted += 1);
    voids("undecodable", "could not be read", |run| {
        run.footer.loss.undecodable = 1
    });
    voids("mappings", "changes of mappings were lost", |run| {
        run.footer.loss.mappings = u64::MAX
    });
    voids("compat", "32-bit", |run| run.footer.loss.compat_calls = 1);
    voids("table", "table in the kernel was full", |run| {
        run.footer.loss.table_full = 1
    });
    voids("blind", "before the probes were armed", |run| {
        run.footer.loss.blind_ns = 1
    });
}

#[test]
fn ways_past_madvise_void_its_absence_alone() {
    let mut run = sound();
    let madvise = "madvise during hot == 0";
    assert_eq!(run.verdict(madvise).verdict, Supported);
    run.footer.loss.unseen_madvise = 2;
    let judged = run.verdict(madvise);
    assert_eq!(judged.verdict, Inconclusive, "{judged:?}");
    assert!(
        judged.reason.contains("2 calls of process_madvise"),
        "{judged:?}"
    );
    assert_eq!(run.verdict("mprotect during hot == 0").verdict, Supported);
}

#[test]
fn a_witness_that_disagrees_voids_absence() {
    voids("perf", "witnesses of page faults disagree", |run| {
        run.footer.witnesses.perf.as_mut().unwrap().page_faults += 1;
    });
    voids("tracepoint", "disagree", |run| {
        run.footer.witnesses.tracepoint.page_fault_user -= 1
    });
    voids("none", "no second witness", |run| {
        run.footer.witnesses.perf = None
    });
}

#[test]
fn a_trace_without_its_footer_supports_nothing() {
    let regions = ["hot".to_owned()];
    let mut text = sound().text();
    text.pop();
    let claims = CLEAN
        .iter()
        .zip(1..)
        .map(|(rule, n)| Claim::expect(rule, n, &regions).unwrap());
    for judged in judge_text(&text, claims.collect()) {
        assert_eq!(judged.verdict, Inconclusive, "{judged:?}");
        assert_eq!(judged.reason, "the trace is cut short");
    }
}

#[test]
fn a_broken_line_or_half_a_footer_supports_nothing() {
    let regions = ["hot".to_owned()];
    let text = sound().text();
    for damage in 1..text.len() {
        let mut damaged = text.clone();
        let half = damaged[damage].len() / 2;
        damaged[damage].truncate(half);
        let claims = CLEAN
            .iter()
            .zip(1..)
            .map(|(rule, n)| Claim::expect(rule, n, &regions).unwrap());
        for judged in judge_text(&damaged, claims.collect()) {
            assert_ne!(judged.verdict, Supported, "line {damage}: {judged:?}");
        }
    }
}

fn only(control: &str, change: impl Fn(&mut crate::model::summary::Control)) -> Session {
    let mut run = sound();
    let found = run
        .footer
        .controls
        .iter_mut()
        .find(|one| one.name == control);
    change(found.unwrap());
    run
}

#[test]
fn a_control_that_failed_voids_the_claims_that_depend_on_it_and_no_others() {
    for (control, rule) in [
        ("mprotect", "mprotect during hot == 0"),
        ("read-only-write", "signal == 0"),
        ("first-touch", "page_fault where mode=kernel == 0"),
        ("kernel-read", "page_fault where mode=kernel == 0"),
        ("prot-none-read", "page_fault where cause=protection == 0"),
        ("map-fixed", "mmap == 0"),
    ] {
        let needed = !(control == "first-touch" && rule.contains("kernel"));
        let failed = only(control, |one| (one.seen, one.passed) = (3, false)).verdict(rule);
        let expected = if needed { Inconclusive } else { Supported };
        assert_eq!(failed.verdict, expected, "{control}: {failed:?}");
        if needed {
            let reason = format!("control \"{control}\" failed: 3 of 4 seen");
            assert!(failed.reason.contains(&reason), "{failed:?}");
            // It says that it passed, and its numbers say otherwise.
            assert_eq!(
                only(control, |one| one.seen = 5).verdict(rule).verdict,
                Inconclusive
            );
            assert_eq!(
                only(control, |one| one.name = "other".into())
                    .verdict(rule)
                    .verdict,
                Inconclusive
            );
        }
        assert_eq!(
            only(control, |one| one.seen = 3)
                .verdict("exec == 1")
                .verdict,
            Supported
        );
    }
}

#[test]
fn a_calibration_that_failed_voids_entries_and_causes_in_both_directions() {
    let rules = [
        "page_fault where cause=protection == 0",
        "page_fault where cause=first_touch == 0",
    ];
    type Damage = (&'static str, fn(&mut Session));
    let damages: [Damage; 3] = [
        ("could not be read", |run| {
            run.footer.calibration.usable = false
        }),
        ("was not confirmed", |run| {
            run.footer.calibration.rechecked = Some(false)
        }),
        ("was not confirmed", |run| {
            run.footer.calibration.rechecked = None
        }),
    ];
    assert_eq!(verdicts(&sound().judge(&rules)), [Supported, Refuted]);
    for (reason, damage) in damages {
        let mut run = sound();
        damage(&mut run);
        for judged in run.judge(&rules) {
            assert_eq!(judged.verdict, Inconclusive);
            assert!(judged.reason.contains(reason), "{judged:?}");
        }
        assert_eq!(run.verdict("mprotect during hot == 0").verdict, Supported);
    }
    let mut run = sound();
    run.footer.calibration.zero_page = false;
    assert_eq!(
        run.verdict("page_fault where cause=zero_page_cow == 0")
            .verdict,
        Inconclusive
    );
    assert_eq!(run.verdict(rules[0]).verdict, Supported);
}

fn verdicts(judged: &[Judged]) -> Vec<VerdictWord> {
    judged.iter().map(|judged| judged.verdict).collect()
}

#[test]
fn an_event_that_could_have_been_there_does_not_undo_that_there_were_enough() {
    let run = sound()
        .with(mprotect(hot(), Some(HOT)))
        .with(mprotect(Operation::None, Some(BROKEN)));
    for rule in ["mprotect during hot >= 1", "mprotect during hot > 0"] {
        let judged = run.verdict(rule);
        assert_eq!(judged.verdict, Supported, "{rule}: {}", judged.reason);
        assert_eq!(judged.reason, "at least 1 seen");
    }
    for rule in ["mprotect during hot >= 2", "mprotect during hot == 1"] {
        assert_eq!(run.verdict(rule).verdict, Inconclusive, "{rule}");
    }
}

#[test]
fn an_event_that_could_have_been_there_keeps_a_claim_open() {
    for (event, reason) in [
        (
            mprotect(Operation::None, None),
            "1 mprotect event without a stack may have been during hot",
        ),
        (mprotect(Operation::None, Some(999)), "without a stack"),
        (
            mprotect(Operation::None, Some(BROKEN)),
            "whose stack breaks off may have been during hot",
        ),
        (
            mprotect(Operation::Runtime, Some(BROKEN)),
            "whose stack breaks off",
        ),
    ] {
        let run = sound().with(event);
        let judged = run.verdict("mprotect during hot == 0");
        assert_eq!(judged.verdict, Inconclusive);
        assert!(judged.reason.contains(reason), "{judged:?}");
        // Of another kind, or outside the rule's conditions, it changes nothing.
        assert_eq!(run.verdict("madvise during hot == 0").verdict, Supported);
        assert_eq!(
            run.verdict("mprotect during hot where prot=--- == 0")
                .verdict,
            Supported
        );
        assert_eq!(
            run.verdict("mprotect during hot >= 1").verdict,
            Inconclusive
        );
        assert_eq!(run.verdict("mprotect during hot >= 2").verdict, Refuted);
        assert_eq!(run.verdict("mprotect == 2").verdict, Supported);
    }
}

#[test]
fn a_need_that_is_not_met_keeps_a_claim_open() {
    let rule = parse("mprotect during hot == 0", &["hot".into()]).unwrap();
    let claim = |needs: Needs| Claim {
        id: "c".into(),
        statement: "c".into(),
        rule: rule.clone(),
        needs,
        expected: Supported,
    };
    let needs = |operation: Operation, count| Needs {
        operations: vec![(operation, count)],
        ..Needs::default()
    };
    let met = sound().judge_claims(vec![
        claim(needs(Operation::Iterate, 1000)),
        claim(needs(Operation::Assign, 41_200)),
    ]);
    assert_eq!(verdicts(&met), [Supported, Supported]);
    let mut run = sound();
    run.footer.counts.get_mut("assign").unwrap().kind = CountKind::None;
    for (needs, reason) in [
        (
            needs(Operation::Iterate, 2_000_001),
            "iterate ran 2,000,000 times, 2,000,001 needed",
        ),
        (
            needs(Operation::Assign, 1),
            "how often assign ran was not counted",
        ),
        (
            needs(Operation::Delete, 1),
            "how often delete ran was not counted",
        ),
        (
            Needs {
                pte_samples: Some(1),
                ..Needs::default()
            },
            "0 page-table samples, 1 needed",
        ),
        (
            Needs {
                controls: vec!["other".into()],
                ..Needs::default()
            },
            "control \"other\" was not run",
        ),
    ] {
        let judged = run.judge_claims(vec![claim(needs)]).remove(0);
        assert_eq!(judged.verdict, Inconclusive);
        assert!(judged.reason.contains(reason), "{judged:?}");
    }
}

#[test]
fn what_the_trace_does_not_record_cannot_be_absent_from_it() {
    let mut run = sound();
    run.header.probes[0].emits.retain(|word| word != "mprotect");
    let judged = run.verdict("mprotect during hot == 0");
    assert_eq!(judged.verdict, Inconclusive);
    assert!(
        judged.reason.contains("does not record mprotect events"),
        "{judged:?}"
    );
    for word in ["map_make", "iteration", "watch_hit"] {
        if crate::claim::EventWord::find(word)
            .unwrap()
            .kind()
            .is_none()
        {
            assert_eq!(
                sound().verdict(&format!("{word} == 0")).verdict,
                Inconclusive
            );
        }
    }
    assert!(EventKind::ALL.iter().any(|kind| kind.word() == "mprotect"));
}

#[test]
fn a_region_without_a_function_is_not_clean() {
    let mut run = sound();
    run.footer.regions.clear();
    assert_eq!(
        run.verdict("mprotect during hot == 0").verdict,
        Supported,
        "it was on a stack"
    );
    run.lines.retain(|line| {
        !serde_json::to_string(line)
            .unwrap()
            .contains("\"function\":\"hot\"")
    });
    run.lines.retain(|line| {
        !serde_json::to_string(line)
            .unwrap()
            .contains("\"operation\":\"hot\"")
    });
    run.footer.totals.insert("page_fault_user".into(), 13);
    run.footer.loss.counted -= 1;
    run.footer.loss.delivered -= 1;
    run.footer.witnesses.tracepoint.page_fault_user = 13;
    let perf = run.footer.witnesses.perf.as_mut().unwrap();
    (perf.page_faults, perf.minor_faults) = (13, 13);
    let judged = run.verdict("mprotect during hot == 0");
    assert_eq!(judged.verdict, Inconclusive, "{judged:?}");
    assert_eq!(
        judged.reason,
        "no function of the program is known to be in region hot"
    );
    run.footer.regions.insert("hot".into(), 2);
    assert_eq!(run.verdict("mprotect during hot == 0").verdict, Supported);
}

#[test]
fn a_recording_that_was_stopped_says_so() {
    let mut run = sound();
    run.footer.stopped_early = Some("duration".into());
    let judged = run.verdict("mprotect during hot == 0");
    assert_eq!(judged.verdict, Supported);
    assert!(
        judged
            .reason
            .ends_with("(until the recording was stopped: duration)")
    );
}
