//! What probes in Go's runtime tell that is not about maps: what it does of its own, and how the program ends.

use map_trace_common::record::{Header, MapOperationRecord};

use super::Pipeline;
use crate::maps::structure::{Role, panic_value};
use crate::model::event::{Context, TraceLine};
use crate::model::runtime::{FatalErrorEvent, RuntimeEvent, SeenOnMap, what};
use crate::model::{Address, Operation};
use crate::session::runtime::{stop_reason, text, trigger};

/// The first versions of Go 1 that say why they stop the world, and what began a collection.
const REASONS_SINCE: u32 = 21;
const TRIGGERS_SINCE: u32 = 19;

impl Pipeline {
    /// A record of a role that is about the runtime.
    pub(super) fn runtime_record(
        &mut self,
        record: &MapOperationRecord,
        role: Role,
        program: usize,
    ) {
        let Header {
            tgid,
            tid,
            ktime_ns,
            ..
        } = record.header;
        let first = record.arguments[0];
        match role {
            Role::StopBegin => self.runtimes.stop_begins(tgid, ktime_ns, first),
            Role::FatalMap => self.runtimes.accuse(tgid, tid, record.addresses[0]),
            Role::Throw | Role::Fatal | Role::Panic => self.fatal_error(record, role, program),
            _ => self.runtime_event(record, role, program),
        }
    }

    fn runtime_event(&mut self, record: &MapOperationRecord, role: Role, program: usize) {
        let header = record.header;
        let minor = self.structure.go_minor(program);
        let mut event = RuntimeEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            what: String::new(),
            duration_ns: None,
            number: None,
            trigger: None,
            write_barrier: None,
            reason: None,
            address: None,
            bytes: None,
            context: Context {
                operation: Operation::Runtime,
                sub_operation: None,
                ..self.context(&header)
            },
        };
        let [first, second, third, fourth, ..] = record.arguments;
        event.what = match role {
            Role::GcStart => {
                event.number = self.runtimes.gc_start(header.tgid, header.ktime_ns).number;
                let known = minor.is_some_and(|minor| minor >= TRIGGERS_SINCE);
                event.trigger = trigger(fourth).filter(|_| known).map(str::to_owned);
                event.write_barrier = Some(true);
                what::GC_START
            }
            Role::GcEnd => {
                let cycle = self.runtimes.gc_end(header.tgid, header.ktime_ns);
                event.number = cycle.number;
                event.duration_ns = cycle.duration_ns;
                event.write_barrier = Some(false);
                what::GC_END
            }
            Role::StopEnd => {
                self.stop_ended(&header, minor, &mut event);
                what::STOP
            }
            Role::Scavenge => {
                (event.address, event.bytes) = (Some(Address(first)), Some(second));
                what::SCAVENGE
            }
            _ => {
                (event.address, event.bytes) = (Some(Address(second)), Some(third));
                what::HEAP_GROW
            }
        }
        .to_owned();
        self.store(&TraceLine::Runtime(Box::new(event)));
    }

    fn stop_ended(&mut self, header: &Header, minor: Option<u32>, event: &mut RuntimeEvent) {
        let began = self.runtimes.stop_ends(header.tgid);
        if let Some((began_ns, _)) = began {
            event.time_ns = began_ns.saturating_sub(self.start_ns);
            event.duration_ns = Some(header.ktime_ns.saturating_sub(began_ns));
        }
        let told = began.filter(|_| minor.is_some_and(|minor| minor >= REASONS_SINCE));
        let reason = match told {
            Some((_, number)) => stop_reason(number),
            None => self.stacks.stops(header.stack),
        };
        event.reason = reason.map(str::to_owned);
    }

    fn fatal_error(&mut self, record: &MapOperationRecord, role: Role, program: usize) {
        let header = record.header;
        let said = match role {
            Role::Panic => self.panic_text(record, program),
            _ => text(record, 0, record.arguments[1]),
        };
        let (text, cut) = said.map_or((None, false), |(text, cut)| (Some(text), cut));
        let accused = self.runtimes.accused(header.tgid, header.tid);
        let misused = text
            .as_ref()
            .is_some_and(|text| text.starts_with("concurrent map "));
        let map = accused.filter(|_| misused);
        let context = Context {
            map: map.map(Address),
            ..self.context(&header)
        };
        let known = map.and_then(|map| self.structure.registry.type_of(header.tgid, map));
        let map_type = known.and_then(|address| {
            let structure = &mut self.structure;
            structure.type_name(program, header.tgid, address, &self.spaces)
        });
        let seen = map.map(|map| self.runtimes.seen(header.tgid, map, context.goroutine));
        let line = TraceLine::FatalError(Box::new(FatalErrorEvent {
            time_ns: self.time(&header),
            pid: header.tgid,
            tid: header.tid,
            kind: match role {
                Role::Throw => "throw",
                Role::Fatal => "fatal",
                _ => "panic",
            }
            .to_owned(),
            text,
            cut,
            map_type,
            seen: seen.unwrap_or_default(),
            context,
        }));
        self.store(&line);
    }

    /// The text of a panic's value, where it is text.
    fn panic_text(&self, record: &MapOperationRecord, program: usize) -> Option<(String, bool)> {
        let at = panic_value(self.structure.go_minor(program)?);
        let kind = *record.words[0].get(usize::try_from(at).ok()?)?;
        let place = self.spaces.place(record.header.tgid, kind);
        let is_text = self.structure.is_string(program, kind, &place);
        is_text.then(|| text(record, 2, record.words[1][1]))?
    }

    /// Remembers who was at work on a map.
    pub(super) fn remember(&mut self, header: &Header, map: u64, operation: &Operation) {
        let seen = SeenOnMap {
            goroutine: header.goroutine,
            operation: operation.word().to_owned(),
            time_ns: self.time(header),
        };
        if *operation == Operation::Make {
            self.runtimes.made(header.tgid, map);
        }
        self.runtimes.saw(header.tgid, map, seen);
    }
}
