//! A check: one thing that must hold for a claim, and where its evidence comes from.

use crate::claim::Claim;
use crate::claim::facts::{BinaryFact, Comparison, Ending, EnteredFact, HostFact, Ratio};

/// A check of a claim.
#[derive(Clone, Debug)]
pub enum Check {
    /// A rule over the events of a recorded run.
    Trace {
        experiment: String,
        claim: Box<Claim>,
    },
    /// Comparisons of what a run printed; all must hold.
    Output {
        experiment: String,
        expect: Vec<Comparison>,
    },
    /// How often a function was entered in a recorded run.
    Entries {
        experiment: String,
        fact: EnteredFact,
    },
    /// How a run ended.
    Status { experiment: String, expect: Ending },
    /// A fact of a built program.
    Binary {
        experiment: String,
        fact: BinaryFact,
    },
    /// What a compiler says of a source.
    Compile(Compile),
    /// A ratio of medians over interleaved runs.
    Ratio(Ratio),
    /// A fact of this machine's kernel.
    Host(HostFact),
}

/// A source that a compiler takes or refuses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Compile {
    pub source: Source,
    /// Compiled once for each Go; else with rustc, once.
    pub go: bool,
    /// None: it compiles. Text: it is refused, with these words.
    pub refusal: Option<String>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Under `tests/workloads/snippets`.
    File(String),
    Text(String),
}

impl Check {
    /// The word of the catalogue.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Trace { .. } => "trace",
            Self::Output { .. } => "output",
            Self::Entries { .. } => "entries",
            Self::Status { .. } => "status",
            Self::Binary { fact, .. } => fact.kind(),
            Self::Compile(_) => "compile",
            Self::Ratio(_) => "ratio",
            Self::Host(_) => "host",
        }
    }

    /// In words, for reports.
    pub fn text(&self) -> String {
        match self {
            Self::Trace { claim, .. } => claim.rule.to_string(),
            Self::Output { expect, .. } => {
                let parts: Vec<String> = expect.iter().map(ToString::to_string).collect();
                parts.join(", ")
            }
            Self::Entries { fact, .. } => fact.to_string(),
            Self::Status { expect, .. } => expect.to_string(),
            Self::Binary { fact, .. } => fact.to_string(),
            Self::Compile(compile) => {
                let what = match &compile.source {
                    Source::File(name) => name.as_str(),
                    Source::Text(_) => "the snippet",
                };
                match &compile.refusal {
                    None => format!("{what} compiles"),
                    Some(text) if text.is_empty() => format!("{what} does not compile"),
                    Some(text) => format!("{what} does not compile: {text}"),
                }
            }
            Self::Ratio(ratio) => ratio.to_string(),
            Self::Host(fact) => fact.to_string(),
        }
    }

    /// Experiments it needs.
    pub fn experiments(&self) -> Vec<&str> {
        match self {
            Self::Trace { experiment, .. }
            | Self::Output { experiment, .. }
            | Self::Entries { experiment, .. }
            | Self::Status { experiment, .. }
            | Self::Binary { experiment, .. } => vec![experiment],
            Self::Ratio(ratio) => ratio.experiments(),
            Self::Compile(_) | Self::Host(_) => Vec::new(),
        }
    }

    /// About what a program did when it ran, so that another run can take its place.
    pub const fn is_of_a_run(&self) -> bool {
        matches!(
            self,
            Self::Trace { .. } | Self::Output { .. } | Self::Entries { .. } | Self::Status { .. }
        )
    }

    /// The same check on another experiment.
    pub fn on(&self, name: &str) -> Self {
        let mut moved = self.clone();
        if let Self::Trace { experiment, .. }
        | Self::Output { experiment, .. }
        | Self::Entries { experiment, .. }
        | Self::Status { experiment, .. } = &mut moved
        {
            name.clone_into(experiment);
        }
        moved
    }
}
