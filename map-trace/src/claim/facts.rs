//! Facts that are no events: what a program printed, how it ended, what its code says, what it costs. Each is judged by
//! a pure function of the evidence, into a [`Ruling`].

mod calls;
mod code;
mod entered;
mod host;
mod layout;
mod output;
mod ratio;
mod reach;
mod symbol;
#[cfg(test)]
mod tests;

use std::fmt;

pub use calls::Calls;
pub use code::{Code, Shape};
pub use entered::EnteredFact;
pub use host::{HostEvidence, HostFact};
pub use layout::{Layout, LayoutExpect};
pub use output::{Comparison, Ending, Printed};
pub use ratio::{Bound, Place, Ratio};
pub use reach::{Reach, ReachExpect};
pub use symbol::Symbol;

use crate::binary::{Binary, Function};
use crate::maps::pattern::Glob;
use crate::model::summary::VerdictWord;

/// A verdict and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ruling {
    pub verdict: VerdictWord,
    pub reason: String,
}

impl Ruling {
    pub fn of(holds: bool, reason: impl Into<String>) -> Self {
        let verdict = if holds {
            VerdictWord::Supported
        } else {
            VerdictWord::Refuted
        };
        Self {
            verdict,
            reason: reason.into(),
        }
    }

    pub fn open(reason: impl Into<String>) -> Self {
        Self {
            verdict: VerdictWord::Inconclusive,
            reason: reason.into(),
        }
    }
}

/// Whether something is expected to be there.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Presence {
    Present,
    Absent,
}

impl Presence {
    pub const fn is(self, there: bool) -> bool {
        there == matches!(self, Self::Present)
    }
}

impl fmt::Display for Presence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Present => "present",
            Self::Absent => "absent",
        })
    }
}

/// A fact of a built program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum BinaryFact {
    Symbol(Symbol),
    Calls(Calls),
    Reach(Reach),
    Layout(Layout),
    Code(Code),
}

impl BinaryFact {
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Symbol(_) => "symbol",
            Self::Calls(_) => "calls",
            Self::Reach(_) => "reach",
            Self::Layout(_) => "layout",
            Self::Code(_) => "code",
        }
    }

    pub fn judge(&self, binary: &Binary) -> Ruling {
        match self {
            Self::Symbol(fact) => fact.judge(binary),
            Self::Calls(fact) => fact.judge(binary),
            Self::Reach(fact) => fact.judge(binary),
            Self::Layout(fact) => fact.judge(binary),
            Self::Code(fact) => fact.judge(binary),
        }
    }
}

impl fmt::Display for BinaryFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Symbol(fact) => fact.fmt(f),
            Self::Calls(fact) => fact.fmt(f),
            Self::Reach(fact) => fact.fmt(f),
            Self::Layout(fact) => fact.fmt(f),
            Self::Code(fact) => fact.fmt(f),
        }
    }
}

/// Functions with a name that matches, ABI wrappers of the same name left out: of those, the largest is the function.
fn matching(binary: &Binary, pattern: &str) -> Vec<Function> {
    let glob = Glob::new(pattern);
    let mut found: Vec<Function> = Vec::new();
    binary.functions(&mut |function| {
        if !glob.matches(&function.name) {
            return;
        }
        let size = |one: &Function| one.end.saturating_sub(one.start);
        match found.iter_mut().find(|known| known.name == function.name) {
            Some(known) if size(known) < size(function) => known.clone_from(function),
            Some(_) => {}
            None => found.push(function.clone()),
        }
    });
    found
}

/// What to say when no function matches.
fn no_function(pattern: &str) -> Ruling {
    Ruling::open(format!("the program has no function {pattern}"))
}

/// A few of many names.
fn some(names: &[String]) -> String {
    const SHOWN: usize = 4;
    let mut text = names[..names.len().min(SHOWN)].join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}
