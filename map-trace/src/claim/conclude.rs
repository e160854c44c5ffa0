//! From counts to a verdict: what speaks against believing them, and what they say.

mod voids;

use std::collections::{BTreeMap, BTreeSet};

use super::Claim;
use super::example::Example;
use super::matching::Doubt;
use super::rule::{Area, Compare, Expect, Rule};
use crate::model::Operation;
use crate::model::summary::{Claim as Judged, CountKind, Summary, VerdictWord};
use voids::{entries_void, voids};

/// What a claim has seen.
#[derive(Debug, Default)]
pub struct Tally {
    /// Events that match.
    pub matched: u64,
    /// Events in the rule's operation and memory that do not match.
    pub others: u64,
    /// Events that cannot be told: how many, and the line of the first.
    pub doubts: BTreeMap<Doubt, (u64, u64)>,
    pub examples: Vec<Example>,
}

/// The whole the claims are judged against.
pub struct Trace<'a> {
    pub summary: &'a Summary,
    /// Event words that some probe emitted.
    pub recorded: &'a BTreeSet<String>,
    pub regions_seen: &'a BTreeSet<Operation>,
    pub regions_known: &'a BTreeMap<String, u64>,
    /// Why the part that is to be judged cannot be.
    pub open: Option<String>,
    /// Only a part of the run is judged; counts of operations are those of the whole.
    pub part: bool,
}

/// Judges one claim.
pub fn conclude(claim: &Claim, mut tally: Tally, trace: &Trace<'_>) -> Judged {
    let rule = &claim.rule;
    let examples = std::mem::take(&mut tally.examples);
    let void = voids(claim, trace);
    let (verdict, reason) = if let Some(reason) = refuted(rule, &tally, trace, void.is_empty()) {
        (VerdictWord::Refuted, reason)
    } else {
        // More events than asked for cannot undo that there were enough.
        let open = tally.doubts.iter().filter(|_| !enough(rule, &tally));
        let doubts = open.map(|(doubt, seen)| doubt_text(rule, *doubt, *seen));
        let against: Vec<String> = void
            .into_iter()
            .chain(doubts)
            .chain(nothing(rule, &tally))
            .collect();
        match against.is_empty() {
            true => (VerdictWord::Supported, supported(rule, &tally, trace)),
            false => (VerdictWord::Inconclusive, against.join("; ")),
        }
    };
    let evidence = examples.into_iter().map(Example::into_json);
    Judged {
        id: claim.id.clone(),
        statement: claim.statement.clone(),
        verdict,
        expected: claim.expected,
        reason: with_end(reason, trace.summary),
        evidence: evidence.collect(),
    }
}

/// A recording that was stopped says nothing of what came after.
fn with_end(reason: String, summary: &Summary) -> String {
    match &summary.stopped_early {
        Some(by) => format!("{reason} (until the recording was stopped: {by})"),
        None => reason,
    }
}

/// "All of them" says nothing when there are none; nor does the absence of something that was never sampled.
fn nothing(rule: &Rule, tally: &Tally) -> Option<String> {
    let none = match rule.expect {
        Expect::All => tally.matched == 0,
        Expect::Count(..) => unsampled(rule, tally),
    };
    none.then(|| format!("no {} event was seen there", rule.event.word))
}

/// Samples are taken when a timer fires: without any, nothing was looked at.
fn unsampled(rule: &Rule, tally: &Tally) -> bool {
    rule.event.word == "pte_sample" && tally.matched == 0 && tally.others == 0
}

/// Why the counts refute the rule, if they do. `whole`: nothing speaks against believing them.
fn refuted(rule: &Rule, tally: &Tally, trace: &Trace<'_>, whole: bool) -> Option<String> {
    // Page-table entries that cannot be read are no counter-examples either.
    if entries_void(rule, trace.summary).is_some() || unsampled(rule, tally) {
        return None;
    }
    let certain = whole && tally.doubts.is_empty();
    let least = if certain { "" } else { "at least " };
    match rule.expect {
        Expect::All if tally.others > 0 => Some(format!(
            "{least}{} of {} are not so",
            number(tally.others),
            number(tally.others.saturating_add(tally.matched))
        )),
        Expect::All => None,
        Expect::Count(compare, wanted) => {
            if compare
                .most(wanted)
                .is_some_and(|most| tally.matched > most)
            {
                return Some(format!("{least}{} seen", number(tally.matched)));
            }
            let doubtful = tally
                .doubts
                .values()
                .fold(0_u64, |sum, (count, _)| sum.saturating_add(*count));
            let at_most = tally.matched.saturating_add(doubtful);
            (whole && at_most < compare.least(wanted)).then(|| match doubtful {
                0 => format!("{} seen", number(tally.matched)),
                _ => format!("at most {} seen", number(at_most)),
            })
        }
    }
}

