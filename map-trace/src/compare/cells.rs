//! A summary as counts by operation and cause.

use std::collections::BTreeMap;

use crate::model::event::EventKind;
use crate::model::summary::{OperationRow, Summary};

/// An operation, and a cause of page faults or the word of another kind of event.
pub type Cell = (String, String);

/// Every operation and cause (or other kind of event) that a run has, with its count; no zeroes.
pub fn cells(summary: &Summary) -> BTreeMap<Cell, u64> {
    let mut cells: BTreeMap<Cell, u64> = BTreeMap::new();
    for row in &summary.operations {
        for (event, count) in row_cells(row) {
            if count > 0 {
                let cell = (row.operation.word().to_owned(), event);
                let total = cells.entry(cell).or_default();
                *total = total.saturating_add(count);
            }
        }
    }
    cells
}

fn row_cells(row: &OperationRow) -> impl Iterator<Item = (String, u64)> {
    let causes = row
        .causes
        .iter()
        .map(|(cause, count)| (cause.word().to_owned(), *count));
    let kinds = row
        .events
        .iter()
        .filter(|(kind, _)| *kind != EventKind::PageFault.word());
    causes.chain(kinds.map(|(kind, count)| (kind.clone(), *count)))
}
