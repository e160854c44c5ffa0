//! The part of a run that is judged: from the first entry into one function to the first into another, or once a
//! number of map operations are over.

use std::fmt;

use super::matching::{Doubt, Known};
use crate::maps::census::COUNTED;
use crate::model::event::MarkEvent;
use crate::model::summary::{CountKind, Summary};
use crate::model::{Operation, TraceLine};

/// Which part of a run is judged; the default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Only what comes after the first entry into this function.
    pub from: Option<String>,
    /// Only what comes before the first entry into this function.
    pub until: Option<String>,
    /// Only what comes once so many map operations are over.
    pub after: Option<AfterOperations>,
}

/// A number of map operations, of all processes together; those of one kind, or all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AfterOperations {
    pub operation: Option<Operation>,
    pub count: u64,
}

impl AfterOperations {
    /// `N` or `OPERATION=N`.
    ///
    /// # Errors
    /// It is neither, or the operation is none that is counted.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (word, digits) = match text.split_once('=') {
            Some((word, digits)) => (Some(word), digits),
            None => (None, text),
        };
        let count = digits
            .parse()
            .map_err(|_| "not a number of operations such as 1000 or assign=1000".to_owned())?;
        let operation = word.map(Operation::from_word);
        match operation {
            Some(unknown) if !COUNTED.contains(&unknown) => {
                let words: Vec<&str> = COUNTED.iter().map(Operation::word).collect();
                Err(format!(
                    "{unknown} operations are not counted; these are: {}",
                    words.join(", ")
                ))
            }
            operation => Ok(Self { operation, count }),
        }
    }

    fn is_of(&self, mark: &MarkEvent) -> bool {
        mark.after_operations == Some(self.count) && mark.operation == self.operation
    }

    /// The operations that count.
    pub fn operations(&self) -> impl Iterator<Item = &Operation> {
        let of =
            |operation: &&Operation| self.operation.as_ref().is_none_or(|one| one == *operation);
        COUNTED.iter().filter(of)
    }

    /// Why the moment is not in the trace.
    fn never(&self, summary: &Summary) -> String {
        match self.counted(summary) {
            None => format!("when {self} were over is not known: --census full counts them"),
            Some(seen) if seen <= self.count => {
                format!("{self} and one more were to come, and {seen} were counted")
            }
            Some(_) => format!(
                "the trace was recorded without --after-ops {}",
                self.given()
            ),
        }
    }

    /// How many there were, at least; none when nobody counted.
    fn counted(&self, summary: &Summary) -> Option<u64> {
        let exact = |operation: &Operation| {
            let row = summary.operations.iter();
            let mut row = row.filter(|row| row.operation == *operation);
            row.next().map(|row| row.count)
        };
        let counts: Vec<_> = self.operations().filter_map(exact).collect();
        let full = counts.iter().any(|count| count.kind == CountKind::Exact);
        full.then(|| {
            counts
                .iter()
                .fold(0, |sum: u64, count| sum.saturating_add(count.value))
        })
    }

    /// Some of them pass uncounted: the moment that is known comes too late.
    fn late(&self, summary: &Summary) -> Option<String> {
        let least = |operation: &&Operation| {
            summary
                .operations
                .iter()
                .any(|row| row.operation == **operation && row.count.kind == CountKind::LowerBound)
        };
        let operation = self.operations().find(least)?;
        Some(format!(
            "not every {operation} is counted, so {self} may have been over earlier"
        ))
    }

    /// As on the command line.
    pub fn given(&self) -> String {
        match &self.operation {
            None => self.count.to_string(),
            Some(operation) => format!("{operation}={}", self.count),
        }
    }
}

impl fmt::Display for AfterOperations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.operation {
            None => write!(f, "{} map operations", self.count),
            Some(operation) => write!(f, "{} {operation} operations", self.count),
        }
    }
}

impl Window {
    /// The functions whose first entries must be in the trace.
    pub fn symbols(&self) -> Vec<String> {
        self.from.iter().chain(&self.until).cloned().collect()
    }
}

/// A window, and what has been seen of its ends.
#[derive(Debug, Default)]
pub struct Frame {
    window: Window,
    from_ns: Option<u64>,
    until_ns: Option<u64>,
    after_ns: Option<u64>,
}

impl Frame {
    pub const fn new(window: Window) -> Self {
        Self {
            window,
            from_ns: None,
            until_ns: None,
            after_ns: None,
        }
    }

    /// Notes an entry into a function, or that a number of operations are over. Only the first of each counts.
    pub fn mark(&mut self, mark: &MarkEvent) {
        let is = |symbol: &Option<String>| symbol.is_some() && *symbol == mark.symbol;
        if self
            .window
            .after
            .as_ref()
            .is_some_and(|after| after.is_of(mark))
        {
            self.after_ns.get_or_insert(mark.time_ns);
        }
        if is(&self.window.from) {
            self.from_ns.get_or_insert(mark.time_ns);
        }
        if is(&self.window.until) {
            self.until_ns.get_or_insert(mark.time_ns);
        }
    }

    /// Whether an event is inside, given that all marks before it are known.
    pub fn holds(&self, line: &TraceLine) -> Known {
        let TraceLine::Aggregate(group) = line else {
            let begun = self.start().is_some();
            return match begun && self.until_ns.is_none() {
                true => Known::Yes,
                false => Known::No,
            };
        };
        // Groups stand at the end of the trace and have a first and a last time.
        let Some(start) = self.start() else {
            return Known::No;
        };
        let end = self.until_ns.unwrap_or(u64::MAX);
        if group.last_ns < start || group.first_ns >= end {
            Known::No
        } else if group.first_ns >= start && group.last_ns < end {
            Known::Yes
        } else {
            Known::Unsure(Doubt::Window)
        }
    }

    /// When the part begins, as far as is known by now.
    fn start(&self) -> Option<u64> {
        let from = self
            .window
            .from
            .as_ref()
            .map_or(Some(0), |_| self.from_ns)?;
        let after = self
            .window
            .after
            .as_ref()
            .map_or(Some(0), |_| self.after_ns)?;
        Some(from.max(after))
    }

    /// Why nothing can be concluded of this window; none when it is as it should be.
    pub fn open(&self, summary: &Summary) -> Option<String> {
        self.entries_open().or_else(|| {
            let after = self.window.after.as_ref()?;
            match (self.after_ns, self.until_ns) {
                (None, _) => Some(after.never(summary)),
                (Some(ns), Some(until)) if until <= ns => Some(format!(
                    "{} was entered before {after} were over",
                    self.window.until.as_deref().unwrap_or_default()
                )),
                (Some(_), _) => after.late(summary),
            }
        })
    }

    fn entries_open(&self) -> Option<String> {
        let never = |symbol: &Option<String>, seen: Option<u64>| {
            let symbol = symbol.as_ref().filter(|_| seen.is_none())?;
            Some(format!(
                "{symbol} was never entered, as far as the trace tells"
            ))
        };
        never(&self.window.from, self.from_ns)
            .or_else(|| never(&self.window.until, self.until_ns))
            .or_else(|| match (&self.window.from, &self.window.until) {
                (Some(from), Some(until)) if self.until_ns <= self.from_ns => {
                    Some(format!("{until} was entered before {from}"))
                }
                _ => None,
            })
    }

    /// Whether only a part of the run is judged.
    pub fn is_part(&self) -> bool {
        self.window != Window::default()
    }
}
