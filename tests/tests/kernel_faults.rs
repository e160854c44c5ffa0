//! Page faults: every one is seen once, where it happened, with its cause.

use std::collections::BTreeMap;

use map_trace::model::Cause;
use map_trace::model::event::{EventKind, Mode};
use map_trace_tests::{Range, Session, Traced, c};

fn traced(program: &str, arguments: &[&str]) -> Traced {
    let traced = Session::run(c(program))
        .arguments(arguments)
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    traced
}

fn user(counts: &[(Cause, u64)]) -> BTreeMap<(Mode, Cause), u64> {
    counts
        .iter()
        .map(|(cause, count)| ((Mode::User, *cause), *count))
        .collect()
}

#[test]
fn every_first_touch_is_one_fault_in_its_page() {
    let traced = traced("first_touch", &["777"]);
    let range = traced.said.range();
    assert_eq!(
        traced.trace.causes_in(range),
        user(&[(Cause::FirstTouch, 777)])
    );
    // Nothing protected this memory: no call, and no entry that is there without being writable.
    assert_eq!(traced.trace.calls_in(EventKind::Mprotect, range).len(), 0);
    let protected = |pte: &map_trace::model::Pte| pte.present && !pte.writable;
    let faults = traced.trace.faults_in(range);
    assert!(
        !faults
            .iter()
            .filter_map(|fault| fault.pte.as_ref())
            .any(protected)
    );
    let mut pages: Vec<_> = traced
        .trace
        .faults_in(range)
        .iter()
        .map(|event| event.address.page().0)
        .collect();
    pages.dedup();
    let expected: Vec<_> = (range.start..range.end).step_by(4096).collect();
    assert_eq!(
        pages, expected,
        "one fault a page, in the order of the writes"
    );
}

#[test]
fn what_map_trace_took_of_the_program_is_told() {
    let traced = traced("first_touch", &["20000"]);
    let took = traced.summary.probe_ns.expect("it is long enough");
    // A run reads page tables and a stack: longer than 50 ns, and much shorter than all the time there was.
    assert!(took > 20_000 * 50, "{took}");
    assert!(took < traced.summary.duration_ns, "{took}");
    let idle = self::traced("first_touch", &["0"]).summary.probe_ns;
    assert!(idle.unwrap_or(0) < took, "{idle:?} {took}");
}

#[test]
fn a_program_that_touches_nothing_of_its_own_has_no_fault_there() {
    let traced = traced("first_touch", &["0"]);
    let Range { start, .. } = traced.said.range();
    let around = Range {
        start: start - 4096,
        end: start + 4096,
    };
    assert_eq!(traced.trace.faults_in(around).len(), 0);
    assert!(
        traced.summary.events.page_fault > 10,
        "a program cannot start without faults"
    );
}

#[test]
fn a_first_touch_is_a_write_to_an_empty_entry_of_a_writable_mapping() {
    let traced = traced("first_touch", &["50"]);
    let faults = traced.trace.faults_in(traced.said.range());
    assert_eq!(faults.len(), 50);
    for fault in faults {
        assert!(fault.error_code.user() && fault.error_code.write() && !fault.error_code.present());
        let vma = fault.vma.as_ref().expect("the mapping is known");
        assert_eq!(vma.prot.to_string(), "rw-");
        assert!(vma.start <= fault.address && fault.address < vma.end);
        assert!(
            traced.trace.functions(&fault.context).contains(&"main"),
            "{fault:?}"
        );
    }
}

#[test]
fn growth_that_reads_first_is_the_zero_page_and_its_copy_not_protection() {
    let traced = traced("zero_read", &["300"]);
    let expected = user(&[(Cause::ZeroPageRead, 300), (Cause::ZeroPageCow, 300)]);
    assert_eq!(traced.trace.causes_in(traced.said.range()), expected);
    assert_eq!(
        traced
            .trace
            .calls_in(EventKind::Mprotect, traced.said.range())
            .len(),
        0
    );
    assert_eq!(traced.summary.events.signal.values().sum::<u64>(), 0);
}

