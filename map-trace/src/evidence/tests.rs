//! The summary folded live and from the saved trace, and its sums.

use std::io::Cursor;
use std::path::Path;

use proptest::collection::vec;
use proptest::prelude::*;

use super::{OTHER, Recorder, summarize};
use crate::model::event::{Context, EventKind, MemoryCallEvent, Mode, PageFaultEvent};
use crate::model::header::{FooterLine, HeaderLine, Probe, TRACE_SCHEMA};
use crate::model::loss::Loss;
use crate::model::summary::{Count, CountKind, Summary};
use crate::model::{Address, Cause, FaultCode, Operation, TraceLine};
use crate::trace::strategy::{event_line, footer, header};
use crate::trace::{TraceFile, TraceReader};

fn head() -> HeaderLine {
    HeaderLine {
        schema: TRACE_SCHEMA.to_owned(),
        ..HeaderLine::default()
    }
}

/// Both summaries of a session: the live one, and the one of the trace it saved.
fn both(header: &HeaderLine, lines: &[TraceLine], footer: &FooterLine) -> (Summary, Summary) {
    let mut bytes = Vec::new();
    let file = TraceFile::over(Path::new("t.zst"), &mut bytes).unwrap();
    let mut recorder = Recorder::begin(header, Some(file));
    lines.iter().for_each(|line| recorder.record(line));
    let live = recorder.finish(footer);
    live.saved.unwrap().unwrap();
    let mut reader = TraceReader::new(Cursor::new(bytes)).unwrap();
    (live.summary, summarize(&mut reader).unwrap())
}

fn summary(lines: &[TraceLine], footer: &FooterLine) -> Summary {
    let mut recorder = Recorder::<Vec<u8>>::begin(&head(), None);
    lines.iter().for_each(|line| recorder.record(line));
    recorder.finish(footer).summary
}

fn context(operation: Operation, stack: Option<u64>) -> Context {
    Context {
        operation,
        sub_operation: None,
        map: None,
        goroutine: None,
        stack,
    }
}

fn fault(operation: Operation, cause: Cause, stall_ns: Option<u64>) -> TraceLine {
    TraceLine::PageFault(Box::new(PageFaultEvent {
        on: None,
        time_ns: 1,
        pid: 1,
        tid: 1,
        mode: Mode::User,
        address: Address(0x1000),
        ip: Address(0x2000),
        error_code: FaultCode(6),
        pte: None,
        vma: None,
        cause,
        cause_reason: None,
        interrupted: false,
        context: context(operation, Some(1)),
        stall_ns,
    }))
}

fn row_sum(summary: &Summary, kind: EventKind) -> u64 {
    summary
        .operations
        .iter()
        .map(|row| row.events[kind.word()])
        .sum()
}

#[test]
fn runtime_and_none_have_a_row_in_an_empty_run() {
    let empty = summary(&[], &FooterLine::default());
    let rows: Vec<_> = empty
        .operations
        .iter()
        .map(|row| row.operation.word())
        .collect();
    assert_eq!(rows, ["runtime", "none"]);
    assert!(!empty.witnesses.balanced && !empty.complete());
}

#[test]
fn an_operation_that_was_only_counted_has_a_row() {
    let count = Count {
        value: 2,
        kind: CountKind::Exact,
    };
    let footer = FooterLine {
        counts: [("iterate".to_owned(), count)].into(),
        ..FooterLine::default()
    };
    let counted = summary(&[], &footer);
    assert_eq!(counted.operations[0].operation, Operation::Iterate);
    assert_eq!(counted.operations[0].count, count);
}

#[test]
fn stall_is_null_where_it_was_not_measured() {
    let lines = [
        fault(Operation::Assign, Cause::FirstTouch, Some(700)),
        fault(Operation::Assign, Cause::FirstTouch, None),
        fault(Operation::None, Cause::Unmapped, None),
    ];
    let folded = summary(&lines, &FooterLine::default());
    let [assign, _, none] = &folded.operations[..] else {
        panic!("three rows, not {:?}", folded.operations)
    };
    assert_eq!((assign.stall_ns, assign.stall_events), (Some(700), 1));
    assert!(assign.stall_p99_ns.unwrap().abs_diff(700) <= 700 / 32);
    assert_eq!((none.stall_ns, none.stall_p50_ns), (None, None));
    assert_eq!(folded.witnesses.refused, 1);
    assert_eq!(folded.fault_codes["user"]["6"], 3);
}

