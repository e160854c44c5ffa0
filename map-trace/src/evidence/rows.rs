//! The operations table under construction.

use std::collections::BTreeMap;

use super::Histogram;
use crate::model::event::EventKind;
use crate::model::summary::{Count, OperationRow, Stalls, SubOperationRow};
use crate::model::{Cause, Operation};

/// Operations told apart, and innermost operations told apart in each; the rest share one row.
const MAX_OPERATIONS: usize = 256;
/// Longest name of a region that gets a row of its own, bytes.
const MAX_NAME: usize = 256;
/// The operation that events of too many or too long region names are counted under.
pub const OTHER: &str = "(other)";

/// Some events that happened in the same place.
pub struct Seen<'a> {
    pub kind: EventKind,
    pub count: u64,
    pub operation: &'a Operation,
    pub sub_operation: Option<&'a Operation>,
    pub cause: Option<Cause>,
    /// Duration of a single event, for the histogram; nanoseconds.
    pub duration_ns: Option<u64>,
    /// Sum of the durations of a group of events.
    pub group_ns: Option<u64>,
}

/// Counts by kind and by cause.
#[derive(Clone, Default)]
pub struct Tally {
    kinds: [u64; EventKind::ALL.len()],
    causes: [u64; Cause::ALL.len()],
}

#[derive(Default)]
struct Row {
    tally: Tally,
    stall_ns: Option<u64>,
    stalls: Histogram,
    subs: BTreeMap<Operation, Tally>,
}

/// All rows; their counts sum to [`Rows::total`] whatever comes in.
#[derive(Default)]
pub struct Rows {
    rows: BTreeMap<Operation, Row>,
    pub total: Tally,
    stalls: BTreeMap<Cause, Histogram>,
}

impl Tally {
    fn add(&mut self, seen: &Seen<'_>) {
        let kind = self.kinds.iter_mut().zip(EventKind::ALL);
        bump(kind, seen.kind, seen.count);
        if let Some(cause) = seen.cause {
            bump(self.causes.iter_mut().zip(Cause::ALL), cause, seen.count);
        }
    }

    pub fn kind(&self, kind: EventKind) -> u64 {
        let mut kinds = self.kinds.iter().zip(EventKind::ALL);
        kinds
            .find(|(_, of)| *of == kind)
            .map_or(0, |(count, _)| *count)
    }

    /// Every kind with its count, zero or not.
    fn events(&self) -> BTreeMap<String, u64> {
        let kinds = EventKind::ALL.iter().zip(self.kinds);
        kinds
            .map(|(kind, count)| (kind.word().to_owned(), count))
            .collect()
    }

    /// Every cause with its count, zero or not.
    pub fn causes(&self) -> BTreeMap<Cause, u64> {
        Cause::ALL.into_iter().zip(self.causes).collect()
    }
}

fn bump<'a, T: PartialEq>(
    mut counts: impl Iterator<Item = (&'a mut u64, T)>,
    which: T,
    count: u64,
) {
    if let Some((slot, _)) = counts.find(|(_, of)| *of == which) {
        *slot = slot.saturating_add(count);
    }
}

impl Rows {
    pub fn add(&mut self, seen: &Seen<'_>) {
        self.total.add(seen);
        let row = slot(&mut self.rows, seen.operation);
        row.tally.add(seen);
        if let Some(sub) = seen.sub_operation.filter(|sub| *sub != seen.operation) {
            slot(&mut row.subs, sub).add(seen);
        }
        if let Some(ns) = seen.duration_ns {
            row.stalls.add(ns);
            if let Some(cause) = seen.cause {
                self.stalls.entry(cause).or_default().add(ns);
            }
        }
        for ns in [seen.duration_ns, seen.group_ns].into_iter().flatten() {
            row.stall_ns = Some(row.stall_ns.unwrap_or(0).saturating_add(ns));
        }
    }

    /// How long the faults of each cause took.
    pub fn stalls(&self) -> BTreeMap<Cause, Stalls> {
        let stalls = |(cause, times): (&Cause, &Histogram)| {
            let stalls = Stalls {
                p50_ns: times.percentile(50)?,
                p99_ns: times.percentile(99)?,
                events: times.total(),
            };
            Some((*cause, stalls))
        };
        self.stalls.iter().filter_map(stalls).collect()
    }

    /// One row for each operation seen or counted, and always `runtime` and `none`.
    pub fn finish(mut self, counts: &BTreeMap<String, Count>) -> Vec<OperationRow> {
        let counted = counts.keys().map(|word| Operation::from_word(word));
        for operation in counted.chain([Operation::Runtime, Operation::None]) {
            slot(&mut self.rows, &operation);
        }
        self.rows
            .into_iter()
            .map(|(operation, row)| OperationRow {
                count: counts.get(operation.word()).copied().unwrap_or_default(),
                events: row.tally.events(),
                causes: row.tally.causes(),
                stall_ns: row.stall_ns,
                stall_p50_ns: row.stalls.percentile(50),
                stall_p99_ns: row.stalls.percentile(99),
                stall_events: row.stalls.total(),
                sub_operations: row.subs.into_iter().map(sub_row).collect(),
                operation,
            })
            .collect()
    }
}

fn sub_row((operation, tally): (Operation, Tally)) -> SubOperationRow {
    SubOperationRow {
        operation,
        events: tally.events(),
        causes: tally.causes(),
    }
}

/// The entry of an operation, made if there is room for one more, else that of [`OTHER`].
fn slot<'a, T: Default>(map: &'a mut BTreeMap<Operation, T>, operation: &Operation) -> &'a mut T {
    let fits = match operation {
        Operation::Region(name) => name.len() <= MAX_NAME && map.len() < MAX_OPERATIONS,
        _ => true,
    };
    if fits || map.contains_key(operation) {
        map.entry(operation.clone()).or_default()
    } else {
        map.entry(Operation::Region(OTHER.into())).or_default()
    }
}
