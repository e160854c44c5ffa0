//! What Go's runtime does of its own, and how programs end, held against what the programs and the runtime say.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::{BTreeMap, BTreeSet};

use map_trace::model::event::{EventKind, TraceLine};
use map_trace::model::runtime::{FatalErrorEvent, RuntimeEvent, what};
use map_trace::model::{Address, Operation};
use map_trace_tests::{Session, Strip, Traced, go, go_toolchains};

fn events(traced: &Traced, pid: u32) -> Vec<&RuntimeEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::Runtime(event) if event.pid == pid => Some(&**event),
            _ => None,
        })
        .collect()
}

fn of<'a>(events: &[&'a RuntimeEvent], what: &str) -> Vec<&'a RuntimeEvent> {
    let found = events.iter().filter(|event| event.what == what);
    found.copied().collect()
}

fn fatal_errors(traced: &Traced) -> Vec<&FatalErrorEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::FatalError(event) => Some(&**event),
            _ => None,
        })
        .collect()
}

fn pid(traced: &Traced) -> u32 {
    u32::try_from(traced.said.number("pid")).expect("a process id")
}

/// Collections have the numbers, the triggers and about the pauses that the runtime tells of them.
fn assert_collections(traced: &Traced, version: &str) {
    let events = events(traced, pid(traced));
    let (starts, ends) = (of(&events, what::GC_START), of(&events, what::GC_END));
    let collections = traced.said.number("collections");
    let wanted: Vec<_> = (1..=collections).map(Some).collect();
    let numbers =
        |events: &[&RuntimeEvent]| -> Vec<_> { events.iter().map(|event| event.number).collect() };
    assert_eq!(numbers(&starts), wanted, "{version}");
    assert_eq!(numbers(&ends), wanted, "{version}");
    // Seven by runtime.GC, one by debug.FreeOSMemory.
    let forced = starts
        .iter()
        .filter(|event| event.trigger.as_deref() == Some("forced"))
        .count() as u64;
    assert_eq!((forced, traced.said.number("forced")), (8, 8), "{version}");
    let gctrace = traced
        .stderr()
        .lines()
        .filter(|line| line.starts_with("gc ") && line.contains(" @"))
        .count() as u64;
    assert_eq!(gctrace, collections, "{version}");
    assert!(starts.iter().all(|event| event.write_barrier == Some(true)));
    assert!(ends.iter().all(|event| event.write_barrier == Some(false)));
    assert!(ends.iter().all(|event| event.duration_ns > Some(0)));
    let runtime = traced.summary.runtime.as_ref().expect("of the runtime");
    assert_eq!(runtime.gc_cycles, collections, "{version}");
    assert_eq!(runtime.not_told, 0, "{version}");
}

/// The world is stopped twice for each collection, and for what else the program asked.
fn assert_stops(traced: &Traced, version: &str) {
    let events = events(traced, pid(traced));
    let stops = of(&events, what::STOP);
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for stop in &stops {
        assert!(stop.duration_ns > Some(0), "{version}: {stop:?}");
        let reason = stop.reason.as_deref().unwrap_or("not known");
        *reasons.entry(reason).or_default() += 1;
    }
    let collections = traced.said.number("collections");
    let count = |reason: &str| reasons.get(reason).copied().unwrap_or(0);
    assert_eq!(
        count("GC sweep termination"),
        collections,
        "{version}: {reasons:?}"
    );
    assert!(
        count("GC mark termination") >= collections,
        "{version}: {reasons:?}"
    );
    assert_eq!(count("read mem stats"), 1, "{version}: {reasons:?}");
    let of_gc = stops.iter().filter(|stop| {
        let reason = stop.reason.as_deref();
        reason.is_some_and(|reason| reason.starts_with("GC "))
    });
    let ours: u64 = of_gc.filter_map(|stop| stop.duration_ns).sum();
    // The runtime begins to count later and ends elsewhere, and the machine has other things to do.
    let theirs = traced.said.number("pause_ns");
    let margin = 2_000_000 * collections;
    assert!(
        ours + margin >= theirs && ours <= 3 * theirs + margin,
        "{version}: {ours} of {theirs}"
    );
}

