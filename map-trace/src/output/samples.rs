//! Summaries to render in tests.

use std::collections::BTreeMap;

use serde_json::json;

use crate::model::event::EventKind;
use crate::model::header::{Calibration, Host};
use crate::model::loss::Loss;
use crate::model::summary::*;
use crate::model::{Cause, Operation};

/// Ordinary summaries, by name.
pub fn all() -> Vec<(&'static str, Summary)> {
    vec![
        ("go-growth", go_growth()),
        ("no-maps", no_maps()),
        ("refuted", refuted()),
        ("cut-short", cut_short()),
    ]
}

fn events(some: &[(EventKind, u64)]) -> BTreeMap<String, u64> {
    EventKind::ALL
        .into_iter()
        .map(|kind| {
            let count = some
                .iter()
                .find(|(of, _)| *of == kind)
                .map_or(0, |(_, n)| *n);
            (kind.word().to_owned(), count)
        })
        .collect()
}

fn row(operation: Operation, some: &[(EventKind, u64)], causes: &[(Cause, u64)]) -> OperationRow {
    OperationRow {
        operation,
        count: Count::default(),
        events: events(some),
        causes: causes.iter().copied().collect(),
        stall_ns: None,
        stall_p50_ns: None,
        stall_p99_ns: None,
        stall_events: 0,
        sub_operations: Vec::new(),
    }
}

fn base() -> Summary {
    Summary {
        schema: SUMMARY_SCHEMA.to_owned(),
        duration_ns: 412_345_678,
        started: "2026-03-01T12:00:00Z".to_owned(),
        host: Host {
            kernel: "6.18.0".to_owned(),
            cpu: "Some CPU".to_owned(),
            cpus: 2,
            ..Host::default()
        },
        calibration: Calibration {
            usable: true,
            levels: 4,
            zero_page: true,
            guest: true,
            rechecked: Some(true),
            ..Calibration::default()
        },
        ..Summary::default()
    }
}

fn balanced(user: u64, kernel: u64, refused: u64) -> Witnesses {
    let perf = PerfWitness {
        page_faults: user + kernel,
        minor_faults: user + kernel - refused,
        major_faults: 0,
    };
    let raw = Witnesses {
        tracepoint: TracepointWitness {
            page_fault_user: user,
            page_fault_kernel: kernel,
            kernel_address: 0,
        },
        perf: Some(perf),
        ..Witnesses::default()
    };
    crate::evidence::witness::balance(&raw, refused, 0)
}

/// A Go program whose map grows; nothing lost.
pub fn go_growth() -> Summary {
    use EventKind::{Madvise, Mmap, PageFault};
    let causes = [
        (Cause::ZeroPageCow, 18_513),
        (Cause::ZeroPageRead, 18_560),
        (Cause::FirstTouch, 591),
    ];
    let mut assign = row(
        Operation::Assign,
        &[(PageFault, 37_664), (Mmap, 12), (Madvise, 1)],
        &causes,
    );
    assign.count = Count {
        value: 41_200,
        kind: CountKind::LowerBound,
    };
    assign.stall_ns = Some(41_000_000);
    assign.stall_p50_ns = Some(705);
    assign.stall_p99_ns = Some(2_412);
    assign.stall_events = 10_000;
    assign.sub_operations = vec![SubOperationRow {
        operation: Operation::Grow,
        events: events(&[(PageFault, 37_201), (Mmap, 12), (Madvise, 1)]),
        causes: causes.into_iter().collect(),
    }];
    let mut grow = row(Operation::Grow, &[], &[]);
    grow.count = Count {
        value: 19,
        kind: CountKind::Exact,
    };
    let mut iterate = row(Operation::Iterate, &[], &[]);
    iterate.count = Count {
        value: 2,
        kind: CountKind::Exact,
    };
    Summary {
        program: Program {
            argv: vec!["./app".to_owned()],
            status: Status::Exited(0),
            executables: vec![Executable {
                path: "/home/me/app".to_owned(),
                language: Some("go".to_owned()),
                go_version: Some("go1.23.9".to_owned()),
                map_implementation: Some("hmap".to_owned()),
                ..Executable::default()
            }],
        },
        witnesses: balanced(38_304, 7, 0),
        loss: Loss {
            counted: 38_400,
            delivered: 20_000,
            aggregated: 18_400,
            ..Loss::default()
        },
        events: EventTotals {
            page_fault: 38_311,
            mmap: 59,
            madvise: 19,
            ..EventTotals::default()
        },
        causes: causes.into_iter().collect(),
        cause_stalls: BTreeMap::from([(
            Cause::ZeroPageCow,
            Stalls {
                p50_ns: 705,
                p99_ns: 2_412,
                events: 10_000,
            },
        )]),
        operations: vec![
            assign,
            grow,
            iterate,
            row(
                Operation::Runtime,
                &[(PageFault, 412), (Mmap, 31), (Madvise, 18)],
                &[],
            ),
            row(Operation::None, &[(PageFault, 235), (Mmap, 16)], &[]),
        ],
        controls: vec![Control {
            name: "mprotect".to_owned(),
            expected: 4,
            seen: 4,
            passed: true,
            invalidates: None,
        }],
        probe_ns: Some(6_180_000),
        ..base()
    }
}

