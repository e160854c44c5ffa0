//! Claims judged on real programs: the clean one passes, the saboteur does not, and a saved trace says the same
//! without root.
#![expect(
    clippy::unwrap_used,
    clippy::panic,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use map_trace::model::TraceLine;
use map_trace::model::stack::StackLine;
use map_trace::model::summary::{Claim, Summary, VerdictWord};
use map_trace_tests::{Session, Strip, Traced, as_nobody, c, go, go_toolchains};

const RULE: &str = "mprotect during hot == 0";

/// `check` on the workload `hot`, judging [`RULE`] and more rules.
fn check(arguments: &[&str], rules: &[&str]) -> Traced {
    let session = Session::check(c("hot")).arguments(arguments).in_full();
    let session = session.option("--region").option("hot=hot");
    let rules = [RULE].into_iter().chain(rules.iter().copied());
    rules
        .fold(session, |session, rule| {
            session.option("--expect").option(rule)
        })
        .traced()
}

fn verdicts(claims: &[Claim]) -> Vec<VerdictWord> {
    claims.iter().map(|claim| claim.verdict).collect()
}

/// `check` on a saved trace, by a user without any right.
fn offline(trace: &Path, arguments: &[&str]) -> Output {
    let copy = std::env::temp_dir().join(format!(
        "map-trace-check-{}-{:?}.jsonl",
        std::process::id(),
        std::thread::current().id()
    ));
    fs::copy(trace, &copy).unwrap();
    fs::set_permissions(&copy, fs::Permissions::from_mode(0o644)).unwrap();
    let output = as_nobody()
        .arg("check")
        .arg(&copy)
        .args(arguments)
        .output()
        .unwrap();
    fs::remove_file(copy).unwrap();
    output
}

fn offline_claims(trace: &Path, rules: &[&str]) -> (i32, Vec<Claim>) {
    let mut arguments = vec!["--format", "json", "--expect", RULE];
    for rule in rules {
        arguments.extend(["--expect", rule]);
    }
    let output = offline(trace, &arguments);
    let summary: Summary = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|why| panic!("{why}: {}", String::from_utf8_lossy(&output.stderr)));
    (output.status.code().unwrap(), summary.claims)
}

#[test]
fn a_function_that_calls_mprotect_is_caught_and_shown() {
    let traced = check(&["7", "0", "protect"], &[]).sound();
    assert_eq!(traced.status(), 1, "{}", traced.stderr());
    assert_eq!(traced.said.number("mprotect"), 14);
    let [claim] = &traced.summary.claims[..] else {
        panic!("one claim: {:?}", traced.summary.claims)
    };
    assert_eq!(claim.verdict, VerdictWord::Refuted);
    assert_eq!(claim.reason, "14 seen");
    let first = &claim.evidence[0];
    let text = first["text"].as_str().unwrap();
    assert!(text.starts_with("mprotect(0x"), "{text}");
    assert!(text.contains("at hot hot.c:"), "{text}");
    assert!(text.contains("<- main hot.c:"), "{text}");
    let gdb = first["gdb"].as_str().unwrap();
    let line: usize = gdb.strip_prefix("break hot.c:").unwrap().parse().unwrap();
    let source = include_str!("../workloads/c/hot.c").lines().nth(line - 1);
    assert!(source.unwrap().contains("PROT_READ) != 0"), "{source:?}");
    let stderr = traced.stderr();
    assert!(stderr.contains(gdb) && stderr.contains(text), "{stderr}");
    // The evidence is where it says.
    let number = usize::try_from(first["line"].as_u64().unwrap()).unwrap();
    let TraceLine::Mprotect(call) = &traced.trace.lines()[number - 1] else {
        panic!("line {number} is no mprotect")
    };
    assert_eq!(call.context.operation.word(), "hot");
}

#[test]
fn a_clean_program_passes_though_others_call_mprotect() {
    let traced = check(&["7", "0"], &["mprotect >= 2", "signal == 0"]).sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    let claims = &traced.summary.claims;
    assert_eq!(verdicts(claims), [VerdictWord::Supported; 3], "{claims:?}");
    assert!(traced.summary.events.mprotect >= 2);
}

/// `check` on the workload `sorting`.
fn check_sorting(how: &str) -> Traced {
    let session = Session::check(c("sorting"))
        .arguments(&["16", how])
        .in_full();
    let session = session.option("--region").option("hot=hot");
    session.option("--expect").option(RULE).traced()
}

/// Of the calls of mprotect that the comparison made, those with hot() among their callers.
fn seen_in_hot(traced: &Traced) -> (usize, usize) {
    let lines = traced.trace.lines();
    let calls = lines.iter().filter_map(|line| match line {
        TraceLine::Mprotect(call) => call.context.stack,
        _ => None,
    });
    let stack = |id| {
        lines.iter().find_map(|line| match line {
            TraceLine::Stack(stack) if stack.id == id => Some(stack),
            _ => None,
        })
    };
    let has = |stack: &StackLine, name| {
        let mut names = stack.frames.iter().map(|frame| frame.function.as_deref());
        names.any(|function| function == Some(name))
    };
    let compared: Vec<_> = calls
        .filter_map(stack)
        .filter(|stack| has(stack, "compare"))
        .collect();
    let hot = compared.iter().filter(|stack| has(stack, "hot")).count();
    (compared.len(), hot)
}

