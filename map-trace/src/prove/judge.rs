//! From runs to verdicts.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use super::build::Built;
use super::maps_word;
use super::plan::{self, RunId};
use super::run::{self, Ran, Runs};
use super::snippet;
use super::toolchain::GoToolchain;
use super::workspace::Workspace;
use crate::binary::Binary;
use crate::claim::Claim;
use crate::claim::catalogue::{Catalogue, Check, Compile, Entry, Toolkit};
use crate::claim::facts::{HostEvidence, Place, Ratio, Ruling};
use crate::claim::proof::{ProofCheck, ProofClaim, ProofVerdict, Turn, conclude};
use crate::model::summary::{Claim as Judged, Status, VerdictWord};

/// Everything verdicts are made from.
pub struct Judge<'a> {
    catalogue: &'a Catalogue,
    toolchains: &'a [GoToolchain],
    built: &'a Built,
    runs: &'a Runs,
    workspace: &'a Workspace,
    host: HostEvidence,
    binaries: BTreeMap<RunId, Result<Binary, String>>,
    snippets: usize,
}

impl<'a> Judge<'a> {
    pub fn new(
        catalogue: &'a Catalogue,
        toolchains: &'a [GoToolchain],
        built: &'a Built,
        runs: &'a Runs,
        workspace: &'a Workspace,
    ) -> Self {
        let summaries = || runs.0.values().filter_map(|ran| ran.summary.as_ref());
        let calibrated = |summary: &&crate::model::summary::Summary| {
            summary.calibration.usable && summary.calibration.rechecked == Some(true)
        };
        let host = HostEvidence {
            kernel_symbols: fs::read_to_string("/proc/kallsyms").ok(),
            controls: summaries()
                .next()
                .map(|summary| summary.controls.clone())
                .unwrap_or_default(),
            entries_usable: summaries()
                .next()
                .is_some_and(|summary| calibrated(&summary)),
        };
        Self {
            catalogue,
            toolchains,
            built,
            runs,
            workspace,
            host,
            binaries: BTreeMap::new(),
            snippets: 0,
        }
    }

    /// Every claim, for every Go it is about.
    pub fn claims(&mut self) -> Vec<ProofClaim> {
        let catalogue = self.catalogue;
        let claims = catalogue.claims.iter();
        claims
            .map(|entry| ProofClaim {
                id: entry.id.clone(),
                statement: entry.statement.clone(),
                truth: entry.truth.clone(),
                verdicts: self.verdicts(entry),
            })
            .collect()
    }

    fn verdicts(&mut self, entry: &Entry) -> Vec<ProofVerdict> {
        if !self.is_about_go(entry) {
            return vec![self.verdict(entry, None, entry.expected.of_host())];
        }
        let about = (0..self.toolchains.len()).filter_map(|go| {
            let expected = entry.expected.of(plan::subject(&self.toolchains[go]))?;
            Some((go, expected))
        });
        let about: Vec<_> = about.collect();
        if about.is_empty() {
            return vec![ProofVerdict {
                expected: None,
                reason: "no Go that it is about was found".to_owned(),
                ..ProofVerdict::default()
            }];
        }
        about
            .into_iter()
            .map(|(go, expected)| self.verdict(entry, Some(go), Some(expected)))
            .collect()
    }

    /// Whether any of its checks depends on the Go it is made with.
    fn is_about_go(&self, entry: &Entry) -> bool {
        entry.checks.iter().any(|check| match check {
            Check::Compile(compile) => compile.go,
            check => check.experiments().iter().any(|name| {
                let experiment = self.catalogue.experiment(name);
                experiment.is_some_and(|one| one.toolkit() == Toolkit::Go)
            }),
        })
    }

    fn verdict(
        &mut self,
        entry: &Entry,
        go: Option<usize>,
        expected: Option<VerdictWord>,
    ) -> ProofVerdict {
        let checks: Vec<ProofCheck> = entry
            .checks
            .iter()
            .map(|check| self.check(check, go))
            .collect();
        let ruling = conclude(entry, &checks);
        let toolchain = go.map(|go| &self.toolchains[go]);
        ProofVerdict {
            go: toolchain.map(|one| one.version.to_string()),
            maps: toolchain.map(maps_word),
            verdict: ruling.verdict,
            expected,
            reason: ruling.reason,
            checks,
        }
    }

    fn check(&mut self, check: &Check, go: Option<usize>) -> ProofCheck {
        let mut evidence = Vec::new();
        let ruling = match check {
            Check::Trace { experiment, claim } => match self.ran(experiment, go) {
                Err(why) => Ruling::open(why),
                Ok(ran) => match (&ran.problem, self.ruled(ran, experiment, claim)) {
                    (Some(why), _) => Ruling::open(format!("{experiment}: {why}")),
                    (None, None) => Ruling::open(format!("{experiment} was not recorded")),
                    (None, Some(judged)) => {
                        evidence.clone_from(&judged.evidence);
                        Ruling {
                            verdict: judged.verdict,
                            reason: judged.reason.clone(),
                        }
                    }
                },
            },
            Check::Output { experiment, expect } => match self.ran(experiment, go) {
                Err(why) => Ruling::open(why),
                Ok(ran) => match (&ran.problem, ran.printed.last()) {
                    (Some(why), _) => Ruling::open(format!("{experiment}: {why}")),
                    (None, None) => Ruling::open(format!("{experiment} was not run")),
                    (None, Some(printed)) => {
                        together(expect.iter().map(|one| one.judge(printed)).collect())
                    }
                },
            },
            Check::Entries { experiment, fact } => match self.ran(experiment, go) {
                Err(why) => Ruling::open(why),
                Ok(ran) => match (&ran.problem, &ran.summary) {
                    (Some(why), _) => Ruling::open(format!("{experiment}: {why}")),
                    (None, None) => Ruling::open(format!("{experiment} was not recorded")),
                    (None, Some(summary)) => fact.judge(summary),
                },
            },
            Check::Status { experiment, expect } => match self.ran(experiment, go) {
                Err(why) => Ruling::open(why),
                Ok(ran) if ran.status == Status::Unknown => {
                    let why = ran.problem.as_deref().unwrap_or("it was not run");
                    Ruling::open(format!("{experiment}: {why}"))
                }
                Ok(ran) => expect.judge(&ran.status),
            },
            Check::Binary { experiment, fact } => match self.binary(experiment, go) {
                Err(why) => Ruling::open(why),
                Ok(binary) => fact.judge(binary),
            },
            Check::Compile(compile) => self.compile(compile, go),
            Check::Ratio(ratio) => self.ratio(ratio, go),
            Check::Host(fact) => fact.judge(&self.host),
        };
        ProofCheck::new(check, ruling, evidence)
    }

