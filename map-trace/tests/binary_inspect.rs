//! `inspect` against real Go programs: probe places, layouts, reachable system calls.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::OnceLock;

use map_trace::binary::Binary;
use map_trace::binary::layout::{Layouts, Source};
use map_trace::binary::probe_place::{Class, Counting};
use map_trace::binary::reach::{SystemCall, Through, Verdict};
use map_trace::maps::inspection::{Inspection, MapFunction, inspect};
use support::{CGO, CGO_PIE_STRIPPED, GO_VERSIONS, GoBuild, PIE, PIE_STRIPPED, PLAIN, STRIPPED};

fn look(path: &Path) -> Inspection {
    let binary = Binary::open(path).unwrap();
    inspect(&path.display().to_string(), &binary, &SystemCall::memory())
}

/// Builds without C code; each is looked at once.
const BUILDS: [&GoBuild; 4] = [&PLAIN, &STRIPPED, &PIE, &PIE_STRIPPED];

fn built(version: &'static str, build: &GoBuild) -> &'static Inspection {
    static ALL: OnceLock<BTreeMap<(&str, &str), Inspection>> = OnceLock::new();
    let all = ALL.get_or_init(|| {
        let pairs = GO_VERSIONS.into_iter().flat_map(|v| BUILDS.map(|b| (v, b)));
        pairs
            .map(|(v, b)| ((v, b.name), look(&support::build_go(v, "go-maps", b))))
            .collect()
    });
    &all[&(version, build.name)]
}

fn plain(version: &'static str) -> &'static Inspection {
    built(version, &PLAIN)
}

fn function<'a>(told: &'a Inspection, name: &str) -> &'a MapFunction {
    let found: Vec<_> = told.functions.iter().filter(|f| f.name == name).collect();
    assert_eq!(found.len(), 1, "{name}");
    found[0]
}

/// Map functions of the runtime itself.
fn of_the_runtime(told: &Inspection) -> Vec<&MapFunction> {
    let prefixes = ["runtime.map", "internal/runtime/maps."];
    let all = told.functions.iter();
    all.filter(|f| prefixes.iter().any(|prefix| f.name.starts_with(prefix)))
        .collect()
}

#[test]
fn every_map_function_has_a_cheap_place_that_counts_exactly() {
    for version in GO_VERSIONS {
        for build in BUILDS {
            let told = built(version, build);
            let functions = of_the_runtime(told);
            assert!(functions.len() > 20, "{version} {}", build.name);
            for f in functions {
                let what = format!("{version} {} {}", build.name, f.name);
                let probes = f.probes.as_ref().expect(&what);
                let place = probes.entry.as_ref().expect(&what);
                assert_eq!(place.class, Class::Emulated, "{what}");
                assert!(place.cost_ns <= 700, "{what}");
                let (instruction, counting) = match version {
                    "1.19.8" => ("jbe", Counting::ExactUnlessFlags),
                    _ => ("push rbp", Counting::Exact),
                };
                assert_eq!(place.instruction, instruction, "{what}");
                assert_eq!(place.counting, counting, "{what}");
                assert!(place.address > f.address, "{what}");
                assert!(
                    probes.exits_complete && !probes.returns.is_empty(),
                    "{what}"
                );
                assert!(probes.tail_jumps.is_empty(), "{what}");
            }
        }
    }
}

#[test]
fn the_returns_are_those_of_the_disassembly() {
    // Counted in objdump's output of the same programs.
    let expected: [(&str, &[(&str, usize)]); 3] = [
        (
            "1.19.8",
            &[
                ("runtime.mapassign_fast64", 1),
                ("runtime.mapaccess1_fast64", 3),
                ("runtime.mapaccess2_faststr", 8),
                ("runtime.mapiternext", 2),
                ("runtime.mapdelete_fast64", 2),
            ],
        ),
        (
            "1.23.9",
            &[
                ("runtime.mapassign_fast64", 1),
                ("runtime.mapaccess1_fast64", 3),
                ("runtime.mapclear", 2),
                ("runtime.mapiternext", 2),
            ],
        ),
        (
            "1.27.3",
            &[
                ("runtime.mapassign_fast64", 2),
                ("runtime.mapaccess1_fast64", 1),
                ("internal/runtime/maps.(*Iter).Next", 7),
                ("runtime.mapdelete_fast64", 2),
            ],
        ),
    ];
    for (version, functions) in expected {
        for (name, returns) in functions {
            let probes = function(plain(version), name).probes.as_ref().unwrap();
            assert_eq!(probes.returns.len(), *returns, "{version} {name}");
            assert!(
                probes
                    .returns
                    .iter()
                    .all(|r| r.class == Class::SingleStepped)
            );
        }
    }
}

