//! The catalogue: experiments, and claims whose checks are judged on them (catalogue/README.md is the schema).
//!
//! Read with serde, since it is ours and embedded; a mistake in it is told with file and line all the same, because
//! `--workloads` lets others bring theirs.

mod check;
mod expected;
mod read;
#[cfg(test)]
mod tests;
mod versions;

use std::collections::BTreeMap;

pub use check::{Check, Compile, Source};
pub use expected::{Expected, Subject};
pub use read::{CatalogueError, read};
pub use versions::{GoVersion, Versions};

use super::Claim;
use crate::binary::MapImplementation;
use crate::model::Operation;

/// The embedded files of the catalogue and of the programs it runs, by path.
mod embedded {
    include!(concat!(env!("OUT_DIR"), "/embedded.rs"));
}

/// The catalogue's files, name and text.
pub fn embedded_files() -> &'static [(&'static str, &'static str)] {
    embedded::CATALOGUE
}

/// The sources of the experiments: path under `tests/workloads`, and bytes.
pub fn embedded_workloads() -> &'static [(&'static str, &'static [u8])] {
    embedded::WORKLOADS
}

/// Everything that can be run and judged.
#[derive(Clone, Debug, Default)]
pub struct Catalogue {
    pub experiments: Vec<Experiment>,
    pub claims: Vec<Entry>,
}

impl Catalogue {
    /// The experiment of a name.
    pub fn experiment(&self, name: &str) -> Option<&Experiment> {
        self.experiments.iter().find(|one| one.name == name)
    }
}

/// A program to run, and how.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Experiment {
    pub name: String,
    /// Under `tests/workloads`: a folder of `go/` or `rust/`, or a file of `c/`.
    pub program: String,
    pub about: String,
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
    /// Go versions it is for.
    pub go: Versions,
    pub maps: Option<MapImplementation>,
    pub exit: End,
    /// Recorded; else run bare.
    pub trace: bool,
    /// Interleaved repetitions, at least 1.
    pub repeat: u32,
    pub timeout_s: u64,
    /// Name and glob.
    pub regions: Vec<(String, String)>,
    pub census: Amount,
    pub pte: Amount,
    /// Events kept in full; none: all.
    pub detail: Option<u64>,
    pub watch_ranges: Vec<String>,
    pub watch: Vec<String>,
    /// Globs of functions whose entries are counted.
    pub entries: Vec<String>,
    pub build: Build,
}

/// In which language a program is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Toolkit {
    Go,
    Rust,
    C,
}

impl Experiment {
    /// Its regions, one name for each glob: a function is in one region only.
    pub fn distinct_regions(&self) -> impl Iterator<Item = &(String, String)> {
        self.regions
            .iter()
            .filter(|(name, glob)| self.region_of(glob) == Some(name))
    }

    /// The first name of a glob.
    fn region_of(&self, glob: &str) -> Option<&String> {
        let found = self.regions.iter().find(|(_, known)| known == glob);
        found.map(|(name, _)| name)
    }

    /// A rule with the names that this experiment's recording knows its regions by.
    pub fn localised(&self, claim: &Claim) -> Claim {
        let mut claim = claim.clone();
        let rename = |operation: &mut Operation| {
            let Operation::Region(name) = operation else {
                return;
            };
            let glob = self.regions.iter().find(|(known, _)| **known == **name);
            if let Some(first) = glob.and_then(|(_, glob)| self.region_of(glob)) {
                *operation = Operation::from_word(first);
            }
        };
        claim.rule.during.iter_mut().for_each(rename);
        claim
            .needs
            .operations
            .iter_mut()
            .for_each(|(operation, _)| rename(operation));
        claim
    }

    /// Told by the first folder of the program's path; the reader accepts no other.
    pub fn toolkit(&self) -> Toolkit {
        match self.program.split('/').next() {
            Some("go") => Toolkit::Go,
            Some("rust") => Toolkit::Rust,
            _ => Toolkit::C,
        }
    }
}

/// How a program is built.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, serde::Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Build {
    pub tags: Vec<String>,
    pub flags: Vec<String>,
    pub cgo: bool,
    /// `GOEXPERIMENT`.
    pub experiment: Option<String>,
}

/// How a program is expected to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    Status(i32),
    Signal(String),
    Any,
}

/// How much of something is done; the words of `--census` and `--pte`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Amount {
    Off,
    #[default]
    Sample,
    Full,
}

/// A claim of the catalogue.
#[derive(Clone, Debug)]
pub struct Entry {
    pub id: String,
    pub statement: String,
    /// What is so instead, when the statement is wrong.
    pub truth: Option<String>,
    pub expected: Expected,
    /// One supported check is enough.
    pub any: bool,
    pub checks: Vec<Check>,
    pub counterfactuals: Vec<Swap>,
    pub noise: Vec<Swap>,
}

/// An experiment in another's place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swap {
    pub run: String,
    /// The experiment it replaces; none: every one.
    pub of: Option<String>,
}

impl Entry {
    /// The experiments its checks are about, each once.
    pub fn experiments(&self) -> Vec<&str> {
        let mut names: Vec<&str> = self.checks.iter().flat_map(Check::experiments).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// The claim judged on another run: its checks of what a program did, moved there. None: no check is moved.
    pub fn swapped(&self, swap: &Swap) -> Option<Self> {
        let mut moved = false;
        let checks = self
            .checks
            .iter()
            .filter(|check| check.is_of_a_run())
            .map(|check| {
                let fits = |name: &str| swap.of.as_deref().is_none_or(|of| of == name);
                match check.experiments().first() {
                    Some(name) if fits(name) => {
                        moved = true;
                        check.on(&swap.run)
                    }
                    _ => check.clone(),
                }
            });
        let checks: Vec<Check> = checks.collect();
        moved.then(|| Self {
            checks,
            ..self.clone()
        })
    }
}
