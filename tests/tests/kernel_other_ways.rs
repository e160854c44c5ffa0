//! Ways past the calls and frames that rules are about: what they hide is counted, or said to be open.
#![expect(
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use map_trace::model::summary::{Claim, VerdictWord};
use map_trace_tests::{Session, Traced, c, skipped};

/// `check` of one rule about hot() in a workload.
fn check(program: &str, argument: &str, rule: &str) -> Traced {
    let session = Session::check(c(program)).arguments(&[argument]).in_full();
    let session = session.option("--region").option("hot=hot");
    session.option("--expect").option(rule).traced()
}

fn only(traced: &Traced) -> &Claim {
    let [claim] = &traced.summary.claims[..] else {
        panic!("one claim: {:?}", traced.summary.claims)
    };
    claim
}

#[test]
fn what_a_function_ends_with_by_a_jump_is_done_during_it() {
    let traced = check("tail_call", "9", "mprotect during hot == 0").sound();
    let claim = only(&traced);
    assert_eq!(claim.verdict, VerdictWord::Refuted, "{claim:?}");
    assert_eq!(claim.reason, "9 seen");
    assert_eq!(traced.said.number("mprotect"), 9);
    assert!(
        traced.stderr().contains("at hot tail_call.c:"),
        "{}",
        traced.stderr()
    );
}

/// The claim of a workload's way, where this kernel has it.
fn of_way(how: &str, rule: &str) -> Option<Claim> {
    let traced = check("other_ways", how, rule);
    if let Some(errno) = traced.said.under("refused").get("") {
        // ENOSYS, EPERM.
        assert!(["38", "1"].contains(errno), "{how}: errno {errno}");
        skipped(how, "not in this kernel, or switched off on this machine");
        return None;
    }
    assert_eq!(traced.said.number("done"), 1);
    Some(only(&traced).clone())
}

#[test]
fn a_32_bit_call_of_64_bit_code_keeps_rules_open() {
    if let Some(claim) = of_way("int80", "mprotect during hot == 0") {
        assert_eq!(claim.verdict, VerdictWord::Inconclusive, "{claim:?}");
        let reason = "1 32-bit system calls were not decoded";
        assert!(claim.reason.contains(reason), "{claim:?}");
    }
}

#[test]
fn what_does_the_same_as_madvise_keeps_rules_about_madvise_open() {
    for how in ["process_madvise", "io_uring"] {
        if let Some(claim) = of_way(how, "madvise during hot == 0") {
            assert_eq!(claim.verdict, VerdictWord::Inconclusive, "{claim:?}");
            assert!(
                claim.reason.contains("process_madvise or io_uring"),
                "{claim:?}"
            );
        }
        if let Some(claim) = of_way(how, "mprotect during hot == 0") {
            assert_eq!(claim.verdict, VerdictWord::Supported, "{claim:?}");
        }
    }
}
