//! What the engine says of a sound run, and of one that holds a counter-example.

use super::sessions::*;
use crate::claim::{Claim, Setup};
use crate::evidence::summarize;
use crate::model::event::{AggregateLine, EventKind};
use crate::model::summary::VerdictWord::{self, Inconclusive, Refuted, Supported};
use crate::model::{Cause, Operation, TraceLine};

pub fn says(session: &Session, rule: &str, verdict: VerdictWord, reason: &str) {
    let judged = session.verdict(rule);
    assert_eq!(judged.verdict, verdict, "{rule}: {}", judged.reason);
    assert!(judged.reason.contains(reason), "{rule}: {}", judged.reason);
}

#[test]
fn flags_are_asked_for_by_name() {
    let mut run = sound();
    let mut call = call(Operation::None, None);
    call.flags = Some("MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS".to_owned());
    run.lines.push(TraceLine::Mmap(Box::new(call)));
    for (rule, matches) in [
        ("mmap where flags=MAP_FIXED >= 1", true),
        ("mmap where flags=MAP_FIXED|MAP_PRIVATE >= 1", true),
        (
            "mmap where flags=MAP_PRIVATE|MAP_FIXED|MAP_ANONYMOUS >= 1",
            true,
        ),
        ("mmap where flags=MAP_FIXED|MAP_STACK >= 1", false),
        ("mmap where flags=MAP_FIXED_NOREPLACE >= 1", false),
        ("mmap where flags!=MAP_FIXED >= 1", false),
        ("mmap where flags!=MAP_STACK >= 1", true),
    ] {
        let judged = run.verdict(rule);
        assert_eq!(judged.verdict == Supported, matches, "{rule}: {judged:?}");
    }
}

#[test]
fn a_sound_run_supports_what_held_and_refutes_what_did_not() {
    let run = sound();
    for (rule, verdict, reason) in [
        (
            "mprotect during hot == 0",
            Supported,
            "0 in 10 hot operations (rate < 0.30 at 95 %)",
        ),
        ("mprotect == 1", Supported, "1 seen"),
        ("mprotect == 0", Refuted, "1 seen"),
        ("mprotect == 2", Refuted, "1 seen"),
        ("mprotect >= 2", Refuted, "1 seen"),
        ("mprotect > 0", Supported, "1 seen"),
        ("page_fault == 14", Supported, "14 seen"),
        ("page_fault < 14", Refuted, "14 seen"),
        ("page_fault during hot <= 1", Supported, "1 seen"),
        (
            "page_fault where cause=protection == 0",
            Supported,
            "0 seen",
        ),
        (
            "page_fault where cause=first_touch, mode=user == 14",
            Supported,
            "14 seen",
        ),
        (
            "page_fault where cause!=first_touch == 0",
            Supported,
            "0 seen",
        ),
        (
            "page_fault where error_code.write=true == all",
            Supported,
            "all 14 are so",
        ),
        (
            "page_fault where mode=kernel == all",
            Refuted,
            "14 of 14 are not so",
        ),
        (
            "page_fault during hot where vma.kind=heap == all",
            Supported,
            "all 1 are so",
        ),
        ("signal == 0", Supported, "0 seen"),
        (
            "signal where signal=SIGSEGV == all",
            Inconclusive,
            "no signal event was seen there",
        ),
        ("exec == 1", Supported, "1 seen"),
        ("exit where exited=0 == all", Supported, "all 1 are so"),
        (
            "mprotect where result=0, error=null == 1",
            Supported,
            "1 seen",
        ),
        (
            "mprotect where prot=r--, old_prot=rw- == 1",
            Supported,
            "1 seen",
        ),
        (
            "mprotect on 0x70001000-0x70002000 == 1",
            Supported,
            "1 seen",
        ),
        (
            "mprotect on 0x70002000-0x70003000 == 0",
            Supported,
            "0 seen",
        ),
    ] {
        says(&run, rule, verdict, reason);
    }
}

#[test]
fn none_seen_is_said_with_its_bound() {
    let run = judged(sound());
    says(
        &run,
        "signal during iterate == 0",
        Supported,
        "0 in 2,000,000 iterations (rate < 1.5e-6 at 95 %)",
    );
    says(
        &run,
        "signal during assign == 0",
        Supported,
        "0 in at least 41,200 assign operations (rate < 7.3e-5 at 95 %)",
    );
    says(
        &run,
        "signal during delete == 0",
        Supported,
        "0 seen; how often delete ran was not counted",
    );
}

