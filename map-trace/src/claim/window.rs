//! The part of a run that is judged: from the first entry into one function to the first into another.

use crate::model::TraceLine;
use crate::model::event::MarkEvent;

use super::matching::{Doubt, Known};

/// Which part of a run is judged; the default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Window {
    /// Only what comes after the first entry into this function.
    pub from: Option<String>,
    /// Only what comes before the first entry into this function.
    pub until: Option<String>,
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
}

impl Frame {
    pub const fn new(window: Window) -> Self {
        Self {
            window,
            from_ns: None,
            until_ns: None,
        }
    }

    /// Notes an entry into a function. Only the first of each counts.
    pub fn mark(&mut self, mark: &MarkEvent) {
        let is = |symbol: &Option<String>| symbol.as_ref() == Some(&mark.symbol);
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
            let begun = self.window.from.is_none() || self.from_ns.is_some();
            return match begun && self.until_ns.is_none() {
                true => Known::Yes,
                false => Known::No,
            };
        };
        // Groups stand at the end of the trace and have a first and a last time.
        let start = match (&self.window.from, self.from_ns) {
            (None, _) => 0,
            (Some(_), Some(ns)) => ns,
            (Some(_), None) => return Known::No,
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

    /// Why nothing can be concluded of this window; none when it is as it should be.
    pub fn open(&self) -> Option<String> {
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
