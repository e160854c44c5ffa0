//! `--detail`: how many events of one (kind, operation, cause) are stored in full. The rest are counted.

use std::collections::HashMap;

use crate::model::event::{
    AggregateLine, Context, EventKind, MapEvent, MemoryCallEvent, Mode, PageFaultEvent,
    PteSampleEvent, SignalEvent, TraceLine, WatchHitEvent,
};
use crate::model::vma::is_tracers_fault;
use crate::model::{Address, Cause, FaultCode, Operation, Pte};

/// Groups of held-back events kept apart at most; beyond, stacks and codes are no longer told apart.
const MAX_GROUPS: usize = 1 << 16;

/// What the limit applies to.
type Bucket = (EventKind, Operation, Option<Cause>);

/// What held-back events of one aggregate line have in common.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Group {
    kind: EventKind,
    pid: u32,
    operation: Operation,
    sub_operation: Option<Operation>,
    stack: Option<u64>,
    mode: Option<Mode>,
    error_code: Option<FaultCode>,
    cause: Option<Cause>,
    signal: Option<String>,
    /// Entry without its raw bits.
    pte: Option<Pte>,
    mapped: Option<bool>,
    on: Option<String>,
}

/// Counts of a group.
struct Sum {
    count: u64,
    first_ns: u64,
    last_ns: u64,
    address_min: u64,
    address_max: u64,
    duration_ns: u64,
    durations: u64,
}

/// The facts of one event that the limiter needs.
struct Facts<'a> {
    kind: EventKind,
    time_ns: u64,
    pid: u32,
    address: u64,
    duration: Option<u64>,
    mode: Option<Mode>,
    error_code: Option<FaultCode>,
    cause: Option<Cause>,
    signal: Option<&'a str>,
    pte: Option<Pte>,
    mapped: Option<bool>,
    on: Option<&'a str>,
    context: &'a Context,
}

/// Lets the first events of each bucket through.
pub struct Limiter {
    limit: u64,
    seen: HashMap<Bucket, u64>,
    held: HashMap<Group, Sum>,
}

impl Limiter {
    /// `limit` events of each (kind, operation, cause); `u64::MAX` for all.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            seen: HashMap::new(),
            held: HashMap::new(),
        }
    }

    /// True when the line is to be stored; otherwise it has been counted.
    pub fn admit(&mut self, line: &TraceLine) -> bool {
        let Some(facts) = facts(line) else {
            return true;
        };
        if matches!(line, TraceLine::PageFault(event) if stands_alone(event)) {
            return true;
        }
        let bucket = (facts.kind, facts.context.operation.clone(), facts.cause);
        let seen = self.seen.entry(bucket).or_default();
        *seen += 1;
        if *seen <= self.limit {
            return true;
        }
        self.hold(&facts);
        false
    }

    fn hold(&mut self, facts: &Facts<'_>) {
        let mut group = Group {
            kind: facts.kind,
            pid: facts.pid,
            operation: facts.context.operation.clone(),
            sub_operation: facts.context.sub_operation.clone(),
            stack: facts.context.stack,
            mode: facts.mode,
            error_code: facts.error_code,
            cause: facts.cause,
            signal: facts.signal.map(str::to_owned),
            pte: facts.pte.map(|pte| Pte {
                raw: Address(0),
                ..pte
            }),
            mapped: facts.mapped,
            on: facts.on.map(str::to_owned),
        };
        if self.held.len() >= MAX_GROUPS && !self.held.contains_key(&group) {
            group = Group {
                stack: None,
                pid: 0,
                ..group
            };
        }
        let sum = self.held.entry(group).or_insert(Sum {
            count: 0,
            first_ns: facts.time_ns,
            last_ns: facts.time_ns,
            address_min: facts.address,
            address_max: facts.address,
            duration_ns: 0,
            durations: 0,
        });
        sum.count += 1;
        sum.first_ns = sum.first_ns.min(facts.time_ns);
        sum.last_ns = sum.last_ns.max(facts.time_ns);
        sum.address_min = sum.address_min.min(facts.address);
        sum.address_max = sum.address_max.max(facts.address);
        sum.duration_ns = sum.duration_ns.saturating_add(facts.duration.unwrap_or(0));
        sum.durations += u64::from(facts.duration.is_some());
    }

    /// The lines of everything held back, in the order of their first event.
    pub fn finish(self) -> Vec<TraceLine> {
        let mut groups: Vec<_> = self.held.into_iter().collect();
        groups.sort_by_key(|(group, sum)| (sum.first_ns, sum.address_min, group.stack));
        groups
            .into_iter()
            .map(|(group, sum)| line(group, &sum))
            .collect()
    }
}

