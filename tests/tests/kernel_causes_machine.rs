//! Causes that need something of the machine: same-page merging, swap, huge pages.

use std::collections::BTreeMap;

use map_trace::model::Cause;
use map_trace::model::pte::PteLevel;
use map_trace_tests::{Session, Setting, Swap, Traced, c, skipped};

fn traced(program: &str, arguments: &[&str]) -> Traced {
    let traced = Session::run(c(program))
        .arguments(arguments)
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    traced
}

fn causes(traced: &Traced) -> BTreeMap<Cause, u64> {
    let mut counts = BTreeMap::new();
    for fault in traced.trace.faults_in(traced.said.range()) {
        *counts.entry(fault.cause).or_insert(0) += 1;
    }
    counts
}

#[test]
fn pages_that_the_kernel_merged_are_copied_on_write_without_a_fork() {
    let ksm = "/sys/kernel/mm/ksm";
    // The setting that wakes the merging last, so that it is the first to be put back.
    let settings = [
        ("sleep_millisecs", "1"),
        ("pages_to_scan", "10000"),
        ("run", "1"),
    ];
    let mut changed: Vec<_> = settings
        .iter()
        .map_while(|(name, value)| Setting::change(&format!("{ksm}/{name}"), value))
        .collect();
    if changed.len() < settings.len() {
        return skipped("same-page merging", "not in this kernel");
    }
    let traced = traced("ksm", &["40"]);
    while changed.pop().is_some() {}
    let expected = [(Cause::FirstTouch, 40), (Cause::AnonCow, 40)];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
    assert_eq!(traced.trace.forks().count(), 0);
    for fault in traced.trace.faults_in(traced.said.range()) {
        let pte = fault.pte.expect("the entry was read");
        let merged = pte.present && !pte.writable && !pte.zero_page;
        assert_eq!(merged, fault.cause == Cause::AnonCow, "{pte:?}");
    }
}

#[test]
fn pages_in_swap_are_brought_in_one_fault_each() {
    let swap = match Swap::add(2048) {
        Ok(swap) => swap,
        Err(why) => return skipped("swap", &why),
    };
    let traced = traced("swap", &["64"]);
    drop(swap);
    let expected = [(Cause::FirstTouch, 64), (Cause::SwapIn, 64)];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
    for fault in traced.trace.faults_in(traced.said.range()) {
        let pte = fault.pte.expect("the entry was read");
        assert!(!pte.present, "{pte:?}");
        assert_eq!(pte.empty, fault.cause == Cause::FirstTouch, "{pte:?}");
    }
}

#[test]
fn huge_pages_of_the_pool_are_touched_once_each_and_have_no_zero_page() {
    let setting = "/proc/sys/vm/nr_hugepages";
    let before = std::fs::read_to_string(setting).unwrap_or_default();
    let Ok(before) = before.trim().parse::<u64>() else {
        return skipped("the huge-page pool", "not in this kernel");
    };
    let wanted = (before + 6).to_string();
    let pool = Setting::change(setting, &wanted).expect("the setting is there");
    assert_eq!(pool.value(), wanted, "no memory for huge pages");
    let traced = traced("hugetlb", &["6"]);
    drop(pool);
    let expected = [(Cause::FirstTouch, 6), (Cause::AnonCow, 3)];
    assert_eq!(causes(&traced), BTreeMap::from(expected));
    for fault in traced.trace.faults_in(traced.said.range()) {
        let pte = fault.pte.expect("the entry was read");
        assert!(pte.level >= PteLevel::Pmd, "{pte:?}");
        assert_eq!(pte.present, fault.cause == Cause::AnonCow, "{pte:?}");
    }
}

#[test]
fn a_huge_page_of_zeroes_is_known_as_such_when_it_is_copied() {
    let huge = "/sys/kernel/mm/transparent_hugepage";
    let state = |name: &str| std::fs::read_to_string(format!("{huge}/{name}")).unwrap_or_default();
    let enabled = state("enabled");
    if enabled.is_empty() || enabled.contains("[never]") || state("use_zero_page").trim() != "1" {
        return skipped("the huge zero page", "transparent huge pages are off");
    }
    let traced = traced("huge", &["4", "read"]);
    let faults = traced.trace.faults_in(traced.said.range());
    let known = |cause| matches!(cause, Cause::ZeroPageRead | Cause::ZeroPageCow);
    assert!(
        faults.iter().all(|fault| known(fault.cause)),
        "{:?}",
        causes(&traced)
    );
    let of = |cause| faults.iter().filter(move |fault| fault.cause == cause);
    assert_eq!(of(Cause::ZeroPageRead).count(), 4, "{:?}", causes(&traced));
    let huge_copies = of(Cause::ZeroPageCow).filter(|fault| {
        let pte = fault.pte.expect("the entry was read");
        pte.level == PteLevel::Pmd && pte.present && pte.zero_page && !pte.writable
    });
    assert_eq!(huge_copies.count(), 4, "{:?}", causes(&traced));
}