/// What is given back is what the kernel is told of, call for call; what the heap has is what the runtime says.
fn assert_memory(traced: &Traced, version: &str) {
    let pid = pid(traced);
    let events = events(traced, pid);
    let mut told: Vec<(Address, u64)> = of(&events, what::SCAVENGE)
        .iter()
        .map(|event| {
            (
                event.address.expect("an address"),
                event.bytes.expect("bytes"),
            )
        })
        .collect();
    let mut calls: Vec<(Address, u64)> = traced
        .trace
        .calls(EventKind::Madvise)
        .filter(|call| call.pid == pid)
        .filter(|call| {
            let advice = call.advice.as_deref();
            matches!(advice, Some("MADV_DONTNEED" | "MADV_FREE"))
                && traced
                    .trace
                    .functions(&call.context)
                    .contains(&"runtime.sysUnusedOS")
        })
        .map(|call| (call.address, call.length))
        .collect();
    // Two threads that release at once are told of each in its own order.
    told.sort_unstable();
    calls.sort_unstable();
    assert_eq!(told, calls, "{version}");
    let given: u64 = told.iter().map(|(_, bytes)| bytes).sum();
    assert!(
        given >= traced.said.number("given_back"),
        "{version}: {given}"
    );
    let grown: u64 = of(&events, what::HEAP_GROW)
        .iter()
        .filter_map(|event| event.bytes)
        .sum();
    let bounds = traced.said.number("heap_least")..=traced.said.number("heap_most");
    assert!(bounds.contains(&grown), "{version}: {grown} in {bounds:?}");
}

/// Each way to end is told as the runtime printed it; one that recovers is none.
fn assert_ends(traced: &Traced, version: &str) {
    let told: Vec<_> = fatal_errors(traced)
        .into_iter()
        .map(|event| (event.kind.as_str(), event.text.as_deref(), event.cut))
        .collect();
    let long = "long ".repeat(200);
    let wanted = [
        ("panic", Some("odd \u{fffd}[31mtext"), false),
        ("panic", Some(&long[..64]), true),
        ("panic", None, false),
        ("fatal", Some("sync: unlock of unlocked mutex"), false),
        (
            "fatal",
            Some("all goroutines are asleep - deadlock!"),
            false,
        ),
    ];
    assert_eq!(told, wanted, "{version}");
    let exits = |way: &str| traced.said.number(&format!("{way}_exit"));
    for way in ["panic", "long", "value", "unlock", "asleep"] {
        assert_eq!(exits(way), 2, "{version}: {way}");
    }
    assert_eq!(exits("recover"), 0, "{version}");
    assert_eq!(
        traced.said.text("asleep_text"),
        "\"fatal error: all goroutines are asleep - deadlock!\"",
        "{version}"
    );
    assert!(
        fatal_errors(traced)
            .iter()
            .all(|event| event.context.map.is_none())
    );
    let screen = traced.stderr();
    assert!(screen.contains("panic: odd \u{fffd}[31mtext"), "{screen}");
    assert!(!screen.contains("odd \x1b"), "{screen}");
    assert!(screen.contains("  runtime: "), "{screen}");
}

#[test]
fn the_runtimes_own_work_and_the_programs_end_are_told_as_they_were() {
    for toolchain in go_toolchains() {
        let traced = Session::run(go(&toolchain, Strip::Yes, "collect"))
            .in_full()
            .with(|command| {
                command.env("GODEBUG", "gctrace=1");
            })
            .traced()
            .sound();
        let version = &toolchain.version;
        assert_eq!(traced.status(), 0, "{version}: {}", traced.stderr());
        let header = traced.trace.header();
        assert!(
            header.not_probed.is_empty(),
            "{version}: {:?}",
            header.not_probed
        );
        assert_collections(&traced, version);
        assert_stops(&traced, version);
        assert_memory(&traced, version);
        assert_ends(&traced, version);
        let all = traced.trace.lines().iter();
        let misplaced = all.filter(|line| {
                matches!(line, TraceLine::Runtime(event) if event.context.operation != Operation::Runtime)
            });
        assert_eq!(misplaced.count(), 0, "{version}");
    }
}

