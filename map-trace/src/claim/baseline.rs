//! `--baseline`: no kind of event may have become more frequent in any operation.

use std::collections::BTreeMap;

use serde_json::json;

use crate::model::summary::{Claim as Judged, Summary, VerdictWord};

/// The name of the claim it makes.
pub const ID: &str = "baseline";

/// How much more is allowed of each kind in each operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Increase {
    Events(u64),
    /// Of the baseline's own number, rounded down.
    Percent(u64),
}

impl Increase {
    /// `10` or `10%`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (digits, percent) = match text.strip_suffix('%') {
            Some(digits) => (digits.trim_end(), true),
            None => (text, false),
        };
        match digits.parse() {
            Ok(number) if percent => Ok(Self::Percent(number)),
            Ok(number) => Ok(Self::Events(number)),
            Err(_) => Err("not a number of events, nor a percentage such as 10%".to_owned()),
        }
    }

    fn most(self, before: u64) -> u64 {
        let more = match self {
            Self::Events(events) => events,
            Self::Percent(percent) => {
                let part = u128::from(before) * u128::from(percent) / 100;
                u64::try_from(part).unwrap_or(u64::MAX)
            }
        };
        before.saturating_add(more)
    }
}

impl std::fmt::Display for Increase {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Events(events) => write!(f, "{events}"),
            Self::Percent(percent) => write!(f, "{percent} %"),
        }
    }
}

/// One number of both runs.
struct Row<'a> {
    operation: &'a str,
    kind: &'a str,
    before: u64,
    now: u64,
}

/// Judges a run against an earlier one.
pub fn judge(baseline: &Summary, now: &Summary, name: &str, increase: Increase) -> Judged {
    let rows = rows(baseline, now);
    let mut risen: Vec<_> = rows
        .iter()
        .filter(|row| row.now > increase.most(row.before))
        .collect();
    risen.sort_by_key(|row| std::cmp::Reverse(row.now - row.before));
    let doubt = doubt(baseline, "the baseline");
    let (verdict, reason) = match (doubt, risen.len()) {
        // What the baseline did not count may have been there too.
        (Some(doubt), _) => (VerdictWord::Inconclusive, doubt),
        (None, 0) => match self::doubt(now, "this run") {
            Some(doubt) => (VerdictWord::Inconclusive, doubt),
            None => (
                VerdictWord::Supported,
                format!("{} counts compared", rows.len()),
            ),
        },
        (None, 1) => (VerdictWord::Refuted, "1 count rose".to_owned()),
        (None, risen) => (VerdictWord::Refuted, format!("{risen} counts rose")),
    };
    let evidence = risen.iter().map(|row| {
        json!({
            "text": format!("{} during {}: {}, was {}", row.kind, row.operation, row.now, row.before),
            "event": row.kind,
            "operation": row.operation,
            "before": row.before,
            "now": row.now,
        })
    });
    Judged {
        id: ID.to_owned(),
        statement: format!("no event count rose by more than {increase} over {name}"),
        verdict,
        expected: VerdictWord::Supported,
        reason,
        evidence: evidence.take(100).collect(),
    }
}

fn doubt(summary: &Summary, which: &str) -> Option<String> {
    if !summary.complete() {
        return Some(format!("the evidence of {which} is not complete"));
    }
    let unattributed = summary.loss.unattributed;
    (unattributed > 0).then(|| format!("{unattributed} events of {which} have no known operation"))
}

/// Every number that is in either run.
fn rows<'a>(baseline: &'a Summary, now: &'a Summary) -> Vec<Row<'a>> {
    let mut rows: BTreeMap<(&str, &str), (u64, u64)> = BTreeMap::new();
    let mut take = |summary: &'a Summary, add: fn(&mut (u64, u64), u64)| {
        for row in &summary.operations {
            for (kind, count) in row.events.iter().filter(|(_, count)| **count > 0) {
                add(
                    rows.entry((row.operation.word(), kind)).or_default(),
                    *count,
                );
            }
        }
    };
    take(baseline, |pair, count| {
        pair.0 = pair.0.saturating_add(count)
    });
    take(now, |pair, count| pair.1 = pair.1.saturating_add(count));
    let row = |((operation, kind), (before, now))| Row {
        operation,
        kind,
        before,
        now,
    };
    rows.into_iter().map(row).collect()
}