#[test]
fn a_copy_of_the_zero_page_has_the_error_code_of_a_protection_fault_and_the_zero_pages_entry() {
    let traced = traced("zero_read", &["20"]);
    let faults = traced.trace.faults_in(traced.said.range());
    let copies: Vec<_> = faults
        .iter()
        .filter(|fault| fault.cause == Cause::ZeroPageCow)
        .collect();
    assert_eq!(copies.len(), 20);
    for fault in copies {
        assert_eq!(fault.error_code.0, 7);
        let pte = fault.pte.expect("the entry was read");
        assert!(
            pte.present && !pte.writable && pte.zero_page && pte.user,
            "{pte:?}"
        );
    }
}

#[test]
fn faults_of_the_kernel_on_the_programs_memory_are_seen_too() {
    let traced = traced("kernel_touch", &["250"]);
    let expected = BTreeMap::from([((Mode::Kernel, Cause::FirstTouch), 250)]);
    assert_eq!(traced.trace.causes_in(traced.said.range()), expected);
    assert!(traced.summary.witnesses.tracepoint.page_fault_kernel >= 250);
}

#[test]
fn every_thread_is_followed() {
    let traced = traced("threads", &["6", "150"]);
    let faults = traced.trace.faults_in(traced.said.range());
    assert_eq!(faults.len(), 900);
    let mut by_thread = BTreeMap::new();
    for fault in faults {
        assert_eq!(fault.cause, Cause::FirstTouch);
        *by_thread.entry(fault.tid).or_insert(0) += 1;
    }
    assert_eq!(by_thread.values().copied().collect::<Vec<_>>(), [150; 6]);
    assert_eq!(traced.trace.forks().filter(|fork| fork.thread).count(), 6);
}

#[test]
fn memory_given_back_is_touched_for_the_first_time_again() {
    let traced = traced("dontneed", &["120", "3"]);
    assert_eq!(
        traced.trace.causes_in(traced.said.range()),
        user(&[(Cause::FirstTouch, 480)])
    );
    let advices = traced
        .trace
        .calls_in(EventKind::Madvise, traced.said.range());
    let gave_back = |advice: &Option<String>| advice.as_deref() == Some("MADV_DONTNEED");
    assert_eq!(
        advices
            .iter()
            .filter(|call| gave_back(&call.advice))
            .count(),
        3
    );
    assert_eq!(advices.len(), 4);
}

#[test]
fn memory_under_the_break_is_touched_like_any_other() {
    let traced = traced("brk_growth", &["90"]);
    let range = traced.said.range();
    assert_eq!(
        traced.trace.causes_in(range),
        user(&[(Cause::FirstTouch, 90)])
    );
    // The break asked for is the end of the page it makes usable.
    let asked = Range {
        start: range.start + 1,
        end: range.end + 1,
    };
    assert_eq!(traced.trace.calls_in(EventKind::Brk, asked).len(), 90);
}

#[test]
fn a_growing_stack_faults_once_a_page() {
    let traced = traced("stack_growth", &["400"]);
    let causes = traced.trace.causes_in(traced.said.range());
    assert_eq!(causes.values().sum::<u64>(), 400, "{causes:?}");
    let grown = causes
        .get(&(Mode::User, Cause::StackGrowth))
        .copied()
        .unwrap_or(0);
    let touched = causes
        .get(&(Mode::User, Cause::FirstTouch))
        .copied()
        .unwrap_or(0);
    assert_eq!(grown + touched, 400, "{causes:?}");
    assert!(
        grown >= 300,
        "the kernel gives a stack 33 pages before it grows: {causes:?}"
    );
}

#[test]
fn a_childs_copies_are_the_childs() {
    let traced = traced("fork_cow", &["110"]);
    let child = traced.said.number("child");
    let faults = traced.trace.faults_in(traced.said.range());
    let (copies, touches): (Vec<_>, Vec<_>) = faults
        .into_iter()
        .partition(|fault| u64::from(fault.pid) == child);
    assert_eq!((copies.len(), touches.len()), (110, 110));
    assert!(
        copies.iter().all(|fault| fault.cause == Cause::AnonCow),
        "{:?}",
        copies[0]
    );
    assert!(
        touches.iter().all(|fault| fault.cause == Cause::FirstTouch),
        "{:?}",
        touches[0]
    );
}

#[test]
fn a_write_to_a_private_file_page_is_a_copy_of_it() {
    let traced = traced("file_pages", &["64", "private"]);
    let causes = traced.trace.causes_in(traced.said.range());
    assert_eq!(
        causes.get(&(Mode::User, Cause::FileCow)),
        Some(&64),
        "{causes:?}"
    );
    let mapped = causes
        .get(&(Mode::User, Cause::FileMap))
        .copied()
        .unwrap_or(0);
    assert!(
        (1..=64).contains(&mapped),
        "reads map several pages at once: {causes:?}"
    );
}

