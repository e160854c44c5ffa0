//! What probes in a Go program tell of its maps, held against what the program says of itself.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeSet;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::{Duration, Instant};

use map_trace::model::Address;
use map_trace::model::event::{Context, MapEvent, TraceLine};
use map_trace_tests::{GoToolchain, Session, Strip, Traced, go, go_toolchains};

fn session(toolchain: &GoToolchain, strip: Strip, arguments: &[&str]) -> Session {
    Session::run(go(toolchain, strip, "maps"))
        .arguments(arguments)
        .in_full()
}

fn traced(toolchain: &GoToolchain, strip: Strip, arguments: &[&str]) -> Traced {
    let traced = session(toolchain, strip, arguments).traced().sound();
    assert_eq!(
        traced.status(),
        0,
        "{}: {}",
        toolchain.label(),
        traced.stderr()
    );
    let header = traced.trace.header();
    assert!(
        header.not_probed.is_empty(),
        "{}: {:?}",
        toolchain.label(),
        header.not_probed
    );
    traced
}

fn makes(traced: &Traced) -> Vec<&MapEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::MapMake(event) => Some(&**event),
            _ => None,
        })
        .collect()
}

fn grown(traced: &Traced) -> Vec<&MapEvent> {
    let lines = traced.trace.lines().iter();
    lines
        .filter_map(|line| match line {
            TraceLine::MapGrow(event) => Some(&**event),
            _ => None,
        })
        .collect()
}

/// Whether a function of the program's own is on an event's stack: the runtime and its packages have maps, too.
fn called_from(traced: &Traced, context: &Context, function: &str) -> bool {
    let of = |line: &TraceLine| match line {
        TraceLine::Stack(stack) if Some(stack.id) == context.stack => Some(
            stack
                .frames
                .iter()
                .any(|frame| frame.function.as_deref() == Some(function)),
        ),
        _ => None,
    };
    traced
        .trace
        .lines()
        .iter()
        .find_map(of)
        .expect("the event's stack")
}

/// The growing map's memory that holds entries, by the program.
fn said_storage(traced: &Traced) -> BTreeSet<(u64, u64)> {
    let parse =
        |text: &str| u64::from_str_radix(text.trim_start_matches("0x"), 16).expect("an address");
    let said = traced.said.under("storage.");
    let range = |text: &&str| {
        let (start, end) = text.split_once('-').expect("a range");
        (parse(start), parse(end))
    };
    said.values().map(range).collect()
}

fn growing(traced: &Traced) -> Address {
    traced.said.text("growing").parse().expect("an address")
}

/// What the trace says a map's entries are in at the end: what it got, less what it left.
fn told_storage(traced: &Traced, map: Address) -> BTreeSet<(u64, u64)> {
    let mut live = BTreeSet::new();
    for line in traced.trace.lines() {
        let (TraceLine::MapMake(event) | TraceLine::MapGrow(event)) = line else {
            continue;
        };
        if event.context.map != Some(map) {
            continue;
        }
        for range in &event.old_ranges {
            live.remove(&(range.start.0, range.end.0));
        }
        let entries = event
            .ranges
            .iter()
            .filter(|range| ["buckets", "group"].contains(&range.part.as_str()));
        live.extend(entries.map(|range| (range.start.0, range.end.0)));
    }
    live
}

#[test]
fn every_map_made_and_every_loop_begun_is_told_once() {
    for toolchain in go_toolchains() {
        for strip in [Strip::No, Strip::Yes] {
            let version = &toolchain.label();
            let traced = traced(
                &toolchain,
                strip,
                &["-makes", "137", "-small", "211", "-iterations", "1200"],
            );
            let typed = |event: &&&MapEvent| event.map_type.as_deref() == Some("map[uint64]uint64");
            let made = makes(&traced);
            let large = made.iter().filter(typed).count() as u64;
            assert_eq!(large, traced.said.number("makes"), "{version}");
            let small = made
                .iter()
                .filter(|event| {
                    event.hint.is_none()
                        && (called_from(&traced, &event.context, "main.makeSmall")
                            || event.context.map == Some(growing(&traced)))
                })
                .count() as u64;
            assert_eq!(small, traced.said.number("small"), "{version}");
            let loops: Vec<_> = traced.trace.iterations().collect();
            let own = loops.iter().filter(|event| {
                event.map_type.as_deref() == Some("map[uint64]uint64") && event.entries == Some(10)
            });
            assert_eq!(
                own.count() as u64,
                traced.said.number("iterations"),
                "{version}"
            );
        }
    }
}