/// Few, and each is needed: without the one kind the witnesses cannot be balanced, and the other, which map-trace caused,
/// would be taken for the program's.
fn stands_alone(event: &PageFaultEvent) -> bool {
    event.interrupted || is_tracers_fault(event.error_code, event.vma.as_ref())
}

fn line(group: Group, sum: &Sum) -> TraceLine {
    TraceLine::Aggregate(Box::new(AggregateLine {
        event: group.kind,
        count: sum.count,
        pid: group.pid,
        first_ns: sum.first_ns,
        last_ns: sum.last_ns,
        address_min: Address(sum.address_min),
        address_max: Address(sum.address_max),
        in_kernel: false,
        mode: group.mode,
        error_code: group.error_code,
        cause: group.cause,
        cause_reason: None,
        signal: group.signal,
        vma: None,
        pte: group.pte,
        mapped: group.mapped,
        on: group.on,
        duration_ns: sum.duration_ns,
        durations: sum.durations,
        undone: 0,
        context: Context {
            operation: group.operation,
            sub_operation: group.sub_operation,
            map: None,
            goroutine: None,
            stack: group.stack,
        },
    }))
}

/// The limited kinds: faults, memory calls, signals. Lifecycle lines are few and always stored.
fn facts(line: &TraceLine) -> Option<Facts<'_>> {
    match line {
        TraceLine::PageFault(event) => Some(fault(event)),
        TraceLine::Mprotect(event) => Some(call(EventKind::Mprotect, event)),
        TraceLine::PkeyMprotect(event) => Some(call(EventKind::PkeyMprotect, event)),
        TraceLine::Mmap(event) => Some(call(EventKind::Mmap, event)),
        TraceLine::Munmap(event) => Some(call(EventKind::Munmap, event)),
        TraceLine::Mremap(event) => Some(call(EventKind::Mremap, event)),
        TraceLine::Brk(event) => Some(call(EventKind::Brk, event)),
        TraceLine::Madvise(event) => Some(call(EventKind::Madvise, event)),
        TraceLine::Signal(event) => Some(signal(event)),
        TraceLine::PteSample(event) => Some(sample(event)),
        TraceLine::WatchHit(event) => Some(hit(event)),
        TraceLine::MapMake(event) => Some(map(EventKind::MapMake, event)),
        TraceLine::MapGrow(event) => Some(map(EventKind::MapGrow, event)),
        TraceLine::MapClear(event) => Some(map(EventKind::MapClear, event)),
        TraceLine::Iteration(event) => Some(moment(
            EventKind::Iteration,
            event.time_ns,
            event.pid,
            &event.context,
        )),
        TraceLine::Runtime(event) => Some(Facts {
            address: event.address.map_or(0, |address| address.0),
            duration: event.duration_ns,
            // What else happened is another group.
            on: Some(&event.what),
            ..moment(EventKind::Runtime, event.time_ns, event.pid, &event.context)
        }),
        _ => None,
    }
}

fn fault(event: &PageFaultEvent) -> Facts<'_> {
    Facts {
        kind: EventKind::PageFault,
        time_ns: event.time_ns,
        pid: event.pid,
        address: event.address.0,
        duration: event.stall_ns,
        mode: Some(event.mode),
        error_code: Some(event.error_code),
        cause: Some(event.cause),
        signal: None,
        pte: None,
        mapped: None,
        on: event.on.as_deref(),
        context: &event.context,
    }
}

