//! What the child made against what was seen, event by event.

use map_trace_common::record::kind;

use super::arena::Slot;
use super::child::TIMES;
use super::observe::{Seen, Sightings};
use crate::model::event::{Mode, PageFaultEvent};
use crate::model::summary::Control;
use crate::model::{Cause, Prot, Pte};

/// `si_code` of a refusal by protection (include/uapi/asm-generic/siginfo.h).
const SEGV_ACCERR: i32 = 2;

/// How an entry must look.
pub(super) type Look = fn(&Pte) -> bool;

/// One kind of event.
#[derive(Clone, Copy)]
pub(super) enum Event {
    Fault {
        mode: Mode,
        cause: Cause,
        entry: Look,
    },
    /// A refused access: the fault, its entry and the mapping's protection.
    Refused { entry: Look, prot: Prot },
    /// The SIGSEGV that a refusal ends in, caught.
    Signal,
    Call {
        kind: u32,
        prot: Prot,
        before: Look,
        after: Look,
    },
}

/// So many events of one kind in a slot; `control` names what they prove, where they are its point and
/// not a preparation.
pub(super) struct Made {
    pub(super) slot: Slot,
    control: Option<&'static str>,
    pub(super) times: u64,
    pub(super) event: Event,
}

/// A control and what nobody may conclude when it fails.
const CONTROLS: [(&str, &str); 10] = [
    ("first_touch", "faults with cause first_touch"),
    ("zero_page_read", "faults with cause zero_page_read"),
    (
        "zero_page_cow",
        "faults with cause zero_page_cow, and their difference from protection",
    ),
    (
        "mprotect",
        "mprotect calls, their absence, and the writable bit of entries",
    ),
    (
        "read_only_write",
        "refused writes and signals, and their absence",
    ),
    (
        "prot_none_read",
        "accesses refused by PROT_NONE, and their absence",
    ),
    (
        "prot_exec",
        "changes of the right to execute, and the no-execute bit of entries",
    ),
    (
        "map_fixed",
        "pages made read-only by mmap instead of mprotect",
    ),
    (
        "fork_cow",
        "faults with cause anon_cow, and the events of children",
    ),
    (
        "kernel_read",
        "faults that system calls make on the program's memory",
    ),
];

fn any(_: &Pte) -> bool {
    true
}
fn empty(pte: &Pte) -> bool {
    pte.empty
}
fn writable(pte: &Pte) -> bool {
    pte.present && pte.writable
}
fn read_only(pte: &Pte) -> bool {
    pte.present && !pte.writable
}
fn zero_page(pte: &Pte) -> bool {
    read_only(pte) && pte.zero_page
}
fn own_read_only(pte: &Pte) -> bool {
    read_only(pte) && !pte.zero_page
}
fn hidden(pte: &Pte) -> bool {
    !pte.present && pte.prot_none
}
fn executable(pte: &Pte) -> bool {
    pte.present && !pte.no_execute
}
fn not_executable(pte: &Pte) -> bool {
    pte.present && pte.no_execute
}

/// When the kernel makes an entry writable again whose page may be written again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Lifts {
    /// In mprotect itself, for pages that are the process's alone (mm/mprotect.c, `can_change_pte_writable`).
    AtOnce,
    /// At the next write, which faults: Linux up to 5.19.
    Later,
}

/// Everything the child makes in the arena; see `child`.
pub(super) fn made(follow_forks: bool, lifts: Lifts) -> Vec<Made> {
    let user = Mode::User;
    let fault = |mode, cause, entry: Look| Event::Fault { mode, cause, entry };
    let touch = fault(user, Cause::FirstTouch, empty);
    let mprotect = |prot, before: Look, after: Look| Event::Call {
        kind: kind::MPROTECT,
        prot,
        before,
        after,
    };
    let overlay = Event::Call {
        kind: kind::MMAP,
        prot: Prot::R,
        before: writable,
        after: empty,
    };
    let refused = |entry: Look, prot| Event::Refused { entry, prot };
    let copied = if follow_forks { 2 * TIMES } else { TIMES };
    let row = |slot, control, times, event| Made {
        slot,
        control,
        times,
        event,
    };
    // Writable before the first call; before the second, if the one between made it so.
    let (protected, lifted): (&[(u64, Look)], Look) = match lifts {
        Lifts::AtOnce => (&[(2, writable)], writable),
        Lifts::Later => (&[(1, writable), (1, read_only)], read_only),
    };
    let protected = protected.iter().map(|&(times, before)| {
        let event = mprotect(Prot::R, before, read_only);
        row(Slot::Mprotect, Some("mprotect"), times, event)
    });
    let mut made: Vec<Made> = protected.collect();
    made.extend([
        row(Slot::FirstTouch, Some("first_touch"), TIMES, touch),
        row(
            Slot::ZeroPage,
            Some("zero_page_read"),
            TIMES,
            fault(user, Cause::ZeroPageRead, empty),
        ),
        row(
            Slot::ZeroPage,
            Some("zero_page_cow"),
            TIMES,
            fault(user, Cause::ZeroPageCow, zero_page),
        ),
        row(Slot::Mprotect, None, 1, touch),
        row(
            Slot::Mprotect,
            Some("mprotect"),
            2,
            mprotect(Prot::RW, read_only, lifted),
        ),
        row(Slot::ReadOnly, None, 1, touch),
        row(
            Slot::ReadOnly,
            None,
            1,
            mprotect(Prot::R, writable, read_only),
        ),
        row(
            Slot::ReadOnly,
            Some("read_only_write"),
            TIMES,
            refused(own_read_only, Prot::R),
        ),
        row(Slot::ReadOnly, None, TIMES, Event::Signal),
        row(Slot::ProtNone, None, 1, touch),
        row(
            Slot::ProtNone,
            None,
            1,
            mprotect(Prot::NONE, writable, hidden),
        ),
        row(
            Slot::ProtNone,
            Some("prot_none_read"),
            TIMES,
            refused(hidden, Prot::NONE),
        ),
        row(Slot::ProtNone, None, TIMES, Event::Signal),
        row(Slot::ProtExec, None, 1, touch),
        row(
            Slot::ProtExec,
            Some("prot_exec"),
            2,
            mprotect(Prot::RX, not_executable, executable),
        ),
        row(
            Slot::ProtExec,
            Some("prot_exec"),
            2,
            mprotect(Prot::R, executable, not_executable),
        ),
        row(Slot::MapFixed, None, TIMES, touch),
        row(Slot::MapFixed, None, TIMES, overlay),
        row(
            Slot::MapFixed,
            None,
            TIMES,
            fault(user, Cause::ZeroPageRead, empty),
        ),
        row(
            Slot::MapFixed,
            Some("map_fixed"),
            TIMES,
            refused(zero_page, Prot::R),
        ),
        row(Slot::MapFixed, None, TIMES, Event::Signal),
        row(Slot::ForkCow, None, TIMES, touch),
        row(
            Slot::ForkCow,
            Some("fork_cow"),
            copied,
            fault(user, Cause::AnonCow, own_read_only),
        ),
        row(
            Slot::KernelRead,
            Some("kernel_read"),
            TIMES,
            fault(Mode::Kernel, Cause::FirstTouch, any),
        ),
    ]);
    made
}

