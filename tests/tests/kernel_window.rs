//! Claims about a part of a run: from the first entry into one function to the first into another.

use map_trace::model::summary::VerdictWord;
use map_trace::model::vma::is_tracers_fault;
use map_trace::model::{Operation, TraceLine};
use map_trace_tests::{Session, Strip, Traced, c, go, go_toolchains};

/// Judges that nothing protects memory, in a part of the workload `hot`, which protects a page before it calls `hot`.
fn hot(options: &[&str], arguments: &[&str]) -> Traced {
    let session = Session::check(c("hot")).arguments(arguments).in_full();
    let session = session.option("--expect").option("mprotect == 0");
    let session = options
        .iter()
        .fold(session, |session, option| session.option(option));
    session.traced()
}

fn verdict(traced: &Traced) -> (VerdictWord, &str) {
    let claim = &traced.summary.claims[0];
    (claim.verdict, &claim.reason)
}

fn marks(traced: &Traced) -> Vec<&str> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::Mark(mark) => mark.symbol.as_deref(),
            _ => None,
        })
        .collect()
}

#[test]
fn what_comes_before_the_steady_state_is_not_judged() {
    let whole = hot(&[], &["1000", "0"]).sound();
    assert_eq!(
        verdict(&whole).0,
        VerdictWord::Refuted,
        "{:?}",
        verdict(&whole)
    );
    let steady = hot(&["--from", "hot"], &["1000", "0"]).sound();
    assert_eq!(
        verdict(&steady).0,
        VerdictWord::Supported,
        "{:?}",
        verdict(&steady)
    );
    assert_eq!(steady.status(), 0);
    // A thousand calls, and one entry noted.
    assert_eq!(marks(&steady), ["hot"]);
}

#[test]
fn what_the_steady_state_does_is_judged() {
    let traced = hot(&["--from", "hot"], &["7", "0", "protect"]).sound();
    assert_eq!(verdict(&traced), (VerdictWord::Refuted, "14 seen"));
    assert_eq!(traced.status(), 1);
}

#[test]
fn the_part_can_end_before_the_program_does() {
    // The first `lift` comes before the first `hot`, and the calls of `hot` after both.
    let traced = hot(
        &["--from", "main", "--until", "lift"],
        &["7", "0", "protect"],
    )
    .sound();
    assert_eq!(verdict(&traced), (VerdictWord::Refuted, "1 seen"));
    assert_eq!(marks(&traced), ["main", "lift"]);
    let nothing = hot(&["--until", "main"], &["7", "0", "protect"]).sound();
    assert!(
        !verdict(&nothing).1.contains("never entered"),
        "{:?}",
        verdict(&nothing)
    );
}

/// Judges that nothing faults between the first entries into `stepped` and `closing`.
fn stepped(options: &[&str], arguments: &[&str]) -> Traced {
    let session = Session::check(c("stepped")).arguments(arguments);
    let parts = ["--from", "stepped", "--until", "closing"];
    let rule = ["--expect", "page_fault == 0"];
    let words = parts.iter().chain(&rule).chain(options);
    let session = words.fold(session, |session, word| session.option(word));
    session.traced()
}

#[test]
fn the_fault_of_a_stepped_probe_is_not_the_programs() {
    for detail in ["all", "0"] {
        let traced = stepped(&["--detail", detail], &["50", "touched"]).sound();
        assert_eq!(
            verdict(&traced).0,
            VerdictWord::Supported,
            "{detail}: {:?}",
            verdict(&traced)
        );
        assert_eq!(traced.summary.witnesses.own, 1, "{detail}");
        let own: Vec<_> = traced
            .trace
            .faults()
            .filter(|fault| is_tracers_fault(fault.error_code, fault.vma.as_ref()))
            .collect();
        let [fault] = own[..] else {
            panic!("{detail}: {own:?}");
        };
        assert_eq!(fault.address, fault.ip);
        assert_eq!(fault.context.operation, Operation::None);
    }
}

/// What the stepped instruction itself writes to is the program's affair, wherever it is executed.
#[test]
fn the_fault_of_a_stepped_instruction_is_the_programs() {
    let traced = stepped(&[], &["50"]).sound();
    assert_eq!(verdict(&traced), (VerdictWord::Refuted, "50 seen"));
    assert_eq!(traced.summary.witnesses.own, 1);
    let region = [
        "--region",
        "hot=stepped",
        "--expect",
        "page_fault during hot == 0",
    ];
    let traced = stepped(&region, &["50"]).sound();
    // Out of its place the function has no name: that nothing was in it cannot be said.
    let claim = &traced.summary.claims[1];
    assert_eq!(claim.verdict, VerdictWord::Inconclusive, "{}", claim.reason);
}

