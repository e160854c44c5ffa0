//! From records to lines: order, replay, name, attribute, classify, record.
//!
//! Everything here is user space's view of one session; nothing here touches the kernel or the target. The
//! live loop feeds it bytes of the ring and side-band records, and tells it up to when all is in.

mod effect;
mod maps;
mod runtime;
mod side_band;
mod tell;

use std::collections::{HashMap, HashSet};

pub use effect::effective_ns;

use effect::changes_existing;
use map_trace_common::record::{Header, flag, kind};

use super::census::Bounds;
use super::ends::Ends;
use super::faults::{Faults, Followed, Held, Returned};
use super::limiter::Limiter;
use super::members::Members;
use super::order::Order;
use super::recording::Recording;
use super::runtime::Runtimes;
use super::stacks::Stacks;
use super::structure::Structure;
use super::userfaultfd::Registrations;
use super::watched::Watched;
use crate::decode::{self, Record};
use crate::kernel::side_band_record::SideBandRecord;
use crate::model::Prot;
use crate::model::event::{Context, PageFaultEvent, TraceLine};
use crate::model::pte::PteContext;
use crate::model::summary::Executable;
use crate::space::Spaces;

/// What waits for its turn.
enum Item {
    /// A mapping call was entered: time to look at what it is about to change. The side band tells of the
    /// change before the call returns.
    Entered {
        tgid: u32,
        tid: u32,
        address: u64,
    },
    Record(Record),
    SideBand(SideBandRecord),
    /// The mappings of a process, read after changes were lost: void when more were lost since.
    Maps {
        tgid: u32,
        text: String,
        losses: u64,
        taken_ns: u64,
    },
}

/// Execs waiting to be looked at, at most.
const MAX_EXECUTED: usize = 4096;

/// What went wrong on the way, counted.
#[derive(Clone, Copy, Debug, Default)]
pub struct Trouble {
    pub undecodable: u64,
    pub unattributed: u64,
}

/// The user-space half of a session.
pub struct Pipeline {
    start_ns: u64,
    order: Order<Item>,
    pub spaces: Spaces,
    pub stacks: Stacks,
    faults: Faults,
    returned: Returned,
    /// Protection at the address of the call a thread is in, as it was at its entry.
    entered: HashMap<u32, Option<Prot>>,
    /// Everything up to here has been told.
    released_ns: u64,
    /// Times that changes of mappings were lost.
    losses: u64,
    limiter: Limiter,
    recorder: Recording,
    ptes: PteContext,
    pub executables: Vec<Executable>,
    /// Followed processes that have not ended.
    alive: HashSet<u32>,
    /// How attached processes ended.
    pub ends: Ends,
    trouble: Trouble,
    events: u64,
    members: Members,
    /// Execs of each process so far.
    generations: HashMap<u32, u32>,
    /// What the user asked to watch.
    pub watched: Watched,
    registrations: Registrations,
    /// What is known of maps.
    pub structure: Structure,
    /// What Go's runtimes are at.
    runtimes: Runtimes,
    /// Faults of growing maps, by process and goroutine.
    parked: HashMap<(u32, u64), Vec<PageFaultEvent>>,
    /// Processes that became another program, not looked at yet.
    pub executed: Vec<u32>,
}

impl Pipeline {
    pub fn new(
        start_ns: u64,
        stacks: Stacks,
        ptes: PteContext,
        detail: u64,
        recorder: Recording,
    ) -> Self {
        Self {
            start_ns,
            order: Order::default(),
            spaces: Spaces::new(),
            stacks,
            faults: Faults::default(),
            returned: Returned::default(),
            entered: HashMap::new(),
            released_ns: 0,
            losses: 0,
            limiter: Limiter::new(detail),
            recorder,
            ptes,
            executables: Vec::new(),
            alive: HashSet::new(),
            ends: Ends::default(),
            trouble: Trouble::default(),
            events: 0,
            members: Members::default(),
            generations: HashMap::new(),
            watched: Watched::default(),
            registrations: Registrations::default(),
            structure: Structure::default(),
            runtimes: Runtimes::default(),
            parked: HashMap::new(),
            executed: Vec::new(),
        }
    }

    /// Begins to follow a process.
    pub fn follow(&mut self, tgid: u32, ktime_ns: u64) {
        self.alive.insert(tgid);
        self.spaces.add(tgid, ktime_ns);
    }

    /// Takes one ring record; true for an event. Stacks are kept at once: they come before the events that
    /// have them. Who lives is noted at once, too, so that the end of the last process ends the recording.
    pub fn accept(&mut self, bytes: &[u8]) -> bool {
        match decode::decode(bytes) {
            Ok(Record::Stack(stack)) => {
                self.stacks.keep(stack);
                false
            }
            Ok(record) => {
                self.note_life(&record);
                self.note_entry(&record);
                let event = match &record {
                    Record::FaultEnd(_) | Record::Userfaultfd(_) => false,
                    Record::MapOperation(record) => record.header.kind != kind::MAP_STATE,
                    _ => true,
                };
                self.order.push(effective_ns(&record), Item::Record(record));
                event
            }
            Err(_) => {
                self.trouble.undecodable += 1;
                true
            }
        }
    }

    fn note_entry(&mut self, record: &Record) {
        if let Record::MemoryCall(call) = record
            && changes_existing(call)
            && call.header.ktime_ns > self.released_ns
        {
            let Header {
                tgid,
                tid,
                ktime_ns,
                ..
            } = call.header;
            let address = call.args[0];
            self.order
                .push(ktime_ns, Item::Entered { tgid, tid, address });
        }
    }

