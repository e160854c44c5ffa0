//! An experiment as the file has it.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::binary::MapImplementation;
use crate::claim::catalogue::{Amount, Build, End, Experiment, Versions};
use crate::maps::user;

/// Longest run and most repetitions.
const MAX_SECONDS: u64 = 600;
const MAX_REPEAT: u32 = 100;
/// Globs of functions whose entries are counted: room in the kernel beside the operations.
const MAX_ENTRIES: usize = 3;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Raw {
    name: String,
    program: String,
    about: String,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: BTreeMap<String, String>,
    go: Option<String>,
    maps: Option<Maps>,
    #[serde(default)]
    exit: RawEnd,
    trace: Option<bool>,
    repeat: Option<u32>,
    timeout_s: Option<u64>,
    #[serde(default)]
    regions: BTreeMap<String, String>,
    #[serde(default)]
    census: Amount,
    #[serde(default)]
    pte: Amount,
    detail: Option<Detail>,
    #[serde(default)]
    watch_ranges: Vec<String>,
    #[serde(default)]
    watch: Vec<String>,
    #[serde(default)]
    entries: Vec<String>,
    #[serde(default)]
    build: Build,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Maps {
    Classic,
    Swiss,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum RawEnd {
    Status(i32),
    Word(String),
}

impl Default for RawEnd {
    fn default() -> Self {
        Self::Status(0)
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Detail {
    Number(u64),
    Word(String),
}

impl Raw {
    pub fn read(self) -> Result<Experiment, String> {
        let name = self.name;
        let told = |why: String| format!("experiment {name}: {why}");
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
        if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
            return Err(told(
                "a name has 1 to 64 letters, digits, '-' and '_'".into(),
            ));
        }
        let inside = |part: &str| !matches!(part, "" | "." | "..");
        let folder = self.program.split('/').next().unwrap_or("");
        let two = self.program.split('/').count() >= 2;
        if !two || !matches!(folder, "go" | "rust" | "c") || !self.program.split('/').all(inside) {
            return Err(told(format!(
                "'{}' is no program of go/, rust/ or c/",
                self.program
            )));
        }
        let go = match &self.go {
            None => Versions::default(),
            Some(range) => Versions::parse(range)
                .ok_or_else(|| told(format!("'{range}' is no range of versions")))?,
        };
        let detail = match self.detail {
            None => Some(10_000),
            Some(Detail::Number(number)) => Some(number),
            Some(Detail::Word(word)) if word == "all" => None,
            Some(Detail::Word(word)) => Some(
                word.parse()
                    .map_err(|_| told(format!("detail '{word}' is no number and not 'all'")))?,
            ),
        };
        for (region, glob) in &self.regions {
            user::Region::parse(&format!("{region}={glob}"))
                .map_err(|why| told(why.to_string()))?;
        }
        let trace = self.trace.unwrap_or(true);
        let repeat = self.repeat.unwrap_or(1).clamp(1, MAX_REPEAT);
        if trace && repeat > 1 {
            return Err(told("only bare runs (trace = false) are repeated".into()));
        }
        if self.entries.len() > MAX_ENTRIES {
            return Err(told(format!("entries has {MAX_ENTRIES} globs at most")));
        }
        Ok(Experiment {
            program: self.program,
            about: self.about,
            args: self.args,
            env: self.env,
            go,
            maps: self.maps.map(|maps| match maps {
                Maps::Classic => MapImplementation::Hmap,
                Maps::Swiss => MapImplementation::Swiss,
            }),
            exit: match self.exit {
                RawEnd::Status(status) => End::Status(status),
                RawEnd::Word(word) if word == "any" => End::Any,
                RawEnd::Word(word) => End::Signal(word),
            },
            trace,
            repeat,
            timeout_s: self.timeout_s.unwrap_or(30).clamp(1, MAX_SECONDS),
            regions: self.regions.into_iter().collect(),
            census: self.census,
            pte: self.pte,
            detail,
            watch_ranges: self.watch_ranges,
            watch: self.watch,
            entries: self.entries,
            build: self.build,
            name,
        })
    }
}
