//! How often a function was entered.

use std::fmt;

use super::Ruling;
use crate::model::summary::Summary;

/// A function was never entered, or was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EnteredFact {
    /// The glob whose entries were counted.
    pub function: String,
    /// At least once; else never.
    pub ever: bool,
}

impl EnteredFact {
    /// `ever` or `never`.
    ///
    /// # Errors
    /// It is another word.
    pub fn parse(function: String, expect: &str) -> Result<Self, String> {
        match expect {
            "ever" | "never" => Ok(Self {
                function,
                ever: expect == "ever",
            }),
            other => Err(format!(
                "entries are expected 'ever' or 'never', not '{other}'"
            )),
        }
    }

    /// An entry that was counted has been; that there was none is said only of a run that was watched to its end.
    pub fn judge(&self, summary: &Summary) -> Ruling {
        let function = &self.function;
        let Some(&count) = summary.entries.get(function) else {
            return Ruling::open(format!("no function {function} was there to be counted"));
        };
        if count > 0 {
            return Ruling::of(self.ever, format!("{function} was entered {count} times"));
        }
        if summary.cut_short || summary.stopped_early.is_some() || summary.loss.blind_ns > 0 {
            return Ruling::open(format!("not all entries of {function} can have been seen"));
        }
        Ruling::of(!self.ever, format!("{function} was never entered"))
    }
}

impl fmt::Display for EnteredFact {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let when = if self.ever { "is" } else { "is never" };
        write!(f, "{} {when} entered", self.function)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::summary::VerdictWord::{self, Inconclusive, Refuted, Supported};

    fn verdict(expect: &str, counted: Option<u64>, change: impl Fn(&mut Summary)) -> VerdictWord {
        let mut summary = Summary::default();
        if let Some(count) = counted {
            summary.entries.insert("gate".to_owned(), count);
        }
        change(&mut summary);
        let fact = EnteredFact::parse("gate".to_owned(), expect).unwrap();
        fact.judge(&summary).verdict
    }

    #[test]
    fn an_entry_decides_and_so_does_none_in_a_whole_run() {
        assert_eq!(verdict("never", Some(0), |_| ()), Supported);
        assert_eq!(verdict("never", Some(1), |_| ()), Refuted);
        assert_eq!(verdict("ever", Some(0), |_| ()), Refuted);
        assert_eq!(verdict("ever", Some(1), |_| ()), Supported);
    }

    #[test]
    fn what_was_not_counted_or_not_to_the_end_is_open() {
        assert_eq!(verdict("never", None, |_| ()), Inconclusive);
        let early = |summary: &mut Summary| summary.stopped_early = Some("duration".to_owned());
        let cut = |summary: &mut Summary| summary.cut_short = true;
        let late = |summary: &mut Summary| summary.loss.blind_ns = 1;
        assert_eq!(verdict("never", Some(0), early), Inconclusive);
        assert_eq!(verdict("never", Some(0), cut), Inconclusive);
        assert_eq!(verdict("ever", Some(0), late), Inconclusive);
        assert_eq!(verdict("never", Some(3), early), Refuted);
    }

    #[test]
    fn only_ever_and_never_can_be_expected() {
        assert!(EnteredFact::parse("gate".to_owned(), "== 0").is_err());
    }
}
