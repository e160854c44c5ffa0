//! One event against one rule: it matches, it does not, or it cannot be told.

mod condition;

use condition::condition;

use super::rule::{Area, Rule};
use super::stacks::{Lack, StackFacts, Stacks};
use crate::maps::Tables;
use crate::model::event::{AggregateLine, Context, EventKind, TraceLine};
use crate::model::vma::{VmaFacts, VmaKind, is_tracers_fault};
use crate::model::{Address, Operation};

/// Why an event may or may not match. The numbers are those of the rule's conditions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Doubt {
    NoStack,
    Truncated,
    Broken,
    /// The code of some caller does not tell whether it stands in a loop over a map.
    NoWindows,
    /// A store of the caller's, after an assign has returned the place.
    ValueStore,
    /// The field is not known of this event.
    Field(usize),
    /// The event was counted in a group, which does not keep the field.
    Grouped(usize),
    /// Where the event's memory belongs is not in the trace.
    Area,
    /// It was counted in a group that began outside the part that is judged, or ended there.
    Window,
}

/// What is known of a match.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    Yes,
    No,
    Unsure(Doubt),
}

impl Known {
    /// Both must hold.
    pub fn and(self, other: impl FnOnce() -> Self) -> Self {
        match self {
            Self::No => Self::No,
            Self::Yes => other(),
            doubt @ Self::Unsure(_) => match other() {
                Self::No => Self::No,
                _ => doubt,
            },
        }
    }

    const fn of(holds: bool) -> Self {
        if holds { Self::Yes } else { Self::No }
    }
}

/// What the trace as a whole can tell.
pub struct Knowledge {
    pub stacks: Stacks,
    pub tables: Tables,
    /// The program's maps are probed: it is one of Go.
    pub probed: bool,
}

/// An event, or a group of events that are alike.
#[derive(Clone, Copy)]
pub struct EventView<'a> {
    pub line: &'a TraceLine,
    pub kind: EventKind,
    pub count: u64,
    pub pid: u32,
    pub group: Option<&'a AggregateLine>,
    /// None for events that belong to no operation.
    pub context: Option<&'a Context>,
    pub stack: Option<&'a StackFacts>,
    /// It happened before any code of the program ran.
    pub startup: bool,
    /// Every operation it can belong to is known.
    pub whole: bool,
}

impl<'a> EventView<'a> {
    /// The event of a line; none for lines that are no event.
    pub fn of(line: &'a TraceLine) -> Option<Self> {
        let (kind, pid, context) = match line {
            TraceLine::Header(_)
            | TraceLine::String(_)
            | TraceLine::Stack(_)
            | TraceLine::Mark(_)
            | TraceLine::Footer(_) => return None,
            // What map-trace caused says nothing of the program.
            TraceLine::PageFault(event)
                if is_tracers_fault(event.error_code, event.vma.as_ref()) =>
            {
                return None;
            }
            TraceLine::PageFault(event) => (EventKind::PageFault, event.pid, Some(&event.context)),
            TraceLine::Mprotect(event) => (EventKind::Mprotect, event.pid, Some(&event.context)),
            TraceLine::PkeyMprotect(event) => {
                (EventKind::PkeyMprotect, event.pid, Some(&event.context))
            }
            TraceLine::Mmap(event) => (EventKind::Mmap, event.pid, Some(&event.context)),
            TraceLine::Munmap(event) => (EventKind::Munmap, event.pid, Some(&event.context)),
            TraceLine::Mremap(event) => (EventKind::Mremap, event.pid, Some(&event.context)),
            TraceLine::Brk(event) => (EventKind::Brk, event.pid, Some(&event.context)),
            TraceLine::Madvise(event) => (EventKind::Madvise, event.pid, Some(&event.context)),
            TraceLine::Signal(event) => (EventKind::Signal, event.pid, Some(&event.context)),
            TraceLine::Fork(event) => (EventKind::Fork, event.pid, None),
            TraceLine::Exec(event) => (EventKind::Exec, event.pid, None),
            TraceLine::Exit(event) => (EventKind::Exit, event.pid, None),
            // Of memory that was not there nothing can be said.
            TraceLine::PteSample(event) if event.mapped == Some(false) => return None,
            TraceLine::PteSample(event) => (EventKind::PteSample, event.pid, Some(&event.context)),
            TraceLine::WatchHit(event) => (EventKind::WatchHit, event.pid, Some(&event.context)),
            TraceLine::MapMake(event) => (EventKind::MapMake, event.pid, Some(&event.context)),
            TraceLine::MapGrow(event) => (EventKind::MapGrow, event.pid, Some(&event.context)),
            TraceLine::MapClear(event) => (EventKind::MapClear, event.pid, Some(&event.context)),
            TraceLine::Iteration(event) => (EventKind::Iteration, event.pid, Some(&event.context)),
            TraceLine::Runtime(event) => (EventKind::Runtime, event.pid, Some(&event.context)),
            TraceLine::FatalError(event) => {
                (EventKind::FatalError, event.pid, Some(&event.context))
            }
            TraceLine::Aggregate(group)
                if group.event == EventKind::PteSample && group.mapped == Some(false) =>
            {
                return None;
            }
            TraceLine::Aggregate(group) if of_tracer(group) => return None,
            TraceLine::Aggregate(group) => (group.event, group.pid, Some(&group.context)),
        };
        let group = match line {
            TraceLine::Aggregate(group) => Some(&**group),
            _ => None,
        };
        let count = group.map_or(1, |group| group.count);
        Some(Self {
            line,
            kind,
            count,
            pid,
            group,
            context,
            stack: None,
            startup: false,
            whole: false,
        })
    }
}

