//! Go programs: what their maps really do, on every Go that is installed, stripped or not.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeMap;

use map_trace::model::Operation;
use map_trace::model::event::EventKind;
use map_trace::model::summary::OperationRow;
use map_trace_tests::{GoToolchain, Session, Strip, Traced, go, go_toolchains};

fn traced(toolchain: &GoToolchain, strip: Strip, program: &str, arguments: &[&str]) -> Traced {
    let traced = Session::run(go(toolchain, strip, program))
        .arguments(arguments)
        .traced()
        .sound();
    assert_eq!(
        traced.status(),
        0,
        "{}: {}",
        toolchain.label(),
        traced.stderr()
    );
    traced
}

fn row(traced: &Traced, operation: &Operation) -> Option<OperationRow> {
    traced
        .summary
        .operations
        .iter()
        .find(|row| row.operation == *operation)
        .cloned()
}

fn events(traced: &Traced, operation: &Operation, kind: EventKind) -> u64 {
    row(traced, operation)
        .and_then(|row| row.events.get(kind.word()).copied())
        .unwrap_or(0)
}

#[test]
fn maps_are_never_protected_and_their_faults_are_growth() {
    for toolchain in go_toolchains() {
        let version = &toolchain.label();
        let traced = traced(&toolchain, Strip::No, "demo", &[]);
        for operation in [
            Operation::Iterate,
            Operation::Assign,
            Operation::Grow,
            Operation::Access,
        ] {
            for kind in [
                EventKind::Mprotect,
                EventKind::PkeyMprotect,
                EventKind::Signal,
            ] {
                let count = events(&traced, &operation, kind);
                assert_eq!(count, 0, "{version}: {} during {operation}", kind.word());
            }
        }
        assert_eq!(
            traced.summary.events.signal.values().sum::<u64>(),
            0,
            "{version}"
        );
        let faults = events(&traced, &Operation::Assign, EventKind::PageFault);
        assert!(faults > 1000, "{version}: {faults} faults while assigning");
        let assign = row(&traced, &Operation::Assign).expect("assigning faults");
        // The rest are first touches of buckets and overflow buckets by mapassign, and of values by its caller.
        let grown: u64 = assign
            .sub_operations
            .iter()
            .filter(|row| row.operation == Operation::Grow)
            .filter_map(|row| row.events.get("page_fault"))
            .sum();
        assert!(
            grown * 10 > faults * 6,
            "{version}: {grown} of {faults} faults in growth"
        );
    }
}

#[test]
fn a_program_that_runs_twice_is_listed_once() {
    let program = go(&go_toolchains()[0], Strip::No, "quiet");
    let script = format!("{0} > /dev/null; {0} > /dev/null; true", program.display());
    let traced = Session::run("/bin/sh").arguments(&["-c", &script]).traced();
    let executables = &traced.summary.program.executables;
    let times = executables
        .iter()
        .filter(|file| file.path == program.to_string_lossy());
    assert_eq!(times.count(), 1, "{executables:?}");
}

#[test]
fn the_programs_language_version_and_kind_of_map_are_known() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let traced = traced(&toolchain, strip, "demo", &["-n", "1000"]);
            let executables = &traced.summary.program.executables;
            let demo = executables.iter().find(|file| file.path.ends_with("/demo"));
            let demo = demo.unwrap_or_else(|| panic!("{executables:?}"));
            assert_eq!(traced.trace.header().executables.first(), Some(demo));
            assert_eq!(demo.language.as_deref(), Some("go"));
            assert_eq!(demo.go_version.as_deref(), Some(toolchain.version.as_str()));
            let maps = if toolchain.has_swiss_maps() {
                "swiss"
            } else {
                "hmap"
            };
            assert_eq!(
                demo.map_implementation.as_deref(),
                Some(maps),
                "{}",
                toolchain.label()
            );
            assert_eq!(
                demo.stripped,
                Some(strip == Strip::Yes),
                "{}",
                toolchain.label()
            );
        }
    }
}