#[test]
fn the_memory_told_of_a_map_is_what_the_program_finds_itself() {
    for toolchain in go_toolchains() {
        let traced = traced(&toolchain, Strip::Yes, &["-entries", "60000"]);
        let map = growing(&traced);
        assert!(!said_storage(&traced).is_empty());
        assert_eq!(
            told_storage(&traced, map),
            said_storage(&traced),
            "{}",
            toolchain.label()
        );
        let steps: BTreeSet<_> = grown(&traced)
            .iter()
            .filter(|event| event.context.map == Some(map))
            .map(|event| event.step.clone())
            .collect();
        let expected = if toolchain.has_swiss_maps() {
            ["first_group", "table_grow", "table_split", "tables"].as_slice()
        } else {
            ["double"].as_slice()
        };
        let expected: BTreeSet<_> = expected.iter().map(|step| (*step).to_owned()).collect();
        assert_eq!(steps, expected, "{}", toolchain.label());
    }
}

#[test]
fn faults_of_growth_are_on_the_buckets_of_the_map_that_grows() {
    for toolchain in go_toolchains() {
        let version = &toolchain.label();
        let traced = traced(&toolchain, Strip::No, &["-entries", "200000"]);
        let map = growing(&traced);
        let (mut on, mut off) = (0, 0);
        for fault in traced.trace.faults() {
            if !called_from(&traced, &fault.context, "main.grow") {
                continue;
            }
            match fault.on.as_deref() {
                Some("buckets") if fault.context.map == Some(map) => on += 1,
                // Headers, tables, the allocator's own: hardly any.
                None | Some("table" | "directory" | "header") => off += 1,
                other => panic!("{version}: {other:?} {fault:?}"),
            }
        }
        assert!(
            on > 300 && on > 5 * off,
            "{version}: {on} on buckets, {off} elsewhere"
        );
    }
}

#[test]
fn events_carry_the_goroutine_whichever_thread_runs_it() {
    for toolchain in go_toolchains() {
        let traced = traced(
            &toolchain,
            Strip::Yes,
            &["-iterations", "4000", "-goroutines", "5"],
        );
        let loops: Vec<_> = traced.trace.iterations().collect();
        let mut counts = std::collections::BTreeMap::<u64, u64>::new();
        for event in loops.iter().filter(|event| event.entries == Some(10)) {
            let goroutine = event.context.goroutine.expect("a goroutine");
            *counts.entry(goroutine).or_default() += 1;
        }
        let each: Vec<u64> = counts.into_values().collect();
        assert_eq!(each, [800; 5], "{}", toolchain.label());
        let main = traced
            .trace
            .faults()
            .filter(|fault| fault.context.goroutine == Some(1));
        assert!(main.count() > 100, "the main goroutine is 1");
    }
}

#[test]
fn beyond_the_detail_limit_loops_are_counted_exactly() {
    for toolchain in go_toolchains() {
        let traced = Session::run(go(&toolchain, Strip::No, "maps"))
            .option("--detail")
            .option("50")
            .arguments(&["-iterations", "20000"])
            .traced()
            .sound();
        let begun = traced.trace.iterations().count() as u64;
        assert!(begun <= 100, "{begun} told in full");
        let groups: u64 = traced
            .trace
            .aggregates()
            .filter(|group| group.event.word() == "iteration")
            .map(|group| group.count)
            .sum();
        let own = traced.said.number("iterations");
        let all = begun + groups;
        // The runtime's packages begin a few loops of their own before main.
        assert!(
            (own..own + 10).contains(&all),
            "{}: {all} of {own}",
            toolchain.label()
        );
    }
}

#[test]
fn a_program_started_by_another_is_probed_from_its_first_instruction_when_its_file_is_known() {
    for toolchain in go_toolchains() {
        let traced = traced(&toolchain, Strip::No, &["-exec", "-makes", "55"]);
        let made = makes(&traced);
        let typed = made
            .iter()
            .filter(|event| event.map_type.as_deref() == Some("map[uint64]uint64"));
        assert_eq!(
            typed.count() as u64,
            traced.said.number("makes"),
            "{}",
            toolchain.label()
        );
        assert!(
            traced
                .trace
                .faults()
                .any(|fault| fault.context.goroutine == Some(1))
        );
    }
}

