//! Operations on maps, counted: exactly with `--census full`, from below without.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::process::Command;

use map_trace::binary::Binary;
use map_trace::model::event::{MapEvent, TraceLine};
use map_trace::model::summary::{Count, CountKind};
use map_trace_tests::{GoToolchain, Said, Session, Strip, Traced, go, go_toolchains};

/// Assigns of Go's own start, and of its packages', are a few hundred.
const START: u64 = 1000;

fn count(traced: &Traced, operation: &str) -> Count {
    let rows = &traced.summary.operations;
    rows.iter()
        .find(|row| row.operation.word() == operation)
        .map(|row| row.count)
        .unwrap_or_default()
}

fn demo(toolchain: &map_trace_tests::GoToolchain, entries: &str, options: &[&str]) -> Traced {
    let session = Session::run(go(toolchain, Strip::No, "demo")).arguments(&["-n", entries]);
    options
        .iter()
        .fold(session, |session, option| session.option(option))
        .traced()
        .sound()
}

#[test]
fn a_full_census_counts_every_assign_and_every_step_of_a_loop() {
    for toolchain in go_toolchains() {
        let version = &toolchain.label();
        let runs = ["2000", "12000"].map(|n| demo(&toolchain, n, &["--census", "full"]));
        let own = runs.each_ref().map(|run| {
            let assigns = count(run, "assign");
            assert_eq!(assigns.kind, CountKind::Exact, "{version}");
            // A loop over n entries takes n + 1 steps.
            let steps = count(run, "iterate");
            let told = [
                run.said.number("assigns"),
                run.said.number("iterations") + 2,
            ];
            [assigns.value - told[0], steps.value - told[1]]
        });
        // What Go's own start does with maps is the same in both.
        assert_eq!(own[0], own[1], "{version}");
        assert!(own[0].iter().all(|own| *own < START), "{version}: {own:?}");
        let off = demo(&toolchain, "2000", &["--census", "off"]);
        assert_eq!(count(&off, "assign").kind, CountKind::None, "{version}");
    }
}

/// Nothing but the functions that make maps larger is sure to be in a program.
#[test]
fn a_program_that_loops_over_no_map_has_its_maps_known_and_counted() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let program = go(&toolchain, strip, "unlooped");
            let version = format!("{} {strip:?}", toolchain.label());
            let binary = Binary::open(&program).expect("a binary");
            for step in ["runtime.mapiternext", "internal/runtime/maps.(*Iter).Next"] {
                assert!(binary.symbol(step).is_empty(), "{version}: {step}");
            }
            let traced = Session::run(program)
                .option("--census=full")
                .traced()
                .sound();
            let assigns = count(&traced, "assign");
            assert_eq!(assigns.kind, CountKind::Exact, "{version}");
            let own = assigns.value - traced.said.number("assigns");
            assert!(own < START, "{version}: {own}");
            let lines = traced.trace.lines().iter();
            let grown = lines.filter(|line| match line {
                TraceLine::MapGrow(event) => event.map_type.as_deref() == Some("map[int]int"),
                _ => false,
            });
            assert!(grown.count() >= 5, "{version}");
        }
    }
}

#[test]
fn without_counting_there_were_at_least_as_many_assigns_as_entries() {
    for toolchain in go_toolchains() {
        let traced = demo(&toolchain, "5000", &[]);
        let (assigns, steps) = (count(&traced, "assign"), count(&traced, "iterate"));
        let version = &toolchain.label();
        assert_eq!(assigns.kind, CountKind::LowerBound, "{version}");
        assert_eq!(steps.kind, CountKind::LowerBound, "{version}");
        let told = traced.said.number("assigns");
        let bounds = 5000..=told + START;
        assert!(bounds.contains(&assigns.value), "{version}: {assigns:?}");
        assert!(steps.value >= 2, "{version}: {steps:?}");
    }
}

/// What `operations` counts of itself, and the word of the census.
const OWN: [(&str, &str); 5] = [
    ("assign", "assigns"),
    ("access", "accesses"),
    ("delete", "deletes"),
    ("iterate", "steps"),
    ("clear", "clears"),
];