#[test]
fn a_caller_hidden_by_the_c_library_keeps_a_rule_about_it_open() {
    let traced = check_sorting("qsort").sound();
    let [claim] = &traced.summary.claims[..] else {
        panic!("one claim: {:?}", traced.summary.claims)
    };
    let (calls, in_hot) = seen_in_hot(&traced);
    assert!(calls >= 30);
    assert_eq!(calls as u64, traced.said.number("mprotect"));
    if in_hot == 0 {
        assert_eq!(claim.verdict, VerdictWord::Inconclusive, "{claim:?}");
        assert!(claim.reason.contains("whose stack breaks off"), "{claim:?}");
        assert_eq!(traced.status(), 3);
    } else {
        // A C library with frame pointers hides nothing.
        assert_eq!(claim.verdict, VerdictWord::Refuted, "{claim:?}");
        assert_eq!(in_hot, calls);
    }
}

#[test]
fn a_caller_behind_frame_pointers_is_seen_through_a_callback() {
    let loud = check_sorting("own").sound();
    let (calls, in_hot) = seen_in_hot(&loud);
    assert!(calls >= 30);
    assert_eq!(calls, in_hot);
    assert_eq!(verdicts(&loud.summary.claims), [VerdictWord::Refuted]);
    let quiet = check_sorting("quiet").sound();
    assert_eq!(quiet.said.number("mprotect"), 0);
    assert!(quiet.said.number("compared") >= 15);
    let claims = &quiet.summary.claims;
    assert_eq!(verdicts(claims), [VerdictWord::Supported], "{claims:?}");
}

#[test]
fn a_saved_trace_gives_the_same_verdicts_without_root() {
    let rules = ["mprotect >= 2", "brk during hot == 0", "signal == 1"];
    for (arguments, status) in [(&["3", "0", "protect"][..], 1), (&["3", "0"][..], 1)] {
        let traced = check(arguments, &rules);
        assert_eq!(traced.status(), status, "{}", traced.stderr());
        let (code, claims) = offline_claims(&traced.trace_file, &rules);
        assert_eq!(claims, traced.summary.claims);
        assert_eq!(code, status);
        assert_eq!(traced.trace.footer().claims, claims);
    }
}

#[test]
fn what_is_missing_from_a_trace_keeps_its_claims_open() {
    let traced = check(&["3", "0"], &[]).sound();
    let text = fs::read_to_string(&traced.trace_file).unwrap();
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(offline_claims(&traced.trace_file, &[]).0, 0);
    let file = traced.trace_file.with_extension("damaged");
    let judge = |name: &str, lines: &[&str]| {
        fs::write(&file, lines.join("\n") + "\n").unwrap();
        let (code, claims) = offline_claims(&file, &[]);
        assert_eq!(code, 3, "{name}: {claims:?}");
        assert_eq!(verdicts(&claims), [VerdictWord::Inconclusive], "{name}");
    };
    judge("no footer", &lines[..lines.len() - 1]);
    let events = lines.iter().enumerate().filter(|(_, line)| {
        ["page_fault", "mprotect", "mmap", "exec"]
            .iter()
            .any(|kind| line.starts_with(&format!("{{\"type\":\"{kind}\"")))
    });
    let events: Vec<usize> = events.map(|(index, _)| index).collect();
    assert!(events.len() > 20);
    for index in events {
        let mut damaged = lines.clone();
        damaged.remove(index);
        judge(&format!("without line {}", index + 1), &damaged);
    }
}

/// `check` with a file of one claim that holds, under needs and options of one's own.
fn with_needs(needs: &str, options: &[&str]) -> (i32, Vec<Claim>) {
    let file = tempfile::NamedTempFile::new().unwrap();
    let claim = format!(
        "[[claim]]\nid = \"quiet\"\nstatement = \"no mprotect\"\nevent = \"mprotect\"\nduring = \"hot\"\n\
         expect = \"== 0\"\nneeds = {{ {needs} }}\n"
    );
    fs::write(&file, claim).unwrap();
    let session = Session::check(c("hot")).arguments(&["3", "0"]).in_full();
    let session = session.option("--region").option("hot=hot");
    let session = session
        .option("--claims")
        .option(file.path().to_str().unwrap());
    let session = options
        .iter()
        .fold(session, |session, option| session.option(option));
    let traced = session.traced();
    (traced.status(), traced.summary.claims)
}

#[test]
fn needs_that_the_options_rule_out_keep_a_claim_open() {
    let (code, claims) = with_needs("controls = [\"mprotect\"]", &[]);
    assert_eq!((code, verdicts(&claims)), (0, vec![VerdictWord::Supported]));
    for (needs, options) in [
        ("pte_samples = 1", &["--pte", "off"][..]),
        ("assign = 2", &["--census", "off"][..]),
        ("assign = 1000000000", &[][..]),
    ] {
        let (code, claims) = with_needs(needs, options);
        assert_eq!(
            (code, verdicts(&claims)),
            (3, vec![VerdictWord::Inconclusive]),
            "{needs}"
        );
        let (_, wanted) = needs.split_once(" = ").unwrap();
        let reason = claims[0].reason.replace(',', "");
        assert!(
            reason.contains(&format!("{wanted} needed")),
            "{needs}: {reason}"
        );
    }
}

