//! Probes come and go in a Go program at work: it neither crashes nor computes anything else.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};

use map_trace::binary::Binary;
use map_trace::kernel::object::{Object, text_bounds};
use map_trace::kernel::totals::Totals;
use map_trace::kernel::uprobes::{Uprobes, Wanted};
use map_trace::maps::structure;
use map_trace_common::record::kind;
use map_trace_common::settings::Settings;
use map_trace_tests::{Said, Strip, gated, go, go_toolchains, require_root};

/// How often, unless `MAP_TRACE_HAMMER` says otherwise.
const TIMES: u32 = 25;

fn times() -> u32 {
    let wanted = std::env::var("MAP_TRACE_HAMMER").ok();
    wanted.and_then(|times| times.parse().ok()).unwrap_or(TIMES)
}

/// Attaches every probe of the program and detaches them again, time after time.
fn hammer(pid: u32, program: &Path) -> Object {
    let binary = Binary::open(program).expect("a Go program");
    let plan = structure::plan(&binary).expect("a plan");
    let wanted: Vec<Wanted> = plan
        .places
        .iter()
        .map(|planned| Wanted {
            file_offset: planned.file_offset,
            place: planned.place,
        })
        .collect();
    let mut object = Object::load(&Settings::UNKNOWN).expect("the BPF object");
    object
        .register_running(pid, &text_bounds(pid))
        .expect("room for a process");
    for _ in 0..times() {
        let mut uprobes = Uprobes::prepare(&object);
        uprobes
            .binary(&mut object, plan.goroutines)
            .expect("room for a binary");
        uprobes
            .attach(&mut object, program, &wanted)
            .expect("the probes attach");
    }
    object
}

#[test]
fn a_go_program_survives_probes_that_come_and_go_under_collection_and_stack_growth() {
    require_root();
    for toolchain in go_toolchains() {
        let program = go(&toolchain, Strip::Yes, "hammer");
        let (mut child, mut lines) = gated(Command::new(&program).stderr(Stdio::piped()));
        let object = hammer(child.id(), &program);
        let mut stdin = child.stdin.take().expect("a pipe");
        // A program that has crashed reads nothing; what it says then is the better message.
        let _broken = stdin.write_all(b"x");
        let mut rest = String::new();
        lines.read_to_string(&mut rest).expect("the end");
        let output = child.wait_with_output().expect("its end");
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{}: {stderr}", toolchain.label());
        let said = Said::parse(&rest);
        assert_eq!(said.number("wrong"), 0, "{}", toolchain.label());
        assert!(said.number("rounds") > 0);
        let hits =
            Totals::read(&object).expect("the counters").kinds[kind::ITERATION as usize].counted;
        assert!(hits > 0, "{}: the probes were never hit", toolchain.label());
    }
}
