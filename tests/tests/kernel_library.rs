//! Faults in library code, which distributions build without frame pointers: who called is known all the same.

use map_trace::model::summary::VerdictWord;
use map_trace_tests::{Session, Traced, c};

const NODES: u64 = 1000;

fn judge(program: &str) -> Traced {
    let session = Session::check(c(program)).argument(NODES.to_string());
    let options = [
        "--region=filling=build",
        "--region=clean=clean",
        "--expect=page_fault during clean == 0",
        "--expect=page_fault during filling == 0",
    ];
    let session = options
        .iter()
        .fold(session, |session, option| session.option(option));
    session.in_full().traced().sound()
}

#[test]
fn rules_about_a_function_are_decided_though_faults_are_in_libraries() {
    for program in ["library", "library_plain"] {
        let traced = judge(program);
        let claims = &traced.summary.claims;
        let (clean, filling) = (&claims[0], &claims[1]);
        assert_eq!(
            (clean.verdict, filling.verdict),
            (VerdictWord::Supported, VerdictWord::Refuted),
            "{program}: {} / {}",
            clean.reason,
            filling.reason
        );
        // A node is a page and a header: each brings a page in, or two.
        let rows = &traced.summary.operations;
        let row = rows.iter().find(|row| row.operation.word() == "filling");
        let faults = row.map_or(0, |row| row.events["page_fault"]);
        assert!(
            (NODES..=2 * NODES + 20).contains(&faults),
            "{program}: {faults}"
        );
    }
}

/// Every caller out to `main`, through functions of the C library.
#[test]
fn the_callers_of_library_functions_are_whole() {
    for program in ["library", "library_plain"] {
        let traced = judge(program);
        let mut seen = 0;
        for fault in traced.trace.faults() {
            let functions = traced.trace.functions(&fault.context);
            let Some(at) = functions.iter().position(|name| *name == "build") else {
                continue;
            };
            seen += u64::from(at > 0);
            assert_eq!(
                functions.get(at + 1),
                Some(&"main"),
                "{program}: {functions:?}"
            );
        }
        assert!(seen >= NODES, "{program}: {seen} in libraries");
    }
}