/// Page faults that map-trace caused.
fn of_tracer(group: &AggregateLine) -> bool {
    let code = group.error_code;
    code.is_some_and(|code| is_tracers_fault(code, group.vma.as_ref()))
}

/// Whether the rule is about the event at all: its operation and its memory.
pub fn in_scope(rule: &Rule, event: &EventView<'_>, knowledge: &Knowledge) -> Known {
    let during = match &rule.during {
        None => Known::Yes,
        Some(operation) => during(operation, event),
    };
    during.and(|| match &rule.on {
        None => Known::Yes,
        Some(area) => on(area, event, knowledge),
    })
}

/// Whether all the rule's conditions hold of the event.
pub fn satisfies(rule: &Rule, event: &EventView<'_>, text: &mut String) -> Known {
    let conditions = rule.conditions.iter().enumerate();
    conditions.fold(Known::Yes, |so_far, (index, one)| {
        so_far.and(|| condition(index, one, event, text))
    })
}

fn during(wanted: &Operation, event: &EventView<'_>) -> Known {
    let Some(context) = event.context else {
        return Known::Unsure(Doubt::NoStack);
    };
    let stack = event.stack;
    let none = *wanted == Operation::None;
    let named = context.operation == *wanted || context.sub_operation.as_ref() == Some(wanted);
    let between = || stack.is_some_and(|stack| stack.operations.contains(wanted));
    if !none && (named || between()) {
        return Known::Yes;
    }
    if event.startup || (none && !named) {
        return Known::of(named);
    }
    let Some(stack) = stack else {
        return Known::Unsure(Doubt::NoStack);
    };
    if stack.runtime && wanted.is_map() {
        return Known::No;
    }
    if let Some(lack) = stack.lack {
        return Known::Unsure(match lack {
            Lack::Truncated => Doubt::Truncated,
            Lack::Broken => Doubt::Broken,
        });
    }
    let runtime = context.operation == Operation::Runtime;
    match wanted {
        Operation::Iterate if !stack.loops_known && !runtime => Known::Unsure(Doubt::NoWindows),
        Operation::Assign if !stack.stores_known && may_be_value_store(event, context) => {
            Known::Unsure(Doubt::ValueStore)
        }
        _ => Known::of(named),
    }
}

/// `m[k] = v`: Go's caller stores the value itself, after the map function has returned the place.
fn may_be_value_store(event: &EventView<'_>, context: &Context) -> bool {
    matches!(event.kind, EventKind::PageFault | EventKind::Signal)
        && context.operation == Operation::None
}

fn on(area: &Area, event: &EventView<'_>, knowledge: &Knowledge) -> Known {
    let place = Place::of(event);
    match area {
        Area::Range(start, end) => place.overlaps(*start, *end),
        Area::Buckets => part(&place, "buckets", knowledge),
        Area::Heap => place
            .vma
            .map_or(Known::Unsure(Doubt::Area), |vma| match vma.kind {
                VmaKind::Heap => Known::Yes,
                _ if is_go_heap(vma) => Known::Yes,
                _ => nameless(vma),
            }),
        Area::Stack => place
            .vma
            .map_or(Known::Unsure(Doubt::Area), |vma| match vma.kind {
                VmaKind::Stack => Known::Yes,
                _ if is_go_heap(vma) => Known::No,
                _ => nameless(vma),
            }),
        // Only watched memory is known by the name it was asked for with.
        Area::Symbol(name) => match place.part.and_then(|part| part.split(':').next()) {
            Some(part) if part == name => Known::Yes,
            _ => Known::Unsure(Doubt::Area),
        },
    }
}

