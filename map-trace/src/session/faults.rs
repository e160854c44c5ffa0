//! Page faults: held until what they led to is known, then told.
//!
//! A fault's record is made before the kernel handles it. What came of it shows in the thread's next
//! record: a signal at the same address says that it was refused, anything else that the thread went on. So
//! each thread's last fault is held until then. Meanwhile a mapping call of another thread, under way at the
//! fault, returns and shows what it did.

use std::collections::{HashMap, VecDeque};

use map_trace_common::record::{FaultEndRecord, MemoryCallRecord, PageFaultRecord, flag, kind};

use super::stacks::of_nothing;
use crate::cause::{Classified, FaultInputs, PteFacts, classify};
use crate::model::event::{Context, Mode, PageFaultEvent};
use crate::model::pte::{PteContext, PteLevel};
use crate::model::vma::is_tracers_fault;
use crate::model::{Address, Cause, FaultCode, Pte};
use crate::space::{Place, Spaces};

/// Threads whose last fault is held at most.
const MAX_HELD: usize = 1 << 16;

/// A fault waiting for what follows it.
pub struct Held {
    pub record: PageFaultRecord,
    /// What lay at the address when it happened.
    place: Place,
    pub context: Context,
    /// Part of a map's memory it is in.
    on: Option<String>,
    /// Time the kernel took, when it was measured.
    pub stall_ns: Option<u64>,
    /// It waited for a disk. The ends of all such faults are told, so what is not told did not.
    major: bool,
    /// The thread went on without its having been completed.
    undone: bool,
}

/// The signal that followed a fault on its thread.
#[derive(Clone, Copy, Debug)]
pub struct Followed {
    pub signal: i32,
    pub code: i32,
    pub address: u64,
}

/// Calls of one process remembered, for faults that happened meanwhile.
const MAX_CALLS: usize = 64;
/// Processes whose calls are remembered.
const MAX_PROCESSES: usize = 4096;

/// The last mapping calls that returned, by process.
#[derive(Default)]
pub struct Returned(HashMap<u32, VecDeque<Span>>);

/// When a call was under way, and on which addresses.
#[derive(Clone, Copy)]
struct Span {
    enter_ns: u64,
    exit_ns: u64,
    start: u64,
    end: u64,
}

impl Returned {
    /// Notes a call that returned.
    pub fn note(&mut self, record: &MemoryCallRecord) {
        if self.0.len() >= MAX_PROCESSES && !self.0.contains_key(&record.header.tgid) {
            self.0.clear();
        }
        let chosen = record.header.kind == kind::MMAP && record.result > 0;
        let start = if chosen {
            record.result.cast_unsigned()
        } else {
            record.args[0]
        };
        let (start, end) = match record.header.kind {
            // What brk and mremap touch besides their arguments is not said by these: anything.
            kind::BRK | kind::MREMAP => (0, u64::MAX),
            _ => (
                start & !0xfff,
                start.saturating_add(record.args[1]).saturating_add(0xfff),
            ),
        };
        let calls = self.0.entry(record.header.tgid).or_default();
        if calls.len() >= MAX_CALLS {
            calls.pop_front();
        }
        let (enter_ns, exit_ns) = (record.header.ktime_ns, record.exit_ns);
        calls.push_back(Span {
            enter_ns,
            exit_ns,
            start,
            end,
        });
    }

    /// Whether a call that was under way at a fault can concern its address. One that has not returned
    /// yet may.
    fn concerns(&self, fault: &PageFaultRecord) -> bool {
        let at = fault.header.ktime_ns;
        let calls = self.0.get(&fault.header.tgid);
        let mut meanwhile = calls
            .into_iter()
            .flatten()
            .filter(|call| (call.enter_ns..=call.exit_ns).contains(&at))
            .peekable();
        meanwhile.peek().is_none()
            || meanwhile.any(|call| (call.start..call.end).contains(&fault.address))
    }
}

/// Held faults by thread.
#[derive(Default)]
pub struct Faults {
    held: HashMap<u32, Held>,
}

impl Faults {
    /// Takes a fault, and gives back one to tell when too many threads have one.
    pub fn hold(
        &mut self,
        record: PageFaultRecord,
        place: Place,
        context: Context,
        on: Option<String>,
    ) -> Option<Held> {
        let tid = record.header.tid;
        let held = Held {
            record,
            place,
            context,
            on,
            stall_ns: None,
            major: false,
            undone: false,
        };
        if self.held.len() >= MAX_HELD {
            return Some(held);
        }
        self.held.insert(tid, held)
    }

