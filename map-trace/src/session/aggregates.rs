//! What the kernel counted by group, told as aggregate lines.

use std::collections::HashMap;

use map_trace_common::limits::REGION_ANY;
use map_trace_common::record::{AggregateKey, AggregateValue, kind, pte_class};

use super::pipeline::{Finished, no_stack};
use super::stacks::of_nothing;
use crate::cause::{FaultInputs, VmaView, classify, kernel_class};
use crate::model::event::{AggregateLine, Context, EventKind, Mode, TraceLine};
use crate::model::pte::PteLevel;
use crate::model::vma::is_tracers_fault;
use crate::model::{Address, Cause, FaultCode, Operation, Pte, signal};
use crate::space::Place;

/// Tells every group; returns how many events they hold and how many of these have no known stack.
pub fn tell(finished: &mut Finished, groups: &HashMap<AggregateKey, AggregateValue>) -> u64 {
    let mut ordered: Vec<_> = groups.iter().collect();
    ordered.sort_by_key(|(key, value)| (value.first_ns, key.kind, key.code, key.stack, key.region));
    let mut unattributed = 0;
    for (key, value) in ordered {
        let Some(event) = event_kind(key.kind) else {
            continue;
        };
        let mut context = context(finished, key);
        if event == EventKind::Runtime {
            context.operation = Operation::Runtime;
            context.sub_operation = None;
        }
        if key.stack != 0 && context.stack.is_none() {
            unattributed += value.count;
        }
        let line = line(finished, key, value, event, context);
        finished
            .recorder
            .record(&TraceLine::Aggregate(Box::new(line)));
    }
    unattributed
}

fn context(finished: &mut Finished, key: &AggregateKey) -> Context {
    if key.stack == 0 {
        return no_stack();
    }
    let stack = finished.stacks.of(key.stack, key.tgid, &finished.spaces);
    if let Some(line) = &stack.line {
        finished.recorder.record(line);
    }
    stack.context()
}

fn line(
    finished: &Finished,
    key: &AggregateKey,
    value: &AggregateValue,
    event: EventKind,
    mut context: Context,
) -> AggregateLine {
    let fault = event == EventKind::PageFault;
    let mode = if key.kind == kind::PAGE_FAULT_KERNEL {
        Mode::Kernel
    } else {
        Mode::User
    };
    let sampled = (event == EventKind::PteSample)
        .then(|| sampled(key))
        .flatten();
    let place = if fault {
        place(finished, key, value)
    } else {
        Place::default()
    };
    let classified = fault.then(|| cause(finished, key, value, mode, &place));
    let vma = place
        .vma
        .as_ref()
        .filter(|_| place.certain)
        .map(crate::space::Vma::facts);
    if fault && is_tracers_fault(FaultCode(key.code), vma.as_ref()) {
        of_nothing(&mut context);
    }
    AggregateLine {
        event,
        count: value.count,
        pid: key.tgid,
        first_ns: value.first_ns.saturating_sub(finished.start_ns),
        last_ns: value.last_ns.saturating_sub(finished.start_ns),
        address_min: Address(value.address_min),
        address_max: Address(value.address_max),
        in_kernel: true,
        mode: fault.then_some(mode),
        error_code: fault.then_some(FaultCode(key.code)),
        cause: classified.as_ref().map(|(cause, _)| *cause),
        cause_reason: classified.map(|(_, reason)| reason),
        signal: (event == EventKind::Signal).then(|| signal::name(key.code as i32)),
        vma,
        mapped: sampled.and_then(|_| mapped(finished, key, value)),
        pte: sampled,
        on: finished.watched.name(event, key.code),
        duration_ns: value.duration_ns,
        durations: if value.duration_ns == 0 {
            0
        } else {
            value.count
        },
        undone: value.undone,
        context,
    }
}

/// The mapping of a group, by the address space as it was last known; none for an image since replaced.
fn place(finished: &Finished, key: &AggregateKey, value: &AggregateValue) -> Place {
    let first = finished.spaces.place(key.tgid, value.address_min);
    let last = finished.spaces.place(key.tgid, value.address_max);
    let view = |place: &Place| place.vma.as_ref().map(VmaView::from);
    let one = key.region != REGION_ANY && view(&first) == view(&last) && first.vma.is_some();
    let current = finished.generations.get(&key.tgid) == Some(&key.generation);
    Place {
        certain: first.certain && last.certain && one && current,
        ..first
    }
}

