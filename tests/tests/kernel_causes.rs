//! Programs whose faults have one known cause.

use std::collections::BTreeMap;

use map_trace::model::Cause;
use map_trace::model::event::{EventKind, Mode};
use map_trace::model::pte::PteLevel;
use map_trace_tests::{Session, Traced, c};

fn traced(program: &str, arguments: &[&str]) -> Traced {
    let traced = Session::run(c(program))
        .arguments(arguments)
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    traced
}

/// Faults of user mode in the program's range, by cause.
fn causes(traced: &Traced) -> BTreeMap<Cause, u64> {
    let causes = traced.trace.causes_in(traced.said.range());
    causes
        .into_iter()
        .map(|((mode, cause), count)| {
            assert_eq!(mode, Mode::User, "{cause:?}");
            (cause, count)
        })
        .collect()
}

#[test]
fn pages_that_userfaultfd_brings_are_its_faults() {
    let traced = traced("uffd", &["40", "missing"]);
    assert_eq!(causes(&traced), BTreeMap::from([(Cause::Userfaultfd, 40)]));
}

#[test]
fn pages_that_userfaultfd_write_protects_are_its_faults_and_nobody_called_mprotect() {
    let traced = traced("uffd", &["40", "wp"]);
    let expected = BTreeMap::from([(Cause::FirstTouch, 40), (Cause::Userfaultfd, 40)]);
    assert_eq!(causes(&traced), expected);
    assert_eq!(
        traced
            .trace
            .calls_in(EventKind::Mprotect, traced.said.range())
            .len(),
        0
    );
    for fault in traced.trace.faults_in(traced.said.range()) {
        let pte = fault.pte.expect("the entry was read");
        assert_eq!(pte.uffd_wp, fault.cause == Cause::Userfaultfd, "{pte:?}");
    }
}

#[test]
fn threads_that_meet_at_a_page_both_fault_and_one_of_them_for_nothing() {
    let traced = traced("race", &["2", "3000"]);
    let causes = causes(&traced);
    let known = |cause: &Cause| matches!(cause, Cause::FirstTouch | Cause::Spurious);
    assert!(causes.keys().all(known), "{causes:?}");
    let total: u64 = causes.values().sum();
    assert!((3000..=6000).contains(&total), "{causes:?}");
}

#[test]
fn a_huge_page_is_one_fault_and_its_entry_a_level_up() {
    let traced = traced("huge", &["4"]);
    let (blocks, huge) = (traced.said.number("blocks"), traced.said.number("huge"));
    let faults = traced.trace.faults_in(traced.said.range());
    assert_eq!(
        faults.len() as u64,
        huge + (blocks - huge) * 512,
        "{huge} of {blocks} huge"
    );
    assert!(
        faults.iter().all(|fault| fault.cause == Cause::FirstTouch),
        "{:?}",
        faults[0]
    );
    let above = |level: PteLevel| level > PteLevel::Pte;
    let walks: Vec<_> = faults
        .iter()
        .map(|fault| fault.pte.expect("the entry was read"))
        .collect();
    let empty_above = walks
        .iter()
        .filter(|pte| above(pte.level) && pte.empty)
        .count() as u64;
    assert!(
        empty_above >= blocks,
        "the first fault of a block finds no table: {empty_above}"
    );
}

#[test]
fn a_page_that_waits_for_the_disk_is_read_and_one_in_the_cache_is_mapped() {
    let traced = traced("file_read", &["24"]);
    let cached = traced.said.number("cached");
    let causes = causes(&traced);
    let read = causes.get(&Cause::FileRead).copied().unwrap_or(0);
    let mapped = causes.get(&Cause::FileMap).copied().unwrap_or(0);
    assert_eq!(read, 24 - cached, "{causes:?}, {cached} cached");
    assert_eq!(causes.values().sum::<u64>(), read + mapped, "{causes:?}");
    let major = traced
        .summary
        .witnesses
        .perf
        .expect("perf counters work here")
        .major_faults;
    assert!(major >= read, "{major} major faults");
}

#[test]
fn the_first_write_to_a_shared_file_page_is_a_notification() {
    let traced = traced("file_pages", &["48", "shared"]);
    let causes = causes(&traced);
    assert_eq!(causes.get(&Cause::WriteNotify), Some(&48), "{causes:?}");
}
