//! Claims: what a run is said to do, and whether its trace bears it out.
//!
//! A [`Claim`] is a [`Rule`] with a name, a sentence, what it needs and the verdict it is expected to get. Rules
//! come from `--expect` and from TOML files, in one grammar (docs/claims.md). The [`Judge`] takes the lines of a
//! trace one by one, live or from a file, and keeps counts and a few examples, never the trace. At the end it
//! weighs the counts against the [`Summary`](crate::model::summary::Summary) of the same lines.
//!
//! The law of it: a counter-example refutes, however incomplete the evidence; nothing is supported by evidence
//! that is incomplete. So each event is a match, no match, or cannot be told; what cannot be told, and everything
//! that may have been missed, stands between a rule and `supported`.

pub mod baseline;
pub mod catalogue;
mod conclude;
mod controls;
mod example;
pub mod facts;
mod field;
mod fields;
mod file;
mod judge;
mod matching;
mod parse;
pub mod proof;
mod rule;
mod stacks;
#[cfg(test)]
mod tests;
mod window;
mod words;

pub use file::{FileError, parse_file};
pub use judge::{Judge, Setup, judge_trace, judge_trace_within, regions_of};
pub use parse::{ParseError, parse};
pub use rule::{Area, Compare, Condition, Expect, Rule, Value};
pub use window::{AfterOperations, Window};
pub use words::{EVENTS, EventWord};

use crate::model::Operation;
use crate::model::summary::VerdictWord;

/// A statement about a run that can be judged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// Unique among the claims of a session.
    pub id: String,
    /// What it says, in words; the rule itself when nobody gave words.
    pub statement: String,
    pub rule: Rule,
    pub needs: Needs,
    /// The verdict it should get.
    pub expected: VerdictWord,
}

/// What must be in a trace before a claim can be supported.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Needs {
    /// How often an operation or region ran at least.
    pub operations: Vec<(Operation, u64)>,
    /// Page-table samples at least, taken during the claim's operation when it has one.
    pub pte_samples: Option<u64>,
    /// Controls that must have passed, besides those the event depends on. `-` and `_` are the same.
    pub controls: Vec<String>,
}

impl Claim {
    /// A claim of one rule in short form, as `--expect` takes it; `number` counts from 1.
    ///
    /// # Errors
    /// The rule means nothing; the error has the column.
    pub fn expect(text: &str, number: usize, regions: &[String]) -> Result<Self, ParseError> {
        Ok(Self {
            id: format!("expect-{number}"),
            statement: text.split_whitespace().collect::<Vec<_>>().join(" "),
            rule: parse(text, regions)?,
            needs: Needs::default(),
            expected: VerdictWord::Supported,
        })
    }
}