/// As many were seen as the rule asks for, and it sets no upper bound.
fn enough(rule: &Rule, tally: &Tally) -> bool {
    match rule.expect {
        Expect::All => false,
        Expect::Count(compare, wanted) => {
            compare.most(wanted).is_none() && tally.matched >= compare.least(wanted)
        }
    }
}

/// What supports the rule.
fn supported(rule: &Rule, tally: &Tally, trace: &Trace<'_>) -> String {
    match rule.expect {
        Expect::All => format!("all {} are so", number(tally.matched)),
        Expect::Count(Compare::AtLeast | Compare::Above, _) if tally.doubts.is_empty() => {
            format!("{} seen", number(tally.matched))
        }
        Expect::Count(Compare::AtLeast | Compare::Above, _) => {
            format!("at least {} seen", number(tally.matched))
        }
        Expect::Count(..) if tally.matched > 0 => format!("{} seen", number(tally.matched)),
        Expect::Count(..) if trace.part => "0 seen in the part that is judged".to_owned(),
        Expect::Count(..) => none_seen(rule, trace.summary),
    }
}

/// `0 in 2,000,000 iterations (rate < 1.5e-6 at 95 %)`: with no event in n trials, a rate of 3/n or more would
/// have shown one in 95 of 100 runs (the rule of three).
fn none_seen(rule: &Rule, summary: &Summary) -> String {
    let Some(operation) = &rule.during else {
        return "0 seen".to_owned();
    };
    let count = count_of(summary, operation);
    if count.kind == CountKind::None || count.value == 0 {
        return format!("0 seen; how often {operation} ran was not counted");
    }
    let at_least = if count.kind == CountKind::LowerBound {
        "at least "
    } else {
        ""
    };
    let times = match (operation, count.value) {
        (Operation::Iterate, 1) => "iteration".to_owned(),
        (Operation::Iterate, _) => "iterations".to_owned(),
        (operation, 1) => format!("{operation} operation"),
        (operation, _) => format!("{operation} operations"),
    };
    if count.value < 3 {
        return format!("0 in {at_least}{} {times}", number(count.value));
    }
    let rate = shown_rate(3.0 / count.value as f64);
    format!(
        "0 in {at_least}{} {times} (rate < {rate} at 95 %)",
        number(count.value)
    )
}

/// Two digits, rounded up: a bound must not come out too small.
fn shown_rate(rate: f64) -> String {
    let exponent = rate.log10().floor();
    let unit = 10_f64.powf(exponent - 1.0);
    // Not rounded up for what the division itself adds.
    let rounded = ((rate / unit) - 1e-9).ceil() * unit;
    if rounded >= 0.01 {
        format!("{rounded:.2}")
    } else {
        format!("{rounded:.1e}")
    }
}

fn count_of(summary: &Summary, operation: &Operation) -> crate::model::summary::Count {
    let row = summary
        .operations
        .iter()
        .find(|row| row.operation == *operation);
    row.map(|row| row.count).unwrap_or_default()
}

fn doubt_text(rule: &Rule, doubt: Doubt, (count, line): (u64, u64)) -> String {
    let events = format!(
        "{} {} event{}",
        number(count),
        rule.event.word,
        if count == 1 { "" } else { "s" }
    );
    let operation = rule
        .during
        .as_ref()
        .map_or("the operation", Operation::word);
    let field = |index: usize| {
        rule.conditions
            .get(index)
            .map_or("a field", |one| one.path.as_str())
    };
    let why = match doubt {
        Doubt::NoStack => format!("without a stack may have been during {operation}"),
        Doubt::Truncated => {
            format!("with more callers than recorded may have been during {operation}")
        }
        Doubt::Broken => format!("whose stack breaks off may have been during {operation}"),
        Doubt::NoWindows => {
            "may have been in the body of a loop over a map: the code on the stack does not tell"
                .to_owned()
        }
        Doubt::ValueStore => "may have been the store of an assigned value".to_owned(),
        Doubt::Field(index) => format!("do not tell {}", field(index)),
        Doubt::Grouped(index) => format!("were counted in groups without {}", field(index)),
        Doubt::Window => {
            "were counted in groups that reach beyond the part that is judged".to_owned()
        }
        Doubt::Area => match &rule.on {
            Some(Area::Buckets) => {
                "may be on buckets: the trace does not know where these are".to_owned()
            }
            Some(area) => format!("may be on {area}: the trace does not tell"),
            None => "lie in unknown memory".to_owned(),
        },
    };
    // What would have told.
    let remedy = match doubt {
        Doubt::Broken => {
            "; code with frame pointers tells, and --from leaves out what comes before"
        }
        _ => "",
    };
    format!("{events} {why} (first: line {line}{remedy})")
}

/// `1,234,567`
fn number(value: u64) -> String {
    let digits = value.to_string();
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}
