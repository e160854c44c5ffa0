//! From counts to a verdict: what speaks against believing them, and what they say.

use std::collections::{BTreeMap, BTreeSet};

use super::example::Example;
use super::matching::Doubt;
use super::rule::{Area, Compare, Expect, Rule};
use super::{Claim, controls};
use crate::model::Operation;
use crate::model::summary::{Claim as Judged, CountKind, Summary, VerdictWord};

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
}

/// Judges one claim.
pub fn conclude(claim: &Claim, mut tally: Tally, trace: &Trace<'_>) -> Judged {
    let rule = &claim.rule;
    let examples = std::mem::take(&mut tally.examples);
    let void = voids(claim, trace);
    let (verdict, reason) = if let Some(reason) = refuted(rule, &tally, trace, void.is_empty()) {
        (VerdictWord::Refuted, reason)
    } else {
        let doubts = tally
            .doubts
            .iter()
            .map(|(doubt, seen)| doubt_text(rule, *doubt, *seen));
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

/// What supports the rule.
fn supported(rule: &Rule, tally: &Tally, trace: &Trace<'_>) -> String {
    match rule.expect {
        Expect::All => format!("all {} are so", number(tally.matched)),
        Expect::Count(Compare::AtLeast | Compare::Above, _) => {
            format!("{} seen", number(tally.matched))
        }
        Expect::Count(..) if tally.matched > 0 => format!("{} seen", number(tally.matched)),
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

/// Everything that keeps the claim from being supported, whatever the counts are.
fn voids(claim: &Claim, trace: &Trace<'_>) -> Vec<String> {
    if trace.summary.cut_short {
        // What else there is to say stands in the footer, which is not there.
        return vec!["the trace is cut short".to_owned()];
    }
    let rule = &claim.rule;
    let mut voids = incomplete(trace.summary);
    if rule.event.kind().is_none() {
        voids.push(format!(
            "this version of map-trace does not read {} events",
            rule.event.word
        ));
    } else if !trace.recorded.contains(rule.event.word) {
        voids.push(format!(
            "the trace does not record {} events",
            rule.event.word
        ));
    }
    voids.extend(entries_void(rule, trace.summary));
    let own = controls::needed(rule).into_iter().map(str::to_owned);
    let wanted = claim
        .needs
        .controls
        .iter()
        .map(|name| controls::plain(name));
    let all: BTreeSet<String> = own.chain(wanted).collect();
    voids.extend(
        all.iter()
            .filter_map(|name| control_void(name, trace.summary)),
    );
    voids.extend(region_void(rule, trace));
    voids.extend(unmet(claim, trace.summary));
    voids
}

/// Loss and disagreement in the trace as a whole.
fn incomplete(summary: &Summary) -> Vec<String> {
    let loss = &summary.loss;
    let mut reasons = Vec::new();
    for (count, what) in [
        (loss.dropped, "events were lost"),
        (loss.undecodable, "records could not be read"),
        (loss.mappings, "changes of mappings were lost"),
        (loss.compat_calls, "32-bit system calls were not decoded"),
        (loss.table_full, "times a table in the kernel was full"),
    ] {
        match count {
            0 => {}
            // All of them: there was no side band to count in.
            u64::MAX => reasons.push(format!("all {what}")),
            count => reasons.push(format!("{} {what}", number(count))),
        }
    }
    if loss.blind_ns > 0 {
        reasons.push(format!(
            "the program ran {} ns before the probes were armed",
            number(loss.blind_ns)
        ));
    }
    if !loss.sums() && reasons.is_empty() {
        reasons.push("the counts of events do not add up".to_owned());
    }
    if !summary.witnesses.balanced {
        reasons.push(match summary.witnesses.perf {
            Some(_) => "the witnesses of page faults disagree".to_owned(),
            None => "there is no second witness of page faults".to_owned(),
        });
    }
    if !summary.complete() && reasons.is_empty() {
        reasons.push("the trace is not complete".to_owned());
    }
    reasons
}

/// Why page-table entries are no evidence here, when the rule rests on them.
fn entries_void(rule: &Rule, summary: &Summary) -> Option<String> {
    if !controls::needs_entries(rule) {
        return None;
    }
    let calibration = &summary.calibration;
    if !calibration.usable {
        let why = calibration
            .reason
            .as_deref()
            .unwrap_or("no reason is given");
        return Some(format!("page-table entries could not be read: {why}"));
    }
    if calibration.rechecked != Some(true) {
        return Some(
            "the calibration of page-table entries was not confirmed after the run".to_owned(),
        );
    }
    (controls::needs_zero_page(rule) && !calibration.zero_page)
        .then(|| "the shared zero page was not identified".to_owned())
}

/// Why a control does not prove what it should.
fn control_void(name: &str, summary: &Summary) -> Option<String> {
    let found: Vec<_> = summary
        .controls
        .iter()
        .filter(|control| controls::plain(&control.name) == name)
        .collect();
    if found.is_empty() {
        return Some(format!("control \"{name}\" was not run"));
    }
    let failed = found.into_iter().find(|control| {
        !control.passed || control.seen != control.expected || control.expected == 0
    })?;
    Some(format!(
        "control \"{}\" failed: {} of {} seen",
        failed.name,
        number(failed.seen),
        number(failed.expected)
    ))
}

/// A region that matches nothing would be clean whatever the program does.
fn region_void(rule: &Rule, trace: &Trace<'_>) -> Option<String> {
    let Some(region @ Operation::Region(name)) = &rule.during else {
        return None;
    };
    let known = trace
        .regions_known
        .get(&**name)
        .is_some_and(|functions| *functions > 0);
    (!known && !trace.regions_seen.contains(region))
        .then(|| format!("no function of the program is known to be in region {name}"))
}

fn unmet(claim: &Claim, summary: &Summary) -> Vec<String> {
    let mut unmet = Vec::new();
    for (operation, wanted) in &claim.needs.operations {
        let count = count_of(summary, operation);
        if count.kind == CountKind::None {
            unmet.push(format!(
                "how often {operation} ran was not counted, {} needed",
                number(*wanted)
            ));
        } else if count.value < *wanted {
            unmet.push(format!(
                "{operation} ran {} times, {} needed",
                number(count.value),
                number(*wanted)
            ));
        }
    }
    if let Some(wanted) = claim.needs.pte_samples {
        let pte = &summary.pte;
        let samples = match &claim.rule.during {
            Some(operation) => pte
                .during
                .get(operation.word())
                .map_or(0, |tally| tally.samples),
            None => pte.total.samples,
        };
        if samples < wanted {
            unmet.push(format!(
                "{} page-table samples, {} needed",
                number(samples),
                number(wanted)
            ));
        }
    }
    unmet
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
        Doubt::Area => match &rule.on {
            Some(Area::Buckets) => {
                "may be on buckets: the trace does not know where these are".to_owned()
            }
            Some(area) => format!("may be on {area}: the trace does not tell"),
            None => "lie in unknown memory".to_owned(),
        },
    };
    format!("{events} {why} (first: line {line})")
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