#[test]
fn pages_that_moved_do_not_fault_again() {
    let traced = traced("mremap", &["5"]);
    let mut causes = traced.trace.causes_in(traced.said.range());
    // A file that lay at these addresses at another time, such as the loader's cache, is not of these pages.
    causes.remove(&(Mode::User, Cause::FileMap));
    assert_eq!(causes, user(&[(Cause::FirstTouch, 4)]));
    assert_eq!(
        traced.trace.causes_in(traced.said.range_of("other_")),
        user(&[])
    );
}

#[test]
fn a_storm_is_counted_to_the_last_fault_when_only_a_few_are_kept() {
    let traced = Session::run(c("fault_storm"))
        .argument("200000")
        .option("--detail=100")
        .traced()
        .sound();
    let expected = traced.said.number("first_touch");
    assert_eq!(expected, 216_384);
    let summary = &traced.summary;
    // What the program does besides, starting up above all, is a few hundred faults at most.
    let touches = summary.causes[&Cause::FirstTouch];
    assert!(
        (expected..expected + 500).contains(&touches),
        "{:?}",
        summary.causes
    );
    assert!(traced.trace.faults().count() < 2000, "{:?}", summary.loss);
    assert_eq!(
        summary.loss.counted,
        summary.loss.delivered + summary.loss.aggregated
    );
    let range = traced.said.range();
    let inside = |line: &&map_trace::model::event::AggregateLine| {
        range.contains(line.address_min.0) && range.contains(line.address_max.0)
    };
    let aggregated: u64 = traced
        .trace
        .aggregates()
        .filter(inside)
        .map(|line| line.count)
        .sum();
    let kept = traced
        .trace
        .faults()
        .filter(|event| range.contains(event.address.0))
        .count() as u64;
    assert_eq!(aggregated + kept, expected);
}

#[test]
fn a_fault_that_a_signal_interrupts_is_neither_minor_nor_major_and_the_witnesses_agree() {
    let traced = Session::run(c("interrupted"))
        .argument("50")
        .in_full()
        .traced()
        .sound();
    let faults = traced.trace.faults_in(traced.said.range());
    assert_eq!((faults.len(), traced.said.number("interrupted")), (50, 50));
    assert!(faults.iter().all(|fault| fault.interrupted));
    assert_eq!(traced.summary.witnesses.refused, 50);
}

#[test]
fn interrupted_faults_that_are_only_counted_are_counted_as_such() {
    let traced = Session::run(c("interrupted"))
        .argument("50")
        .option("--detail=1")
        .traced()
        .sound();
    let range = traced.said.range();
    let kept = traced
        .trace
        .faults()
        .filter(|fault| fault.interrupted && range.contains(fault.address.0))
        .count() as u64;
    let counted: u64 = traced.trace.aggregates().map(|line| line.undone).sum();
    assert!(counted > 0, "{:?}", traced.summary.loss);
    assert_eq!(kept + counted, 50);
    assert_eq!(traced.summary.witnesses.refused, 50);
}

/// The most return addresses taken of a stack, as the documentation says.
const MOST_FRAMES: usize = 127;

#[test]
fn a_stack_is_whole_up_to_127_frames_and_marked_beyond() {
    // Around what is read in one piece and in pieces of eight, and around the most.
    let depths = [
        1, 2, 8, 23, 24, 25, 31, 32, 33, 40, 64, 65, 119, 120, 121, 126, 127, 128, 129, 200,
    ];
    let arguments: Vec<_> = depths.iter().map(ToString::to_string).collect();
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let traced = traced("deep", &arguments);
    let faults = traced.trace.faults_in(traced.said.range());
    assert_eq!(faults.len(), depths.len());
    for (depth, fault) in depths.into_iter().zip(faults) {
        let id = fault.context.stack.expect("a stack");
        let stack = traced.trace.stacks().find(|stack| stack.id == id);
        let stack = stack.expect("its line");
        let callers = stack
            .frames
            .iter()
            .filter(|frame| frame.function.as_deref() == Some("caller"))
            .count();
        assert_eq!(
            (callers, stack.truncated),
            (depth.min(MOST_FRAMES), depth > MOST_FRAMES),
            "depth {depth}"
        );
    }
}