#[test]
fn a_saved_trace_is_judged_by_its_marks_and_not_without() {
    let traced = hot(&["--from", "hot"], &["7", "0"]).sound();
    let judge = |from: &str| {
        let output = std::process::Command::new(map_trace_tests::map_trace())
            .args(["check", "--expect", "mprotect == 0", "--from", from])
            .arg(&traced.trace_file)
            .output();
        output.map(|output| output.status.code()).ok().flatten()
    };
    assert_eq!(judge("hot"), Some(0));
    assert_eq!(judge("lift"), Some(3));
}

#[test]
fn a_function_that_is_not_there_costs_no_run() {
    let session = Session::check(c("hot"))
        .option("--expect")
        .option("mprotect == 0");
    let output = session.option("--from").option("no_such_function").output();
    assert_eq!(output.status.code(), Some(2));
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(stderr.contains("no such function"), "{stderr}");
    assert!(output.stdout.is_empty(), "the program ran");
}

#[test]
fn a_go_program_is_judged_from_a_phase_of_its_own() {
    for toolchain in go_toolchains() {
        let session = Session::check(go(&toolchain, Strip::No, "demo")).in_full();
        let session = session
            .arguments(&["-n", "100000"])
            .option("--from")
            .option("main.rangeOver")
            .option("--region=phase=main.rangeOver");
        let rule = ["--expect", "page_fault during assign <= 50"];
        let traced = rule
            .iter()
            .fold(session, |session, word| session.option(word))
            .traced()
            .sound();
        assert_eq!(marks(&traced), ["main.rangeOver"], "{}", toolchain.version);
        // Go's table has the function, and the symbol table once more.
        let known = &traced.trace.footer().regions;
        assert_eq!(known["phase"], 1, "{}", toolchain.version);
        let before = traced
            .summary
            .operations
            .iter()
            .find(|row| row.operation.word() == "assign");
        assert!(
            before.is_some_and(|row| row.events["page_fault"] > 100),
            "{}",
            toolchain.version
        );
        // Filling the map faults, and comes before; what comes after assigns into memory that is nearly all there.
        assert_ne!(
            verdict(&traced).0,
            VerdictWord::Refuted,
            "{}: {:?}",
            toolchain.version,
            verdict(&traced)
        );
    }
}

#[test]
fn a_go_program_is_judged_once_a_number_of_map_operations_are_over() {
    let toolchain = go_toolchains().pop().expect("a Go toolchain");
    let judge = |after: &str, census: &[&str]| {
        let session = Session::check(go(&toolchain, Strip::No, "demo")).in_full();
        let session = session.arguments(&["-n", "10000"]);
        let rule = ["--expect", "map_grow == 0", "--after-ops", after];
        let words = rule.iter().chain(census);
        words
            .fold(session, |session, word| session.option(word))
            .traced()
            .sound()
    };
    let early = judge("assign=1000", &[]);
    assert_eq!(
        verdict(&early).0,
        VerdictWord::Refuted,
        "{:?}",
        verdict(&early)
    );
    assert_eq!(early.status(), 1);
    let noted: Vec<_> = early
        .trace
        .lines()
        .iter()
        .filter_map(|line| match line {
            TraceLine::Mark(mark) => Some((mark.after_operations, mark.operation.clone())),
            _ => None,
        })
        .collect();
    assert_eq!(noted, [(Some(1000), Some(Operation::Assign))]);
    let uncounted = judge("assign=1000", &["--census", "off"]);
    assert_eq!(uncounted.status(), 3);
    assert!(
        verdict(&uncounted).1.contains("--census full"),
        "{:?}",
        verdict(&uncounted)
    );
    let never = judge("1000000000", &[]);
    assert_eq!(verdict(&never).0, VerdictWord::Inconclusive);
    assert!(
        verdict(&never).1.contains("were counted"),
        "{:?}",
        verdict(&never)
    );
    // The same trace tells the same later, and nothing of another number.
    for (after, status) in [("assign=1000", 1), ("assign=1001", 3)] {
        let output = std::process::Command::new(map_trace_tests::map_trace())
            .args(["check", "--expect", "map_grow == 0", "--after-ops", after])
            .arg(&early.trace_file)
            .output()
            .expect("map-trace runs");
        assert_eq!(output.status.code(), Some(status), "{after}");
    }
}