impl Event {
    /// Entries are compared where this session reads them at all.
    fn is(&self, seen: &Seen, entries: bool) -> bool {
        let looks = |look: Look, pte: Option<&Pte>| !entries || pte.is_some_and(look);
        match (*self, seen) {
            (Self::Fault { mode, cause, entry }, Seen::Fault(event)) => {
                event.mode == mode && event.cause == cause && looks(entry, event.pte.as_ref())
            }
            (Self::Refused { entry, prot }, Seen::Fault(event)) => {
                refused_by(event, prot) && looks(entry, event.pte.as_ref())
            }
            (
                Self::Signal,
                Seen::Signal {
                    number,
                    code,
                    handled,
                },
            ) => (*number, *code, *handled) == (libc::SIGSEGV, SEGV_ACCERR, true),
            (
                Self::Call {
                    kind,
                    prot,
                    before,
                    after,
                },
                Seen::Call(called, event),
            ) => {
                *called == kind
                    && event.prot == Some(prot)
                    && event.result == Some(0)
                    && looks(before, event.pte_before.as_ref())
                    && looks(after, event.pte_after.as_ref())
            }
            _ => false,
        }
    }
}

fn refused_by(event: &PageFaultEvent, prot: Prot) -> bool {
    event.mode == Mode::User
        && event.cause == Cause::Protection
        && event.vma.as_ref().is_some_and(|vma| vma.prot == prot)
}

/// The verdict on each control. `entries` tells whether page-table entries are evidence in this session;
/// `follow_forks` whether the child's child was followed.
pub fn judge(sightings: &Sightings, entries: bool, follow_forks: bool) -> Vec<Control> {
    let failures = |controls: &[Control]| controls.iter().filter(|one| !one.passed).count();
    let verdicts = judge_as(sightings, entries, &made(follow_forks, Lifts::AtOnce));
    if failures(&verdicts) == 0 {
        return verdicts;
    }
    // Distributions bring the one way to kernels of the other; what was seen must be exactly one of them.
    let later = judge_as(sightings, entries, &made(follow_forks, Lifts::Later));
    if failures(&later) < failures(&verdicts) {
        later
    } else {
        verdicts
    }
}

fn judge_as(sightings: &Sightings, entries: bool, made: &[Made]) -> Vec<Control> {
    let mut tally = vec![0_u64; made.len()];
    let mut strays = [0_u64; Slot::ALL.len()];
    for (slot, stray) in Slot::ALL.into_iter().zip(&mut strays) {
        for seen in sightings.of(slot) {
            let place = made
                .iter()
                .position(|made| made.slot == slot && made.event.is(seen, entries));
            match place.and_then(|place| tally.get_mut(place)) {
                Some(count) => *count += 1,
                None => *stray += 1,
            }
        }
    }
    let rows = || made.iter().zip(&tally);
    let control = |(name, invalidates): (&str, &str)| {
        let own = || rows().filter(|(made, _)| made.control == Some(name));
        let expected = own().map(|(made, _)| made.times).sum();
        let seen = own().map(|(_, count)| count).sum();
        let slot = own().map(|(made, _)| made.slot).next();
        // Each preparation, too, and nothing that nobody made.
        let exact = rows().filter(|(made, _)| Some(made.slot) == slot);
        let exact = exact.fold(true, |exact, (made, count)| exact && made.times == *count);
        let stray = slot
            .and_then(|slot| strays.get(slot as usize))
            .copied()
            .unwrap_or(0);
        let passed = exact && stray == 0 && sightings.undecodable == 0;
        let invalidates = match (passed, stray) {
            (true, _) => None,
            (_, 0) => Some(invalidates.to_owned()),
            (_, stray) => Some(format!(
                "{invalidates} (and events seen that nobody made: {stray})"
            )),
        };
        Control {
            name: name.to_owned(),
            expected,
            seen,
            passed,
            invalidates,
        }
    };
    CONTROLS.into_iter().map(control).collect()
}
