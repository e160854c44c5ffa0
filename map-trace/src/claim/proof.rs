//! What `map-trace prove` comes to: every claim, for every Go, with the checks behind its verdict.

use serde::Serialize;

use super::catalogue::{Check, Entry};
use super::facts::Ruling;
use crate::model::header::Host;
use crate::model::summary::VerdictWord;

/// Schema of `prove --format json`.
pub const PROOF_SCHEMA: &str = "map-trace/proof/1";

/// The document.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Proof {
    pub schema: String,
    /// Version of map-trace.
    pub version: String,
    /// RFC 3339 UTC; empty when not known.
    pub started: String,
    pub duration_ms: u64,
    pub host: Host,
    /// Go toolchains, the oldest first.
    pub toolchains: Vec<ProofToolchain>,
    pub experiments: Vec<ProofRun>,
    pub claims: Vec<ProofClaim>,
    pub counterfactuals: Vec<Turn>,
    /// What could not be done, and what would help.
    pub notes: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ProofToolchain {
    /// `1.23.9`
    pub version: String,
    /// `classic` or `swiss`.
    pub maps: &'static str,
}

/// An experiment that was run, or should have been.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProofRun {
    pub name: String,
    pub about: String,
    /// None: not a Go program.
    pub go: Option<String>,
    pub duration_ms: u64,
    /// Events of a recorded run.
    pub events: Option<u64>,
    /// Why it is no evidence, if so.
    pub problem: Option<String>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ProofClaim {
    pub id: String,
    pub statement: String,
    pub truth: Option<String>,
    /// One for each Go it is about; one without a Go when it is about none.
    pub verdicts: Vec<ProofVerdict>,
}

#[derive(Clone, Debug, Default, Serialize)]
pub struct ProofVerdict {
    /// None: not about Go programs.
    pub go: Option<String>,
    /// `classic`, `swiss`; none with `go`.
    pub maps: Option<&'static str>,
    pub verdict: VerdictWord,
    /// None: the statement says nothing of this Go.
    pub expected: Option<VerdictWord>,
    pub reason: String,
    pub checks: Vec<ProofCheck>,
}

/// One check, judged.
#[derive(Clone, Debug, Default, Serialize)]
pub struct ProofCheck {
    pub kind: &'static str,
    /// What was checked, in its own words.
    pub text: String,
    pub experiments: Vec<String>,
    pub verdict: VerdictWord,
    pub reason: String,
    /// Events, with their lines in the trace.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<serde_json::Value>,
}

/// A claim judged on another run than its own.
#[derive(Clone, Debug, Default, Serialize)]
pub struct Turn {
    pub claim: String,
    pub run: String,
    pub go: Option<String>,
    /// On the claim's own run.
    pub before: VerdictWord,
    /// On this one.
    pub after: VerdictWord,
    /// Whether the verdict must turn round; else it must stay.
    pub must_turn: bool,
    pub held: bool,
    pub reason: String,
}

impl Turn {
    /// Whether what happened is what must.
    pub fn holds(must_turn: bool, before: VerdictWord, after: VerdictWord) -> bool {
        use VerdictWord::{Refuted, Supported};
        match must_turn {
            true => matches!((before, after), (Refuted, Supported) | (Supported, Refuted)),
            false => before == after && before != VerdictWord::Inconclusive,
        }
    }

    /// Neither held nor failed: one of the two verdicts is open.
    pub fn is_open(&self) -> bool {
        !self.held
            && (self.before == VerdictWord::Inconclusive || self.after == VerdictWord::Inconclusive)
    }
}

impl ProofVerdict {
    /// Judged, and not what the catalogue expects.
    pub fn is_unexpected(&self) -> bool {
        self.verdict != VerdictWord::Inconclusive
            && self
                .expected
                .is_some_and(|expected| expected != self.verdict)
    }

    /// Open, and not because nothing can decide it: a claim that no Go was found for is open, too.
    pub fn is_open(&self) -> bool {
        self.verdict == VerdictWord::Inconclusive
            && self.expected != Some(VerdictWord::Inconclusive)
    }
}

impl Proof {
    /// A verdict or a turn that is not as it should be.
    pub fn failed(&self) -> bool {
        self.verdicts().any(ProofVerdict::is_unexpected)
            || self
                .counterfactuals
                .iter()
                .any(|turn| !turn.held && !turn.is_open())
    }

    /// Something was left open.
    pub fn open(&self) -> bool {
        self.verdicts().any(ProofVerdict::is_open) || self.counterfactuals.iter().any(Turn::is_open)
    }

