//! The experiments on maps under map-trace, on the oldest and the newest Go, one with classic and one with Swiss
//! maps: what a saboteur did is counted exactly, and what nobody did is not there.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use map_trace::model::Cause;
use map_trace::model::event::{Context, EventKind, Mode};
use map_trace_tests::{Flavour, GoToolchain, Session, Traced, go, go_toolchains};

fn traced(toolchain: &GoToolchain, flavour: Flavour, program: &str) -> Traced {
    let traced = Session::run(go(toolchain, flavour, program))
        .in_full()
        .traced()
        .sound();
    let version = &toolchain.version;
    assert_eq!(
        traced.status(),
        0,
        "{program}, {version}: {}",
        traced.stderr()
    );
    traced
}

/// The oldest and the newest Go.
fn both_kinds() -> [GoToolchain; 2] {
    let mut all = go_toolchains();
    let newest = all.pop().expect("a Go toolchain");
    [all.swap_remove(0), newest]
}

fn on_both_kinds(program: &str, check: impl Fn(&GoToolchain, &Traced)) {
    for toolchain in both_kinds() {
        check(&toolchain, &traced(&toolchain, Flavour::Plain, program));
    }
}

fn within(traced: &Traced, context: &Context, function: &str) -> bool {
    context.stack.is_some() && traced.trace.functions(context).contains(&function)
}

/// Memory calls of a kind with a function on the stack.
fn calls_of(traced: &Traced, kind: EventKind, function: &str) -> u64 {
    let calls = traced.trace.calls(kind);
    calls
        .filter(|call| within(traced, &call.context, function))
        .count() as u64
}

/// Calls of a kind in the range the program named, all of which must have been made by a function.
fn calls_in_range(traced: &Traced, kind: EventKind, function: &str) -> u64 {
    let calls = traced.trace.calls_in(kind, traced.said.range());
    for call in &calls {
        assert!(within(traced, &call.context, function), "{call:?}");
    }
    calls.len() as u64
}

/// Faults of one cause in the range the program named, all of which must have been met by a function.
fn faults_in_range(traced: &Traced, cause: Cause, function: &str) -> u64 {
    let faults = traced.trace.faults_in(traced.said.range());
    let faults = faults.into_iter().filter(|fault| fault.cause == cause);
    faults
        .inspect(|fault| assert!(within(traced, &fault.context, function), "{fault:?}"))
        .count() as u64
}

/// SIGSEGVs for want of permission (SEGV_ACCERR) with a function on the stack.
fn refusals(traced: &Traced, function: &str) -> u64 {
    let signals = traced.trace.signals();
    signals
        .filter(|signal| signal.signal == "SIGSEGV" && within(traced, &signal.context, function))
        .inspect(|signal| assert_eq!(signal.code, "SEGV_ACCERR"))
        .count() as u64
}

#[test]
fn a_range_that_protects_its_map_is_caught_at_every_call() {
    on_both_kinds("range_mprotect", |_, traced| {
        let calls = calls_in_range(traced, EventKind::Mprotect, "main.phaseRange");
        assert_eq!(calls, traced.said.number("mprotect"));
        assert_eq!(traced.summary.events.mprotect, calls);
        assert_eq!(traced.said.text("vma"), "r--p");
    });
}

#[test]
fn a_map_that_is_inaccessible_for_a_moment_is_caught_at_every_access() {
    on_both_kinds("range_none", |_, traced| {
        let calls = calls_in_range(traced, EventKind::Mprotect, "main.phaseRange");
        assert_eq!(calls, traced.said.number("mprotect"));
        let faults = faults_in_range(traced, Cause::Protection, "main.phaseRange");
        assert_eq!(faults, traced.said.number("faults"));
        assert_eq!(refusals(traced, "main.phaseRange"), faults);
    });
}

#[test]
fn a_mapping_put_over_a_map_is_caught_without_any_mprotect() {
    on_both_kinds("range_overlay", |_, traced| {
        let calls = calls_in_range(traced, EventKind::Mmap, "main.phaseRange");
        assert_eq!(calls, 2 * traced.said.number("overlays"));
        let faults = faults_in_range(traced, Cause::Protection, "main.phaseRange");
        assert_eq!(faults, traced.said.number("faults"));
        assert_eq!(traced.summary.events.mprotect, 0);
        assert_eq!(traced.said.number("wrong"), 0);
    });
}

#[test]
fn a_map_write_protected_by_userfaultfd_is_caught_without_any_call_that_says_so() {
    on_both_kinds("range_uffd", |toolchain, traced| {
        let faults = faults_in_range(traced, Cause::Userfaultfd, "main.phaseRange");
        assert_eq!(
            faults,
            traced.said.number("served"),
            "{}",
            toolchain.version
        );
        assert!(faults > 0);
        assert_eq!(traced.summary.events.mprotect, 0);
    });
}

