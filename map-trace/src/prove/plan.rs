//! Which experiments have to run, with which Go, and which rules each of them is judged by.

use std::collections::BTreeMap;

use super::toolchain::GoToolchain;
use crate::binary::MapImplementation;
use crate::claim::Claim;
use crate::claim::catalogue::{Catalogue, Check, Entry, Experiment, Subject, Toolkit};

/// An experiment, by its place in the catalogue, with a Go, by its place among the toolchains.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RunId {
    /// None: not a Go program.
    pub go: Option<usize>,
    pub experiment: usize,
}

/// Everything that runs. Rules are judged while their run goes by.
#[derive(Debug, Default)]
pub struct Plan {
    pub runs: BTreeMap<RunId, Vec<Claim>>,
}

impl Plan {
    pub fn new(catalogue: &Catalogue, toolchains: &[GoToolchain], counterfactuals: bool) -> Self {
        let mut plan = Self::default();
        for entry in &catalogue.claims {
            plan.add(catalogue, toolchains, entry);
            if !counterfactuals {
                continue;
            }
            for swap in entry.counterfactuals.iter().chain(&entry.noise) {
                if let Some(moved) = entry.swapped(swap) {
                    plan.add(catalogue, toolchains, &moved);
                }
            }
        }
        plan
    }

    fn add(&mut self, catalogue: &Catalogue, toolchains: &[GoToolchain], entry: &Entry) {
        for check in &entry.checks {
            for name in check.experiments() {
                let Some(index) = position(catalogue, name) else {
                    continue;
                };
                let experiment = &catalogue.experiments[index];
                let gos = toolchains
                    .iter()
                    .enumerate()
                    .map(|(go, one)| (Some(go), one));
                let wanted: Vec<Option<usize>> = match experiment.toolkit() {
                    Toolkit::Go => gos
                        .filter(|(_, one)| unfit(experiment, one).is_none())
                        .filter(|(_, one)| entry.expected.of(subject(one)).is_some())
                        .map(|(go, _)| go)
                        .collect(),
                    Toolkit::Rust | Toolkit::C => vec![None],
                };
                for go in wanted {
                    let rules = self
                        .runs
                        .entry(RunId {
                            go,
                            experiment: index,
                        })
                        .or_default();
                    if let Check::Trace { claim, .. } = check {
                        let claim = experiment.localised(claim);
                        if !rules.iter().any(|rule| same(rule, &claim)) {
                            rules.push(claim);
                        }
                    }
                }
            }
        }
    }
}

/// Two rules that get one verdict.
pub fn same(a: &Claim, b: &Claim) -> bool {
    a.rule == b.rule && a.needs == b.needs
}

pub fn position(catalogue: &Catalogue, name: &str) -> Option<usize> {
    catalogue
        .experiments
        .iter()
        .position(|one| one.name == name)
}

/// What a claim is judged for with a Go.
pub fn subject(toolchain: &GoToolchain) -> Subject {
    Subject {
        version: toolchain.version,
        maps: match toolchain.version.has_swiss_maps() {
            true => MapImplementation::Swiss,
            false => MapImplementation::Hmap,
        },
    }
}

/// Why an experiment is not for a Go, if so.
pub fn unfit(experiment: &Experiment, toolchain: &GoToolchain) -> Option<String> {
    let subject = subject(toolchain);
    let fits = experiment.go.contains(subject.version)
        && experiment.maps.is_none_or(|maps| maps == subject.maps);
    (!fits).then(|| {
        format!(
            "experiment {} is not for Go {}",
            experiment.name, toolchain.version
        )
    })
}
