//! Memory that is watched: entries sampled on a timer, words under a debug register, durations of faults.

use std::process::Command;

use map_trace::model::event::{EventKind, PteSampleEvent, TraceLine, WatchHitEvent};
use map_trace_tests::{Session, Traced, c};

fn hits(traced: &Traced) -> Vec<&WatchHitEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::WatchHit(event) => Some(&**event),
            _ => None,
        })
        .collect()
}

fn samples(traced: &Traced) -> Vec<&PteSampleEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::PteSample(event) => Some(&**event),
            _ => None,
        })
        .collect()
}

#[test]
fn a_watchpoint_sees_every_write_and_who_wrote() {
    let traced = Session::run(c("watched"))
        .argument("1000")
        .in_full()
        .option("--watch")
        .option("counter")
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    assert_eq!(traced.said.number("writes"), 1000);
    let hits = hits(&traced);
    assert_eq!(hits.len(), 1000);
    assert_eq!(traced.summary.events.watch_hit, 1000);
    for hit in hits {
        assert_eq!(hit.on.as_deref(), Some("counter"));
        assert_eq!(traced.trace.functions(&hit.context).first(), Some(&"bump"));
    }
}

#[test]
fn samples_show_the_write_bit_go_and_come_back() {
    let traced = Session::run(c("watched"))
        .argument("1")
        .in_full()
        .option("--watch-range")
        .option("block")
        .traced()
        .sound();
    let range = traced.said.range();
    let samples = samples(&traced);
    assert!(samples.len() > 100, "{}", samples.len());
    let (start, end) = (range.start, range.end);
    assert!(
        samples
            .iter()
            .all(|sample| (start..end).contains(&sample.address.0))
    );
    let writable: Vec<bool> = samples
        .iter()
        .filter(|sample| sample.pte.present)
        .map(|sample| sample.pte.writable)
        .collect();
    let changes = writable
        .windows(2)
        .filter(|pair| pair[0] != pair[1])
        .count();
    // Writable, then read-only; the program ends soon after it made them writable again.
    assert!(
        (1..=2).contains(&changes),
        "{changes} changes of the write bit"
    );
    assert!(writable[0]);
    let seen = &traced.summary.pte.total;
    assert_eq!(seen.samples, traced.summary.events.pte_sample);
    assert_eq!(seen.present, seen.writable + seen.read_only);
    assert!(seen.read_only > 0 && seen.writable > 0, "{seen:?}");
}

#[test]
fn a_program_that_never_calls_mprotect_has_no_read_only_page_in_its_range() {
    let traced = Session::run(c("threads"))
        .arguments(&["1", "2000"])
        .traced()
        .sound();
    assert_eq!(
        traced.summary.events.pte_sample, 0,
        "nothing is sampled unasked"
    );
}