/// Whether anything is mapped where a group was sampled, by the address space as it was last known; null when part of it
/// is, or for an image since replaced.
fn mapped(finished: &Finished, key: &AggregateKey, value: &AggregateValue) -> Option<bool> {
    let first = finished.spaces.place(key.tgid, value.address_min);
    let last = finished.spaces.place(key.tgid, value.address_max);
    let current = finished.generations.get(&key.tgid) == Some(&key.generation);
    let there = first.vma.is_some();
    let alike = if there {
        first.vma.as_ref().map(|vma| vma.start) == last.vma.as_ref().map(|vma| vma.start)
    } else {
        // Between two addresses where nothing is, something may be.
        last.vma.is_none() && value.address_min == value.address_max
    };
    (first.certain && last.certain && alike && current).then_some(there)
}

/// The cause of a group: that of its members that were delivered one by one, all alike in code, entry and
/// stack, unless the mapping is known to have changed since; else what the last mapping says.
fn cause(
    finished: &Finished,
    key: &AggregateKey,
    value: &AggregateValue,
    mode: Mode,
    place: &Place,
) -> (Cause, String) {
    let level = PteLevel::from_number(key.pte_class >> pte_class::LEVEL_SHIFT);
    let knows_zero = level.is_some_and(|level| finished.ptes.knows_zero(level));
    let entry = kernel_class(key.pte_class, knows_zero);
    let inputs = FaultInputs::new(FaultCode(key.code), mode, value.address_min, entry, place);
    let last = classify(&inputs);
    let in_stack = inputs.vma.is_some_and(|vma| vma.grows_down);
    let by_touch = [Cause::FirstTouch, Cause::ZeroPageRead, Cause::StackGrowth];
    let (cause, mut reason) = match finished.members.cause(key) {
        // Where the stack ended at each of them is not known any more.
        _ if in_stack && by_touch.contains(&last.cause) => (
            Cause::Unknown,
            "counted in the kernel only; the stack may have grown by them".to_owned(),
        ),
        Some(cause) if !place.certain || last.cause == cause => (
            cause,
            "as the events of this code, entry and stack that are stored".to_owned(),
        ),
        Some(_) => (
            Cause::Unknown,
            "the mapping changed while these were counted".to_owned(),
        ),
        None if place.certain => (last.cause, last.rule.to_owned()),
        None => (
            Cause::Unknown,
            "counted in the kernel only; the mapping is not known".to_owned(),
        ),
    };
    if cause == Cause::FileMap {
        reason.push_str("; which of these waited for a disk is not known");
    }
    (cause, reason)
}

/// What the samples of a group have in common, out of the kernel's summary of their entries.
fn sampled(key: &AggregateKey) -> Option<Pte> {
    let on = |bit: u32| key.pte_class & bit != 0;
    Some(Pte {
        raw: Address(0),
        level: PteLevel::from_number(key.pte_class >> pte_class::LEVEL_SHIFT)?,
        present: on(pte_class::PRESENT),
        writable: on(pte_class::WRITABLE),
        user: on(pte_class::USER),
        accessed: false,
        dirty: on(pte_class::DIRTY),
        no_execute: on(pte_class::NO_EXECUTE),
        zero_page: on(pte_class::ZERO_PAGE),
        saved_dirty: false,
        empty: on(pte_class::EMPTY),
        prot_none: on(pte_class::PROT_NONE),
        uffd_wp: on(pte_class::UFFD_WP),
        unstable: on(pte_class::UNSTABLE),
    })
}

fn event_kind(kind: u32) -> Option<EventKind> {
    Some(match kind {
        kind::PAGE_FAULT_USER | kind::PAGE_FAULT_KERNEL => EventKind::PageFault,
        kind::MPROTECT => EventKind::Mprotect,
        kind::PKEY_MPROTECT => EventKind::PkeyMprotect,
        kind::MMAP => EventKind::Mmap,
        kind::MUNMAP => EventKind::Munmap,
        kind::MREMAP => EventKind::Mremap,
        kind::BRK => EventKind::Brk,
        kind::MADVISE => EventKind::Madvise,
        kind::SIGNAL => EventKind::Signal,
        kind::FORK => EventKind::Fork,
        kind::EXEC => EventKind::Exec,
        kind::EXIT => EventKind::Exit,
        kind::PTE_SAMPLE => EventKind::PteSample,
        kind::WATCH_HIT => EventKind::WatchHit,
        kind::MAP_MAKE => EventKind::MapMake,
        kind::MAP_GROW => EventKind::MapGrow,
        kind::ITERATION => EventKind::Iteration,
        kind::MAP_CLEAR => EventKind::MapClear,
        kind::RUNTIME => EventKind::Runtime,
        kind::FATAL => EventKind::FatalError,
        _ => return None,
    })
}
