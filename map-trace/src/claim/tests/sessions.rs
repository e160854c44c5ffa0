//! A small run that is sound in every respect, to be damaged by tests.

use std::collections::BTreeMap;
use std::io::Cursor;

use serde_json::json;

use crate::claim::controls::NAMES;
use crate::claim::{Claim, Setup, judge_trace};
use crate::model::event::{
    AggregateLine, Context, EventKind, ExecEvent, ExitEvent, MemoryCallEvent, Mode, PageFaultEvent,
};
use crate::model::header::{Calibration, FooterLine, HeaderLine, Probe, TRACE_SCHEMA};
use crate::model::loss::Loss;
use crate::model::stack::{Frame, StackLine};
use crate::model::summary::{
    Claim as Judged, Control, Count, CountKind, PerfWitness, Status, TracepointWitness, Witnesses,
};
use crate::model::vma::{VmaFacts, VmaKind};
use crate::model::{Address, Cause, FaultCode, Operation, Prot, TraceLine};
use crate::trace::TraceReader;

/// The pieces of a trace.
#[derive(Clone)]
pub struct Session {
    pub header: HeaderLine,
    pub lines: Vec<TraceLine>,
    pub footer: FooterLine,
}

/// Stacks of [`sound`]: `main`; `hot <- main`; one that breaks off; assign in a region in a grow.
pub const MAIN: u64 = 1;
pub const HOT: u64 = 2;
pub const BROKEN: u64 = 3;
pub const NESTED: u64 = 4;

pub fn context(operation: Operation, stack: Option<u64>) -> Context {
    Context {
        operation,
        sub_operation: None,
        map: None,
        goroutine: None,
        stack,
    }
}

pub fn hot() -> Operation {
    Operation::from_word("hot")
}

pub fn fault(operation: Operation, cause: Cause, stack: Option<u64>) -> TraceLine {
    TraceLine::PageFault(Box::new(PageFaultEvent {
        on: None,
        time_ns: 10,
        pid: 7,
        tid: 7,
        mode: Mode::User,
        address: Address(0x7000_1000),
        ip: Address(0x40_1000),
        error_code: FaultCode(6),
        pte: None,
        vma: Some(VmaFacts {
            start: Address(0x7000_0000),
            end: Address(0x7001_0000),
            prot: Prot::RW,
            kind: VmaKind::Heap,
            name: Some("[heap]".into()),
            offset: 0,
            shared: false,
            flags: Vec::new(),
        }),
        cause,
        cause_reason: None,
        interrupted: false,
        context: context(operation, stack),
        stall_ns: None,
    }))
}

pub fn call(operation: Operation, stack: Option<u64>) -> MemoryCallEvent {
    MemoryCallEvent {
        time_ns: 20,
        duration_ns: Some(5),
        pid: 7,
        tid: 7,
        address: Address(0x7000_0000),
        length: 8192,
        prot: Some(Prot::R),
        old_prot: Some(Prot::RW),
        flags: None,
        advice: None,
        new_address: None,
        new_length: None,
        pkey: None,
        fd: None,
        offset: None,
        result: Some(0),
        error: None,
        new_break: None,
        pte_before: None,
        pte_after: None,
        on: None,
        context: context(operation, stack),
    }
}

pub fn mprotect(operation: Operation, stack: Option<u64>) -> TraceLine {
    TraceLine::Mprotect(Box::new(call(operation, stack)))
}

pub fn group(kind: EventKind, operation: Operation, count: u64) -> AggregateLine {
    AggregateLine {
        event: kind,
        count,
        pid: 7,
        first_ns: 30,
        last_ns: 40,
        address_min: Address(0x7000_0000),
        address_max: Address(0x7000_8000),
        in_kernel: true,
        mode: Some(Mode::User),
        error_code: Some(FaultCode(6)),
        cause: (kind == EventKind::PageFault).then_some(Cause::FirstTouch),
        cause_reason: None,
        signal: None,
        vma: None,
        pte: None,
        mapped: None,
        on: None,
        duration_ns: 0,
        durations: 0,
        undone: 0,
        context: context(operation, Some(MAIN)),
    }
}

pub fn stack(id: u64, functions: &[&str]) -> TraceLine {
    let frames = functions.iter().zip(1..).map(|(function, line)| Frame {
        ip: Address(u64::from(line) + 0x40_0000),
        function: Some((*function).to_owned()),
        file: Some("/src/app.c".to_owned()),
        line: Some(line),
        module: Some("/bin/app".to_owned()),
        ..Frame::default()
    });
    TraceLine::Stack(StackLine {
        id,
        pid: 7,
        frames: frames.collect(),
        ..StackLine::default()
    })
}

/// The same run with the code on every stack judged: none is in a loop, none stores a value.
pub fn judged(mut run: Session) -> Session {
    for line in &mut run.lines {
        if let TraceLine::Stack(stack) = line {
            (stack.loops_known, stack.stores_known) = (true, true);
        }
    }
    run
}

