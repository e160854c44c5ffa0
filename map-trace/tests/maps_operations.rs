//! The operation tables against the functions of real programs.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test")]

mod support;

use std::collections::{BTreeSet, HashSet};
use std::path::Path;

use map_trace::binary::Binary;
use map_trace::maps::Tables;
use map_trace::maps::operations::{TABLES, Table};
use map_trace::maps::pattern::{Glob, plain};
use map_trace::model::Operation;
use support::{GO_VERSIONS, PLAIN};

/// Every name a frame of this binary can have: functions, and what is inlined into them.
fn names(path: &Path) -> BTreeSet<String> {
    let binary = Binary::open(path).unwrap();
    let mut names = BTreeSet::new();
    let mut functions = Vec::new();
    binary.go_names(&mut |name| {
        names.insert(name.to_owned());
    });
    binary.functions(&mut |f| functions.push(f.clone()));
    if names.is_empty() {
        let mut frames = Vec::new();
        for function in &functions {
            for svma in (function.start..function.end).step_by(8) {
                binary.frames(svma, &mut frames);
            }
            names.extend(frames.drain(..).map(|f| f.function));
        }
    }
    names.extend(functions.into_iter().map(|f| f.name));
    names
}

fn go_names() -> BTreeSet<String> {
    GO_VERSIONS
        .iter()
        .flat_map(|version| names(&support::build_go(version, "go-maps", &PLAIN)))
        .collect()
}

/// The rows that match no name.
fn unmatched(table: &Table, names: &BTreeSet<String>) -> Vec<&'static str> {
    let plain: BTreeSet<String> = names.iter().map(|n| plain(n)).collect();
    let matched = |glob: &Glob| names.iter().chain(&plain).any(|n| glob.matches(n));
    table
        .rows
        .iter()
        .map(|(pattern, _)| *pattern)
        .filter(|pattern| !matched(&Glob::new(pattern)))
        .collect()
}

#[test]
fn no_pattern_stands_twice_and_no_table_is_empty() {
    let mut seen = HashSet::new();
    for table in TABLES {
        assert!(!table.rows.is_empty(), "{}", table.library);
        for (pattern, operation) in table.rows {
            assert!(seen.insert(pattern), "{pattern}");
            let known = operation.is_map() || *operation == Operation::Runtime;
            assert!(known, "{pattern}: {operation}");
        }
    }
}

#[test]
fn every_go_row_matches_a_function_of_a_real_go_program() {
    let names = go_names();
    assert!(names.len() > 3000);
    for table in TABLES.iter().filter(|t| t.library.starts_with("Go")) {
        assert_eq!(unmatched(table, &names), [""; 0], "{}", table.library);
    }
}

#[test]
fn every_rust_row_matches_a_function_of_a_real_rust_program() {
    let names = names(&support::build_native("maps.rs", &["-g"]));
    let table = TABLES.iter().find(|t| t.library == "Rust").unwrap();
    assert_eq!(unmatched(table, &names), [""; 0]);
}

#[test]
fn every_cpp_row_matches_a_function_of_a_real_cpp_program() {
    let names = names(&support::build_native("maps.cpp", &["-g"]));
    let table = TABLES.iter().find(|t| t.library == "C++").unwrap();
    assert_eq!(unmatched(table, &names), [""; 0]);
}

#[test]
fn optimised_programs_keep_their_map_operations_through_debug_information() {
    let tables = Tables::default();
    let operations = |path: &Path| -> BTreeSet<Operation> {
        names(path)
            .iter()
            .filter_map(|n| tables.operation(n))
            .collect()
    };
    for path in [
        support::build_native("maps.rs", &["-g", "-O"]),
        support::build_native("maps.cpp", &["-g", "-O2"]),
    ] {
        let found = operations(&path);
        for operation in [Operation::Assign, Operation::Access, Operation::Grow] {
            assert!(found.contains(&operation), "{path:?}: {found:?}");
        }
    }
}

#[test]
fn user_code_and_plain_runtime_code_are_no_operations() {
    let tables = Tables::default();
    for name in go_names() {
        let operation = tables.operation(&name);
        let ours = name.starts_with("main.");
        assert!(!ours || operation.is_none(), "{name}: {operation:?}");
    }
    for name in [
        "runtime.mallocgc",
        "runtime.memmove",
        "runtime.goexit",
        "runtime.main",
        "runtime.gopanic",
    ] {
        assert_eq!(tables.operation(name), None, "{name}");
    }
}
