//! Loops over maps: what a Go program does in their bodies belongs to `iterate`, by the code alone, and
//! what it does around them does not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeMap;

use map_trace::model::event::{EventKind, MemoryCallEvent};
use map_trace::model::stack::StackLine;
use map_trace_tests::{GoToolchain, Session, Strip, Traced, go, go_toolchains};

const PAGE: u64 = 4096;

/// What the program says it did at one place.
struct Place<'a> {
    name: &'a str,
    page: u64,
    count: usize,
    operation: &'a str,
}

fn places(traced: &Traced) -> Vec<Place<'_>> {
    let said = traced.said.under("place.");
    said.into_iter()
        .map(|(name, value)| {
            let [page, count, operation] = value.split(',').collect::<Vec<_>>()[..] else {
                panic!("{name}={value}")
            };
            Place {
                name,
                page: page.parse().unwrap(),
                count: count.parse().unwrap(),
                operation,
            }
        })
        .collect()
}

fn run(toolchain: &GoToolchain, strip: Strip) -> Traced {
    let traced = Session::run(go(toolchain, strip, "windows"))
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    traced
}

fn stack<'a>(traced: &'a Traced, call: &MemoryCallEvent) -> &'a StackLine {
    let found = traced
        .trace
        .stacks()
        .find(|stack| Some(stack.id) == call.context.stack);
    found.unwrap()
}

#[test]
fn every_place_in_and_around_a_loop_is_told_right() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let traced = run(&toolchain, strip);
            let calls = traced
                .trace
                .calls_in(EventKind::Mprotect, traced.said.range());
            let start = traced.said.range().start;
            let mut by_page: BTreeMap<u64, Vec<&MemoryCallEvent>> = BTreeMap::new();
            for call in calls {
                let page = (call.address.0 - start) / PAGE;
                by_page.entry(page).or_default().push(call);
            }
            let places = places(&traced);
            assert!(places.len() > 40);
            let mut wrong = Vec::new();
            for place in &places {
                let calls = by_page.remove(&place.page).unwrap_or_default();
                assert_eq!(calls.len(), place.count, "{}", place.name);
                for call in calls {
                    let stack = stack(&traced, call);
                    let operation = call.context.operation.word();
                    let told = match (stack.loops_known, operation) {
                        (false, "none") => "unknown",
                        (_, operation) => operation,
                    };
                    if told != place.operation || call.context.sub_operation.is_some() {
                        let functions = traced.trace.functions(&call.context);
                        wrong.push(format!("{}: {told}: {functions:?}", place.name));
                    }
                }
            }
            wrong.dedup();
            assert!(
                wrong.is_empty(),
                "{} {strip:?}: {wrong:#?}",
                toolchain.version
            );
            assert!(by_page.is_empty());
        }
    }
}