#[test]
fn every_dropped_store_is_a_signal() {
    on_both_kinds("range_signal", |_, traced| {
        let signals = refusals(traced, "main.phaseRange");
        assert_eq!(signals, traced.said.number("signals"));
        let faults = faults_in_range(traced, Cause::Protection, "main.phaseRange");
        assert_eq!(faults, signals);
        assert_eq!(traced.said.text("write_ignored"), "true");
    });
}

#[test]
fn an_assign_that_lifts_the_protection_is_caught_both_ways() {
    on_both_kinds("assign_toggle", |_, traced| {
        let calls = calls_of(traced, EventKind::Mprotect, "main.phaseRangeAssign");
        assert_eq!(calls, traced.said.number("mprotect"));
        // Once over all blocks before, once after.
        assert_eq!(
            traced.summary.events.mprotect,
            calls + 2 * traced.said.number("blocks")
        );
    });
}

#[test]
fn a_growth_that_maps_memory_is_told_from_the_heaps_own() {
    on_both_kinds("grow_mmap", |_, traced| {
        let grown = traced.said.number("growths");
        assert!(grown >= 5);
        for kind in [EventKind::Mmap, EventKind::Mprotect, EventKind::Madvise] {
            let calls = match kind {
                EventKind::Madvise => calls_of(traced, kind, "main.dropMemory"),
                _ => calls_of(traced, kind, "main.mapMemory"),
            };
            assert_eq!(calls, grown, "{}", kind.word());
        }
    });
}

#[test]
fn a_range_makes_no_memory_call_however_the_program_is_linked() {
    let [_, newest] = both_kinds();
    for flavour in [Flavour::Stripped, Flavour::Pie, Flavour::External] {
        let traced = traced(&newest, flavour, "range");
        for phase in [
            "main.phaseRange",
            "main.phaseRangeAssign",
            "main.phaseOverwrite",
        ] {
            for kind in [EventKind::Mprotect, EventKind::Mmap, EventKind::Mremap] {
                assert_eq!(calls_of(&traced, kind, phase), 0, "{flavour:?}");
            }
            assert_eq!(refusals(&traced, phase), 0, "{flavour:?}");
        }
        // The names are known: what fills the map is seen by its name.
        let faults = traced.trace.faults();
        let filling = faults
            .filter(|fault| within(&traced, &fault.context, "main.phaseFill"))
            .count();
        assert!(filling > 100, "{flavour:?}: {filling}");
    }
}

#[test]
fn protection_that_is_none_of_a_maps_is_seen_and_not_charged_to_the_range() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        for (program, since) in [
            ("efence", [1, 23, 0]),
            ("arenas", [1, 23, 0]),
            ("cgo", [1, 19, 0]),
        ] {
            if toolchain.number() < since {
                continue;
            }
            let traced = traced(&toolchain, Flavour::Plain, program);
            assert!(traced.summary.events.mprotect > 0, "{program}, {version}");
            let charged = calls_of(&traced, EventKind::Mprotect, "main.phaseRange");
            assert_eq!(charged, 0, "{program}, {version}");
            let refused = traced.summary.causes.get(&Cause::Protection);
            assert_eq!(refused.copied().unwrap_or(0), 0, "{program}, {version}");
            assert_eq!(traced.said.text("vma"), "rw-p", "{program}, {version}");
        }
    }
}

#[test]
fn stores_to_protected_memory_fault_where_the_program_says_they_do() {
    on_both_kinds("fault", |toolchain, traced| {
        let version = &toolchain.version;
        assert_eq!(refusals(traced, "main.phaseOwnPage"), 1, "{version}");
        assert_eq!(refusals(traced, "main.phaseNoAccess"), 2, "{version}");
        let tried = traced.said.number("storage_tried");
        assert_eq!(refusals(traced, "main.phaseAssign"), tried, "{version}");
        let storage = traced.said.range_of("storage_");
        let causes = traced.trace.causes_in(storage);
        let refused = causes.get(&(Mode::User, Cause::Protection)).copied();
        assert_eq!(refused, Some(tried), "{version}");
    });
}

#[test]
fn overwriting_and_ranging_over_memory_that_is_there_is_no_event_at_all() {
    on_both_kinds("quiet", |toolchain, traced| {
        let version = &toolchain.version;
        let still = |context: &Context| within(traced, context, "main.phaseStill");
        let faults = traced.trace.faults();
        let writes = faults.filter(|fault| still(&fault.context) && fault.error_code.write());
        assert_eq!(writes.count(), 0, "{version}");
        for kind in [EventKind::Mprotect, EventKind::Mmap, EventKind::Munmap] {
            assert_eq!(
                calls_of(traced, kind, "main.phaseStill"),
                0,
                "{version}: {}",
                kind.word()
            );
        }
    });
}
