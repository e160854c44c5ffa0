//! Memory that is watched: entries sampled on a timer, words under a debug register, durations of faults.

use map_trace::model::event::{PteSampleEvent, TraceLine, WatchHitEvent};
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