#[test]
fn a_counter_example_refutes_however_incomplete_the_evidence() {
    let mut run = sound().with(mprotect(hot(), Some(HOT)));
    run.footer.loss.dropped = 12;
    run.footer.controls.clear();
    run.footer.witnesses.perf = None;
    says(&run, "mprotect during hot == 0", Refuted, "at least 1 seen");
    let mut text = run.text();
    text.pop();
    let claim = Claim::expect("mprotect during hot == 0", 1, &["hot".into()]).unwrap();
    assert_eq!(judge_text(&text, vec![claim])[0].verdict, Refuted);
}

#[test]
fn the_first_counter_example_comes_with_its_line_its_stack_and_where_to_stop() {
    let run = sound().with(mprotect(hot(), Some(HOT)));
    let judged = run.verdict("mprotect during hot == 0");
    let first = &judged.evidence[0];
    assert_eq!(
        first["text"],
        "mprotect(0x70000000, 8192, r--) at hot app.c:1 <- main app.c:2"
    );
    assert_eq!(first["gdb"], "break app.c:1");
    assert_eq!(first["line"], 14);
    assert_eq!(first["event"]["type"], "mprotect");
    assert_eq!(first["stack"][1]["function"], "main");
    let number = first["line"].as_u64().unwrap();
    assert!(run.text()[usize::try_from(number).unwrap() - 1].contains(r#""operation":"hot""#));
}

#[test]
fn a_thousand_matches_leave_a_few_examples() {
    let run = (0..1000).fold(sound(), |run, _| run.with(mprotect(hot(), Some(HOT))));
    let judged = run.verdict("mprotect during hot == 0");
    assert!(judged.reason.contains("1,000 seen"), "{}", judged.reason);
    assert_eq!(judged.evidence.len(), 5);
}

#[test]
fn an_operation_between_the_outermost_and_the_innermost_counts() {
    let mut line = mprotect(Operation::Assign, Some(NESTED));
    if let TraceLine::Mprotect(call) = &mut line {
        call.context.sub_operation = Some(Operation::Grow);
    }
    let run = sound().with(line);
    for operation in ["assign", "hot", "grow"] {
        says(
            &run,
            &format!("mprotect during {operation} == 0"),
            Refuted,
            "1 seen",
        );
    }
    says(&run, "mprotect during delete == 0", Supported, "0 seen");
}

#[test]
fn groups_count_with_their_numbers_and_hide_what_they_do_not_keep() {
    let run = sound();
    says(
        &run,
        "page_fault where cause=first_touch == 14",
        Supported,
        "14 seen",
    );
    let reason = "10 page_fault events were counted in groups without tid (first: line 13)";
    says(&run, "page_fault where tid=8 == 0", Inconclusive, reason);
    says(
        &run,
        "page_fault where vma.prot=r-- == 0",
        Inconclusive,
        "without vma.prot",
    );
    says(
        &run,
        "page_fault during hot where tid=8 == 0",
        Supported,
        "0 in 10",
    );
    says(
        &run,
        "page_fault on 0x70000000-0x70010000 == 14",
        Supported,
        "14 seen",
    );
    says(
        &run,
        "page_fault on 0x70000000-0x70001000 == 0",
        Inconclusive,
        "may be on 0x70000000-0x70001000",
    );
    says(
        &run,
        "page_fault on 0x1000-0x2000 == 0",
        Supported,
        "0 seen",
    );
}

#[test]
fn what_an_event_does_not_tell_is_neither_a_match_nor_none() {
    let run = sound().with(fault(hot(), Cause::Unknown, Some(HOT)));
    says(
        &run,
        "page_fault during hot where cause=protection == 0",
        Inconclusive,
        "do not tell cause",
    );
    says(
        &run,
        "page_fault during hot where cause=unknown == 0",
        Refuted,
        "1 seen",
    );
    says(
        &run,
        "page_fault during hot where pte.present=true == 0",
        Inconclusive,
        "do not tell pte.present",
    );
    let mut call = call(hot(), Some(HOT));
    call.result = None;
    let run = sound().with(TraceLine::Mprotect(Box::new(call)));
    says(
        &run,
        "mprotect during hot where result=0 == 0",
        Inconclusive,
        "do not tell result",
    );
    says(
        &run,
        "mprotect during hot where error!=null == 0",
        Inconclusive,
        "do not tell error",
    );
}

#[test]
fn only_a_stack_whose_code_was_judged_is_known_to_be_in_no_loop_and_no_store() {
    let run = sound();
    says(
        &run,
        "mprotect during iterate == 0",
        Inconclusive,
        "may have been in the body of a loop",
    );
    says(
        &run,
        "signal during iterate == 0",
        Supported,
        "0 in 2,000,000 iterations",
    );
    says(
        &run,
        "page_fault during assign == 0",
        Inconclusive,
        "the store of an assigned value",
    );
    let known = judged(run);
    says(
        &known,
        "mprotect during iterate == 0",
        Supported,
        "0 in 2,000,000 iterations",
    );
    says(
        &known,
        "page_fault during assign == 0",
        Supported,
        "0 in at least 41,200 assign operations",
    );
}

#[test]
fn what_happened_before_the_program_ran_was_during_nothing_of_it() {
    let mut run = sound();
    let mut loader = match stack(9, &["mprotect", "_dl_protect_relro"]) {
        TraceLine::Stack(stack) => stack,
        _ => panic!("a stack"),
    };
    for frame in &mut loader.frames {
        frame.gap = true;
        frame.module = Some("/lib64/ld-linux-x86-64.so.2".into());
    }
    let early = [TraceLine::Stack(loader), mprotect(Operation::None, Some(9))];
    run.footer.totals.insert("mprotect".into(), 2);
    run.footer.loss.counted += 1;
    run.footer.loss.delivered += 1;
    let mut late = run.clone();
    run.lines.splice(1..1, early.clone());
    says(&run, "mprotect during hot == 0", Supported, "0 in 10");
    // The same call once the program has begun: it may have been made for hot.
    late.lines.splice(10..10, early);
    says(
        &late,
        "mprotect during hot == 0",
        Inconclusive,
        "whose stack breaks off",
    );
}

#[test]
fn live_and_offline_verdicts_are_the_same() {
    let run = sound()
        .with(mprotect(hot(), Some(HOT)))
        .with(mprotect(Operation::None, None));
    let rules = [
        "mprotect during hot == 0",
        "mprotect during assign == 0",
        "page_fault == 14",
    ];
    let regions = ["hot".to_owned()];
    let claims: Vec<_> = rules
        .iter()
        .zip(1..)
        .map(|(rule, n)| Claim::expect(rule, n, &regions).unwrap())
        .collect();
    let mut judge = crate::claim::Judge::begin(
        Setup {
            claims: claims.clone(),
            regions: Vec::new(),
        },
        &run.header,
    );
    for (line, number) in run.lines.iter().zip(2..) {
        judge.line(number, line);
    }
    judge.regions(&run.footer.regions);
    let text = run.text().join("\n") + "\n";
    let mut reader =
        crate::trace::TraceReader::new(std::io::Cursor::new(text.into_bytes())).unwrap();
    let summary = summarize(&mut reader).unwrap();
    let live = judge.finish(&summary);
    assert_eq!(live, run.judge_claims(claims));
    assert_eq!(live[0].verdict, Refuted);
}

#[test]
fn samples_counted_by_group_where_nothing_is_mapped_refute_nothing() {
    let pte = serde_json::json!({"raw": "0x0", "level": "4K", "present": false, "writable": false, "user": false,
        "accessed": false, "dirty": false, "no_execute": false, "zero_page": false, "saved_dirty": false,
        "empty": true, "prot_none": false, "uffd_wp": false, "unstable": false});
    for (mapped, verdict) in [
        (None, Refuted),
        (Some(true), Refuted),
        (Some(false), Inconclusive),
    ] {
        let counted = AggregateLine {
            pte: Some(serde_json::from_value(pte.clone()).unwrap()),
            mapped,
            ..group(EventKind::PteSample, Operation::None, 3)
        };
        let run = sound().with(TraceLine::Aggregate(Box::new(counted)));
        let seen = run.verdict("pte_sample where present=false == 0");
        assert_eq!(seen.verdict, verdict, "{mapped:?}: {}", seen.reason);
    }
}