    fn note_life(&mut self, record: &Record) {
        match record {
            Record::Fork(record)
                if record.header.flags & (flag::FOLLOWED | flag::THREAD) == flag::FOLLOWED =>
            {
                self.alive.insert(record.child_tgid);
            }
            Record::Exec(record) if self.executed.len() < MAX_EXECUTED => {
                self.executed.push(record.header.tgid);
            }
            Record::Exit(record) if record.header.flags & flag::LAST_THREAD != 0 => {
                self.alive.remove(&record.header.tgid);
                self.ends.note(record.header.tgid, record.exit_code);
            }
            _ => {}
        }
    }

    pub const fn trouble(&self) -> &Trouble {
        &self.trouble
    }

    /// Tells everything that happened up to a time before which nothing can still arrive.
    pub fn release(&mut self, up_to_ns: u64) {
        self.released_ns = self.released_ns.max(up_to_ns);
        while let Some(item) = self.order.pop(up_to_ns) {
            match item {
                Item::Entered { tgid, tid, address } => {
                    let place = self.spaces.place(tgid, address);
                    let vma = place.vma.filter(|_| place.certain && !place.below_stack);
                    self.entered.insert(tid, vma.map(|vma| vma.prot));
                }
                Item::Record(record) => self.tell(record),
                Item::SideBand(record) => self.side_band(record),
                Item::Maps {
                    tgid,
                    text,
                    losses,
                    taken_ns,
                } => {
                    if losses == self.losses && self.spaces.space(tgid).is_some() {
                        // It was read before: the text is that of a maps file.
                        let _read = self.spaces.load_snapshot(tgid, &text, taken_ns);
                    }
                }
            }
        }
    }

    /// Events told so far.
    pub const fn events(&self) -> u64 {
        self.events
    }

    /// Followed processes that have not ended.
    pub const fn alive(&self) -> &HashSet<u32> {
        &self.alive
    }

    /// A process that is gone without having been seen to end.
    pub fn bury(&mut self, tgid: u32) {
        self.alive.remove(&tgid);
    }

    fn tell(&mut self, record: Record) {
        match record {
            Record::PageFault(record) => self.page_fault(record),
            Record::MemoryCall(record) => self.memory_call(&record),
            Record::Signal(record) => self.signal(&record),
            Record::Fork(record) => self.fork(&record),
            Record::Exec(record) => self.exec(&record),
            Record::Exit(record) => self.exit(&record),
            Record::FaultEnd(record) => self.faults.stalled(&record),
            Record::PteSample(record) => self.pte_sample(&record),
            Record::WatchHit(record) => self.watch_hit(&record),
            Record::Userfaultfd(record) => self.userfaultfd(&record),
            Record::MapOperation(record) => self.map_operation(&record),
            Record::Stack(stack) => self.stacks.keep(stack),
        }
    }

    fn time(&self, header: &Header) -> u64 {
        header.ktime_ns.saturating_sub(self.start_ns)
    }

    /// Where an event belongs, by its stack; a new stack is recorded first.
    fn context(&mut self, header: &Header) -> Context {
        let goroutine = (header.goroutine != 0).then_some(header.goroutine);
        if header.stack == 0 {
            return Context {
                goroutine,
                ..no_stack()
            };
        }
        let stack = self.stacks.of(header.stack, header.tgid, &self.spaces);
        if stack.id.is_none() {
            self.trouble.unattributed += 1;
        }
        if let Some(line) = &stack.line {
            self.recorder.record(line);
        }
        Context {
            goroutine,
            ..stack.context()
        }
    }

    fn store(&mut self, line: &TraceLine) {
        self.events += 1;
        if self.limiter.admit(line) {
            self.recorder.record(line);
        }
    }

    /// Tells the fault of a thread that is waiting, now that what follows is known.
    fn settle(&mut self, tid: u32, followed: Option<Followed>) {
        if let Some(held) = self.faults.take(tid) {
            self.tell_fault(held, followed);
        }
    }

    fn tell_fault(&mut self, held: Held, followed: Option<Followed>) {
        let record = held.record;
        let event = held.event(
            followed,
            &self.spaces,
            &self.ptes,
            (&self.returned, self.start_ns),
        );
        self.members.learn(&record, event.cause);
        if let Some(event) = self.park(event) {
            self.store(&TraceLine::PageFault(Box::new(event)));
        }
    }

    /// Tells what is still held; the recorder then takes aggregates and the footer.
    pub fn finish(mut self) -> Finished {
        self.release(u64::MAX);
        for held in self.faults.drain() {
            self.tell_fault(held, None);
        }
        self.unpark_all();
        for line in self.limiter.finish() {
            self.recorder.record(&line);
        }
        Finished {
            recorder: self.recorder,
            spaces: self.spaces,
            stacks: self.stacks,
            executables: self.executables,
            trouble: self.trouble,
            members: self.members,
            generations: self.generations,
            watched: self.watched,
            ptes: self.ptes,
            start_ns: self.start_ns,
            maps_left_out: self.structure.registry.left_out,
            bounds: self.structure.bounds,
        }
    }
}

/// A pipeline that has told everything.
pub struct Finished {
    pub recorder: Recording,
    pub spaces: Spaces,
    pub stacks: Stacks,
    pub executables: Vec<Executable>,
    pub trouble: Trouble,
    pub members: Members,
    pub generations: HashMap<u32, u32>,
    pub watched: Watched,
    pub ptes: PteContext,
    pub start_ns: u64,
    /// Facts about maps that did not fit.
    pub maps_left_out: u64,
    pub bounds: Bounds,
}

/// The context of an event without a stack.
pub fn no_stack() -> Context {
    Context {
        operation: crate::model::Operation::None,
        sub_operation: None,
        map: None,
        goroutine: None,
        stack: None,
    }
}