/// A program that does nothing but operations on maps.
fn operations(toolchain: &GoToolchain, arguments: &[&str], options: &[&str]) -> Traced {
    let program = go(toolchain, Strip::No, "operations");
    let session = Session::run(program).arguments(arguments);
    let session = options
        .iter()
        .fold(session, |session, option| session.option(option));
    session.traced().sound()
}

fn bare(toolchain: &GoToolchain, arguments: &[&str]) -> Said {
    let program = go(toolchain, Strip::No, "operations");
    let output = Command::new(program)
        .args(arguments)
        .output()
        .expect("it runs");
    assert!(output.status.success());
    Said::parse(&String::from_utf8_lossy(&output.stdout))
}

#[test]
fn counting_by_duty_cycle_keeps_its_budget_and_costs_no_fault() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let bare = bare(&toolchain, &["-rounds", "2000"]);
        let traced = operations(&toolchain, &["-cpu", "1600ms"], &[]);
        let sample = traced
            .summary
            .census_sample
            .clone()
            .expect("it was long enough");
        assert_eq!(sample.stopped, None, "{version}");
        assert!(
            sample.bursts > 0 && !sample.hits.is_empty(),
            "{version}: {sample:?}"
        );
        assert!(
            sample.spent_ns as f64 <= sample.budget * sample.cpu_ns as f64,
            "{version}: {sample:?}"
        );
        for (word, own) in OWN {
            let (count, own) = (count(&traced, word), traced.said.number(own));
            let counted = sample.hits.get(word).copied().unwrap_or(0);
            assert!(counted <= count.value, "{version}: {word}");
            // On a busy machine not every function had its turn.
            let kind = if count.value == 0 {
                CountKind::None
            } else {
                CountKind::LowerBound
            };
            assert_eq!(count.kind, kind, "{version}: {word}");
            assert!(count.value <= own + START, "{version}: {word}: {count:?}");
        }
        // The runtime's own threads touch a page now and then, of which more in a longer run.
        let (faults, without) = (traced.said.number("faults"), bare.number("faults"));
        assert!(
            faults <= without + 8,
            "{version}: {faults}, {without} without"
        );
    }
}

#[test]
fn a_short_program_is_not_counted_in_and_no_budget_counts_nothing() {
    let toolchain = go_toolchains().pop().expect("a toolchain");
    let short = operations(&toolchain, &["-rounds", "2000"], &[]);
    assert_eq!(short.summary.census_sample, None);
    let free = operations(&toolchain, &["-cpu", "1300ms"], &["--census-budget", "0%"]);
    assert_eq!(free.summary.census_sample, None);
    let watched = ["4", "8", "16", "24"].map(|at| format!("0x7fffffff{at:0>4}"));
    let taken = watched.iter().flat_map(|place| ["--watch", place.as_str()]);
    let taken: Vec<&str> = taken.collect();
    let taken = operations(&toolchain, &["-rounds", "200"], &taken);
    assert!(
        taken
            .summary
            .not_counted
            .iter()
            .any(|why| why.contains("every debug register")),
        "{:?}",
        taken.summary.not_counted
    );
}

fn cleared(traced: &Traced) -> Vec<&MapEvent> {
    let lines = traced.trace.lines().iter();
    let events = lines.filter_map(|line| match line {
        TraceLine::MapClear(event) => Some(&**event),
        _ => None,
    });
    events.collect()
}

#[test]
fn every_clear_of_a_map_is_an_event_with_map_and_goroutine() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let options = ["--census", "full", "--detail", "all"];
        let traced = operations(&toolchain, &["-rounds", "50"], &options);
        let events = cleared(&traced);
        assert_eq!(
            events.len() as u64,
            traced.said.number("clears"),
            "{version}"
        );
        assert_eq!(traced.summary.events.map_clear, 50, "{version}");
        let first = events[0].context.map;
        for event in events {
            assert_eq!(event.context.map, first, "{version}");
            assert_eq!(event.context.goroutine, Some(1), "{version}");
            assert_eq!(event.entries, Some(1), "{version}: {event:?}");
            assert_eq!(event.context.operation.word(), "clear", "{version}");
        }
        for (word, own) in OWN {
            let (count, own) = (count(&traced, word), traced.said.number(own));
            assert_eq!(count.kind, CountKind::Exact, "{version}: {word}");
            assert!(
                (own..own + START).contains(&count.value),
                "{version}: {word}: {count:?}"
            );
        }
    }
}
