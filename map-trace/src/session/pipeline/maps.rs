//! What probes in Go programs tell of maps, and which map's memory an event is in.

use map_trace_common::census::GOAL_PLACE;
use map_trace_common::record::{MapOperationRecord, MemoryCallRecord, kind};

use super::Pipeline;
use crate::binary::MapImplementation;
use crate::maps::registry::{Change, Header, Part, Range};
use crate::maps::structure::Role;
use crate::model::event::{
    Context, IterationEvent, MapEvent, MapRange, MarkEvent, MemoryCallEvent, PageFaultEvent,
    TraceLine,
};
use crate::model::{Address, Operation};
use crate::session::structure::Told;

/// Faults that wait at most, of a goroutine, and goroutines that have some.
const MAX_PARKED: usize = 512;
/// Memory that nothing lives in, which the runtime gives back: perhaps some that a map has left.
const FREED: &str = "freed";
/// Ranges told in one line at most.
const MAX_RANGES: usize = 64;
/// `sameSizeGrow` of `hmap.flags`.
const SAME_SIZE: u8 = 8;

impl Pipeline {
    pub(super) fn map_operation(&mut self, record: &MapOperationRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        if let Some(mark) = self.mark(record) {
            return self.recorder.record(&TraceLine::Mark(mark));
        }
        if let Some((program, role)) = self.structure.role(record.place)
            && role.of_runtime()
        {
            return self.runtime_record(record, role, program);
        }
        let Some(told) = self.structure.read(record) else {
            self.trouble.undecodable += u64::from(header.kind != kind::MAP_STATE);
            return;
        };
        let bounds = &mut self.structure.bounds;
        if matches!(told.role, Role::Make | Role::MakeSmall | Role::Clone) {
            bounds.made(told.fact.map);
        }
        if let Some(header) = told.fact.header {
            bounds.seen(told.fact.map, header.entries);
        }
        let change = self.structure.registry.apply(header.tgid, &told.fact);
        if header.kind == kind::MAP_STATE {
            return;
        }
        let operation = match header.kind {
            kind::MAP_MAKE => Operation::Make,
            kind::MAP_GROW => Operation::Grow,
            kind::MAP_CLEAR => Operation::Clear,
            _ => Operation::Iterate,
        };
        self.remember(&header, told.fact.map, &operation);
        if !matches!(header.kind, kind::ITERATION | kind::MAP_CLEAR) {
            self.unpark((header.tgid, header.goroutine));
        }
        let known = match told.fact.type_address {
            0 => self.structure.registry.type_of(header.tgid, told.fact.map),
            address => Some(address),
        };
        let map_type = known.and_then(|address| {
            let structure = &mut self.structure;
            structure.type_name(told.program, header.tgid, address, &self.spaces)
        });
        let context = Context {
            map: (told.fact.map != 0).then_some(Address(told.fact.map)),
            ..self.context(&header)
        };
        let line = self.map_line(record, &told, &change, (map_type, context));
        self.store(&line);
    }

    /// The moment a record tells of, if it is one that is to be noted.
    fn mark(&mut self, record: &MapOperationRecord) -> Option<MarkEvent> {
        let mut mark = MarkEvent {
            time_ns: self.time(&record.header),
            pid: record.header.tgid,
            tid: record.header.tid,
            symbol: None,
            after_operations: None,
            operation: None,
        };
        if record.place == GOAL_PLACE {
            let after = self.structure.after.take()?;
            mark.after_operations = Some(after.count);
            mark.operation = after.operation;
        } else {
            mark.symbol = Some(self.structure.entered(record.place)?);
        }
        Some(mark)
    }

    fn map_line(
        &self,
        record: &MapOperationRecord,
        told: &Told,
        change: &Change,
        (map_type, context): (Option<String>, Context),
    ) -> TraceLine {
        let implementation = self.structure.implementation(told.program);
        let header = told.fact.header;
        let time_ns = self.time(&record.header);
        let (pid, tid) = (record.header.tgid, record.header.tid);
        if record.header.kind == kind::ITERATION {
            return TraceLine::Iteration(Box::new(IterationEvent {
                time_ns,
                pid,
                tid,
                implementation: implementation.to_owned(),
                map_type,
                step: "begin".to_owned(),
                entries: header.map(|header| header.entries),
                context,
            }));
        }
        let classic = implementation == MapImplementation::Hmap.word();
        let (added, left_out) = ranges(&change.added);
        let (removed, old_left_out) = ranges(&change.removed);
        let event = Box::new(MapEvent {
            time_ns,
            pid,
            tid,
            implementation: implementation.to_owned(),
            map_type,
            step: step(told.role, header).to_owned(),
            hint: told.fact.hint,
            entries: header.map(|header| header.entries),
            b: header.filter(|_| classic).map(|header| header.b),
            directory: header
                .filter(|_| !classic)
                .map(|header| header.directory_length),
            ranges: added,
            old_ranges: removed,
            ranges_left_out: left_out + old_left_out,
            context,
        });
        match record.header.kind {
            kind::MAP_MAKE => TraceLine::MapMake(event),
            kind::MAP_CLEAR => TraceLine::MapClear(event),
            _ => TraceLine::MapGrow(event),
        }
    }

