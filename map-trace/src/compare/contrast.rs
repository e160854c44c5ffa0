//! Runs weighed against each other.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::cells::{Cell, cells};
use super::noise::{LEAST_RUNS, differ, spread};
use super::plan::Condition;
use super::vary::Variable;
use crate::model::event::EventKind;
use crate::model::summary::{Status, Summary};

/// Schema of the document.
pub const COMPARISON_SCHEMA: &str = "map-trace/comparison/1";
/// The row that sums over all operations; no region can be called so.
pub const ALL: &str = "(all)";
/// The rule, for readers of the document.
const RULE: &str = "attributed: at least 3 runs each, the ranges do not overlap, and the gap between them is wider \
                    than the wider range";

/// One run of the program.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Run {
    pub status: Status,
    /// Nothing was lost, the trace is whole and the witnesses agree.
    pub complete: bool,
    /// Controls that failed before it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub failed_controls: Vec<String>,
    pub duration_ns: u64,
    /// The saved trace, when there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<String>,
    /// The program as it is, such as `go1.23.9, hmap`; from its executable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
    #[serde(skip)]
    counts: BTreeMap<Cell, u64>,
}

/// A condition and its runs.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Trials {
    #[serde(flatten)]
    pub condition: Condition,
    pub runs: Vec<Run>,
}

/// Everything a comparison found.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Comparison {
    pub schema: &'static str,
    pub argv: Vec<String>,
    /// Runs of each condition that were asked for.
    pub repeat: u32,
    /// Somebody stopped it before all runs were done.
    pub stopped: bool,
    pub rule: &'static str,
    pub conditions: Vec<Trials>,
    pub contrasts: Vec<Contrast>,
}

/// Two conditions that differ in one variable.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Contrast {
    pub variable: Variable,
    /// Number of the condition in which the variable has its first value, from 0.
    pub from: usize,
    /// Number of the other condition.
    pub to: usize,
    /// Why differences here are attributed to nothing; null when they are judged.
    pub open: Option<String>,
    /// Every operation and cause (or other kind of event) that a run of either has: attributed ones first, then the
    /// largest change first.
    pub rows: Vec<Row>,
}

/// One count under two conditions.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// An operation, or `(all)`.
    pub operation: String,
    /// A cause of page faults, or the word of a kind of event.
    pub event: String,
    pub from: Spread,
    pub to: Spread,
    pub finding: Finding,
}

/// The counts of one condition's runs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spread {
    pub min: u64,
    /// Of an even number of runs the mean of the middle two, rounded down.
    pub median: u64,
    pub max: u64,
    /// In the order of the runs.
    pub counts: Vec<u64>,
}

/// What a difference is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Finding {
    /// More than noise: the variable makes it.
    Attributed,
    /// There is one, and [`Contrast::open`] says why it is not judged.
    Unjudged,
    /// The runs of one condition differ by as much among themselves.
    WithinNoise,
    /// All runs of both are the same.
    Same,
}

impl Run {
    pub fn new(summary: &Summary, trace: Option<String>) -> Self {
        let failed = summary.controls.iter().filter(|control| !control.passed);
        let mut counts = cells(summary);
        for ((_, event), count) in counts.clone() {
            let total = counts.entry((ALL.to_owned(), event)).or_default();
            *total = total.saturating_add(count);
        }
        let faults = summary.events.page_fault;
        if faults > 0 {
            let cell = (ALL.to_owned(), EventKind::PageFault.word().to_owned());
            counts.insert(cell, faults);
        }
        Self {
            status: summary.program.status.clone(),
            complete: summary.complete(),
            failed_controls: failed.map(|control| control.name.clone()).collect(),
            duration_ns: summary.duration_ns,
            trace,
            program: program(summary),
            counts,
        }
    }
}

