//! Graphs put together by hand.

use super::*;

/// Functions by name with what they call, at 0x1000, 0x1100, ...
fn graph(
    functions: &[(&str, &[usize])],
    missed: Option<&str>,
    edit: impl Fn(&mut [Raw]),
) -> CallGraph {
    let start = |n: usize| 0x1000 + 0x100 * n as u64;
    let mut raw: Vec<Raw> = functions
        .iter()
        .map(|(name, calls)| Raw {
            name: (*name).to_owned(),
            calls: calls
                .iter()
                .map(|&to| (0, start(to), Rax::Unknown))
                .collect(),
            ..Raw::default()
        })
        .collect();
    edit(&mut raw);
    let by_start = (0..raw.len()).map(|n| (start(n), n)).collect();
    CallGraph::assemble(raw, by_start, missed.map(str::to_owned))
}

const MPROTECT: u32 = 10;
const ROOT: u64 = 0x1000;

fn makes(raw: &mut Raw, number: u32) {
    raw.syscalls.push((0x42, Rax::Number(number)));
}

#[test]
fn the_shortest_way_of_the_least_kind_is_told() {
    let functions: &[(&str, &[usize])] = &[
        ("root", &[1, 2]),
        ("runtime.morestack", &[4]),
        ("a", &[3]),
        ("b", &[4]),
        ("end", &[]),
    ];
    let graph = graph(functions, None, |raw| makes(&mut raw[4], MPROTECT));
    let reach = graph.reach(ROOT, MPROTECT);
    assert_eq!(reach.verdict, Verdict::Reachable);
    assert_eq!(reach.through, Some(Through::Work));
    assert_eq!(reach.path, ["root", "a", "b", "end"]);
    assert_eq!(reach.site.unwrap().function, "end");
    assert_eq!(graph.reach(0x1100, MPROTECT).path.len(), 2);
    assert_eq!(graph.extent(ROOT, Through::Work).0, 4);
}

#[test]
fn a_way_through_growth_or_a_panic_says_so() {
    for (name, expected) in [
        ("runtime.morestack_noctxt", Through::StackGrowth),
        ("runtime.gopanic", Through::Panic),
        ("runtime.gcWriteBarrier2", Through::WriteBarrier),
    ] {
        let functions: &[(&str, &[usize])] = &[("root", &[1]), (name, &[2]), ("end", &[])];
        let graph = graph(functions, None, |raw| makes(&mut raw[2], MPROTECT));
        assert_eq!(
            graph.reach(ROOT, MPROTECT).through,
            Some(expected),
            "{name}"
        );
    }
}

#[test]
fn nothing_is_called_unreachable_when_something_was_not_looked_at() {
    let functions: &[(&str, &[usize])] = &[("root", &[])];
    let whole = graph(functions, None, |_| {});
    assert_eq!(whole.reach(ROOT, MPROTECT).verdict, Verdict::Unreachable);
    assert_eq!(whole.reach(0x9999, MPROTECT).verdict, Verdict::Unknown);
    let partial = graph(functions, Some("bytes"), |_| {});
    assert_eq!(partial.reach(ROOT, MPROTECT).verdict, Verdict::Unknown);
    // What was found is found all the same.
    let found = graph(functions, Some("bytes"), |raw| makes(&mut raw[0], MPROTECT));
    assert_eq!(found.reach(ROOT, MPROTECT).verdict, Verdict::Reachable);
}

#[test]
fn a_gate_is_named_only_when_no_way_goes_round_it() {
    let gated: &[(&str, &[usize])] = &[("root", &[1]), ("runtime.sysFaultOS", &[2]), ("end", &[])];
    let reach = graph(gated, None, |raw| makes(&mut raw[2], MPROTECT)).reach(ROOT, MPROTECT);
    assert_eq!(reach.verdict, Verdict::Gated);
    let names: Vec<_> = reach.gates.iter().map(|gate| gate.function).collect();
    assert_eq!(names, ["runtime.sysFaultOS"]);
    // The longest way round, and through a panic, is a way.
    let round: &[(&str, &[usize])] = &[
        ("root", &[1, 3]),
        ("runtime.sysFaultOS", &[2]),
        ("end", &[]),
        ("runtime.throw", &[2]),
    ];
    let reach = graph(round, None, |raw| makes(&mut raw[2], MPROTECT)).reach(ROOT, MPROTECT);
    assert_eq!((reach.verdict, reach.gates.len()), (Verdict::Reachable, 0));
}

#[test]
fn the_number_a_caller_puts_into_rax_is_the_callers() {
    let functions: &[(&str, &[usize])] = &[("root", &[]), ("wrapper", &[]), ("Syscall6", &[])];
    let graph = graph(functions, None, |raw| {
        raw[0].calls.push((0x50, 0x1100, Rax::Number(MPROTECT)));
        raw[1].calls.push((0x60, 0x1200, Rax::Callers));
        raw[2].syscalls.push((0x70, Rax::Callers));
    });
    let site = graph.reach(ROOT, MPROTECT).site.unwrap();
    assert_eq!((site.function.as_str(), site.address), ("root", 0x50));
    assert_eq!(graph.reach(ROOT, 9).verdict, Verdict::Unreachable);
    assert_eq!(graph.reach(0x1100, MPROTECT).verdict, Verdict::Unreachable);
}

#[test]
fn a_number_nobody_can_tell_may_be_any() {
    let functions: &[(&str, &[usize])] = &[("root", &[1]), ("runtime.runPerThreadSyscall", &[])];
    let graph = graph(functions, None, |raw| {
        raw[1].syscalls.push((0x70, Rax::Unknown))
    });
    let reach = graph.reach(ROOT, MPROTECT);
    assert_eq!(reach.verdict, Verdict::Gated);
    assert_eq!(reach.site.unwrap().number, None);
    assert_eq!(graph.sites(None).count(), 1);
    assert_eq!(graph.sites(Some(MPROTECT)).count(), 0);
}

#[test]
fn a_reference_to_a_carrier_may_carry_anything() {
    let functions: &[(&str, &[usize])] = &[("root", &[]), ("Syscall6", &[])];
    let graph = graph(functions, None, |raw| {
        raw[0].references.push((0x50, 0x1100));
        raw[1].syscalls.push((0x70, Rax::Callers));
    });
    let site = graph.reach(ROOT, MPROTECT).site.unwrap();
    assert_eq!((site.function.as_str(), site.number), ("root", None));
}