/// Percent of the page faults that are in map operations, and percent of those in `assign` that are growth.
fn shares(traced: &Traced) -> (u64, u64) {
    let faults = |events: &BTreeMap<String, u64>| events.get("page_fault").copied().unwrap_or(0);
    let rows = &traced.summary.operations;
    let in_maps: u64 = rows
        .iter()
        .filter(|row| row.operation.is_map())
        .map(|row| faults(&row.events))
        .sum();
    let assign = row(traced, &Operation::Assign).expect("assigning faults");
    let subs = assign.sub_operations.iter();
    let grown: u64 = subs
        .filter(|row| row.operation == Operation::Grow)
        .map(|row| faults(&row.events))
        .sum();
    (
        in_maps * 100 / traced.summary.events.page_fault,
        grown * 100 / faults(&assign.events).max(1),
    )
}

#[test]
fn a_stripped_program_is_attributed_like_the_whole_one() {
    for toolchain in go_toolchains() {
        // Without the collector no memory is handed out again, and two runs fault alike.
        let run = |strip| {
            let session = Session::run(go(&toolchain, strip, "growth")).with(|command| {
                command.env("GOGC", "off");
            });
            shares(&session.traced().sound())
        };
        let (whole, stripped) = (run(Strip::No), run(Strip::Yes));
        let version = &toolchain.label();
        assert!(whole.0 > 50 && whole.1 > 50, "{version}: {whole:?}");
        assert!(
            whole.0.abs_diff(stripped.0) <= 3,
            "{version}: {whole:?}, stripped {stripped:?}"
        );
        // Which assign first touches a page depends on the hash seed: five points between runs of one binary.
        assert!(
            whole.1.abs_diff(stripped.1) <= 12,
            "{version}: {whole:?}, stripped {stripped:?}"
        );
    }
}

#[test]
fn the_stacks_of_go_programs_have_names() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let traced = traced(&toolchain, strip, "demo", &["-n", "200000"]);
            let in_assign = |fault: &&map_trace::model::event::PageFaultEvent| {
                fault.context.operation == Operation::Assign
            };
            let stacks = traced.trace.faults().filter(in_assign);
            let stacks: Vec<_> = stacks
                .map(|fault| traced.trace.functions(&fault.context))
                .collect();
            let nameless = stacks.iter().find(|functions| functions.contains(&"?"));
            assert_eq!(nameless, None, "{}", toolchain.label());
            // Package initialisers fill maps too.
            let ours = stacks
                .iter()
                .filter(|functions| functions.contains(&"main.main"));
            let in_assign = |functions: &&Vec<&str>| {
                functions.contains(&"main.assign") || functions.contains(&"main.rangeAssign")
            };
            let (count, in_phase) = (ours.clone().count(), ours.clone().filter(in_assign).count());
            assert!(
                count > 100,
                "{}: {count} of {}",
                toolchain.label(),
                stacks.len()
            );
            assert_eq!(in_phase, count, "{}", toolchain.label());
        }
    }
}

#[test]
fn a_program_that_does_protect_its_map_is_caught() {
    for toolchain in go_toolchains() {
        let program = go(&toolchain, Strip::No, "sabotage");
        let mut session = Session::run(program).arguments(&["-times", "8"]).in_full();
        if toolchain.has_swiss_maps() {
            session = session.argument("-swiss");
        }
        let traced = session.traced().sound();
        assert_eq!(
            traced.status(),
            0,
            "{}: {}",
            toolchain.label(),
            traced.stderr()
        );
        let calls = traced
            .trace
            .calls_in(EventKind::Mprotect, traced.said.range());
        assert_eq!(calls.len(), 16, "{}", toolchain.label());
        for call in calls {
            let functions = traced.trace.functions(&call.context);
            assert!(
                functions.contains(&"main.sabotage"),
                "{}: {functions:?}",
                toolchain.label()
            );
            assert!(
                functions.contains(&"main.rangeSabotaged"),
                "{}: {functions:?}",
                toolchain.label()
            );
        }
    }
}
