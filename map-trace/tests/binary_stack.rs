//! Hidden callers put back, checked at every instruction of real programs against the true call stack.

#![expect(clippy::panic, reason = "what a test needs fails the test")]

#[path = "support/step.rs"]
mod step;

mod support;

use std::collections::BTreeMap;
use std::path::Path;

use map_trace::binary::stack::restore;
use step::Stepper;
use support::{CGO_PIE_STRIPPED, GO_VERSIONS, GoBuild, PLAIN, STRIPPED};

#[derive(Default, Debug)]
struct Tally {
    checked: usize,
    restored: usize,
    /// Stacks with a caller missing behind a gap.
    hidden: usize,
    unknown: usize,
    /// Where the caller was left unknown: function -> steps.
    unknown_in: BTreeMap<String, usize>,
    /// Functions whose hidden caller was put back.
    restored_in: BTreeMap<String, usize>,
}

/// Steps from `begin` to `end`; every caller given must be the true one.
fn walk(path: &Path, begin: &str, end: &str, every: usize, most: usize) -> Tally {
    let mut stepper = Stepper::start(path, begin);
    let last = stepper.address_of(path, end);
    let mut tally = Tally::default();
    let mut here = (String::new(), 0);
    for step in 0..most {
        assert!(stepper.step(), "the program ended before {end}");
        if stepper.ip() == last {
            return tally;
        }
        if step % every != 0 {
            continue;
        }
        let raw = stepper.raw();
        let place = stepper.lookup(raw.ip);
        let name = place
            .and_then(|(binary, svma)| binary.function_at(svma))
            .map_or_else(|| "?".to_owned(), |f| f.name);
        if here.0 != name {
            here = (name.clone(), 0);
        }
        here.1 += 1;
        // The vDSO reads the clock anew when it has moved on meanwhile, which it always has when each step is
        // looked at on a busy machine: some are not.
        if here.1 > 500 {
            for _ in 0..2_000 {
                assert!(stepper.step(), "the program ended before {end}");
                if stepper.ip() == last {
                    return tally;
                }
                let now = stepper.lookup(stepper.ip());
                let now = now.and_then(|(binary, svma)| binary.function_at(svma));
                if now.is_none_or(|function| function.name != here.0) {
                    break;
                }
            }
            here.1 = 0;
            continue;
        }
        let callers = stepper.callers();
        let Some(&caller) = callers.first() else {
            continue;
        };
        let found = restore(&raw, &|address| stepper.lookup(address));
        tally.checked += 1;
        let whole = found.frames.iter().take_while(|frame| !frame.gap).count();
        for (index, (frame, truth)) in found.frames[1..].iter().zip(&callers).enumerate() {
            if index >= whole {
                tally.hidden += usize::from(frame.ip != *truth);
                break;
            }
            assert_eq!(
                frame.ip, *truth,
                "in {name} at {:#x}: {raw:x?} {found:x?} {callers:x?}",
                raw.ip
            );
            tally.restored += usize::from(frame.restored);
        }
        let first = found.frames.get(1);
        if first.is_some_and(|f| f.restored) {
            *tally.restored_in.entry(name.clone()).or_default() += 1;
        }
        if first.is_some_and(|f| f.restored) || !found.frames[0].gap {
            let given = first.map(|f| f.ip);
            assert_eq!(
                given,
                Some(caller),
                "in {name} at {:#x}: {raw:x?} {found:x?}",
                raw.ip
            );
        } else {
            tally.unknown += 1;
            *tally.unknown_in.entry(name).or_default() += 1;
        }
    }
    panic!("{end} was not reached in {most} steps: {tally:?}");
}

fn check_c(flags: &[&str]) -> Tally {
    let path = support::build_native("stack.c", flags);
    let tally = walk(&path, "begin", "end", 1, 100_000);
    assert!(tally.checked > 1000, "{tally:?}");
    for function in ["mprotect", "protect", "leaf_in_assembly"] {
        let restored = tally.restored_in.get(function).copied().unwrap_or(0);
        assert!(restored > 0, "{function}: {tally:?}");
        assert_eq!(
            tally.unknown_in.get(function),
            None,
            "{function}: {tally:?}"
        );
    }
    // Frames larger than the recorded words, without a frame pointer: a big local array, and the
    // dynamic linker's own functions, which have no names.
    let mut unknown = tally.unknown_in.clone();
    unknown.remove("?");
    unknown.remove("large_frame");
    assert!(unknown.is_empty(), "{tally:?}");
    tally
}

#[test]
fn optimised_c_without_frame_pointers() {
    let _ = check_c(&["-O2", "-g"]);
}

#[test]
fn optimised_c_with_frame_pointers() {
    let tally = check_c(&["-O2", "-fno-omit-frame-pointer"]);
    // The C library's sort has none, and its callers lie beyond the recorded words.
    assert!(tally.hidden > 0, "{tally:?}");
}

#[test]
fn unoptimised_c_with_lazy_binding_and_no_pie() {
    let _ = check_c(&["-O0", "-no-pie", "-Wl,-z,lazy"]);
}

fn check_go(version: &str, build: &GoBuild) {
    let path = support::build_go(version, "go-stack", build);
    // Not every step: the slower the program, the more its own sysmon thread preempts it.
    let tally = walk(&path, "main.begin", "main.end", 7, 1_000_000);
    assert!(tally.checked > 2_000, "{version} {}: {tally:?}", build.name);
    assert!(tally.restored > 300, "{version} {}: {tally:?}", build.name);
    for function in ["runtime.mapassign_fast64", "runtime.memmove", "main.assign"] {
        assert_eq!(tally.unknown_in.get(function), None, "{version}: {tally:?}");
    }
    assert!(
        tally.restored_in.contains_key("runtime.memmove"),
        "{version}: {tally:?}"
    );
    // `gogo` has left the stack it was called on.
    let left = tally.unknown_in.get("gogo").copied().unwrap_or(0);
    let share = (tally.unknown - left) * 1000 / tally.checked;
    assert!(share < 15, "{share} per mille unknown: {tally:?}");
}

#[test]
fn go_of_every_version() {
    for version in GO_VERSIONS {
        check_go(version, &PLAIN);
    }
}

#[test]
fn stripped_go_and_cgo() {
    check_go(GO_VERSIONS[2], &STRIPPED);
    check_go(GO_VERSIONS[1], &CGO_PIE_STRIPPED);
}