#[test]
fn a_trace_without_footer_concludes_nothing() {
    let mut fold = super::Fold::default();
    fold.line(&TraceLine::Header(Box::new(head())));
    fold.line(&fault(Operation::Assign, Cause::FirstTouch, None));
    let cut = fold.finish();
    assert!(cut.cut_short && !cut.complete() && !cut.loss.sums());
    assert_eq!(cut.events.page_fault, 1);
    assert_eq!(cut.duration_ns, 1);
}

#[test]
fn why_no_program_could_be_probed_is_said_unless_one_was() {
    let why = vec!["./app: the kernel is too old".to_owned()];
    let mut header = HeaderLine {
        not_probed: why.clone(),
        ..head()
    };
    let (live, saved) = both(&header, &[], &FooterLine::default());
    assert_eq!((&live.not_probed, &saved.not_probed), (&why, &why));
    header.probes.push(Probe {
        name: Probe::STRUCTURE.to_owned(),
        ..Probe::default()
    });
    let (live, _) = both(&header, &[], &FooterLine::default());
    assert_eq!(live.not_probed, Vec::<String>::new());
}

#[test]
fn lines_taken_out_of_a_trace_are_loss() {
    let lines = [(); 3].map(|()| fault(Operation::None, Cause::FirstTouch, None));
    let footer = FooterLine {
        loss: Loss {
            counted: 3,
            delivered: 3,
            ..Loss::default()
        },
        totals: [("page_fault_user".to_owned(), 3)].into(),
        ..FooterLine::default()
    };
    assert!(summary(&lines, &footer).loss.complete());
    let thinned = summary(&lines[..2], &footer).loss;
    assert_eq!((thinned.delivered, thinned.dropped), (2, 1));
    assert!(thinned.sums() && !thinned.complete());
}

#[test]
fn events_without_stack_are_unattributed() {
    let call = TraceLine::Mmap(Box::new(MemoryCallEvent {
        time_ns: 1,
        duration_ns: None,
        pid: 1,
        tid: 1,
        address: Address(0),
        length: 1,
        prot: None,
        old_prot: None,
        flags: None,
        advice: None,
        new_address: None,
        new_length: None,
        pkey: None,
        fd: None,
        offset: None,
        result: None,
        error: None,
        new_break: None,
        pte_before: None,
        pte_after: None,
        on: None,
        context: context(Operation::None, None),
    }));
    let folded = summary(&[call], &FooterLine::default());
    assert_eq!(folded.loss.unattributed, 1);
    assert_eq!(folded.events.mmap, 1);
}

#[test]
fn a_thousand_regions_share_a_bounded_table() {
    let region = |index: u32| Operation::Region(format!("region {index}").as_str().into());
    let lines: Vec<_> = (0..1000)
        .map(|index| fault(region(index), Cause::FirstTouch, None))
        .collect();
    let folded = summary(&lines, &FooterLine::default());
    assert!(folded.operations.len() < 300);
    assert_eq!(row_sum(&folded, EventKind::PageFault), 1000);
    let other = folded
        .operations
        .iter()
        .find(|row| row.operation.word() == OTHER);
    assert!(other.unwrap().events["page_fault"] > 700);
}

proptest! {
    #[test]
    fn the_live_summary_is_that_of_the_saved_trace(
        header in header(),
        lines in vec(event_line(), 0..40),
        footer in footer(),
    ) {
        let (live, saved) = both(&header, &lines, &footer);
        prop_assert_eq!(live, saved);
    }

    #[test]
    fn the_rows_of_the_table_sum_to_the_totals(lines in vec(event_line(), 0..60)) {
        let summary = summary(&lines, &FooterLine::default());
        let events = &summary.events;
        let totals = [
            events.page_fault, events.mprotect, events.pkey_mprotect, events.mmap, events.munmap,
            events.mremap, events.brk, events.madvise, events.signal.values().sum(), events.exec,
            events.fork, events.exit,
        ];
        for (kind, total) in EventKind::ALL.into_iter().zip(totals) {
            prop_assert_eq!(row_sum(&summary, kind), total, "{}", kind.word());
        }
        for (cause, total) in &summary.causes {
            let rows: u64 = summary.operations.iter().map(|row| row.causes[cause]).sum();
            prop_assert_eq!(rows, *total);
        }
        for row in &summary.operations {
            for (kind, total) in &row.events {
                let subs: u64 = row.sub_operations.iter().map(|sub| sub.events[kind]).sum();
                prop_assert!(subs <= *total);
            }
        }
    }
}
