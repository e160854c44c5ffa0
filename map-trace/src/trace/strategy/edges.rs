//! First and last lines.

use std::collections::BTreeMap;

use proptest::prelude::*;
use proptest::{collection::vec, option::of};

use super::{operation, text};
use crate::model::header::{FooterLine, HeaderLine, TRACE_SCHEMA};
use crate::model::loss::Loss;
use crate::model::summary::{
    Control, Count, CountKind, Executable, PerfWitness, RusageWitness, Status, TracepointWitness,
    Witnesses,
};

fn executables() -> impl Strategy<Value = Vec<Executable>> {
    let one =
        (text(), of(text()), of(any::<bool>())).prop_map(|(path, word, stripped)| Executable {
            path,
            build_id: word.clone(),
            language: word.clone(),
            go_version: word,
            map_implementation: None,
            stripped,
        });
    vec(one, 0..3)
}

pub fn header() -> impl Strategy<Value = HeaderLine> {
    (vec(text(), 0..4), any::<u64>(), executables(), text()).prop_map(
        |(argv, start_ns, executables, text)| HeaderLine {
            schema: TRACE_SCHEMA.to_owned(),
            version: text.clone(),
            start_ns,
            argv,
            executables,
            options: BTreeMap::from([(text, serde_json::json!([1, "a", null]))]),
            ..HeaderLine::default()
        },
    )
}

pub fn footer() -> impl Strategy<Value = FooterLine> {
    let status = prop_oneof![
        any::<i32>().prop_map(Status::Exited),
        text().prop_map(Status::Signaled),
        Just(Status::Running),
        Just(Status::Unknown),
    ];
    (
        status,
        any::<[u64; 8]>(),
        executables(),
        operation(),
        text(),
        of(text()),
    )
        .prop_map(
            |(status, numbers, executables, operation, text, stopped_early)| {
                let [a, b, c, d, e, f, g, h] = numbers;
                FooterLine {
                    duration_ns: a,
                    status,
                    witnesses: Witnesses {
                        tracepoint: TracepointWitness {
                            page_fault_user: b,
                            page_fault_kernel: c,
                            kernel_address: d,
                        },
                        perf: (a % 2 == 0).then_some(PerfWitness {
                            page_faults: e,
                            minor_faults: f,
                            major_faults: g,
                        }),
                        rusage: (b % 2 == 0).then_some(RusageWitness {
                            minor_faults: g,
                            major_faults: h,
                        }),
                        ..Witnesses::default()
                    },
                    loss: Loss {
                        counted: a,
                        delivered: b,
                        dropped: c,
                        ..Loss::default()
                    },
                    totals: BTreeMap::from([("mprotect".to_owned(), h)]),
                    executables,
                    controls: vec![Control {
                        name: text,
                        expected: a,
                        seen: b,
                        passed: a == b,
                        invalidates: None,
                    }],
                    counts: BTreeMap::from([(
                        operation.word().to_owned(),
                        Count {
                            value: a,
                            kind: CountKind::LowerBound,
                        },
                    )]),
                    stopped_early,
                    probe_ns: (c % 2 == 0).then_some(d),
                    ..FooterLine::default()
                }
            },
        )
}