/// Go names its heap since 1.25 (`prctl(PR_SET_VMA_ANON_NAME)`).
fn is_go_heap(vma: &VmaFacts) -> bool {
    let name = vma.name.as_deref().unwrap_or("");
    name.starts_with("[anon: Go: heap")
}

/// Anonymous memory without a name may be anyone's heap or stack.
fn nameless(vma: &VmaFacts) -> Known {
    match vma.kind {
        VmaKind::Anon if vma.name.is_none() => Known::Unsure(Doubt::Area),
        _ => Known::No,
    }
}

/// Memory of maps that holds no entries, and memory that a map has left.
const OTHER_PARTS: [&str; 4] = ["header", "table", "directory", "freed"];

/// Go keeps maps in its heap, of which goroutines' stacks are part: in anonymous memory.
fn may_hold_maps(vma: &VmaFacts) -> bool {
    !matches!(vma.kind, VmaKind::File | VmaKind::Stack | VmaKind::Special)
}

fn part(place: &Place<'_>, wanted: &str, knowledge: &Knowledge) -> Known {
    match place.part {
        Some(part) if part == wanted => Known::Yes,
        Some(part) if OTHER_PARTS.contains(&part) => Known::No,
        None if knowledge.probed && place.vma.is_some_and(|vma| !may_hold_maps(vma)) => Known::No,
        // Named by what it was watched as, memory may be a map's all the same; and not all maps are known.
        _ => Known::Unsure(Doubt::Area),
    }
}

/// The memory of an event.
struct Place<'a> {
    /// Smallest and largest address, for a group; the same for one event.
    addresses: Option<(u64, u64)>,
    /// Bytes from each address; none when not known.
    length: Option<u64>,
    /// A second range: where mremap moved the memory.
    moved: Option<(u64, u64)>,
    vma: Option<&'a VmaFacts>,
    part: Option<&'a str>,
}

impl<'a> Place<'a> {
    fn of(event: &EventView<'a>) -> Self {
        let one = |address: Option<Address>, length| Self {
            addresses: address.map(|address| (address.0, address.0)),
            length: Some(length),
            moved: None,
            vma: None,
            part: None,
        };
        match event.line {
            TraceLine::PageFault(event) => Self {
                vma: event.vma.as_ref(),
                part: event.on.as_deref(),
                ..one(Some(event.address), 1)
            },
            TraceLine::Mprotect(call)
            | TraceLine::PkeyMprotect(call)
            | TraceLine::Mmap(call)
            | TraceLine::Munmap(call)
            | TraceLine::Mremap(call)
            | TraceLine::Brk(call)
            | TraceLine::Madvise(call) => Self {
                part: call.on.as_deref(),
                moved: call
                    .new_address
                    .map(|to| (to.0, call.new_length.unwrap_or(1))),
                ..one(Some(call.address), call.length.max(1))
            },
            TraceLine::Signal(event) => Self {
                part: event.on.as_deref(),
                ..one(event.address, 1)
            },
            TraceLine::PteSample(event) => Self {
                part: event.on.as_deref(),
                ..one(Some(event.address), 1)
            },
            TraceLine::WatchHit(event) => Self {
                part: event.on.as_deref(),
                ..one(Some(event.address), 1)
            },
            TraceLine::Aggregate(group) => {
                let fault = matches!(
                    group.event,
                    EventKind::PageFault | EventKind::PteSample | EventKind::WatchHit
                );
                Self {
                    part: group.on.as_deref(),
                    addresses: Some((group.address_min.0, group.address_max.0)),
                    length: fault.then_some(1),
                    vma: group.vma.as_ref(),
                    ..one(None, 1)
                }
            }
            _ => one(None, 1),
        }
    }

    fn overlaps(&self, start: Address, end: Address) -> Known {
        let Some((first, last)) = self.addresses else {
            return Known::No;
        };
        let inside = |address: u64| start.0 <= address && address < end.0;
        let touches =
            |from: u64, length: u64| from < end.0 && from.saturating_add(length) > start.0;
        if inside(first) && inside(last) {
            return Known::Yes;
        }
        let moved = self
            .moved
            .is_some_and(|(from, length)| touches(from, length));
        match self.length {
            Some(length) if first == last => Known::of(touches(first, length) || moved),
            Some(length) if !touches(first, (last - first.min(last)).saturating_add(length)) => {
                Known::No
            }
            None if first >= end.0 => Known::No,
            _ => Known::Unsure(Doubt::Area),
        }
    }
}