    pub fn verdicts(&self) -> impl Iterator<Item = &ProofVerdict> {
        self.claims.iter().flat_map(|claim| &claim.verdicts)
    }
}

impl ProofCheck {
    pub fn new(check: &Check, ruling: Ruling, evidence: Vec<serde_json::Value>) -> Self {
        Self {
            kind: check.kind(),
            text: check.text(),
            experiments: check.experiments().into_iter().map(str::to_owned).collect(),
            verdict: ruling.verdict,
            reason: ruling.reason,
            evidence,
        }
    }
}

/// The verdict of a claim from those of its checks, with the reason of the check that decides it.
pub fn conclude(entry: &Entry, checks: &[ProofCheck]) -> Ruling {
    use VerdictWord::{Inconclusive, Refuted, Supported};
    let first = |verdict| checks.iter().find(|check| check.verdict == verdict);
    let (decides, rest) = match entry.any {
        true => (Supported, Refuted),
        false => (Refuted, Supported),
    };
    let told = |check: &ProofCheck| Ruling {
        verdict: check.verdict,
        reason: check.reason.clone(),
    };
    if let Some(check) = first(decides).or_else(|| first(Inconclusive)) {
        return told(check);
    }
    match first(rest) {
        None => Ruling::open("nothing was checked"),
        Some(check) => {
            let mut ruling = told(check);
            if checks.len() > 1 {
                ruling.reason = format!("{}; {} checks agree", ruling.reason, checks.len());
            }
            ruling
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::catalogue::Expected;
    use VerdictWord::{Inconclusive, Refuted, Supported};

    fn entry(any: bool) -> Entry {
        Entry {
            id: "1".into(),
            statement: "s".into(),
            truth: None,
            expected: Expected::both(Supported),
            any,
            checks: Vec::new(),
            counterfactuals: Vec::new(),
            noise: Vec::new(),
        }
    }

    fn concluded(any: bool, verdicts: &[VerdictWord]) -> VerdictWord {
        let checks: Vec<ProofCheck> = verdicts
            .iter()
            .map(|&verdict| ProofCheck {
                verdict,
                ..ProofCheck::default()
            })
            .collect();
        conclude(&entry(any), &checks).verdict
    }

    #[test]
    fn all_checks_must_hold_and_one_that_does_not_decides() {
        assert_eq!(concluded(false, &[Supported, Supported]), Supported);
        assert_eq!(
            concluded(false, &[Supported, Inconclusive, Refuted]),
            Refuted
        );
        assert_eq!(concluded(false, &[Supported, Inconclusive]), Inconclusive);
        assert_eq!(concluded(false, &[]), Inconclusive);
    }

    #[test]
    fn with_any_one_check_is_enough_and_all_must_fail() {
        assert_eq!(concluded(true, &[Refuted, Supported]), Supported);
        assert_eq!(concluded(true, &[Refuted, Inconclusive]), Inconclusive);
        assert_eq!(concluded(true, &[Refuted, Refuted]), Refuted);
    }

    #[test]
    fn only_a_verdict_turned_round_counts_as_turned() {
        assert!(Turn::holds(true, Refuted, Supported));
        assert!(Turn::holds(true, Supported, Refuted));
        assert!(!Turn::holds(true, Refuted, Refuted));
        assert!(!Turn::holds(true, Refuted, Inconclusive));
        assert!(Turn::holds(false, Refuted, Refuted));
        assert!(!Turn::holds(false, Inconclusive, Inconclusive));
        assert!(!Turn::holds(false, Supported, Refuted));
    }

    #[test]
    fn failures_go_before_what_is_open() {
        let verdict = |verdict, expected: VerdictWord| ProofVerdict {
            verdict,
            expected: Some(expected),
            ..ProofVerdict::default()
        };
        let unjudged = ProofVerdict::default();
        let proof = |verdicts: Vec<ProofVerdict>| Proof {
            claims: vec![ProofClaim {
                verdicts,
                ..ProofClaim::default()
            }],
            ..Proof::default()
        };
        let well = proof(vec![verdict(Refuted, Refuted)]);
        assert!(!well.failed() && !well.open());
        let open = proof(vec![verdict(Inconclusive, Refuted)]);
        assert!(!open.failed() && open.open());
        assert!(proof(vec![unjudged]).open());
        assert!(!proof(vec![verdict(Inconclusive, Inconclusive)]).open());
        let failed = proof(vec![
            verdict(Supported, Refuted),
            verdict(Inconclusive, Refuted),
        ]);
        assert!(failed.failed() && failed.open());
    }
}