#[test]
fn a_program_whose_first_run_was_over_at_once_is_probed_in_later_ones() {
    const COPIES: usize = 6;
    let toolchain = go_toolchains().pop().expect("a toolchain");
    let folder = tempfile::tempdir().expect("a folder");
    let copies: Vec<_> = (0..COPIES)
        .map(|copy| folder.path().join(format!("copy{copy}")))
        .collect();
    let (mut short, mut long) = (String::new(), String::new());
    for path in &copies {
        std::fs::copy(go(&toolchain, Strip::No, "maps"), path).expect("a copy");
        let path = path.display();
        short.push_str(&format!("for n in 1 2 3 4 5; do {path} -nonsense; done\n"));
        long.push_str(&format!("{path} -gate -makes 1 <&3 &\necho pid=$!\n"));
    }
    let script = format!("exec 2>/dev/null 3<&0\n{short}{long}exec 3<&-\nwait");
    let mut live = Session::run("sh").arguments(&["-c", &script]).live();
    let pids: Vec<u32> = copies
        .iter()
        .map(|_| live.wait_for("pid=").parse().expect("a process id"))
        .collect();
    // The last runs stand at their gate while map-trace catches up with the ones before.
    let begun = Instant::now();
    while !pids
        .iter()
        .zip(&copies)
        .all(|(&pid, path)| probed(pid, path))
    {
        assert!(
            begun.elapsed() < Duration::from_secs(60),
            "not all are probed"
        );
        std::thread::yield_now();
    }
    live.tell(&[b'x'; COPIES]);
    let not_counted = &live.finish().trace.footer().not_counted.clone();
    assert!(not_counted.is_empty(), "{not_counted:?}");
}

/// Whether a running program's code is another than in its file.
fn probed(pid: u32, program: &Path) -> bool {
    let maps = std::fs::read_to_string(format!("/proc/{pid}/maps")).unwrap_or_default();
    let line = maps
        .lines()
        .find(|line| line.contains(" r-xp ") && line.ends_with(&program.display().to_string()));
    let Some(words) = line.map(|line| line.split_whitespace().collect::<Vec<_>>()) else {
        return false;
    };
    let number = |word: &str| u64::from_str_radix(word, 16).expect("a number");
    let (start, end) = words[0].split_once('-').expect("a range");
    let (start, offset) = (number(start), number(words[2]));
    let file = std::fs::read(program).expect("the program's file");
    let own = &file[usize::try_from(offset).expect("an offset")..];
    let mut there = vec![
        0;
        own.len()
            .min(usize::try_from(number(end) - start).expect("a length"))
    ];
    let memory = std::fs::File::open(format!("/proc/{pid}/mem")).expect("its memory");
    memory.read_exact_at(&mut there, start).is_ok() && there != own[..there.len()]
}

#[test]
fn an_attached_process_tells_of_loops_from_then_on() {
    use std::io::{BufRead, BufReader, Read, Write};
    use std::process::{Command, Stdio};
    for toolchain in go_toolchains() {
        map_trace_tests::require_root();
        let mut child = Command::new(go(&toolchain, Strip::Yes, "maps"))
            .args(["-gate", "-iterations", "400"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program starts");
        let mut lines = BufReader::new(child.stdout.take().expect("a pipe"));
        let mut line = String::new();
        lines.read_line(&mut line).expect("a line");
        assert_eq!(line, "ready\n");
        let mut live = Session::attach(&[child.id()]).in_full().live();
        live.wait_for_error("map-trace: recording");
        let mut stdin = child.stdin.take().expect("a pipe");
        stdin.write_all(b"x").expect("the program reads");
        while line != "done\n" {
            line.clear();
            assert!(lines.read_line(&mut line).expect("a line") > 0);
        }
        drop(stdin);
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("the end");
        assert!(child.wait().expect("its end").success());
        let traced = live.finish();
        let loops: Vec<_> = traced.trace.iterations().collect();
        assert_eq!(loops.len(), 400, "{}", toolchain.label());
        assert!(loops.iter().all(|event| event.context.goroutine.is_some()));
        assert_eq!(loops[0].map_type.as_deref(), Some("map[uint64]uint64"));
    }
}

#[test]
fn the_header_names_every_probe_and_a_program_of_another_language_has_none() {
    let toolchain = go_toolchains().pop().expect("a toolchain");
    let traced = traced(&toolchain, Strip::No, &["-iterations", "4"]);
    let probes = &traced.trace.header().probes;
    let emitted: BTreeSet<_> = probes
        .iter()
        .flat_map(|probe| probe.emits.iter().map(String::as_str))
        .collect();
    for word in ["map_make", "map_grow", "iteration"] {
        assert!(emitted.contains(word), "{word}: {emitted:?}");
    }
    let other = Session::run("/bin/true").traced().sound();
    let uprobes = other
        .trace
        .header()
        .probes
        .iter()
        .filter(|probe| probe.name == "structure");
    assert_eq!(uprobes.count(), 0);
    assert!(other.trace.header().not_probed.is_empty());
}