/// A C program without maps that was killed by a signal.
pub fn no_maps() -> Summary {
    use EventKind::{Mprotect, PageFault, Signal};
    Summary {
        program: Program {
            argv: ["./crash", "a b"].map(str::to_owned).to_vec(),
            status: Status::Signaled("SIGSEGV".to_owned()),
            executables: Vec::new(),
        },
        witnesses: balanced(158, 14, 1),
        loss: Loss {
            counted: 174,
            delivered: 174,
            ..Loss::default()
        },
        events: EventTotals {
            page_fault: 172,
            mprotect: 1,
            signal: BTreeMap::from([("SIGSEGV".to_owned(), 1)]),
            ..EventTotals::default()
        },
        causes: BTreeMap::from([(Cause::FileMap, 171), (Cause::Protection, 1)]),
        operations: vec![
            row(Operation::Runtime, &[], &[]),
            row(
                Operation::None,
                &[(PageFault, 172), (Mprotect, 1), (Signal, 1)],
                &[(Cause::FileMap, 171), (Cause::Protection, 1)],
            ),
        ],
        calibration: Calibration {
            reason: Some("the kernel is locked down".to_owned()),
            ..Calibration::default()
        },
        ..base()
    }
}

/// A saboteur: claims judged, a control failed, events lost, witnesses apart.
pub fn refuted() -> Summary {
    use EventKind::{Mprotect, PageFault};
    let mut summary = go_growth();
    summary.operations.splice(
        1..3,
        [row(
            Operation::Iterate,
            &[(Mprotect, 1), (PageFault, 3)],
            &[(Cause::Protection, 3)],
        )],
    );
    summary.events.mprotect = 1;
    summary.witnesses.balanced = false;
    summary.loss.dropped = 12;
    summary.loss.counted += 12;
    summary.controls.push(Control {
        name: "read-only-write".to_owned(),
        expected: 50,
        seen: 0,
        passed: false,
        invalidates: Some("claims about refused writes".to_owned()),
    });
    let claim = |verdict, statement: &str, reason: &str| Claim {
        id: statement.replace(' ', "-"),
        statement: statement.to_owned(),
        verdict,
        expected: VerdictWord::Supported,
        reason: reason.to_owned(),
        evidence: Vec::new(),
    };
    summary.claims = vec![
        claim(
            VerdictWord::Supported,
            "page_fault during iterate == 0",
            "0 in 2,000,000 iterations (rate < 1.5e-6 at 95 %)",
        ),
        Claim {
            evidence: vec![json!({
                "line": 812,
                "text": "mprotect(0xc000400000, 8192, r--) at main.sabotage main.go:41 <- main.main",
                "gdb": "break main.go:41"
            })],
            ..claim(
                VerdictWord::Refuted,
                "mprotect during iterate == 0",
                "1 seen",
            )
        },
        claim(
            VerdictWord::Inconclusive,
            "pte.writable during iterate == all",
            "control \"read-only-write\" failed: 0 of 50 seen",
        ),
    ];
    summary
}

/// A trace without footer.
pub fn cut_short() -> Summary {
    Summary {
        cut_short: true,
        witnesses: Witnesses::default(),
        controls: Vec::new(),
        loss: Loss {
            delivered: 38_400,
            undecodable: 2,
            unattributed: 5,
            ..Loss::default()
        },
        probe_ns: None,
        program: Program {
            status: Status::Unknown,
            ..go_growth().program
        },
        pte: PteSummary {
            total: PteTally {
                samples: 9_815,
                present: 9_812,
                writable: 9_812,
                not_present: 3,
                no_execute: 9_812,
                ..PteTally::default()
            },
            ..PteSummary::default()
        },
        ..go_growth()
    }
}

/// Names that try to steer a terminal or a page.
pub fn hostile() -> Summary {
    let name = "\x1b]0;owned\x07\u{202e}<script>alert(1)</script>|`&\"'\n\n# x";
    let mut summary = refuted();
    summary.program.argv = vec![name.to_owned(), name.to_owned()];
    summary.program.status = Status::Signaled(name.to_owned());
    summary.program.executables = vec![Executable {
        path: name.to_owned(),
        build_id: Some(name.to_owned()),
        language: Some(name.to_owned()),
        go_version: Some(name.to_owned()),
        map_implementation: Some(name.to_owned()),
        stripped: None,
    }];
    summary.operations[0].operation = Operation::Region(name.into());
    summary.operations[0].sub_operations[0].operation = Operation::Region(name.into());
    summary.events.signal = BTreeMap::from([(name.to_owned(), 3)]);
    summary.controls[1].name = name.to_owned();
    summary.controls[1].invalidates = Some(name.to_owned());
    summary.calibration.reason = Some(name.to_owned());
    summary.calibration.usable = false;
    summary.stopped_early = Some(name.to_owned());
    summary.host.kernel = name.to_owned();
    summary.host.hostname = name.to_owned();
    summary.host.cpu = name.to_owned();
    summary.started = name.to_owned();
    for claim in &mut summary.claims {
        claim.id = name.to_owned();
        claim.statement = name.to_owned();
        claim.reason = name.to_owned();
        claim.evidence = vec![json!({"text": name, "gdb": name})];
    }
    summary
}

/// More operations, claims and events than a screen holds, with the largest numbers.
pub fn crowded() -> Summary {
    let mut summary = refuted();
    let most = EventKind::ALL.map(|kind| (kind, u64::MAX / 64));
    let rows = (0..40).map(|index| {
        let name = format!("region-with-a-rather-long-name-{index}");
        let mut row = row(Operation::Region(name.as_str().into()), &most, &[]);
        row.sub_operations = vec![SubOperationRow {
            operation: Operation::Grow,
            events: events(&most),
            causes: BTreeMap::new(),
        }];
        row
    });
    summary.operations.extend(rows);
    summary.claims = (0..20).flat_map(|_| summary.claims.clone()).collect();
    summary.pte = cut_short().pte;
    summary
}
