//! Loops over maps: what a Go program does in their bodies belongs to `iterate`, by the code alone, and
//! what it does around them does not.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use map_trace::model::event::{EventKind, MemoryCallEvent, Mode};
use map_trace::model::stack::StackLine;
use map_trace::model::summary::{Claim, Summary, VerdictWord};
use map_trace_tests::{Flavour, GoToolchain, Session, Strip, Traced, go, go_toolchains, map_trace};

const PAGE: u64 = 4096;
/// Functions of the runtime that write for their caller.
const COPYING: [&str; 5] = [
    "runtime.duffcopy",
    "runtime.duffzero",
    "runtime.memmove",
    "runtime.typedmemmove",
    "runtime.wbMove",
];

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

fn run(program: &Path) -> Traced {
    let traced = Session::run(program).in_full().traced().sound();
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

/// Runs the program and compares every place with what it says of itself.
fn check_places(program: &Path) {
    let traced = run(program);
    let range = traced.said.range();
    let mut by_page: BTreeMap<u64, Vec<&MemoryCallEvent>> = BTreeMap::new();
    for call in traced.trace.calls_in(EventKind::Mprotect, range) {
        let page = (call.address.0 - range.start) / PAGE;
        by_page.entry(page).or_default().push(call);
    }
    let places = places(&traced);
    assert!(places.len() > 50, "{}", program.display());
    let mut wrong = Vec::new();
    for place in &places {
        let calls = by_page.remove(&place.page).unwrap_or_default();
        assert_eq!(calls.len(), place.count, "{}", place.name);
        for call in calls {
            let told = match (
                stack(&traced, call).loops_known,
                call.context.operation.word(),
            ) {
                (false, "none") => "unknown",
                (_, operation) => operation,
            };
            let right = match place.operation {
                "apart" => told != "iterate",
                operation => told == operation,
            };
            if !right || call.context.sub_operation.is_some() {
                let functions = traced.trace.functions(&call.context);
                wrong.push(format!("{}: {told}: {functions:?}", place.name));
            }
        }
    }
    wrong.dedup();
    assert!(wrong.is_empty(), "{}: {wrong:#?}", program.display());
    assert!(by_page.is_empty(), "{}", program.display());
}

#[test]
fn every_place_in_and_around_a_loop_is_told_right() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            check_places(&go(&toolchain, strip, "windows"));
        }
    }
}

#[test]
fn so_it_is_without_optimisation_at_any_address_and_with_the_race_detector() {
    for toolchain in go_toolchains() {
        for flavour in [Flavour::Unoptimised, Flavour::Pie] {
            check_places(&go(&toolchain, flavour, "windows"));
        }
    }
    // Its parts of the standard library take long to build: one toolchain will do.
    if let Some(newest) = go_toolchains().last() {
        check_places(&go(newest, Flavour::Race, "windows"));
    }
}

#[test]
fn the_value_of_an_assign_belongs_to_it_and_a_store_beside_it_does_not() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let version = &toolchain.label();
            let session = Session::run(go(&toolchain, strip, "stores")).in_full();
            // Without the collector no memory is used twice: the first write to a page is the value's.
            let session = session.with(|command| {
                command
                    .env("GOGC", "off")
                    .env("GODEBUG", "asyncpreemptoff=1");
            });
            let traced = session.traced().sound();
            assert_eq!(traced.status(), 0, "{}", traced.stderr());
            let own = traced.said.range();
            let (mut beside, mut values, mut open) = (0, BTreeMap::<_, u64>::new(), Vec::new());
            // The kernel faults for itself when it writes a signal's frame, and a page of code may be cold.
            let faults = traced.trace.faults();
            for fault in
                faults.filter(|fault| fault.mode == Mode::User && !fault.error_code.instruction())
            {
                let functions = traced.trace.functions(&fault.context);
                let whole = functions.contains(&"main.main");
                let mut outward = functions.into_iter().skip_while(|f| COPYING.contains(f));
                let Some(function) = outward.next().filter(|f| f.starts_with("main.store")) else {
                    continue;
                };
                assert!(whole, "{version}: the callers of {function} are missing");
                let operation = fault.context.operation.word();
                if own.contains(fault.address.0) {
                    assert_eq!(operation, "none", "{version}: {function}");
                    beside += 1;
                } else if operation == "assign" {
                    *values.entry(function).or_insert(0) += 1;
                } else {
                    open.push((function, fault.address, fault.ip, fault.cause));
                }
            }
            assert_eq!(beside, traced.said.number("fresh"), "{version}");
            assert_eq!(open, [], "{version} {strip:?}");
            // Growth and the words that say which slots are taken touch most pages first; the rest is left
            // for the values.
            let count: u64 = values.values().sum();
            assert!(
                count > 20 && values.contains_key("main.storeLarge"),
                "{version}: {values:?}"
            );
        }
    }
}

const RULES: [&str; 3] = [
    "mprotect during iterate == 0",
    "signal during iterate == 0",
    "munmap during iterate == 0",
];

fn check(toolchain: &GoToolchain, strip: Strip, program: &str, arguments: &[&str]) -> Traced {
    let session = Session::check(go(toolchain, strip, program)).arguments(arguments);
    let expect = |session: Session, rule: &&str| session.option("--expect").option(rule);
    let session = RULES.iter().fold(session.in_full(), expect);
    session.traced().sound()
}

#[test]
fn whether_loops_stay_clean_can_be_decided_and_the_verdict_flips() {
    for toolchain in go_toolchains() {
        let version = &toolchain.label();
        for strip in [Strip::No, Strip::Yes] {
            let clean = check(&toolchain, strip, "demo", &["-n", "200000"]);
            let claims = &clean.summary.claims;
            assert_eq!(claims.len(), RULES.len());
            for claim in claims {
                assert_eq!(
                    claim.verdict,
                    VerdictWord::Supported,
                    "{version}: {claim:?}"
                );
            }
            let mut arguments = vec!["-times", "8"];
            if toolchain.has_swiss_maps() {
                arguments.push("-swiss");
            }
            let guilty = check(&toolchain, strip, "sabotage", &arguments);
            let claims = &guilty.summary.claims;
            assert_eq!(
                claims[0].verdict,
                VerdictWord::Refuted,
                "{version}: {claims:?}"
            );
            assert_eq!(claims[0].reason, "16 seen", "{version}");
            assert_eq!(
                claims[1].verdict,
                VerdictWord::Supported,
                "{version}: {claims:?}"
            );
            assert_eq!(offline(&guilty), *claims, "{version}");
        }
    }
}

/// The claims as the saved trace alone gives them.
fn offline(traced: &Traced) -> Vec<Claim> {
    let mut command = Command::new(map_trace());
    command.arg("check").arg(&traced.trace_file);
    command.args(["--format", "json"]);
    let rules = RULES.iter().flat_map(|rule| ["--expect", rule]);
    let output = command.args(rules).output().unwrap();
    let summary: Summary = serde_json::from_slice(&output.stdout).unwrap();
    summary.claims
}

#[test]
fn a_call_on_the_way_out_of_a_loop_keeps_a_rule_open() {
    for toolchain in go_toolchains() {
        let traced = check(&toolchain, Strip::No, "windows", &["leaving"]);
        let claims = &traced.summary.claims;
        assert_eq!(claims[0].verdict, VerdictWord::Inconclusive, "{claims:?}");
        let reason = &claims[0].reason;
        assert!(
            reason.starts_with("1 mprotect event may have been in the body of a loop"),
            "{reason}"
        );
        assert_eq!(claims[1].verdict, VerdictWord::Supported, "{claims:?}");
    }
}