/// The map that a process made and let grow last.
fn grown(traced: &Traced, pid: u32) -> Option<Address> {
    let lines = traced.trace.lines().iter().rev();
    lines
        .filter_map(|line| match line {
            TraceLine::MapGrow(event) if event.pid == pid => Some(event),
            _ => None,
        })
        .find(|event| {
            traced
                .trace
                .functions(&event.context)
                .contains(&"main.misuse")
        })?
        .context
        .map
}

#[test]
fn a_map_misused_is_named_with_its_goroutine_and_its_operation() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let traced = Session::run(go(&toolchain, Strip::No, "race"))
            .traced()
            .sound();
        let told = fatal_errors(&traced);
        // Two goroutines may find out before the first has ended the process.
        let mut texts: BTreeMap<u32, BTreeSet<&str>> = BTreeMap::new();
        for event in &told {
            let text = event.text.as_deref().unwrap_or("not known");
            texts.entry(event.pid).or_default().insert(text);
        }
        let mut died: Vec<u32> = told.iter().map(|event| event.pid).collect();
        died.dedup();
        let ways = ["write_write", "write_iterate", "write_read"];
        assert_eq!(died.len(), ways.len(), "{version}: {told:?}");
        for (pid, way) in died.iter().zip(ways) {
            let said = traced.said.text(&format!("{way}_text"));
            assert!(texts[pid].contains(said), "{version}: {way}, {texts:?}");
        }
        for event in &told {
            assert_eq!(event.kind, "fatal", "{version}");
            assert!(
                event.context.goroutine.is_some_and(|id| id > 1),
                "{version}: {event:?}"
            );
            assert!(event.context.map.is_some(), "{version}: {event:?}");
            assert_eq!(
                event.context.map,
                grown(&traced, event.pid),
                "{version}: {event:?}"
            );
            assert_eq!(event.map_type.as_deref(), Some("map[int]int"), "{version}");
            // The main goroutine filled the map.
            let filled = event
                .seen
                .iter()
                .any(|seen| seen.goroutine == 1 && seen.operation == "grow");
            assert!(filled, "{version}: {event:?}");
            let functions = traced.trace.functions(&event.context);
            let user = ["main.keepWriting", "main.keepRanging", "main.keepReading"];
            assert!(
                user.iter().any(|name| functions.contains(name)),
                "{version}: {functions:?}"
            );
            assert!(event.context.operation.is_map(), "{version}: {event:?}");
        }
        assert_eq!(traced.summary.fatal_errors.len(), told.len(), "{version}");
        assert_eq!(
            traced.summary.events.fatal_error,
            told.len() as u64,
            "{version}"
        );
    }
}

#[test]
fn a_program_that_ends_well_has_no_fatal_error_and_its_write_barrier_is_counted() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let traced = Session::run(go(&toolchain, Strip::No, "gc"))
            .option("--census")
            .option("full")
            .traced()
            .sound();
        assert!(traced.summary.fatal_errors.is_empty(), "{version}");
        let runtime = traced.summary.runtime.as_ref().expect("of the runtime");
        assert!(runtime.gc_cycles >= 20, "{version}: {runtime:?}");
        // Each processor's buffer is emptied before marking ends.
        let flushes = runtime.write_barrier_flushes.expect("counted");
        assert!(flushes >= runtime.gc_cycles, "{version}: {runtime:?}");
        let rows = &traced.summary.operations;
        assert!(
            rows.iter().all(|row| row.operation.word() != "flush"),
            "{version}"
        );
    }
}