#[test]
fn the_programs_own_failure_counts_unless_it_is_to_be_ignored() {
    let failing = || Session::check(c("hot")).arguments(&["3", "5"]);
    let failing = || {
        failing()
            .option("--region=hot=hot")
            .option("--expect")
            .option(RULE)
    };
    assert_eq!(failing().traced().status(), 4);
    assert_eq!(failing().option("--ignore-status").traced().status(), 0);
    // A claim that failed says more.
    assert_eq!(check(&["3", "5", "protect"], &[]).status(), 1);
    // And a program that cannot be run is neither.
    let missing = Session::check("/does/not/exist").option("--expect=signal == 0");
    assert_eq!(missing.output().status.code(), Some(127));
}

#[test]
fn run_tells_the_verdict_and_keeps_the_programs_status() {
    let traced = Session::run(c("hot"))
        .arguments(&["3", "9", "protect"])
        .option("--region=hot=hot")
        .option("--expect")
        .option(RULE)
        .traced();
    assert_eq!(traced.status(), 9);
    assert_eq!(
        verdicts(&traced.summary.claims),
        [VerdictWord::Refuted],
        "{}",
        traced.stderr()
    );
    assert!(traced.stderr().contains("refuted"), "{}", traced.stderr());
}

#[test]
fn a_region_that_matches_no_function_is_not_clean() {
    let traced = Session::check(c("hot"))
        .option("--region=cold=no_such_function*")
        .option("--expect=mprotect during cold == 0")
        .traced();
    assert_eq!(traced.status(), 3, "{}", traced.stderr());
    let reason = &traced.summary.claims[0].reason;
    assert!(reason.contains("no function of the program"), "{reason}");
}

#[test]
fn a_caller_without_a_frame_pointer_is_caught_and_its_neighbour_is_not() {
    let judge = |region: &str| {
        Session::check(c("mprotect_caller"))
            .option(format!("--region=it={region}"))
            .option("--expect=mprotect during it == 0")
            .traced()
    };
    assert_eq!(judge("guilty").status(), 1);
    let innocent = judge("innocent");
    assert_eq!(innocent.status(), 0, "{}", innocent.stderr());
}

#[test]
fn an_earlier_run_is_a_baseline() {
    // Faults of starting up differ between runs, by a dozen on a busy machine; 100 calls are more than what is allowed.
    let clean = check(&["50", "0"], &[]);
    let baseline = clean.trace_file.to_str().unwrap().to_owned();
    let against = |arguments: &[&str]| {
        Session::check(c("hot"))
            .arguments(arguments)
            .option("--region=hot=hot")
            .option("--baseline")
            .option(&baseline)
            .option("--max-increase=40")
            .traced()
    };
    let same = against(&["50", "0"]);
    assert_eq!(same.status(), 0, "{}", same.stderr());
    let worse = against(&["50", "0", "protect"]);
    assert_eq!(worse.status(), 1, "{}", worse.stderr());
    let evidence = &worse.summary.claims[0].evidence;
    let texts: Vec<_> = evidence.iter().map(|one| one["text"].as_str()).collect();
    assert_eq!(texts, [Some("mprotect during hot: 100, was 0")]);
}

#[test]
fn claims_about_go_maps_are_judged_on_every_go() {
    for toolchain in go_toolchains() {
        let version = &toolchain.version;
        let judge = |program: &str, arguments: &[&str]| {
            Session::check(go(&toolchain, Strip::No, program))
                .arguments(arguments)
                .option("--region=sabotage=main.rangeSabotaged")
                .option("--expect=mprotect during assign == 0")
                .option("--expect=mprotect during iterate == 0")
                .option("--expect=mprotect during sabotage == 0")
                .traced()
        };
        let swiss: &[&str] = if toolchain.has_swiss_maps() {
            &["-swiss"]
        } else {
            &[]
        };
        let sabotaged = judge("sabotage", swiss);
        let [assign, iterate, region] = &verdicts(&sabotaged.summary.claims)[..] else {
            panic!("three claims")
        };
        let stderr = sabotaged.stderr();
        assert_eq!(*assign, VerdictWord::Supported, "{version}: {stderr}");
        assert_ne!(*iterate, VerdictWord::Supported, "{version}: {stderr}");
        assert_eq!(*region, VerdictWord::Refuted, "{version}: {stderr}");
        assert_eq!(sabotaged.status(), 1, "{version}");
        assert!(
            stderr.contains("gdb: break main.go:"),
            "{version}: {stderr}"
        );

        let clean = judge("demo", &[]);
        let verdicts = verdicts(&clean.summary.claims);
        let stderr = clean.stderr();
        assert_eq!(
            verdicts[..2],
            [VerdictWord::Supported; 2],
            "{version}: {stderr}"
        );
    }
}
