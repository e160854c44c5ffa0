//! The operations table as words: what is zero everywhere is not a column, what has nothing is not a row.

use super::plain::{clean, duration, number};
use crate::model::Operation;
use crate::model::event::EventKind;
use crate::model::summary::{Count, CountKind, OperationRow, Summary};

/// Kinds that have a column when any row has one; the lifecycle kinds are not about memory.
const COLUMNS: [EventKind; 9] = [
    EventKind::PageFault,
    EventKind::Mprotect,
    EventKind::PkeyMprotect,
    EventKind::Mmap,
    EventKind::Munmap,
    EventKind::Mremap,
    EventKind::Brk,
    EventKind::Madvise,
    EventKind::Signal,
];

/// Rows and columns of which none is all zero, and a sentence about those that were.
pub struct Table {
    pub head: Vec<String>,
    pub rows: Vec<Row>,
    /// `No mprotect or signal anywhere.`, `Nothing under runtime.`; those that say something.
    pub folded: Vec<String>,
}

/// One row; `sub` when it is the part of the row above.
pub struct Row {
    pub name: String,
    pub sub: bool,
    pub cells: Vec<String>,
}

fn events(row: &OperationRow, kind: EventKind) -> u64 {
    row.events.get(kind.word()).copied().unwrap_or(0)
}

fn is_empty(row: &OperationRow) -> bool {
    row.count.value == 0 && COLUMNS.into_iter().all(|kind| events(row, kind) == 0)
}

/// The table of a summary, the page faults first.
pub fn table(summary: &Summary) -> Table {
    let (full, empty): (Vec<_>, Vec<_>) = summary.operations.iter().partition(|row| !is_empty(row));
    let used = |kind: &EventKind| full.iter().any(|row| events(row, *kind) > 0);
    let (columns, unused): (Vec<_>, Vec<_>) = COLUMNS.into_iter().partition(used);
    let counted = full.iter().any(|row| row.count.kind != CountKind::None);
    let timed = full.iter().any(|row| row.stall_p50_ns.is_some());

    let mut head = vec!["operation".to_owned()];
    head.extend(counted.then(|| "count".to_owned()));
    head.extend(columns.iter().map(|kind| column_name(*kind).to_owned()));
    head.extend(timed.then(|| "stall p50 / p99".to_owned()));

    let mut rows = Vec::new();
    for row in ordered(&full) {
        if counted_elsewhere(row, &full) {
            continue;
        }
        let mut cells = Vec::new();
        cells.extend(counted.then(|| count(row.count)));
        cells.extend(columns.iter().map(|kind| number(events(row, *kind))));
        cells.extend(timed.then(|| stall(row)));
        rows.push(Row {
            name: name(&row.operation),
            sub: false,
            cells,
        });
        for sub in &row.sub_operations {
            let of = |kind: &EventKind| sub.events.get(kind.word()).copied().unwrap_or(0);
            let own = own_count(&sub.operation, &full);
            if own.kind == CountKind::None && COLUMNS.iter().all(|kind| of(kind) == 0) {
                continue;
            }
            let mut cells = Vec::new();
            cells.extend(counted.then(|| count(own)));
            cells.extend(columns.iter().map(|kind| number(of(kind))));
            cells.extend(timed.then(String::new));
            rows.push(Row {
                name: name(&sub.operation),
                sub: true,
                cells,
            });
        }
    }
    Table {
        head,
        rows,
        folded: folded(&unused, &empty),
    }
}

/// Map operations and regions by faults, then `runtime`, then `none`.
fn ordered<'a>(rows: &[&'a OperationRow]) -> Vec<&'a OperationRow> {
    let mut rows = rows.to_vec();
    rows.sort_by_key(|row| {
        let last = match row.operation {
            Operation::Runtime => 1,
            Operation::None => 2,
            _ => 0,
        };
        (last, std::cmp::Reverse(events(row, EventKind::PageFault)))
    });
    rows
}

/// A row with a count and no event of its own, which shows as the part of exactly one other. An event without a column
/// counts, too: loops that began outside of any other operation are no part of one.
fn counted_elsewhere(row: &OperationRow, rows: &[&OperationRow]) -> bool {
    let parts = rows.iter().flat_map(|other| &other.sub_operations);
    row.events.values().all(|count| *count == 0)
        && parts.filter(|sub| sub.operation == row.operation).count() == 1
}

/// How often an operation ran, when that is not already said in a row of its own.
fn own_count(operation: &Operation, rows: &[&OperationRow]) -> Count {
    let row = rows.iter().find(|row| row.operation == *operation);
    row.filter(|row| counted_elsewhere(row, rows))
        .map(|row| row.count)
        .unwrap_or_default()
}

fn column_name(kind: EventKind) -> &'static str {
    match kind {
        EventKind::PageFault => "faults",
        EventKind::Signal => "signals",
        kind => kind.word(),
    }
}

fn name(operation: &Operation) -> String {
    super::plain::shorten(&clean(operation.word()), 24)
}

fn count(count: Count) -> String {
    match count.kind {
        CountKind::Exact => number(count.value),
        CountKind::LowerBound => format!("≥ {}", number(count.value)),
        CountKind::None => "-".to_owned(),
    }
}

fn stall(row: &OperationRow) -> String {
    match (row.stall_p50_ns, row.stall_p99_ns) {
        (Some(p50), Some(p99)) => format!("{} / {}", duration(p50), duration(p99)),
        _ => "-".to_owned(),
    }
}

fn folded(unused: &[EventKind], empty: &[&OperationRow]) -> Vec<String> {
    let kinds = unused.iter().map(|kind| match kind {
        EventKind::PageFault => "page fault",
        kind => kind.word(),
    });
    let kinds: Vec<_> = kinds.collect();
    let names: Vec<_> = empty.iter().map(|row| name(&row.operation)).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    let mut sentences = Vec::new();
    if !kinds.is_empty() {
        sentences.push(format!("No {} anywhere.", list(&kinds, "or")));
    }
    if !names.is_empty() {
        sentences.push(format!("Nothing under {}.", list(&names, "or")));
    }
    sentences
}

/// `a, b or c`
pub fn list(words: &[&str], last: &str) -> String {
    match words {
        [] => String::new(),
        [word] => (*word).to_owned(),
        [first @ .., end] => format!("{} {last} {end}", first.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::summary::SubOperationRow;
    use crate::output::samples;

    /// The sample, whose loops began partly inside an assign: `own` of them outside.
    fn looping(own: u64) -> Table {
        let mut summary = samples::go_growth();
        let rows = &mut summary.operations;
        let iteration = EventKind::Iteration.word().to_owned();
        for row in rows.iter_mut() {
            if row.operation == Operation::Iterate {
                row.events.values_mut().for_each(|count| *count = 0);
                row.events.insert(iteration.clone(), own);
            }
            if row.operation == Operation::Assign {
                let begun = [(iteration.clone(), 2)].into_iter().collect();
                row.sub_operations.push(SubOperationRow {
                    operation: Operation::Iterate,
                    events: begun,
                    causes: [].into(),
                });
            }
        }
        table(&summary)
    }

    #[test]
    fn a_count_stands_with_a_part_only_when_all_of_it_belongs_there() {
        let rows = |table: &Table| -> Vec<bool> {
            let named = table.rows.iter().filter(|row| row.name == "iterate");
            named.map(|row| row.sub).collect()
        };
        assert_eq!(rows(&looping(0)), [true]);
        // The part has no column of its own to fill, and the count is not its.
        assert_eq!(rows(&looping(3)), [false]);
    }
}
