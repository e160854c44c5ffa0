//! Children and new program images are followed in the kernel.
#![expect(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeSet;
use std::process::Stdio;

use map_trace::model::Cause;
use map_trace_tests::{Range, Said, Session, Traced, c};

/// What one image of the `chain` workload says: its process and its range.
fn images(traced: &Traced) -> Vec<(u32, Range)> {
    let text = String::from_utf8_lossy(&traced.output.stdout).into_owned();
    text.lines()
        .map(|line| {
            let said = Said::parse(&line.replace(' ', "\n"));
            (u32::try_from(said.number("pid")).unwrap(), said.range())
        })
        .collect()
}

fn chain(how: &str, follow: &str) -> Traced {
    Session::run(c("chain"))
        .arguments(&["3", "80", how])
        .option("--follow-forks")
        .option(follow)
        .in_full()
        .traced()
}

/// First touches that one process made in one range.
fn touches(traced: &Traced, pid: u32, range: Range) -> usize {
    let of_pid = |fault: &&map_trace::model::event::PageFaultEvent| {
        fault.pid == pid && range.contains(fault.address.0)
    };
    let faults: Vec<_> = traced.trace.faults().filter(of_pid).collect();
    assert!(
        faults.iter().all(|fault| fault.cause == Cause::FirstTouch),
        "{faults:?}"
    );
    faults.len()
}

#[test]
fn children_are_followed_however_they_are_made() {
    for how in ["fork", "vfork", "spawn"] {
        let traced = chain(how, "yes").sound();
        let images = images(&traced);
        let pids: BTreeSet<_> = images.iter().map(|(pid, _)| *pid).collect();
        assert_eq!((images.len(), pids.len()), (4, 4), "{how}");
        for (pid, range) in &images {
            assert_eq!(touches(&traced, *pid, *range), 80, "{how}: process {pid}");
        }
        let forks: Vec<_> = traced.trace.forks().filter(|fork| !fork.thread).collect();
        assert_eq!(forks.len(), 3, "{how}: {forks:?}");
        assert!(forks.iter().all(|fork| fork.followed), "{how}: {forks:?}");
        assert_eq!(traced.trace.execs().count(), 4, "{how}");
        assert_eq!(
            traced.trace.exits().filter(|exit| exit.process).count(),
            4,
            "{how}"
        );
    }
}

#[test]
fn a_new_program_image_in_the_same_process_is_followed() {
    let traced = chain("exec", "yes").sound();
    let images = images(&traced);
    let pids: BTreeSet<_> = images.iter().map(|(pid, _)| *pid).collect();
    assert_eq!((images.len(), pids.len()), (4, 1));
    // Two images may get the same addresses: the faults of all four, in the ranges of all four.
    let in_any = |address: u64| images.iter().any(|(_, range)| range.contains(address));
    let faults = traced
        .trace
        .faults()
        .filter(|fault| in_any(fault.address.0))
        .count();
    assert_eq!(faults, 320);
    assert_eq!(traced.trace.execs().count(), 4);
}

#[test]
fn children_are_left_alone_when_asked() {
    let traced = chain("fork", "no");
    let images = images(&traced);
    let (parent, range) = images[0];
    assert_eq!(touches(&traced, parent, range), 80);
    for (pid, range) in &images[1..] {
        assert_eq!(touches(&traced, *pid, *range), 0, "process {pid}");
    }
    assert!(
        traced
            .trace
            .forks()
            .all(|fork| fork.thread || !fork.followed)
    );
    assert!(traced.summary.loss.complete(), "{:?}", traced.summary.loss);
}

#[test]
fn a_script_and_what_it_starts_is_one_trace() {
    let program = c("first_touch");
    let script = format!("for n in 1 2 3; do {} 60; done; exit 5", program.display());
    let traced = Session::run("/bin/sh")
        .arguments(&["-c", &script])
        .in_full()
        .traced()
        .sound();
    assert_eq!(traced.status(), 5);
    let text = String::from_utf8_lossy(&traced.output.stdout).into_owned();
    let starts: Vec<_> = text
        .lines()
        .filter(|line| line.starts_with("start="))
        .collect();
    assert_eq!(starts.len(), 3);
    let executed: Vec<_> = traced
        .trace
        .execs()
        .filter(|exec| exec.executable.as_deref() == program.to_str())
        .collect();
    assert_eq!(executed.len(), 3);
    for exec in executed {
        let by_process = traced.trace.faults().filter(|fault| fault.pid == exec.pid);
        let touches = by_process
            .filter(|fault| fault.cause == Cause::FirstTouch)
            .count();
        assert!((60..200).contains(&touches), "{touches}");
    }
}

#[test]
fn the_faults_perf_counts_of_the_same_run_are_all_there() {
    // perf counts the whole run, map-trace's own faults included: it stands inside, around the program.
    let log = tempfile::NamedTempFile::new().unwrap();
    let program = c("threads");
    let traced = Session::run("perf")
        .arguments(&["stat", "-x,", "-e", "page-faults:u,page-faults:k", "-o"])
        .argument(log.path())
        .argument("--")
        .argument(&program)
        .arguments(&["3", "400"])
        .with(|command| {
            command.stdin(Stdio::null());
        })
        .in_full()
        .traced();
    assert_eq!(traced.status(), 0, "{}", traced.stderr());
    let text = std::fs::read_to_string(log.path()).unwrap();
    let counts: Vec<u64> = text
        .lines()
        .filter(|line| line.contains("page-faults"))
        .map(|line| {
            line.split(',')
                .next()
                .unwrap_or("")
                .parse()
                .unwrap_or_else(|_| panic!("{text}"))
        })
        .collect();
    assert_eq!(counts.len(), 2, "{text}");
    let process = traced
        .trace
        .execs()
        .find(|exec| exec.executable.as_deref() == program.to_str())
        .map(|exec| (exec.pid, exec.time_ns))
        .expect("the program was executed");
    let ours = traced
        .trace
        .faults()
        .filter(|fault| fault.pid == process.0 && fault.time_ns >= process.1)
        .count() as u64;
    let perf: u64 = counts.iter().sum();
    // perf enables its counters inside exec, before our exec line: the loader's faults lie between.
    assert!(
        (ours..=ours + 20).contains(&perf),
        "perf {perf}, map-trace {ours}: {text}"
    );
    assert!(ours >= 1200, "{ours}");
}
