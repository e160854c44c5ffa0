//! What `map-trace prove` came to, in every format.

mod article;
mod junit;
mod text;

use crate::claim::proof::{Proof, ProofClaim, ProofVerdict};
use crate::model::summary::VerdictWord;

/// A format of `map-trace prove`.
pub struct ProofFormat {
    /// The word after `--format`.
    pub name: &'static str,
    /// One line of help.
    pub about: &'static str,
    /// The flag: the reader shows colours.
    pub render: fn(&Proof, bool) -> Vec<u8>,
}

/// Every format of `map-trace prove`.
pub const FORMATS: [ProofFormat; 4] = [
    ProofFormat {
        name: "text",
        about: "every claim with its verdicts and why",
        render: text::render,
    },
    ProofFormat {
        name: "json",
        about: "everything, for programs",
        render: |proof, _| super::json::document(proof),
    },
    ProofFormat {
        name: "junit",
        about: "a test case a claim and Go, for CI servers",
        render: |proof, _| junit::render(proof),
    },
    ProofFormat {
        name: "markdown",
        about: "an article, claim by claim",
        render: |proof, _| article::render(proof),
    },
];

/// What all the verdicts of a claim for one kind of maps come to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Column {
    /// The claim says nothing of them, or there was none to judge it with.
    Nothing,
    All(VerdictWord),
    /// It differs by version.
    Mixed,
}

impl Column {
    fn of<'a>(verdicts: impl Iterator<Item = &'a ProofVerdict>) -> Self {
        verdicts.fold(Self::Nothing, |column, one| match column {
            Self::Nothing => Self::All(one.verdict),
            Self::All(verdict) if verdict == one.verdict => column,
            Self::All(_) | Self::Mixed => Self::Mixed,
        })
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Nothing => "-",
            Self::All(verdict) => word(verdict),
            Self::Mixed => "by version",
        }
    }
}

const fn word(verdict: VerdictWord) -> &'static str {
    match verdict {
        VerdictWord::Supported => "supported",
        VerdictWord::Refuted => "refuted",
        VerdictWord::Inconclusive => "inconclusive",
    }
}

/// Classic and Swiss; a claim about no Go program has the same in both.
fn columns(claim: &ProofClaim) -> [Column; 2] {
    ["classic", "swiss"].map(|maps| {
        let of = claim
            .verdicts
            .iter()
            .filter(|one| one.maps.is_none_or(|own| own == maps));
        Column::of(of)
    })
}

/// The verdict whose reason says most: one that is not as expected, then one that is open, then the last.
fn telling(claim: &ProofClaim) -> Option<&ProofVerdict> {
    let verdicts = || claim.verdicts.iter();
    verdicts()
        .find(|one| one.is_unexpected())
        .or_else(|| verdicts().find(|one| one.verdict == VerdictWord::Inconclusive))
        .or_else(|| claim.verdicts.last())
}

/// How many claims have each verdict everywhere, are open somewhere, and are unexpected somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Tally {
    supported: usize,
    refuted: usize,
    by_version: usize,
    open: usize,
    unexpected: usize,
}

