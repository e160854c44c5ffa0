//! What the instrument saw of the control child: the same decoding, replay and classification as the
//! program's own events get, without names, stacks and trace.

use map_trace_common::record::{ForkRecord, MemoryCallRecord, PageFaultRecord, SignalRecord, flag};

use super::arena::{Arena, Slot};
use crate::decode::{self, Record};
use crate::model::event::{MemoryCallEvent, PageFaultEvent};
use crate::model::pte::PteContext;
use crate::session::calls::{self, Around};
use crate::session::faults::{Faults, Followed, Held, Returned};
use crate::session::pipeline::{effective_ns, no_stack};
use crate::space::{MapsError, Spaces};

/// One event in the arena.
#[derive(Debug)]
pub enum Seen {
    Fault(Box<PageFaultEvent>),
    Call(u32, Box<MemoryCallEvent>),
    Signal {
        number: i32,
        code: i32,
        handled: bool,
    },
}

/// Everything the ring held of the control child.
pub struct Observation {
    arena: Arena,
    ptes: PteContext,
    spaces: Spaces,
    faults: Faults,
    /// The child has one thread at a time: no call of another is under way.
    returned: Returned,
    records: Vec<Record>,
    seen: Vec<(Slot, Seen)>,
    /// Records that were none.
    undecodable: u64,
    /// Processes that events were seen of.
    processes: Vec<u32>,
}

impl Observation {
    /// Begins with the child's mappings, read while it waits.
    ///
    /// # Errors
    /// The text is not that of a maps file.
    pub fn begin(
        child: u32,
        maps: &str,
        taken_ns: u64,
        arena: Arena,
        ptes: PteContext,
    ) -> Result<Self, MapsError> {
        let mut spaces = Spaces::new();
        spaces.load_snapshot(child, maps, taken_ns)?;
        Ok(Self {
            arena,
            ptes,
            spaces,
            faults: Faults::default(),
            returned: Returned::default(),
            records: Vec::new(),
            seen: Vec::new(),
            undecodable: 0,
            processes: vec![child],
        })
    }

    /// Takes one record of the ring.
    pub fn accept(&mut self, bytes: &[u8]) {
        match decode::decode(bytes) {
            Ok(Record::Stack(_)) => {}
            Ok(record) => self.records.push(record),
            Err(_) => self.undecodable += 1,
        }
    }

    /// Everything in order, told.
    pub fn finish(mut self) -> Sightings {
        let mut records = std::mem::take(&mut self.records);
        records.sort_by_key(effective_ns);
        for record in records {
            match record {
                Record::PageFault(record) => self.page_fault(record),
                Record::MemoryCall(record) => self.call(&record),
                Record::Signal(record) => self.signal(&record),
                Record::Fork(record) => self.fork(&record),
                Record::Exit(record) => self.settle(record.header.tid, None),
                Record::FaultEnd(_)
                | Record::Exec(_)
                | Record::PteSample(_)
                | Record::WatchHit(_)
                | Record::Stack(_)
                | Record::Userfaultfd(_)
                | Record::MapOperation(_) => {}
            }
        }
        for held in self.faults.drain() {
            self.tell_fault(held, None);
        }
        Sightings {
            seen: self.seen,
            undecodable: self.undecodable,
            processes: self.processes,
        }
    }

    fn note(&mut self, address: u64, seen: Seen) {
        if let Some(slot) = self.arena.slot_at(address) {
            self.seen.push((slot, seen));
        }
    }

    fn settle(&mut self, tid: u32, followed: Option<Followed>) {
        if let Some(held) = self.faults.take(tid) {
            self.tell_fault(held, followed);
        }
    }

    fn tell_fault(&mut self, held: Held, followed: Option<Followed>) {
        let event = held.event(followed, &self.spaces, &self.ptes, (&self.returned, 0));
        self.note(event.address.0, Seen::Fault(Box::new(event)));
    }

    fn page_fault(&mut self, record: PageFaultRecord) {
        self.settle(record.header.tid, None);
        let place = self.spaces.place(record.header.tgid, record.address);
        if let Some(other) = self.faults.hold(record, place, no_stack(), None) {
            self.tell_fault(other, None);
        }
    }

    fn call(&mut self, record: &MemoryCallRecord) {
        self.settle(record.header.tid, None);
        if let Some(call) = calls::mapping_call(record) {
            self.spaces.call(record.header.tgid, &call);
        }
        let around = Around {
            start_ns: 0,
            old_prot: None,
            context: no_stack(),
        };
        let event = calls::event(record, around, &self.ptes);
        self.note(
            event.address.0,
            Seen::Call(record.header.kind, Box::new(event)),
        );
    }

    fn signal(&mut self, record: &SignalRecord) {
        let SignalRecord {
            signal: number,
            code,
            address,
            ..
        } = *record;
        self.settle(
            record.header.tid,
            Some(Followed {
                signal: number,
                code,
                address,
            }),
        );
        let delivered = record.header.flags & flag::UNDELIVERED == 0;
        let handled = delivered && record.handler > 1;
        self.note(
            address,
            Seen::Signal {
                number,
                code,
                handled,
            },
        );
    }

    fn fork(&mut self, record: &ForkRecord) {
        let header = record.header;
        self.settle(header.tid, None);
        if header.flags & flag::FOLLOWED != 0 {
            let shared = header.flags & flag::SHARED_MM != 0;
            self.spaces
                .fork(header.tgid, record.child_tgid, shared, header.ktime_ns);
            self.processes.push(record.child_tgid);
        }
    }
}

/// What was seen, by slot, in order.
#[derive(Debug, Default)]
pub struct Sightings {
    pub seen: Vec<(Slot, Seen)>,
    pub undecodable: u64,
    pub processes: Vec<u32>,
}

impl Sightings {
    /// Marks that not everything was done.
    pub fn incomplete(mut self) -> Self {
        self.undecodable = self.undecodable.max(1);
        self
    }

    pub fn of(&self, slot: Slot) -> impl Iterator<Item = &Seen> {
        self.seen
            .iter()
            .filter(move |(place, _)| *place == slot)
            .map(|(_, seen)| seen)
    }
}