    /// What an event at these addresses is on; notes the map in its context.
    pub(super) fn on(
        &self,
        tgid: u32,
        address: u64,
        length: u64,
        context: &mut Context,
    ) -> Option<String> {
        let located = self.structure.registry.locate(tgid, address, length)?;
        context.map = Some(Address(located.map));
        Some(located.part.area().to_owned())
    }

    /// The map whose memory a call touches; memory that the runtime gives back is no map's any more.
    pub(super) fn map_of_call(&mut self, record: &MemoryCallRecord, event: &mut MemoryCallEvent) {
        let tgid = record.header.tgid;
        let (start, length) = (event.address.0, event.length);
        let removes = matches!(record.header.kind, kind::MMAP | kind::MUNMAP) && record.result >= 0;
        if gives_back(record) && self.stacks.frees(record.header.stack) {
            let _was_a_maps = self.structure.registry.freed(tgid, start, length);
            event.on = Some(FREED.to_owned());
            return;
        }
        event.on = self.on(tgid, start, length, &mut event.context);
        if removes {
            self.structure.registry.freed(tgid, start, length);
        }
    }

    /// Growth touches new memory before it is the map's: such a fault waits until the map is told of.
    /// Gives it back when it need not.
    pub(super) fn park(&mut self, event: PageFaultEvent) -> Option<PageFaultEvent> {
        let context = &event.context;
        let grows = |operation: &Operation| matches!(operation, Operation::Grow | Operation::Make);
        let waits = event.on.is_none()
            && !self.structure.is_empty()
            && (grows(&context.operation) || context.sub_operation.as_ref().is_some_and(grows));
        let Some(goroutine) = context.goroutine.filter(|_| waits) else {
            return Some(event);
        };
        if self.parked.len() >= MAX_PARKED {
            self.unpark_all();
        }
        let key = (event.pid, goroutine);
        let full = self
            .parked
            .get(&key)
            .is_some_and(|parked| parked.len() >= MAX_PARKED);
        if full {
            self.unpark(key);
        }
        self.parked.entry(key).or_default().push(event);
        None
    }

    /// Tells the faults of a goroutine that waited.
    pub(super) fn unpark(&mut self, key: (u32, u64)) {
        for mut event in self.parked.remove(&key).unwrap_or_default() {
            event.on = self.on(event.pid, event.address.0, 1, &mut event.context);
            self.store(&TraceLine::PageFault(Box::new(event)));
        }
    }

    /// Tells all faults that waited.
    pub(super) fn unpark_all(&mut self) {
        let mut keys: Vec<_> = self.parked.keys().copied().collect();
        keys.sort_unstable();
        for key in keys {
            self.unpark(key);
        }
    }
}

/// Up to Go 1.20 `sysUnused` (runtime/mem_linux.go) also advises the kernel about the whole huge page around what it
/// gives back, which has live memory in it.
fn gives_back(record: &MemoryCallRecord) -> bool {
    const GONE: [i32; 4] = [
        libc::MADV_DONTNEED,
        libc::MADV_FREE,
        libc::MADV_REMOVE,
        libc::MADV_DONTNEED_LOCKED,
    ];
    record.header.kind != kind::MADVISE
        || GONE
            .iter()
            .any(|advice| u64::try_from(*advice) == Ok(record.args[2]))
}

fn step(role: Role, header: Option<Header>) -> &'static str {
    match role {
        Role::Clone => "clone",
        Role::HashGrow if header.is_some_and(|header| header.flags & SAME_SIZE != 0) => "same_size",
        Role::HashGrow => "double",
        Role::FirstGroup => "first_group",
        Role::ToTables => "tables",
        Role::TableGrow => "table_grow",
        Role::TableSplit => "table_split",
        Role::Clear => "clear",
        _ => "make",
    }
}

/// Ranges as a line tells them, and how many it leaves out.
fn ranges(ranges: &[Range]) -> (Vec<MapRange>, u64) {
    let mut told: Vec<_> = ranges
        .iter()
        .filter(|range| range.part != Part::Header)
        .map(|range| MapRange {
            part: range.part.word().to_owned(),
            start: Address(range.start),
            end: Address(range.end),
        })
        .collect();
    let left_out = told.len().saturating_sub(MAX_RANGES);
    told.truncate(MAX_RANGES);
    (told, left_out as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_says_how_many_ranges_it_leaves_out() {
        let range = |n: u64, part| Range {
            start: n,
            end: n + 1,
            part,
        };
        let mut all: Vec<_> = (0..70).map(|n| range(n, Part::Group)).collect();
        all.push(range(70, Part::Header));
        let (told, left_out) = ranges(&all);
        assert_eq!((told.len(), left_out), (MAX_RANGES, 70 - MAX_RANGES as u64));
        assert_eq!(ranges(&all[..MAX_RANGES]).1, 0);
    }
}
