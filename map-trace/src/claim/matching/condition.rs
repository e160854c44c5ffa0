//! Whether a field of an event is as a rule wants it.

use super::{Doubt, EventView, Known};
use crate::claim::field::{Leaf, pick};
use crate::claim::rule::{Condition, Value};
use crate::model::event::{EventKind, TraceLine};

/// Fields of a group that hold of each of its events.
const KEPT: [&str; 9] = [
    "pid",
    "on",
    "mode",
    "error_code",
    "cause",
    "signal",
    "vma",
    "operation",
    "sub_operation",
];

/// Fields of an entry that a group of samples has in common.
const COMMON: [&str; 10] = [
    "level",
    "present",
    "writable",
    "user",
    "no_execute",
    "zero_page",
    "empty",
    "prot_none",
    "uffd_wp",
    "unstable",
];

pub(super) fn condition(
    index: usize,
    wanted: &Condition,
    event: &EventView<'_>,
    text: &mut String,
) -> Known {
    let first = wanted.path.split('.').next().unwrap_or("");
    let sampled = event.kind == EventKind::PteSample && COMMON.contains(&first);
    if event.group.is_some() && !KEPT.contains(&first) && !sampled {
        return Known::Unsure(Doubt::Grouped(index));
    }
    let leaf = match event.group {
        // A group of samples keeps its entry apart.
        Some(_) if sampled => pick(event.line, &format!("pte.{first}"), text),
        _ => pick(event.line, &wanted.path, text),
    };
    let known = match leaf {
        Leaf::Absent | Leaf::Null => match (null(first, event), &wanted.value) {
            (Null::Fact, value) => Known::of(*value == Value::Null),
            (Null::Unknown, Value::Null) => Known::Yes,
            _ if event.group.is_some() => Known::Unsure(Doubt::Grouped(index)),
            _ => Known::Unsure(Doubt::Field(index)),
        },
        leaf if is_unknown(leaf, first, &wanted.path, text, event) && !asks_for_unknown(wanted) => {
            Known::Unsure(Doubt::Field(index))
        }
        Leaf::Bool(value) => Known::of(wanted.value == Value::Bool(value)),
        Leaf::Number(value) => Known::of(wanted.value == Value::Number(value)),
        Leaf::Text => Known::of(match &wanted.value {
            Value::Text(value) if first == "flags" => has_flags(text, value),
            Value::Text(value) => value == text,
            _ => false,
        }),
        Leaf::Other => Known::No,
    };
    match (known, wanted.not) {
        (Known::Yes, true) => Known::No,
        (Known::No, true) => Known::Yes,
        (Known::No, false) if !event.whole && matches!(first, "operation" | "sub_operation") => {
            Known::Unsure(Doubt::NoStack)
        }
        (known, _) => known,
    }
}

/// Whether all flags asked for are among those there are.
fn has_flags(there: &str, wanted: &str) -> bool {
    wanted
        .split('|')
        .all(|wanted| there.split('|').any(|flag| flag == wanted))
}

/// What null, or absence, of a field means.
enum Null {
    /// It is a fact about the event: there is no mapping, no error, no second operation.
    Fact,
    /// It is not known; who asks for null asks for that.
    Unknown,
    /// Not even that is known: the call's return was not seen.
    Pending,
}

fn null(first: &str, event: &EventView<'_>) -> Null {
    const FACTS: [&str; 14] = [
        "vma",
        "sub_operation",
        "handled",
        "address",
        "exited",
        "signaled",
        "flags",
        "advice",
        "prot",
        "pkey",
        "fd",
        "offset",
        "new_length",
        "stack",
    ];
    match (event.line, first) {
        (
            TraceLine::Mprotect(call)
            | TraceLine::PkeyMprotect(call)
            | TraceLine::Mmap(call)
            | TraceLine::Munmap(call)
            | TraceLine::Mremap(call)
            | TraceLine::Brk(call)
            | TraceLine::Madvise(call),
            "error" | "new_address" | "new_break",
        ) => match call.result {
            Some(_) => Null::Fact,
            None => Null::Pending,
        },
        (TraceLine::Aggregate(_), "sub_operation") => Null::Fact,
        (TraceLine::Aggregate(_), _) => Null::Pending,
        (_, first) if FACTS.contains(&first) => Null::Fact,
        _ => Null::Unknown,
    }
}

/// A cause that is the word for not knowing, and an entry that changed while it was read.
fn is_unknown(leaf: Leaf, first: &str, path: &str, text: &str, event: &EventView<'_>) -> bool {
    let unstable = match (event.line, first) {
        (TraceLine::PageFault(event), "pte") => event.pte.as_ref(),
        (TraceLine::Mprotect(call) | TraceLine::PkeyMprotect(call), "pte_before") => {
            call.pte_before.as_ref()
        }
        (TraceLine::Mprotect(call) | TraceLine::PkeyMprotect(call), "pte_after") => {
            call.pte_after.as_ref()
        }
        (TraceLine::PteSample(event), first) if of_sample(first) => Some(&event.pte),
        (TraceLine::Aggregate(group), first) if of_sample(first) => group.pte.as_ref(),
        _ => None,
    };
    let read_twice = unstable.is_some_and(|pte| pte.unstable) && !path.ends_with("unstable");
    read_twice || (path == "cause" && leaf == Leaf::Text && text == "unknown")
}

/// A field of a sample that is its entry's.
fn of_sample(first: &str) -> bool {
    COMMON.contains(&first) || matches!(first, "raw" | "accessed" | "dirty" | "saved_dirty")
}

fn asks_for_unknown(wanted: &Condition) -> bool {
    wanted.path == "cause" && wanted.value == Value::Text("unknown".to_owned())
}