    /// An experiment with a Go, by its place.
    fn id(&self, experiment: &str, go: Option<usize>) -> Result<RunId, String> {
        let index = plan::position(self.catalogue, experiment)
            .ok_or_else(|| format!("there is no experiment {experiment}"))?;
        let row = &self.catalogue.experiments[index];
        let go = match row.toolkit() {
            Toolkit::Go => {
                let go = go.ok_or("there is no Go toolchain")?;
                if let Some(why) = plan::unfit(row, &self.toolchains[go]) {
                    return Err(why);
                }
                Some(go)
            }
            Toolkit::Rust | Toolkit::C => None,
        };
        Ok(RunId {
            go,
            experiment: index,
        })
    }

    fn ran(&self, experiment: &str, go: Option<usize>) -> Result<&'a Ran, String> {
        let id = self.id(experiment, go)?;
        let ran = self.runs.0.get(&id);
        ran.ok_or_else(|| format!("{experiment} was not run"))
    }

    /// The verdict of a rule on a run.
    fn ruled(&self, ran: &'a Ran, experiment: &str, claim: &Claim) -> Option<&'a Judged> {
        let experiment = self.catalogue.experiment(experiment)?;
        run::verdict(ran, &experiment.localised(claim))
    }

    fn binary(&mut self, experiment: &str, go: Option<usize>) -> Result<&Binary, String> {
        let id = self.id(experiment, go)?;
        let built = self.built;
        let found = self
            .binaries
            .entry(id)
            .or_insert_with(|| match built.get(&id) {
                None => Err(format!("{experiment} was not built")),
                Some(Err(why)) => Err(why.clone()),
                Some(Ok(path)) => open(path),
            });
        found.as_ref().map_err(Clone::clone)
    }

    fn compile(&mut self, compile: &Compile, go: Option<usize>) -> Ruling {
        self.snippets += 1;
        let toolchain = go.map(|go| &self.toolchains[go]);
        snippet::judge(compile, toolchain, self.workspace, self.snippets)
    }

    fn ratio(&self, ratio: &Ratio, go: Option<usize>) -> Ruling {
        let values = |place: &Place| -> Result<Vec<f64>, String> {
            let ran = self.ran(&place.experiment, go)?;
            if let Some(why) = &ran.problem {
                return Err(format!("{}: {why}", place.experiment));
            }
            run::values(ran, &place.key).ok_or_else(|| {
                format!(
                    "{} did not print a number as {}",
                    place.experiment, place.key
                )
            })
        };
        let right = ratio.right.as_ref().map_or(Ok(Vec::new()), values);
        match (values(&ratio.left), right) {
            (Ok(left), Ok(right)) => ratio.judge(&left, &right),
            (Err(why), _) | (_, Err(why)) => Ruling::open(why),
        }
    }

    /// The claims judged on their counterfactuals and on noise.
    pub fn turns(&mut self, claims: &[ProofClaim]) -> Vec<Turn> {
        let catalogue = self.catalogue;
        let mut turns = Vec::new();
        for (entry, judged) in catalogue.claims.iter().zip(claims) {
            let swaps = entry.counterfactuals.iter().map(|swap| (swap, true));
            for (swap, must_turn) in swaps.chain(entry.noise.iter().map(|swap| (swap, false))) {
                let Some(moved) = entry.swapped(swap) else {
                    continue;
                };
                for before in &judged.verdicts {
                    let go = self.toolchains.iter().position(|one| {
                        before.go.as_deref() == Some(one.version.to_string().as_str())
                    });
                    // An experiment that is not for this Go says nothing of it.
                    if self.id(&swap.run, go).is_err() {
                        continue;
                    }
                    let after = self.verdict(&moved, go, None);
                    turns.push(Turn {
                        claim: entry.id.clone(),
                        run: swap.run.clone(),
                        go: before.go.clone(),
                        before: before.verdict,
                        after: after.verdict,
                        must_turn,
                        held: Turn::holds(must_turn, before.verdict, after.verdict),
                        reason: after.reason,
                    });
                }
            }
        }
        turns
    }
}

fn open(path: &Path) -> Result<Binary, String> {
    Binary::open(path).map_err(|why| why.to_string())
}

/// All must hold: refuted by one that does not, open by one that is.
fn together(rulings: Vec<Ruling>) -> Ruling {
    let first = |verdict| rulings.iter().find(|one| one.verdict == verdict).cloned();
    let found = first(VerdictWord::Refuted).or_else(|| first(VerdictWord::Inconclusive));
    found.unwrap_or_else(|| {
        let reasons: Vec<&str> = rulings.iter().map(|one| one.reason.as_str()).collect();
        Ruling::of(true, reasons.join(", "))
    })
}
