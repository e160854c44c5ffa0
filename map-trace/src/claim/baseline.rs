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

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::model::Operation;
    use crate::model::summary::OperationRow;

    /// A sound run with these counts by operation and kind.
    fn run(counts: &[(&str, &str, u64)]) -> Summary {
        let mut summary = Summary::default();
        summary.witnesses.balanced = true;
        for (operation, kind, count) in counts {
            summary.operations.push(OperationRow {
                operation: Operation::from_word(operation),
                count: Default::default(),
                events: BTreeMap::from([((*kind).to_owned(), *count)]),
                causes: BTreeMap::new(),
                stall_ns: None,
                stall_p50_ns: None,
                stall_p99_ns: None,
                stall_events: 0,
                sub_operations: Vec::new(),
            });
        }
        summary
    }

    fn verdict(before: &Summary, now: &Summary, increase: &str) -> VerdictWord {
        judge(before, now, "b", Increase::parse(increase).unwrap()).verdict
    }

    fn of_faults(before: u64, now: u64, increase: &str) -> VerdictWord {
        let faults = |count| run(&[("assign", "page_fault", count)]);
        verdict(&faults(before), &faults(now), increase)
    }

    #[test]
    fn more_refutes_and_the_same_or_less_does_not() {
        for (before, now, increase, expected) in [
            (100, 100, "0", VerdictWord::Supported),
            (100, 101, "0", VerdictWord::Refuted),
            (100, 0, "0", VerdictWord::Supported),
            (100, 110, "10", VerdictWord::Supported),
            (100, 111, "10", VerdictWord::Refuted),
            (100, 110, "10%", VerdictWord::Supported),
            (100, 111, "10 %", VerdictWord::Refuted),
            (100, 300, "200%", VerdictWord::Supported),
            // Rounded down: 5 % of 19 is nothing.
            (19, 20, "5%", VerdictWord::Refuted),
            (20, 21, "5%", VerdictWord::Supported),
            (u64::MAX, u64::MAX, "100%", VerdictWord::Supported),
        ] {
            assert_eq!(
                of_faults(before, now, increase),
                expected,
                "{before} {now} {increase}"
            );
        }
    }

    #[test]
    fn a_percentage_of_nothing_is_nothing_and_a_number_is_not() {
        assert_eq!(of_faults(0, 1, "1000%"), VerdictWord::Refuted);
        assert_eq!(of_faults(0, 1, "1"), VerdictWord::Supported);
        assert_eq!(of_faults(0, 0, "0"), VerdictWord::Supported);
    }

    #[test]
    fn an_operation_that_one_run_does_not_have_counts_as_zero_there() {
        let one = run(&[("assign", "page_fault", 5)]);
        let two = run(&[("assign", "page_fault", 5), ("iterate", "mprotect", 1)]);
        assert_eq!(verdict(&one, &two, "0"), VerdictWord::Refuted);
        assert_eq!(verdict(&two, &one, "0"), VerdictWord::Supported);
        assert_eq!(verdict(&run(&[]), &one, "4"), VerdictWord::Refuted);
        assert_eq!(verdict(&run(&[]), &run(&[]), "0"), VerdictWord::Supported);
    }

    #[test]
    fn one_kind_or_operation_does_not_make_up_for_another() {
        let before = run(&[
            ("assign", "page_fault", 10),
            ("assign", "mprotect", 1),
            ("none", "page_fault", 10),
        ]);
        let now = run(&[
            ("assign", "page_fault", 2),
            ("assign", "mprotect", 2),
            ("none", "page_fault", 18),
        ]);
        let judged = judge(&before, &now, "last.json", Increase::Events(0));
        assert_eq!(judged.reason, "2 counts rose");
        let told: Vec<_> = judged
            .evidence
            .iter()
            .map(|row| row["text"].as_str().unwrap())
            .collect();
        // The largest rise first.
        assert_eq!(
            told,
            [
                "page_fault during none: 18, was 10",
                "mprotect during assign: 2, was 1"
            ]
        );
        assert_eq!(
            judged.statement,
            "no event count rose by more than 0 over last.json"
        );
        assert_eq!(judged.expected, VerdictWord::Supported);
    }

    #[test]
    fn rows_of_one_operation_are_taken_together() {
        let before = run(&[("assign", "page_fault", 10)]);
        let now = run(&[("assign", "page_fault", 6), ("assign", "page_fault", 5)]);
        assert_eq!(verdict(&before, &now, "0"), VerdictWord::Refuted);
        assert_eq!(verdict(&now, &before, "0"), VerdictWord::Supported);
    }

    #[test]
    fn what_was_counted_in_groups_is_compared_and_what_was_dropped_is_not_concluded_from() {
        let faults = |count, aggregated, dropped| {
            let mut summary = run(&[("assign", "page_fault", count)]);
            summary.loss.counted = count + dropped;
            summary.loss.delivered = count - aggregated;
            summary.loss.aggregated = aggregated;
            summary.loss.dropped = dropped;
            summary
        };
        assert_eq!(
            verdict(&faults(100, 0, 0), &faults(100, 90, 0), "0"),
            VerdictWord::Supported
        );
        assert_eq!(
            verdict(&faults(100, 0, 0), &faults(101, 90, 0), "0"),
            VerdictWord::Refuted
        );
        assert_eq!(
            verdict(&faults(100, 0, 0), &faults(90, 0, 10), "0"),
            VerdictWord::Inconclusive
        );
    }

    #[test]
    fn incomplete_evidence_of_this_run_can_refute_and_not_support() {
        let damages: [fn(&mut Summary); 4] = [
            |summary| summary.cut_short = true,
            |summary| summary.witnesses.balanced = false,
            |summary| summary.loss.undecodable = 1,
            |summary| summary.loss.unattributed = 1,
        ];
        let before = run(&[("assign", "page_fault", 10)]);
        for damage in damages {
            for (now, sound, damaged) in [
                (10, VerdictWord::Supported, VerdictWord::Inconclusive),
                (11, VerdictWord::Refuted, VerdictWord::Refuted),
            ] {
                let mut now = run(&[("assign", "page_fault", now)]);
                assert_eq!(verdict(&before, &now, "0"), sound);
                damage(&mut now);
                assert_eq!(verdict(&before, &now, "0"), damaged);
            }
            // What the baseline missed may have been there too: nothing is known to have risen.
            let mut before = before.clone();
            damage(&mut before);
            let judged = judge(
                &before,
                &run(&[("assign", "page_fault", 99)]),
                "b",
                Increase::Events(0),
            );
            assert_eq!(judged.verdict, VerdictWord::Inconclusive);
            assert!(judged.reason.contains("the baseline"), "{}", judged.reason);
        }
    }

    #[test]
    fn an_increase_is_a_number_or_a_percentage() {
        assert_eq!(Increase::parse("10"), Ok(Increase::Events(10)));
        assert_eq!(Increase::parse("10%"), Ok(Increase::Percent(10)));
        for text in ["", "%", "-1", "1.5%", "10 percent", "99999999999999999999"] {
            assert!(Increase::parse(text).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_run_is_never_worse_than_itself_and_allowing_more_never_refutes_more(
            before in any::<u64>(), now in any::<u64>(), allowed in 0_u64..1000
        ) {
            prop_assert_eq!(of_faults(before, before, "0"), VerdictWord::Supported);
            if of_faults(before, now, &allowed.to_string()) == VerdictWord::Supported {
                prop_assert_eq!(of_faults(before, now, &(allowed + 1).to_string()), VerdictWord::Supported);
            }
        }
    }
}
