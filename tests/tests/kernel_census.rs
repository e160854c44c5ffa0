//! Operations on maps, counted: exactly with `--census full`, from below without.

use map_trace::model::summary::{Count, CountKind};
use map_trace_tests::{Session, Strip, Traced, go, go_toolchains};

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