fn call(kind: EventKind, event: &MemoryCallEvent) -> Facts<'_> {
    Facts {
        kind,
        time_ns: event.time_ns,
        pid: event.pid,
        address: event.address.0,
        duration: event.duration_ns,
        mode: None,
        error_code: None,
        cause: None,
        signal: None,
        pte: None,
        mapped: None,
        on: event.on.as_deref(),
        context: &event.context,
    }
}

fn signal(event: &SignalEvent) -> Facts<'_> {
    Facts {
        kind: EventKind::Signal,
        time_ns: event.time_ns,
        pid: event.pid,
        address: event.address.map_or(0, |address| address.0),
        duration: None,
        mode: None,
        error_code: None,
        cause: None,
        signal: Some(&event.signal),
        pte: None,
        mapped: None,
        on: event.on.as_deref(),
        context: &event.context,
    }
}

fn sample(event: &PteSampleEvent) -> Facts<'_> {
    Facts {
        kind: EventKind::PteSample,
        time_ns: event.time_ns,
        pid: event.pid,
        address: event.address.0,
        duration: None,
        mode: None,
        error_code: None,
        cause: None,
        signal: None,
        pte: Some(event.pte),
        mapped: event.mapped,
        on: event.on.as_deref(),
        context: &event.context,
    }
}

fn map(kind: EventKind, event: &MapEvent) -> Facts<'_> {
    moment(kind, event.time_ns, event.pid, &event.context)
}

/// Something that happened to a map.
fn moment(kind: EventKind, time_ns: u64, pid: u32, context: &Context) -> Facts<'_> {
    Facts {
        kind,
        time_ns,
        pid,
        address: context.map.map_or(0, |map| map.0),
        duration: None,
        mode: None,
        error_code: None,
        cause: None,
        signal: None,
        pte: None,
        mapped: None,
        on: None,
        context,
    }
}

fn hit(event: &WatchHitEvent) -> Facts<'_> {
    Facts {
        kind: EventKind::WatchHit,
        time_ns: event.time_ns,
        pid: event.pid,
        address: event.address.0,
        duration: None,
        mode: None,
        error_code: None,
        cause: None,
        signal: None,
        pte: None,
        mapped: None,
        on: event.on.as_deref(),
        context: &event.context,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signal_line(time_ns: u64, operation: Operation) -> TraceLine {
        TraceLine::Signal(Box::new(SignalEvent {
            time_ns,
            pid: 1,
            tid: 1,
            signal: "SIGSEGV".into(),
            code: "SEGV_ACCERR".into(),
            address: Some(Address(0x1000 + time_ns)),
            ip: Address(1),
            handled: Some(true),
            on: None,
            context: Context {
                operation,
                sub_operation: None,
                map: None,
                goroutine: None,
                stack: Some(1),
            },
        }))
    }

    #[test]
    fn each_bucket_lets_its_first_events_through_and_counts_the_rest() {
        let mut limiter = Limiter::new(2);
        let admitted: Vec<_> = (0..5)
            .map(|time| limiter.admit(&signal_line(time, Operation::Assign)))
            .collect();
        assert_eq!(admitted, [true, true, false, false, false]);
        assert!(limiter.admit(&signal_line(9, Operation::Iterate)));
        let [TraceLine::Aggregate(line)] = &limiter.finish()[..] else {
            panic!("one group expected")
        };
        assert_eq!((line.count, line.first_ns, line.last_ns), (3, 2, 4));
        assert_eq!(
            (line.address_min, line.address_max),
            (Address(0x1002), Address(0x1004))
        );
        assert!(!line.in_kernel);
    }

    #[test]
    fn a_limit_of_zero_stores_nothing_and_loses_nothing() {
        let mut limiter = Limiter::new(0);
        assert!(!limiter.admit(&signal_line(1, Operation::None)));
        assert_eq!(limiter.finish().len(), 1);
    }
}
