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
fn memory_whose_userfaultfd_was_closed_is_not_said_to_be_its() {
    let traced = traced("uffd", &["25", "closed"]);
    // Whether another process holds the descriptor is not known, so neither is the cause.
    assert_eq!(causes(&traced), BTreeMap::from([(Cause::Unknown, 25)]));
    let said = traced.summary.causes.get(&Cause::Userfaultfd);
    assert_eq!(said.copied().unwrap_or(0), 0);
}

#[test]
fn threads_that_meet_at_a_page_both_fault_and_one_of_them_for_nothing() {
    let traced = traced("race", &["2", "1000"]);
    let causes = causes(&traced);
    let known = |cause: &Cause| matches!(cause, Cause::FirstTouch | Cause::Spurious);
    assert!(causes.keys().all(known), "{causes:?}");
    let count = |cause| causes.get(&cause).copied().unwrap_or(0);
    // Both see an empty entry when they look at the same time: first touch is said of both.
    let (pages, faults) = (traced.said.number("pages"), traced.said.number("faults"));
    assert_eq!(causes.values().sum::<u64>(), faults, "{causes:?}");
    assert!(count(Cause::FirstTouch) >= pages, "{causes:?}");
    assert!(count(Cause::Spurious) <= faults - pages, "{causes:?}");
}

#[test]
fn faults_on_a_processors_old_copies_of_entries_are_spurious() {
    // Some processors look again by themselves before they fault, and then there is none: what the program counted of
    // itself decides.
    let (traced, copies) = (traced("stale_tlb", &["16", "10"]), 16 * 10);
    let spurious = traced.said.number("spurious");
    assert!(spurious <= copies, "{spurious} of {copies}");
    let mut expected = BTreeMap::from([(Cause::FirstTouch, 16), (Cause::AnonCow, copies)]);
    if spurious > 0 {
        expected.insert(Cause::Spurious, spurious);
    }
    assert_eq!(causes(&traced), expected);
    for fault in traced.trace.faults_in(traced.said.range()) {
        let pte = fault.pte.expect("the entry was read");
        let allows = pte.present && pte.writable;
        assert_eq!(allows, fault.cause == Cause::Spurious, "{pte:?}");
    }
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

#[test]
fn a_read_of_a_file_in_the_cache_maps_it_and_its_neighbours() {
    for how in ["private", "shared"] {
        let traced = traced("file_pages", &["64", how]);
        let mut expected = BTreeMap::from([(Cause::FileMap, traced.said.number("file_map"))]);
        let written = if how == "private" {
            Cause::FileCow
        } else {
            Cause::WriteNotify
        };
        expected.insert(written, 64);
        assert_eq!(causes(&traced), expected, "{how}");
    }
}

#[test]
fn reads_of_untouched_memory_then_writes_are_the_zero_page_and_its_copies() {
    let traced = traced("zero_read", &["120"]);
    let expected = [(Cause::ZeroPageRead, 120), (Cause::ZeroPageCow, 120)];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
}

#[test]
fn a_forked_childs_writes_are_copies_of_anonymous_pages() {
    let traced = traced("fork_cow", &["60"]);
    let expected = [(Cause::FirstTouch, 60), (Cause::AnonCow, 60)];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
}

#[test]
fn what_a_stack_may_have_grown_by_is_not_called_anything_else_when_it_was_only_counted() {
    let traced = Session::run(c("stack_growth"))
        .argument("1500")
        .option("--detail=5")
        .traced()
        .sound();
    let range = traced.said.range();
    let counted: Vec<_> = traced
        .trace
        .aggregates()
        .filter(|line| line.in_kernel && range.contains(line.address_min.0))
        .collect();
    assert!(counted.iter().map(|line| line.count).sum::<u64>() > 1400);
    assert!(
        counted
            .iter()
            .all(|line| line.cause == Some(Cause::Unknown)),
        "{counted:?}"
    );
}

/// The limit is that of the program's start, and not of map-trace's.
#[test]
fn a_stack_grows_as_far_as_the_program_was_allowed() {
    let script = "ulimit -s 65536 && exec \"$0\" 4000";
    let program = c("stack_growth");
    let traced = Session::run("sh")
        .arguments(&["-c", script])
        .argument(program)
        .in_full()
        .traced()
        .sound();
    let grown = traced.said.number("stack_growth");
    assert!(grown > 3900, "{grown}");
    let expected = [
        (Cause::StackGrowth, grown),
        (Cause::FirstTouch, 4000 - grown),
    ];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
}

#[test]
fn the_stack_grows_at_each_page_below_its_mapping_and_at_no_other() {
    let traced = traced("stack_growth", &["300"]);
    let grown = traced.said.number("stack_growth");
    assert!((200..=300).contains(&grown), "{grown}");
    let touched = [(Cause::FirstTouch, 300 - grown)];
    let touched = touched.into_iter().filter(|(_, count)| *count > 0);
    let expected = touched.chain([(Cause::StackGrowth, grown)]).collect();
    assert_eq!(causes(&traced), expected);
}

#[test]
fn what_the_kernel_may_not_write_for_the_program_is_protection_without_a_signal() {
    let traced = traced("efault", &["30"]);
    let causes = traced.trace.causes_in(traced.said.range());
    let expected = [
        ((Mode::User, Cause::FirstTouch), 1),
        ((Mode::Kernel, Cause::Protection), 30),
    ];
    assert_eq!(causes, BTreeMap::from(expected));
    assert_eq!(traced.summary.events.signal.values().sum::<u64>(), 0);
    assert_eq!(traced.summary.witnesses.refused, 30);
}

/// How a program's accesses are refused, with the causes of everything before them.
#[test]
fn every_refusal_has_its_cause_and_nothing_else_does() {
    // How, what it is, and first touches before.
    let cases = [
        ("accerr", Cause::Protection, 1),
        ("none", Cause::Protection, 0),
        ("nx", Cause::Protection, 1),
        // The refused write finds no page, and none is ever put there.
        ("overlay", Cause::Protection, 0),
        ("maperr", Cause::Unmapped, 0),
    ];
    for (how, refused, touched) in cases {
        let traced = traced("segv", &["20", how]);
        let expected = [(Cause::FirstTouch, touched), (refused, 20)];
        let expected = expected.into_iter().filter(|(_, count)| *count > 0);
        assert_eq!(causes(&traced), expected.collect(), "{how}");
    }
}
