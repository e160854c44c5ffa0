//! Two summaries compared by operation x cause.

use std::collections::BTreeSet;

use schemars::JsonSchema;
use serde::Serialize;

use super::plain::{clean, number, shorten};
use super::screen::{Line, plain, render as paint};
use crate::compare::cells::cells;
use crate::model::summary::Summary;

/// Schema of the comparison document.
pub const DIFF_SCHEMA: &str = "map-trace/diff/1";

/// What changed from one run to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Diff {
    pub schema: String,
    /// Both runs are whole and lost nothing; otherwise a difference may be loss.
    pub comparable: bool,
    /// Every operation and cause (or other kind of event) that either run has.
    pub rows: Vec<DiffRow>,
}

/// One operation x cause, or operation x kind of event that is no fault.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct DiffRow {
    pub operation: String,
    /// A cause of page faults, or the word of another kind of event.
    pub event: String,
    pub a: u64,
    pub b: u64,
}

/// Compares two runs; the rows with the largest change first.
pub fn diff(a: &Summary, b: &Summary) -> Diff {
    let (left, right) = (cells(a), cells(b));
    let keys: BTreeSet<_> = left.keys().chain(right.keys()).cloned().collect();
    let mut rows: Vec<_> = keys
        .into_iter()
        .map(|(operation, event)| {
            let key = (operation, event);
            let [a, b] = [&left, &right].map(|side| side.get(&key).copied().unwrap_or(0));
            DiffRow {
                operation: key.0,
                event: key.1,
                a,
                b,
            }
        })
        .collect();
    rows.sort_by_key(|row| std::cmp::Reverse(row.a.abs_diff(row.b)));
    Diff {
        schema: DIFF_SCHEMA.to_owned(),
        comparable: a.complete() && b.complete(),
        rows,
    }
}

/// The comparison as JSON.
pub fn json(diff: &Diff) -> Vec<u8> {
    super::json::document(diff)
}

/// The comparison as a table of what changed.
pub fn text(diff: &Diff) -> Vec<u8> {
    let changed: Vec<_> = diff.rows.iter().filter(|row| row.a != row.b).collect();
    let same = diff.rows.len() - changed.len();
    let mut lines: Vec<Line> = Vec::new();
    if changed.is_empty() {
        lines.push(plain(
            "No operation has more or fewer events of any cause in B than in A.",
        ));
    } else {
        let cell = |row: &&DiffRow| [number(row.a), number(row.b), change(row)];
        let cells: Vec<_> = changed.iter().map(cell).collect();
        let width = |column: usize, least: usize| {
            let lengths = cells.iter().filter_map(|row| row.get(column));
            lengths
                .map(|text| text.chars().count())
                .max()
                .unwrap_or(0)
                .max(least)
        };
        let [a, b, by] = [width(0, 1), width(1, 1), width(2, 6)];
        lines.push(plain(format!(
            "{:<16}{:<18}{:>a$}  {:>b$}  {:>by$}",
            "operation", "event", "A", "B", "change"
        )));
        for (row, [left, right, change]) in changed.iter().zip(&cells) {
            let operation = shorten(&clean(&row.operation), 15);
            let event = shorten(&clean(&row.event), 17);
            lines.push(plain(format!(
                "{operation:<16}{event:<18}{left:>a$}  {right:>b$}  {change:>by$}"
            )));
        }
        if same > 0 {
            lines.push(plain(format!(
                "{} more are the same in both.",
                number(same as u64)
            )));
        }
    }
    if !diff.comparable {
        lines.push(plain(
            "Not both runs are complete: a difference may be what one of them lost.",
        ));
    }
    paint(&lines, false)
}

fn change(row: &DiffRow) -> String {
    let sign = if row.b >= row.a { '+' } else { '-' };
    format!("{sign}{}", number(row.a.abs_diff(row.b)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::samples;

    #[test]
    fn a_run_does_not_differ_from_itself() {
        let run = samples::go_growth();
        let same = diff(&run, &run);
        assert!(!same.rows.is_empty() && same.rows.iter().all(|row| row.a == row.b));
        let shown = String::from_utf8(text(&same)).unwrap();
        assert_eq!(
            shown,
            "No operation has more or fewer events of any cause in B than in A.\n"
        );
    }

    #[test]
    fn what_changed_is_told_by_operation_and_cause() {
        let told = diff(&samples::go_growth(), &samples::refuted());
        insta::assert_snapshot!(String::from_utf8(text(&told)).unwrap(), @r"
        operation       event             A  B  change
        iterate         protection        0  3      +3
        iterate         mprotect          0  1      +1
        8 more are the same in both.
        Not both runs are complete: a difference may be what one of them lost.
        ");
        let json: serde_json::Value = serde_json::from_slice(&json(&told)).unwrap();
        assert_eq!(json["schema"], DIFF_SCHEMA);
    }
}