/// Three faults and a group of ten in `main`, one fault and no call in `hot`; everything in order.
pub fn sound() -> Session {
    let lines = vec![
        TraceLine::Exec(Box::new(ExecEvent {
            time_ns: 1,
            pid: 7,
            tid: 7,
            executable: Some("/bin/app".into()),
            build_id: None,
            comm: "app".into(),
        })),
        stack(MAIN, &["main"]),
        stack(HOT, &["hot", "main"]),
        stack(BROKEN, &["brk", "sbrk", "sysmalloc"]),
        stack(
            NESTED,
            &[
                "runtime.hashGrow",
                "hot",
                "runtime.mapassign",
                "main.main",
                "runtime.goexit",
            ],
        ),
        fault(Operation::None, Cause::FirstTouch, Some(MAIN)),
        fault(Operation::None, Cause::FirstTouch, Some(MAIN)),
        fault(Operation::None, Cause::FirstTouch, Some(MAIN)),
        fault(hot(), Cause::FirstTouch, Some(HOT)),
        mprotect(Operation::None, Some(MAIN)),
        TraceLine::Exit(ExitEvent {
            time_ns: 50,
            pid: 7,
            tid: 7,
            process: true,
            exited: Some(0),
            signaled: None,
        }),
        TraceLine::Aggregate(Box::new(group(EventKind::PageFault, Operation::None, 10))),
    ];
    Session {
        header: header(),
        lines,
        footer: footer(),
    }
}

fn header() -> HeaderLine {
    let words = EventKind::ALL
        .into_iter()
        .map(|kind| kind.word().to_owned());
    HeaderLine {
        schema: TRACE_SCHEMA.to_owned(),
        argv: vec!["./app".to_owned()],
        probes: vec![Probe {
            name: "all".into(),
            attach_point: "x".into(),
            emits: words.collect(),
        }],
        options: BTreeMap::from([("regions".to_owned(), json!(["hot=hot"]))]),
        ..HeaderLine::default()
    }
}

fn footer() -> FooterLine {
    let controls = NAMES.into_iter().map(|name| Control {
        name: name.replace('_', "-"),
        expected: 4,
        seen: 4,
        passed: true,
        invalidates: None,
    });
    let exact = |value| Count {
        value,
        kind: CountKind::Exact,
    };
    FooterLine {
        duration_ns: 60,
        status: Status::Exited(0),
        witnesses: Witnesses {
            tracepoint: TracepointWitness {
                page_fault_user: 14,
                ..TracepointWitness::default()
            },
            perf: Some(PerfWitness {
                page_faults: 14,
                minor_faults: 14,
                major_faults: 0,
            }),
            ..Witnesses::default()
        },
        loss: Loss {
            counted: 17,
            delivered: 7,
            aggregated: 10,
            ..Loss::default()
        },
        totals: [
            ("page_fault_user", 14),
            ("mprotect", 1),
            ("exec", 1),
            ("exit", 1),
        ]
        .map(|(word, count)| (word.to_owned(), count))
        .into(),
        controls: controls.collect(),
        calibration: Calibration {
            usable: true,
            zero_page: true,
            rechecked: Some(true),
            ..Calibration::default()
        },
        counts: [
            ("iterate", exact(2_000_000)),
            ("hot", exact(10)),
            (
                "assign",
                Count {
                    value: 41_200,
                    kind: CountKind::LowerBound,
                },
            ),
        ]
        .map(|(word, count)| (word.to_owned(), count))
        .into(),
        regions: [("hot".to_owned(), 1)].into(),
        ..FooterLine::default()
    }
}

impl Session {
    /// The lines of the file.
    pub fn text(&self) -> Vec<String> {
        let header = TraceLine::Header(Box::new(self.header.clone()));
        let footer = TraceLine::Footer(Box::new(self.footer.clone()));
        let all = std::iter::once(&header)
            .chain(&self.lines)
            .chain(std::iter::once(&footer));
        all.map(|line| serde_json::to_string(line).unwrap())
            .collect()
    }

    pub fn with(mut self, line: TraceLine) -> Self {
        self.lines.push(line);
        self
    }

    /// Judges rules in short form.
    pub fn judge(&self, rules: &[&str]) -> Vec<Judged> {
        let regions = ["hot".to_owned()];
        let claims = rules.iter().zip(1..);
        let claims = claims.map(|(rule, number)| Claim::expect(rule, number, &regions).unwrap());
        self.judge_claims(claims.collect())
    }

    pub fn judge_claims(&self, claims: Vec<Claim>) -> Vec<Judged> {
        judge_text(&self.text(), claims)
    }

    /// The verdict on one rule.
    pub fn verdict(&self, rule: &str) -> Judged {
        self.judge(&[rule]).remove(0)
    }
}

pub fn judge_text(lines: &[String], claims: Vec<Claim>) -> Vec<Judged> {
    let text = lines
        .iter()
        .map(|line| format!("{line}\n"))
        .collect::<String>();
    let mut reader = TraceReader::new(Cursor::new(text.into_bytes())).unwrap();
    let setup = Setup {
        claims,
        regions: Vec::new(),
    };
    judge_trace(&mut reader, setup).unwrap().claims
}
