//! Memory system calls: arguments, results, and the function that made them.

use map_trace::model::event::{EventKind, MemoryCallEvent};
use map_trace_tests::{Session, Traced, c};

fn traced(program: &str, arguments: &[&str]) -> Traced {
    let traced = Session::run(c(program))
        .arguments(arguments)
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    traced
}

fn prots(calls: &[&MemoryCallEvent]) -> Vec<(String, String)> {
    let word = |prot: Option<map_trace::model::Prot>| {
        prot.map_or_else(|| "?".to_owned(), |prot| prot.to_string())
    };
    calls
        .iter()
        .map(|call| (word(call.old_prot), word(call.prot)))
        .collect()
}

#[test]
fn every_mprotect_is_seen_with_what_it_changed() {
    let traced = traced("mprotect_flips", &["41"]);
    let calls = traced
        .trace
        .calls_in(EventKind::Mprotect, traced.said.range());
    assert_eq!(calls.len(), 41);
    for (index, (old, new)) in prots(&calls).iter().enumerate() {
        let expected = if index % 2 == 0 {
            ("rw-", "r--")
        } else {
            ("r--", "rw-")
        };
        assert_eq!((old.as_str(), new.as_str()), expected, "call {index}");
    }
    for (index, call) in calls.into_iter().enumerate() {
        assert_eq!((call.result, call.length), (Some(0), 4096));
        // The entry changes with the call, both ways, before the program runs on.
        let entry = |pte: Option<map_trace::model::Pte>| {
            let pte = pte.expect("the entry was read");
            assert!(pte.present && pte.user && pte.no_execute, "{pte:?}");
            pte.writable
        };
        let writable = (entry(call.pte_before), entry(call.pte_after));
        assert_eq!(writable, (index % 2 == 0, index % 2 != 0), "call {index}");
        assert!(
            call.duration_ns.is_some_and(|duration| duration > 0),
            "{call:?}"
        );
    }
}

#[test]
fn a_call_that_failed_keeps_its_error_and_changed_nothing() {
    let traced = traced("mprotect_failed", &["7"]);
    let calls = traced
        .trace
        .calls_in(EventKind::Mprotect, traced.said.range());
    let failed = |error: &str| {
        calls
            .iter()
            .filter(|call| call.error.as_deref() == Some(error))
            .count()
    };
    assert_eq!(
        (failed("ENOMEM"), failed("EINVAL"), calls.len()),
        (7, 7, 14)
    );
    let result = |error: i64| {
        calls
            .iter()
            .filter(|call| call.result == Some(-error))
            .count()
    };
    assert_eq!((result(12), result(22)), (7, 7));
    // Nothing was mapped there, and that is written.
    let text = std::fs::read_to_string(&traced.trace_file).unwrap();
    let unmapped = |line: &&str| line.contains("ENOMEM") && line.contains("\"old_prot\":null");
    assert_eq!(text.lines().filter(unmapped).count(), 7);
}

#[test]
fn a_caller_without_a_frame_pointer_is_named() {
    let traced = traced("mprotect_caller", &["9"]);
    let calls = traced
        .trace
        .calls_in(EventKind::Mprotect, traced.said.range());
    assert_eq!(calls.len(), 9);
    for call in calls {
        let functions = traced.trace.functions(&call.context);
        assert!(functions.contains(&"guilty"), "{functions:?}");
        assert!(!functions.contains(&"innocent"), "{functions:?}");
    }
}

#[test]
fn pkey_mprotect_is_its_own_kind() {
    let traced = traced("pkey", &["13"]);
    let range = traced.said.range();
    let calls = traced.trace.calls_in(EventKind::PkeyMprotect, range);
    assert_eq!(calls.len(), 13);
    assert!(
        calls
            .iter()
            .all(|call| call.pkey == Some(-1) && call.result == Some(0))
    );
    assert_eq!(traced.trace.calls_in(EventKind::Mprotect, range).len(), 0);
    assert_eq!(traced.summary.events.pkey_mprotect, 13);
}

#[test]
fn a_move_says_from_where_to_where() {
    let traced = traced("mremap", &["5"]);
    let (first, other) = (traced.said.range(), traced.said.range_of("other_"));
    let calls: Vec<_> = traced.trace.calls(EventKind::Mremap).collect();
    let moves: Vec<_> = calls
        .iter()
        .map(|call| {
            (
                call.address.0,
                call.new_address.map_or(0, |address| address.0),
            )
        })
        .filter(|(from, _)| first.contains(*from) || other.contains(*from))
        .collect();
    let (a, b) = (first.start, other.start);
    assert_eq!(moves, [(a, b), (b, a), (a, b), (b, a), (a, b)]);
}

#[test]
fn a_map_over_a_page_is_a_mapping_and_no_mprotect() {
    let traced = traced("segv", &["3", "overlay"]);
    let range = traced.said.range();
    assert_eq!(traced.trace.calls_in(EventKind::Mprotect, range).len(), 0);
    let fixed = traced.trace.calls_in(EventKind::Mmap, range);
    let prots: Vec<_> = fixed
        .iter()
        .map(|call| call.prot.map_or_else(String::new, |prot| prot.to_string()))
        .collect();
    assert_eq!(prots, ["rw-", "r--"]);
    let flags = fixed[1].flags.as_deref().unwrap_or("");
    for flag in ["MAP_PRIVATE", "MAP_ANONYMOUS", "MAP_FIXED"] {
        assert!(flags.contains(flag), "{flags}");
    }
}

#[test]
fn the_calls_a_program_makes_are_those_strace_sees() {
    let program = c("dontneed");
    let traced = Session::run(&program)
        .arguments(&["30", "4"])
        .traced()
        .sound();
    let log = tempfile::NamedTempFile::new().unwrap();
    let status = std::process::Command::new("strace")
        .args(["-f", "-qq", "-e", "signal=none", "-e"])
        .arg("trace=mprotect,pkey_mprotect,mmap,munmap,mremap,brk,madvise")
        .arg("-o")
        .arg(log.path())
        .arg(&program)
        .args(["30", "4"])
        .stdout(std::process::Stdio::null())
        .status()
        .expect("strace starts: cargo xtask setup installs it");
    assert!(status.success());
    let text = std::fs::read_to_string(log.path()).unwrap();
    let seen = |name: &str| {
        let call = format!("{name}(");
        let named = |line: &&str| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|word| word.starts_with(&call))
        };
        text.lines().filter(named).count() as u64
    };
    let events = &traced.summary.events;
    for (name, ours) in [
        ("mprotect", events.mprotect),
        ("pkey_mprotect", events.pkey_mprotect),
        ("mmap", events.mmap),
        ("munmap", events.munmap),
        ("mremap", events.mremap),
        ("brk", events.brk),
        ("madvise", events.madvise),
    ] {
        assert_eq!(ours, seen(name), "{name}; strace saw:\n{text}");
    }
    assert!(events.mmap > 3 && events.madvise == 5, "{events:?}");
}
