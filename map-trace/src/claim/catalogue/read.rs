//! From TOML to the catalogue.

mod check;
mod experiment;
mod needs;

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use toml::Spanned;

use super::{Catalogue, Entry, Expected, Swap, Versions};
use crate::claim::words::hint;
use crate::model::summary::VerdictWord;

/// Largest file, bytes; most experiments and claims.
const MAX_FILE: usize = 4 << 20;
const MAX_ROWS: usize = 4096;

/// Why the catalogue cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{file}:{line}: {message}")]
pub struct CatalogueError {
    pub file: String,
    pub line: usize,
    pub message: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    experiment: Vec<Spanned<experiment::Raw>>,
    #[serde(default)]
    claim: Vec<Spanned<RawEntry>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    id: String,
    statement: String,
    truth: Option<String>,
    expected: RawExpected,
    #[serde(default)]
    any: bool,
    check: Vec<check::Raw>,
    #[serde(default)]
    counterfactuals: Vec<RawSwap>,
    #[serde(default)]
    noise: Vec<RawSwap>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawExpected {
    Both(VerdictWord),
    By(BTreeMap<String, VerdictWord>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawSwap {
    Every(String),
    One {
        run: String,
        #[serde(rename = "for")]
        of: String,
    },
}

/// Reads the files of a catalogue, name and text each.
///
/// # Errors
/// The first thing that is wrong: not TOML, an unknown key, a rule that means nothing, an experiment that is not
/// there, an id given twice.
pub fn read(files: &[(&str, &str)]) -> Result<Catalogue, CatalogueError> {
    let mut parsed = Vec::new();
    for (name, text) in files {
        let error = |at: usize, message: String| error(name, text, at, message);
        if text.len() > MAX_FILE {
            return Err(error(0, format!("more than {MAX_FILE} bytes")));
        }
        let file: File = toml::from_str(text).map_err(|why| {
            let at = why.span().map_or(0, |span| span.start);
            error(at, why.message().replace('\n', " "))
        })?;
        parsed.push((*name, *text, file));
    }
    let mut catalogue = Catalogue::default();
    for (name, text, file) in &mut parsed {
        for raw in std::mem::take(&mut file.experiment) {
            let at = raw.span().start;
            let one = raw
                .into_inner()
                .read()
                .map_err(|why| error(name, text, at, why))?;
            if catalogue.experiment(&one.name).is_some() || catalogue.experiments.len() >= MAX_ROWS
            {
                let message = format!("a second experiment named '{}', or too many", one.name);
                return Err(error(name, text, at, message));
            }
            catalogue.experiments.push(one);
        }
    }
    let mut ids = BTreeSet::new();
    for (name, text, file) in parsed {
        for raw in file.claim {
            let at = raw.span().start;
            let entry = raw
                .into_inner()
                .read(&catalogue)
                .map_err(|why| error(name, text, at, why))?;
            if !ids.insert(entry.id.clone()) || ids.len() > MAX_ROWS {
                let message = format!("a second claim with the id '{}', or too many", entry.id);
                return Err(error(name, text, at, message));
            }
            catalogue.claims.push(entry);
        }
    }
    catalogue.claims.sort_by_key(|claim| order(&claim.id));
    Ok(catalogue)
}

/// Chapters and numbers as numbers, the rest as text: 1.9 before 1.10.
fn order(id: &str) -> (Vec<u32>, String) {
    let digits = id.len()
        - id.trim_start_matches(|c: char| c.is_ascii_digit() || c == '.')
            .len();
    let (numbers, rest) = id.split_at(digits);
    let numbers = numbers.split('.').filter_map(|part| part.parse().ok());
    (numbers.collect(), rest.to_owned())
}

fn error(file: &str, text: &str, at: usize, message: String) -> CatalogueError {
    let before = text.get(..at).unwrap_or(text);
    CatalogueError {
        file: file.to_owned(),
        line: before.matches('\n').count() + 1,
        message,
    }
}

impl RawEntry {
    fn read(self, catalogue: &Catalogue) -> Result<Entry, String> {
        let id = self.id;
        let told = |why: String| format!("claim {id}: {why}");
        if id.is_empty() || id.len() > 128 || id.chars().any(char::is_control) {
            return Err(told("an id has 1 to 128 characters".into()));
        }
        if self.check.is_empty() {
            return Err(told("it has no check".into()));
        }
        let known = |name: &str| match catalogue.experiment(name) {
            Some(_) => Ok(()),
            None => {
                let names = catalogue.experiments.iter().map(|one| one.name.as_str());
                Err(format!("no experiment '{name}'{}", hint(name, names)))
            }
        };
        let mut checks = Vec::new();
        for raw in self.check {
            let check = raw.read(&id, &self.statement, catalogue).map_err(told)?;
            for name in check.experiments() {
                known(name).map_err(told)?;
            }
            checks.push(check);
        }
        let swaps = |raw: Vec<RawSwap>| -> Result<Vec<Swap>, String> {
            let swaps = raw.into_iter().map(|raw| {
                let (run, of) = match raw {
                    RawSwap::Every(run) => (run, None),
                    RawSwap::One { run, of } => (run, Some(of)),
                };
                known(&run).map_err(told)?;
                of.as_deref().map_or(Ok(()), known).map_err(told)?;
                Ok(Swap { run, of })
            });
            swaps.collect()
        };
        let entry = Entry {
            statement: self.statement,
            truth: self.truth,
            expected: self.expected.read().map_err(told)?,
            any: self.any,
            checks,
            counterfactuals: swaps(self.counterfactuals)?,
            noise: swaps(self.noise)?,
            id: id.clone(),
        };
        for swap in entry.counterfactuals.iter().chain(&entry.noise) {
            if entry.swapped(swap).is_none() {
                return Err(told(format!("no check can be judged on '{}'", swap.run)));
            }
        }
        Ok(entry)
    }
}

impl RawExpected {
    fn read(self) -> Result<Expected, String> {
        let by = match self {
            Self::Both(verdict) => return Ok(Expected::both(verdict)),
            Self::By(by) => by,
        };
        let mut expected = Expected::default();
        for (word, verdict) in by {
            match word.as_str() {
                "classic" => expected.classic = Some(verdict),
                "swiss" => expected.swiss = Some(verdict),
                range => {
                    let range = Versions::parse(range)
                        .ok_or_else(|| format!("'{word}' is neither classic, swiss nor a range"))?;
                    expected.ranges.push((range, verdict));
                }
            }
        }
        Ok(expected)
    }
}