#[test]
fn known_functions_without_code_are_told_apart() {
    for version in GO_VERSIONS {
        let told = plain(version);
        let present: Vec<_> = told.functions.iter().map(|f| f.name.as_str()).collect();
        assert!(
            told.absent.iter().all(|a| !present.contains(&a.name)),
            "{version}"
        );
    }
    let absent = |version: &'static str, name: &str| {
        plain(version)
            .absent
            .iter()
            .find(|a| a.name == name)
            .map(|a| a.inlined)
    };
    assert_eq!(absent("1.19.8", "runtime.mapclone2"), Some(false));
    assert_eq!(absent("1.23.9", "runtime.mapclone2"), None);
    // Swiss functions are not expected in a classic program, nor the other way round.
    assert_eq!(absent("1.23.9", "runtime.mapIterStart"), None);
    assert_eq!(absent("1.27.3", "runtime.mapiternext"), None);
}

fn layouts(told: &Inspection) -> &Layouts {
    told.layouts.as_ref().unwrap()
}

#[test]
fn debug_information_and_the_version_table_say_the_same() {
    for version in GO_VERSIONS {
        let by_dwarf = plain(version);
        let by_table = built(version, &STRIPPED);
        let (dwarf, table) = (layouts(by_dwarf), layouts(by_table));
        assert_eq!(dwarf.unknown, None);
        assert!(
            table
                .note
                .as_ref()
                .unwrap()
                .contains("no debug information")
        );
        assert_eq!(dwarf.structs.len(), table.structs.len(), "{version}");
        assert!(dwarf.structs.iter().all(|s| s.source == Source::Dwarf));
        assert!(
            table
                .structs
                .iter()
                .all(|s| s.source == Source::VersionTable)
        );
        for layout in &table.structs {
            for field in &layout.fields {
                let told = dwarf.offset(&layout.name, field.name);
                assert_eq!(
                    told,
                    Some(field.offset),
                    "{version} {}.{}",
                    layout.name,
                    field.name
                );
            }
        }
    }
    assert_eq!(
        layouts(plain("1.23.9")).offset("runtime.g", "goid"),
        Some(160)
    );
    assert_eq!(
        layouts(plain("1.27.3")).offset("runtime.g", "goid"),
        Some(152)
    );
    assert_eq!(layouts(plain("1.27.3")).map_type().unwrap().size, Some(136));
}

/// Verdict and least condition of a function and a call.
fn reach(told: &Inspection, name: &str, call: &str) -> (Verdict, Option<Through>) {
    let reach = &function(told, name).reach;
    let found = reach.iter().find(|r| r.call == call).unwrap();
    (found.reach.verdict, found.reach.through)
}

#[test]
fn only_a_runtime_from_1_23_on_has_an_mprotect_and_it_is_behind_its_gate() {
    for version in GO_VERSIONS {
        let told = plain(version);
        let calls = told.calls.as_ref().unwrap();
        assert_eq!(calls.incomplete, None, "{version}");
        assert!(calls.functions > 500 && calls.any.is_empty(), "{version}");
        let sites = |call: &str| -> Vec<_> {
            let found = calls.calls.iter().find(|c| c.call.name == call).unwrap();
            found
                .sites
                .iter()
                .map(|site| site.function.as_str())
                .collect()
        };
        let mprotect: &[&str] = if version == "1.19.8" {
            &[]
        } else {
            &["runtime.sysFaultOS"]
        };
        assert_eq!(sites("mprotect"), mprotect, "{version}");
        assert_eq!(sites("munmap").len(), 1, "{version}");
        for f in &told.functions {
            let (verdict, _) = reach(told, &f.name, "mprotect");
            let gated = version != "1.19.8" && verdict == Verdict::Gated;
            assert!(
                verdict == Verdict::Unreachable || gated,
                "{version} {}",
                f.name
            );
        }
    }
}

