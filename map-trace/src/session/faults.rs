//! Page faults: held until what they led to is known, then told.
//!
//! A fault's record is made before the kernel handles it. What came of it shows in the thread's next
//! record: a signal at the same address says that it was refused, anything else that the thread went on. So
//! each thread's last fault is held until then. Meanwhile a mapping call of another thread, under way at the
//! fault, returns and shows what it did.

use std::collections::HashMap;

use map_trace_common::record::{PageFaultRecord, flag, kind};

use crate::cause::{Classified, FaultInputs, PteFacts, classify};
use crate::model::event::{Context, Mode, PageFaultEvent};
use crate::model::pte::{PteContext, PteLevel};
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
    /// Time the kernel took, when it was measured.
    pub stall_ns: Option<u64>,
}

/// The signal that followed a fault on its thread.
#[derive(Clone, Copy, Debug)]
pub struct Followed {
    pub signal: i32,
    pub code: i32,
    pub address: u64,
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
    ) -> Option<Held> {
        let tid = record.header.tid;
        let held = Held {
            record,
            place,
            context,
            stall_ns: None,
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

    /// How long the thread's fault took.
    pub fn stalled(&mut self, tid: u32, start_ns: u64, stall_ns: u64) {
        if let Some(held) = self.held.get_mut(&tid)
            && held.record.header.ktime_ns == start_ns
        {
            held.stall_ns = Some(stall_ns);
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
        start_ns: u64,
    ) -> PageFaultEvent {
        let record = &self.record;
        let pte = pte(record, ptes);
        let classified = self.classify(pte.as_ref(), followed, spaces, ptes);
        let vma = self
            .place
            .vma
            .as_ref()
            .filter(|_| !self.place.below_stack || !classified.cause.is_refused());
        PageFaultEvent {
            time_ns: record.header.ktime_ns.saturating_sub(start_ns),
            pid: record.header.tgid,
            tid: record.header.tid,
            mode: mode(record),
            address: Address(record.address),
            ip: Address(record.ip),
            error_code: FaultCode(record.error_code),
            pte,
            vma: vma.map(crate::space::Vma::facts),
            cause: classified.cause,
            cause_reason: Some(reason(&classified)),
            context: self.context,
            stall_ns: self.stall_ns,
        }
    }

    fn classify(
        &self,
        pte: Option<&Pte>,
        followed: Option<Followed>,
        spaces: &Spaces,
        ptes: &PteContext,
    ) -> Classified {
        let record = &self.record;
        let in_flight = record.header.flags & flag::MAPPING_IN_FLIGHT != 0;
        let facts = pte.map_or(PteFacts::UNREAD, |pte| {
            PteFacts::from_pte(pte, ptes.knows_zero(pte.level))
        });
        let signal = followed
            .filter(|followed| followed.address == record.address)
            .map(|followed| (followed.signal, followed.code));
        let inputs = |place: &Place| FaultInputs {
            mapping_in_flight: in_flight,
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