/// The Go version and kind of map of the program itself, which is the first Go executable.
fn program(summary: &Summary) -> Option<String> {
    let mut executables = summary.program.executables.iter();
    let facts = executables.find(|file| file.go_version.is_some())?;
    let version = facts.go_version.as_deref()?;
    Some(match &facts.map_implementation {
        Some(maps) => format!("{version}, {maps}"),
        None => version.to_owned(),
    })
}

impl Spread {
    fn of(runs: &[Run], cell: &Cell) -> Self {
        let counts = runs
            .iter()
            .map(|run| run.counts.get(cell).copied().unwrap_or(0));
        let counts: Vec<_> = counts.collect();
        let (min, median, max) = spread(&counts).unwrap_or_default();
        Self {
            min,
            median,
            max,
            counts,
        }
    }
}

impl Row {
    /// How much the median changed.
    pub const fn change(&self) -> (bool, u64) {
        let (from, to) = (self.from.median, self.to.median);
        (to >= from, from.abs_diff(to))
    }
}

impl Contrast {
    /// The rows of one finding.
    pub fn found(&self, finding: Finding) -> impl Iterator<Item = &Row> {
        self.rows.iter().filter(move |row| row.finding == finding)
    }
}

/// Weighs all runs: each condition against the one that has the first value of the one variable they differ in.
pub fn compare(argv: Vec<String>, repeat: u32, conditions: Vec<Trials>) -> Comparison {
    let mut contrasts = Vec::new();
    for (from, a) in conditions.iter().enumerate() {
        // In both kinds of plan a variable's first value comes before its others.
        for (to, b) in conditions.iter().enumerate().skip(from + 1) {
            let Some(number) = a.condition.only_difference(&b.condition) else {
                continue;
            };
            let setting = |trials: &'_ Trials| trials.condition.settings.get(number).cloned();
            let first = conditions.first().and_then(setting);
            if let Some(found) = setting(a).filter(|_| setting(a) == first) {
                contrasts.push(contrast(found.variable, (from, a), (to, b)));
            }
        }
    }
    let whole = |trials: &Trials| trials.runs.len() == usize::try_from(repeat).unwrap_or(0);
    Comparison {
        schema: COMPARISON_SCHEMA,
        argv,
        repeat,
        stopped: !conditions.iter().all(whole),
        rule: RULE,
        conditions,
        contrasts,
    }
}

fn contrast(
    variable: Variable,
    (from, a): (usize, &Trials),
    (to, b): (usize, &Trials),
) -> Contrast {
    let open = open(&a.runs, &b.runs);
    let runs = a.runs.iter().chain(&b.runs);
    let cells: BTreeSet<&Cell> = runs.flat_map(|run| run.counts.keys()).collect();
    let row = |cell: &Cell| {
        let [from, to] = [&a.runs, &b.runs].map(|runs| Spread::of(runs, cell));
        let same = from.min == to.max && from.max == to.min;
        let finding = match &open {
            _ if same => Finding::Same,
            Some(_) => Finding::Unjudged,
            None if differ(&from.counts, &to.counts) => Finding::Attributed,
            None => Finding::WithinNoise,
        };
        Row {
            operation: cell.0.clone(),
            event: cell.1.clone(),
            from,
            to,
            finding,
        }
    };
    let mut rows: Vec<_> = cells.into_iter().map(row).collect();
    let last = |row: &Row| row.operation == ALL;
    rows.sort_by_key(|row| (row.finding, last(row), std::cmp::Reverse(row.change().1)));
    Contrast {
        variable,
        from,
        to,
        open,
        rows,
    }
}

/// Why two conditions cannot be judged.
fn open(a: &[Run], b: &[Run]) -> Option<String> {
    let incomplete = a.iter().chain(b).filter(|run| !run.complete).count();
    let least = a.len().min(b.len());
    if incomplete > 0 {
        let runs = if incomplete == 1 { "run" } else { "runs" };
        return Some(format!(
            "the evidence of {incomplete} {runs} is not complete"
        ));
    }
    (least < LEAST_RUNS).then(|| format!("{least} of at least {LEAST_RUNS} runs each"))
}

#[cfg(test)]
pub mod tests;
