//! What keeps a claim from being supported, whatever the counts are.

use std::collections::BTreeSet;

use super::{Trace, count_of, number};
use crate::claim::rule::Rule;
use crate::claim::{Claim, controls};
use crate::model::Operation;
use crate::model::event::EventKind;
use crate::model::summary::{CountKind, Summary};

/// Everything that keeps the claim from being supported, whatever the counts are.
pub(super) fn voids(claim: &Claim, trace: &Trace<'_>) -> Vec<String> {
    if trace.summary.cut_short {
        // What else there is to say stands in the footer, which is not there.
        return vec!["the trace is cut short".to_owned()];
    }
    let rule = &claim.rule;
    let mut voids = incomplete(trace.summary);
    voids.extend(trace.open.clone());
    if trace.part && !claim.needs.operations.is_empty() {
        voids.push("operations are not counted for a part of the run".to_owned());
    }
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
    if rule.event.kind() == Some(EventKind::Madvise) && trace.summary.loss.unseen_madvise > 0 {
        voids.push(format!(
            "{} calls of process_madvise or io_uring, which can do what madvise does unseen",
            number(trace.summary.loss.unseen_madvise)
        ));
    }
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
pub(super) fn entries_void(rule: &Rule, summary: &Summary) -> Option<String> {
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
        // None needed is a need that is met.
        if *wanted == 0 {
            continue;
        }
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