#[test]
fn what_each_operation_can_reach_is_what_a_reading_of_the_runtime_says() {
    use Through::{StackGrowth, Work, WriteBarrier};
    let memory = ["mmap", "munmap", "madvise"];
    let cases: [(&str, &str, Through); 12] = [
        ("1.19.8", "runtime.mapassign_fast64", Work),
        ("1.19.8", "runtime.mapdelete_fast64", Work),
        ("1.19.8", "runtime.mapiternext", WriteBarrier),
        ("1.19.8", "runtime.mapaccess1_fast64", StackGrowth),
        ("1.23.9", "runtime.mapassign_fast64", Work),
        ("1.23.9", "runtime.mapdelete_fast64", Work),
        ("1.23.9", "runtime.mapiternext", WriteBarrier),
        ("1.23.9", "runtime.mapaccess1_fast64", StackGrowth),
        ("1.27.3", "runtime.mapassign_fast64", Work),
        ("1.27.3", "runtime.mapdelete_fast64", WriteBarrier),
        ("1.27.3", "runtime.mapIterNext", WriteBarrier),
        ("1.27.3", "runtime.mapaccess1_fast64", StackGrowth),
    ];
    for (version, name, through) in cases {
        let told = plain(version);
        for call in memory {
            let expected = (Verdict::Reachable, Some(through));
            assert_eq!(reach(told, name, call), expected, "{version} {name} {call}");
        }
        // Only allocation sweeps, and only sweeping and stacks fault freed memory.
        let mprotect = match (version, through) {
            ("1.19.8", _) => (Verdict::Unreachable, None),
            (_, Work) => (Verdict::Gated, Some(Work)),
            _ => (Verdict::Gated, Some(StackGrowth)),
        };
        assert_eq!(reach(told, name, "mprotect"), mprotect, "{version} {name}");
    }
    let path = &function(plain("1.23.9"), "runtime.mapassign_fast64").reach[0]
        .reach
        .path;
    assert_eq!(path.first().unwrap(), "runtime.mapassign_fast64");
    assert_eq!(path.last().unwrap(), "runtime.sysFaultOS");
    assert!(path.iter().any(|step| step.contains("sweep")), "{path:?}");
}

#[test]
fn a_binary_of_any_build_reaches_the_same() {
    for version in GO_VERSIONS {
        for build in &BUILDS[1..] {
            let told = built(version, build);
            for f in of_the_runtime(told) {
                for (one, other) in f.reach.iter().zip(&function(plain(version), &f.name).reach) {
                    let what = format!("{version} {} {} {}", build.name, f.name, one.call);
                    assert_eq!(one.reach.verdict, other.reach.verdict, "{what}");
                    assert_eq!(one.reach.through, other.reach.through, "{what}");
                }
            }
        }
    }
}

#[test]
fn c_code_in_the_program_may_do_anything_and_is_named() {
    for version in GO_VERSIONS {
        for build in [&CGO, &CGO_PIE_STRIPPED] {
            let told = look(&support::build_go(version, "go-walk", build));
            let what = format!("{version} {}", build.name);
            let assign = &function(&told, "runtime.mapassign_faststr").reach;
            let mprotect = &assign.iter().find(|r| r.call == "mprotect").unwrap().reach;
            assert_eq!(mprotect.verdict, Verdict::Gated, "{what}");
            let gates = mprotect.gates.iter().map(|gate| gate.function);
            assert!(
                gates.into_iter().any(|gate| gate.ends_with("cgocall")),
                "{what}"
            );
            assert!(!told.calls.unwrap().any.is_empty(), "{what}");
        }
    }
}

#[test]
fn a_program_of_another_language_has_its_map_functions_told() {
    let told = look(&support::build_native("maps.rs", &["-g"]));
    assert_eq!(told.language, Some("rust"));
    assert!(told.functions.len() > 10);
    assert!(
        told.functions
            .iter()
            .all(|f| f.probes.is_some() && f.reach.is_empty())
    );
    assert!(told.notes.iter().any(|note| note.contains("not Go")));
}