#[test]
fn a_symbol_that_does_not_exist_is_said_and_the_program_is_not_left_standing() {
    let output = Session::run(c("watched"))
        .argument("1")
        .option("--watch")
        .option("nowhere")
        .output();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("nowhere") && said.contains("no such symbol"),
        "{said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}

#[test]
fn some_faults_have_a_duration_and_it_is_plausible() {
    let traced = Session::run(c("first_touch"))
        .argument("3000")
        .in_full()
        .traced()
        .sound();
    let faults = traced.trace.faults_in(traced.said.range());
    let stalls: Vec<u64> = faults.iter().filter_map(|fault| fault.stall_ns).collect();
    // One minor fault in sixty-one is measured.
    assert!(
        (3000 / 61 - 10..=3000 / 61 + 10).contains(&stalls.len()),
        "{}",
        stalls.len()
    );
    assert!(
        stalls
            .iter()
            .all(|&stall| (50..1_000_000_000).contains(&stall)),
        "{stalls:?}"
    );
}

#[test]
fn watched_memory_is_reported_with_its_mapping_flags_and_page_size() {
    let traced = Session::run(c("watched"))
        .argument("20")
        .option("--watch")
        .option("counter")
        .option("--watch-range")
        .option("block")
        .traced()
        .sound();
    let [counter, block] = &traced.summary.watched[..] else {
        panic!("two watched: {:?}", traced.summary.watched)
    };
    assert_eq!((&*counter.name, &*block.name), ("counter", "block"));
    assert_eq!(block.address.0, traced.said.range().start);
    for memory in [counter, block] {
        let facts = &memory.seen[0];
        let line = facts.mapping.as_deref().unwrap_or_default();
        assert!(line.contains(" rw-p "), "{line}");
        assert!(facts.vm_flags.iter().any(|word| word == "wr"), "{facts:?}");
        assert_eq!(facts.page_bytes, Some(4096));
        assert!(facts.page.is_some());
        assert_eq!(memory.unmapped_ns, None);
    }
    assert!(block.pte.is_some_and(|pte| pte.present));
    for word in ["counter", "block", " rw-p ", "4 KiB pages"] {
        assert!(traced.stderr().contains(word), "{}", traced.stderr());
    }
}

#[test]
fn a_program_that_unmaps_what_is_watched_is_said_to() {
    let traced = Session::run(c("unmapped"))
        .argument("10")
        .in_full()
        .option("--watch-range")
        .option("block")
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    let [block] = &traced.summary.watched[..] else {
        panic!("one watched: {:?}", traced.summary.watched)
    };
    let unmapped = block.unmapped_ns.unwrap_or(0);
    assert!(unmapped > 0, "{block:?}");
    assert!(traced.stderr().contains("UNMAPPED"), "{}", traced.stderr());
    // Of the page that is gone nothing is ever said to be there again.
    let gone = traced.said.range().start + 4096;
    let after: Vec<_> = samples(&traced)
        .into_iter()
        .filter(|sample| sample.address.0 >= gone && sample.time_ns > unmapped)
        .collect();
    assert!(!after.is_empty());
    assert!(after.iter().all(|sample| !sample.pte.present));
    // Nor is it evidence of anything: it stands in the trace and in no count.
    assert!(after.iter().all(|sample| sample.mapped == Some(false)));
    let samples = samples(&traced);
    let void = samples.iter().filter(|one| one.mapped == Some(false));
    let counted = samples.len() - void.count();
    assert_eq!(traced.summary.pte.total.samples, counted as u64);
    assert!(counted > 0);
    let first = samples
        .into_iter()
        .filter(|sample| sample.address.0 < gone && sample.time_ns > unmapped);
    assert!(first.filter(|sample| sample.pte.present).count() > 0);
}

#[test]
fn samples_that_are_only_counted_are_no_evidence_either_where_nothing_is_mapped() {
    // One in full, one held back here and most in the kernel; and all told but counted.
    for detail in ["1", "0"] {
        let traced = Session::run(c("unmapped"))
            .argument("10")
            .option("--watch-range")
            .option("block")
            .option("--detail")
            .option(detail)
            .traced();
        let void: u64 = groups(&traced, Some(false));
        assert!(void > 10, "{void}");
        let total = &traced.summary.pte.total;
        let told = samples(&traced).into_iter();
        let told = told.filter(|sample| sample.mapped != Some(false)).count();
        let counted = groups(&traced, Some(true)) + groups(&traced, None);
        assert_eq!(total.samples, told as u64 + counted, "detail {detail}");
    }
}

/// Samples counted by group of which this is said.
fn groups(traced: &Traced, mapped: Option<bool>) -> u64 {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::Aggregate(group) if group.event == EventKind::PteSample => Some(group),
            _ => None,
        })
        .filter(|group| group.mapped == mapped)
        .map(|group| group.count)
        .sum()
}

#[test]
fn a_symbol_that_is_two_is_refused_with_the_way_out() {
    let folder = tempfile::tempdir().unwrap();
    let program = folder.path().join("twice");
    let renamed = Command::new("objcopy")
        .args(["--redefine-sym", "block=counter"])
        .arg(c("watched"))
        .arg(&program)
        .status()
        .unwrap();
    assert!(renamed.success());
    let output = Session::run(program)
        .option("--watch")
        .option("counter")
        .output();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        said.contains("2 symbols of that name") && said.contains("--watch 0xADDRESS"),
        "{said}"
    );
    assert_eq!(said.trim().lines().count(), 1, "{said}");
}