impl Tally {
    fn of(proof: &Proof) -> Self {
        let mut tally = Self::default();
        for claim in &proof.claims {
            let unexpected = claim.verdicts.iter().any(ProofVerdict::is_unexpected);
            tally.unexpected += usize::from(unexpected);
            match Column::of(claim.verdicts.iter()) {
                Column::All(VerdictWord::Supported) => tally.supported += 1,
                Column::All(VerdictWord::Refuted) => tally.refuted += 1,
                Column::All(VerdictWord::Inconclusive) | Column::Nothing => tally.open += 1,
                Column::Mixed => {
                    let open = claim
                        .verdicts
                        .iter()
                        .any(|one| one.verdict == VerdictWord::Inconclusive);
                    tally.open += usize::from(open);
                    tally.by_version += usize::from(!open);
                }
            }
        }
        tally
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::claim::proof::{ProofCheck, ProofRun, ProofToolchain, Turn};

    fn verdict(
        go: &str,
        maps: &'static str,
        verdict: VerdictWord,
        expected: VerdictWord,
    ) -> ProofVerdict {
        ProofVerdict {
            go: Some(go.into()),
            maps: Some(maps),
            verdict,
            expected: Some(expected),
            reason: "0 seen in 200,000 iterations".into(),
            checks: vec![ProofCheck {
                kind: "trace",
                text: "mprotect during range >= 1".into(),
                experiments: vec!["range".into()],
                verdict,
                reason: "0 seen".into(),
                evidence: Vec::new(),
            }],
        }
    }

    fn claim(id: &str, verdicts: Vec<ProofVerdict>) -> ProofClaim {
        ProofClaim {
            id: id.into(),
            statement: "Before a range begins, the runtime makes bucket pages read-only".into(),
            truth: Some("Nothing is called.".into()),
            verdicts,
        }
    }

    fn sample() -> Proof {
        use VerdictWord::{Inconclusive, Refuted, Supported};
        Proof {
            version: "0.1.0".into(),
            started: "2026-01-02T03:04:05Z".into(),
            toolchains: vec![
                ProofToolchain {
                    version: "1.23.9".into(),
                    maps: "classic",
                },
                ProofToolchain {
                    version: "1.27.3".into(),
                    maps: "swiss",
                },
            ],
            experiments: vec![ProofRun {
                name: "range".into(),
                about: "ranges over a map".into(),
                go: Some("1.23.9".into()),
                duration_ms: 120,
                events: Some(4711),
                problem: None,
            }],
            claims: vec![
                claim(
                    "1.4",
                    vec![
                        verdict("1.23.9", "classic", Refuted, Refuted),
                        verdict("1.27.3", "swiss", Refuted, Refuted),
                    ],
                ),
                claim(
                    "2.1",
                    vec![verdict("1.23.9", "classic", Supported, Refuted)],
                ),
                claim(
                    "2.2",
                    vec![
                        verdict("1.23.9", "classic", Supported, Supported),
                        verdict("1.27.3", "swiss", Inconclusive, Supported),
                    ],
                ),
            ],
            counterfactuals: vec![Turn {
                claim: "1.4".into(),
                run: "sabotage".into(),
                go: Some("1.23.9".into()),
                before: Refuted,
                after: Supported,
                must_turn: true,
                held: true,
                reason: "14 seen".into(),
            }],
            notes: vec!["no Go from 1.24 on was found".into()],
            ..Proof::default()
        }
    }

    fn rendered(name: &str, proof: &Proof) -> String {
        let format = FORMATS.iter().find(|format| format.name == name).unwrap();
        String::from_utf8((format.render)(proof, false)).unwrap()
    }

    #[test]
    fn every_format_tells_every_claim_and_steers_no_terminal() {
        let mut proof = sample();
        proof.claims[0]
            .statement
            .push_str("\x1b[2J\u{202e}|<script>");
        for format in &FORMATS {
            let text = rendered(format.name, &proof);
            assert!(text.ends_with('\n'), "{}", format.name);
            for claim in &proof.claims {
                assert!(text.contains(&claim.id), "{}: {}", format.name, claim.id);
            }
            let steers =
                |c: char| (c.is_control() && c != '\n') || ('\u{202a}'..='\u{202e}').contains(&c);
            assert!(!text.contains(steers), "{}: {text:?}", format.name);
            if matches!(format.name, "markdown" | "junit") {
                assert!(!text.contains("<script"), "{text}");
            }
        }
    }

    #[test]
    fn no_line_on_a_terminal_is_too_long() {
        let text = rendered("text", &sample());
        let width = super::super::screen::WIDTH;
        assert!(
            text.lines().all(|line| line.chars().count() <= width),
            "{text}"
        );
        assert!(text.contains("3 claims"), "{text}");
    }

    #[test]
    fn verdicts_are_counted_by_claim() {
        let tally = Tally::of(&sample());
        assert_eq!(
            tally,
            Tally {
                supported: 1,
                refuted: 1,
                by_version: 0,
                open: 1,
                unexpected: 1,
            }
        );
    }

    #[test]
    fn a_ci_server_sees_what_failed_and_what_is_open() {
        let text = rendered("junit", &sample());
        assert_eq!(text.matches("<failure").count(), 1, "{text}");
        assert_eq!(text.matches("<skipped").count(), 1, "{text}");
        assert_eq!(text.matches("<testcase").count(), 6, "{text}");
    }
}
