//! A saved trace, read as any consumer of the file would: line by line, by the published types.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use map_trace::model::Cause;
use map_trace::model::event::{
    AggregateLine, Context, EventKind, ExecEvent, ExitEvent, ForkEvent, IterationEvent,
    MemoryCallEvent, Mode, PageFaultEvent, SignalEvent, TraceLine,
};
use map_trace::model::header::{FooterLine, HeaderLine};
use map_trace::model::stack::StackLine;

use crate::said::Range;

/// Everything a trace holds.
pub struct Trace {
    lines: Vec<TraceLine>,
}

impl Trace {
    /// Reads a trace, compressed when its name ends in `.zst`.
    pub fn read(path: &Path) -> Self {
        let bytes = fs::read(path).unwrap_or_else(|why| panic!("{}: {why}", path.display()));
        let bytes = if path.extension().is_some_and(|extension| extension == "zst") {
            zstd::decode_all(bytes.as_slice()).expect("a zstd file")
        } else {
            bytes
        };
        let text = String::from_utf8(bytes).expect("a trace is UTF-8");
        assert!(text.ends_with('\n'), "the trace's last line has no end");
        let lines = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap_or_else(|why| panic!("{why}: {line}")))
            .collect();
        Self { lines }
    }

    pub fn lines(&self) -> &[TraceLine] {
        &self.lines
    }

    /// The first line, which must be the header.
    pub fn header(&self) -> &HeaderLine {
        match self.lines.first() {
            Some(TraceLine::Header(header)) => header,
            other => panic!("the first line is no header: {other:?}"),
        }
    }

    /// The last line, which must be the footer.
    pub fn footer(&self) -> &FooterLine {
        match self.lines.last() {
            Some(TraceLine::Footer(footer)) => footer,
            other => panic!("the last line is no footer: {other:?}"),
        }
    }

    pub fn faults(&self) -> impl Iterator<Item = &PageFaultEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::PageFault(event) => Some(&**event),
            _ => None,
        })
    }

    /// The memory calls of one kind.
    pub fn calls(&self, kind: EventKind) -> impl Iterator<Item = &MemoryCallEvent> {
        self.lines
            .iter()
            .filter_map(move |line| match (kind, line) {
                (EventKind::Mprotect, TraceLine::Mprotect(event))
                | (EventKind::PkeyMprotect, TraceLine::PkeyMprotect(event))
                | (EventKind::Mmap, TraceLine::Mmap(event))
                | (EventKind::Munmap, TraceLine::Munmap(event))
                | (EventKind::Mremap, TraceLine::Mremap(event))
                | (EventKind::Brk, TraceLine::Brk(event))
                | (EventKind::Madvise, TraceLine::Madvise(event)) => Some(&**event),
                _ => None,
            })
    }

    pub fn signals(&self) -> impl Iterator<Item = &SignalEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Signal(event) => Some(&**event),
            _ => None,
        })
    }

    pub fn forks(&self) -> impl Iterator<Item = &ForkEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Fork(event) => Some(event),
            _ => None,
        })
    }

    pub fn execs(&self) -> impl Iterator<Item = &ExecEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Exec(event) => Some(&**event),
            _ => None,
        })
    }

    pub fn exits(&self) -> impl Iterator<Item = &ExitEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Exit(event) => Some(event),
            _ => None,
        })
    }

    /// Loops over maps that began.
    pub fn iterations(&self) -> impl Iterator<Item = &IterationEvent> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Iteration(event) => Some(&**event),
            _ => None,
        })
    }

    pub fn aggregates(&self) -> impl Iterator<Item = &AggregateLine> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Aggregate(line) => Some(&**line),
            _ => None,
        })
    }

    /// Faults in a range, each in full. Fails when some of them may only be there as an aggregate.
    pub fn faults_in(&self, range: Range) -> Vec<&PageFaultEvent> {
        self.assert_not_aggregated(EventKind::PageFault, range);
        self.faults()
            .filter(|event| range.contains(event.address.0))
            .collect()
    }

    /// Faults in a range by mode and cause.
    pub fn causes_in(&self, range: Range) -> BTreeMap<(Mode, Cause), u64> {
        let mut counts = BTreeMap::new();
        for event in self.faults_in(range) {
            *counts.entry((event.mode, event.cause)).or_insert(0) += 1;
        }
        counts
    }

    /// Calls of one kind whose address lies in a range.
    pub fn calls_in(&self, kind: EventKind, range: Range) -> Vec<&MemoryCallEvent> {
        self.assert_not_aggregated(kind, range);
        self.calls(kind)
            .filter(|event| range.contains(event.address.0))
            .collect()
    }

    /// Names of the functions on an event's stack, innermost first; frames without a name as `?`.
    pub fn functions(&self, context: &Context) -> Vec<&str> {
        let id = context.stack.expect("the event has a stack");
        let frames = self
            .stacks()
            .find(|stack| stack.id == id)
            .map(|stack| &stack.frames);
        let frames = frames.unwrap_or_else(|| panic!("stack {id} is not in the trace"));
        frames
            .iter()
            .map(|frame| frame.function.as_deref().unwrap_or("?"))
            .collect()
    }

    pub fn stacks(&self) -> impl Iterator<Item = &StackLine> {
        self.lines.iter().filter_map(|line| match line {
            TraceLine::Stack(stack) => Some(stack),
            _ => None,
        })
    }

    fn assert_not_aggregated(&self, kind: EventKind, range: Range) {
        let overlaps = |line: &&AggregateLine| {
            line.event == kind
                && line.address_min.0 < range.end
                && line.address_max.0 >= range.start
        };
        if let Some(line) = self.aggregates().find(overlaps) {
            panic!("events of this range may be in an aggregate: {line:?}");
        }
    }
}