    /// The thread's fault, which now has its end.
    pub fn take(&mut self, tid: u32) -> Option<Held> {
        self.held.remove(&tid)
    }

    /// How long the thread's fault took, or that it was given up.
    pub fn stalled(&mut self, record: &FaultEndRecord) {
        let FaultEndRecord { header, start_ns } = *record;
        if let Some(held) = self.held.get_mut(&header.tid)
            && held.record.header.ktime_ns == start_ns
        {
            if header.flags & flag::UNDONE != 0 {
                held.undone = true;
                return;
            }
            held.stall_ns = Some(header.ktime_ns.saturating_sub(start_ns));
            held.major = header.flags & flag::MAJOR != 0;
        }
    }

    /// Everything still held, in order of time.
    pub fn drain(&mut self) -> Vec<Held> {
        let mut held: Vec<_> = self.held.drain().map(|(_, held)| held).collect();
        held.sort_by_key(|held| held.record.header.ktime_ns);
        held
    }
}

impl Held {
    /// The event, with its cause decided.
    pub fn event(
        self,
        followed: Option<Followed>,
        spaces: &Spaces,
        ptes: &PteContext,
        around: (&Returned, u64),
    ) -> PageFaultEvent {
        let (returned, start_ns) = around;
        let record = &self.record;
        let pte = pte(record, ptes);
        let classified = self.classify(pte.as_ref(), followed, spaces, (ptes, returned));
        let vma = self
            .place
            .vma
            .as_ref()
            .filter(|_| !self.place.below_stack || !classified.cause.is_refused())
            .map(crate::space::Vma::facts);
        let mut context = self.context;
        if is_tracers_fault(FaultCode(record.error_code), vma.as_ref()) {
            of_nothing(&mut context);
        }
        PageFaultEvent {
            time_ns: record.header.ktime_ns.saturating_sub(start_ns),
            pid: record.header.tgid,
            tid: record.header.tid,
            mode: mode(record),
            address: Address(record.address),
            ip: Address(record.ip),
            error_code: FaultCode(record.error_code),
            pte,
            vma,
            cause: classified.cause,
            on: self.on,
            cause_reason: Some(reason(&classified)),
            interrupted: self.undone && !classified.cause.is_refused(),
            context,
            stall_ns: self.stall_ns,
        }
    }

    fn classify(
        &self,
        pte: Option<&Pte>,
        followed: Option<Followed>,
        spaces: &Spaces,
        around: (&PteContext, &Returned),
    ) -> Classified {
        let (ptes, returned) = around;
        let record = &self.record;
        let in_flight =
            record.header.flags & flag::MAPPING_IN_FLIGHT != 0 && returned.concerns(record);
        let facts = pte.map_or(PteFacts::UNREAD, |pte| {
            PteFacts::from_pte(pte, ptes.knows_zero(pte.level))
        });
        let signal = followed
            .filter(|followed| followed.address == record.address)
            .map(|followed| (followed.signal, followed.code));
        let inputs = |place: &Place| FaultInputs {
            mapping_in_flight: in_flight,
            major: Some(self.major),
            followed_by_signal: signal,
            ..FaultInputs::new(
                FaultCode(record.error_code),
                mode(record),
                record.address,
                facts,
                place,
            )
        };
        let before = classify(&inputs(&self.place));
        if !in_flight {
            return before;
        }
        // The call under way has returned by now, or never will be seen to: the mapping is the one before
        // or the one after it. Only a signal shows that the access was refused.
        let after = classify(&inputs(&spaces.place(record.header.tgid, record.address)));
        match (before.cause, after.cause) {
            (cause, other) if cause == other => before,
            (Cause::Unknown, _) => after,
            (_, Cause::Unknown) => before,
            (cause, _) if cause.is_refused() == signal.is_some() => before,
            _ => after,
        }
    }
}

/// The rule that decided, and more where there is more to say.
fn reason(classified: &Classified) -> String {
    match &classified.reason {
        Some(reason) => format!("{}: {reason}", classified.rule),
        None => classified.rule.to_owned(),
    }
}

fn mode(record: &PageFaultRecord) -> Mode {
    if record.header.kind == kind::PAGE_FAULT_KERNEL {
        Mode::Kernel
    } else {
        Mode::User
    }
}

/// The entry of a fault, when it was read.
fn pte(record: &PageFaultRecord, ptes: &PteContext) -> Option<Pte> {
    if record.header.flags & flag::PTE_UNREAD != 0 {
        return None;
    }
    let level = PteLevel::from_number(record.pte_level)?;
    let unstable = record.header.flags & flag::PTE_UNSTABLE != 0;
    Some(Pte::decode(record.pte, level, unstable, ptes))
}
