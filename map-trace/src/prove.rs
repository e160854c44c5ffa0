//! `map-trace prove`: builds the experiments of the catalogue, runs each under a session, and judges every claim.
//!
//! Programs run as whoever map-trace runs as: they are map-trace's own, and some need root.

mod build;
mod judge;
mod plan;
mod run;
mod snippet;
mod sources;
mod toolchain;
mod workspace;

use std::path::PathBuf;
use std::time::Instant;

pub use toolchain::GoToolchain;

use crate::claim::catalogue::{self, Catalogue};
use crate::claim::proof::{PROOF_SCHEMA, Proof, ProofToolchain};
use crate::error::{Error, Result};
use crate::kernel::{host, privilege};
use crate::maps::pattern::Glob;
use crate::model::summary::Summary;
use crate::trace::OutputFile;
use plan::Plan;
use run::Runs;
use workspace::Workspace;

/// What `prove` is told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProveSettings {
    /// A folder with programs in place of the embedded ones.
    pub workloads: Option<PathBuf>,
    /// Where traces, summaries and outputs are kept.
    pub output: Option<PathBuf>,
    /// Versions, or paths of go commands or GOROOTs; none: every Go that is found.
    pub go: Vec<String>,
    /// Judge the claims on the saboteurs, too.
    pub counterfactuals: bool,
    /// Globs over ids; none: every claim.
    pub only: Vec<String>,
    /// Compilers at work at a time; 0: one for each CPU.
    pub jobs: usize,
}

/// Runs the experiments and judges the claims. `document` is a summary as a file; `tell` is told what is being done.
///
/// # Errors
/// map-trace itself failed, or was interrupted. A program that cannot be built or run leaves claims open instead.
pub fn prove(
    settings: &ProveSettings,
    document: &dyn Fn(&Summary) -> Vec<u8>,
    tell: &mut dyn FnMut(&str),
) -> Result<Proof> {
    let start = Instant::now();
    let started = crate::session::utc_now();
    let arguments: Vec<_> = std::env::args_os().skip(1).collect();
    privilege::require(&arguments)?;
    let mut catalogue = catalogue::read(catalogue::embedded_files())
        .map_err(|why| Error::failed("the catalogue cannot be read", why))?;
    choose(&mut catalogue, &settings.only)?;
    let workspace = Workspace::create(settings)?;
    let (toolchains, mut notes) = toolchain::find(&settings.go)?;
    let plan = Plan::new(&catalogue, &toolchains, settings.counterfactuals);
    let built = build::all(
        &catalogue,
        &plan,
        &toolchains,
        &workspace,
        settings.jobs,
        tell,
    );
    let runs = run::all(&catalogue, &plan, &toolchains, &built, &workspace, tell)?;
    if workspace.kept {
        keep_summaries(&runs, &catalogue, &toolchains, &workspace, document)?;
    }
    tell("judging");
    let mut judge = judge::Judge::new(&catalogue, &toolchains, &built, &runs, &workspace);
    let claims = judge.claims();
    let counterfactuals = match settings.counterfactuals {
        true => judge.turns(&claims),
        false => Vec::new(),
    };
    if settings.go.is_empty() {
        notes.extend(missing(&toolchains));
    }
    Ok(Proof {
        schema: PROOF_SCHEMA.to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started,
        duration_ms: u64::try_from(start.elapsed().as_millis()).unwrap_or(u64::MAX),
        host: host::host(),
        toolchains: toolchains
            .iter()
            .map(|one| ProofToolchain {
                version: one.version.to_string(),
                maps: maps_word(one),
            })
            .collect(),
        experiments: runs.told(&catalogue, &toolchains),
        claims,
        counterfactuals,
        notes,
    })
}

/// Writes the summary of every recorded run beside its trace.
fn keep_summaries(
    runs: &Runs,
    catalogue: &Catalogue,
    toolchains: &[GoToolchain],
    workspace: &Workspace,
    document: &dyn Fn(&Summary) -> Vec<u8>,
) -> Result<()> {
    for (id, ran) in &runs.0 {
        let Some(summary) = &ran.summary else {
            continue;
        };
        let go = id.go.map(|go| toolchains[go].version.to_string());
        let name = &catalogue.experiments[id.experiment].name;
        let path = workspace.file(go.as_deref(), name, ".summary.json");
        OutputFile::create(&path)?.fill(&document(summary))?;
    }
    Ok(())
}

/// Keeps the claims asked for.
fn choose(catalogue: &mut Catalogue, only: &[String]) -> Result<()> {
    if only.is_empty() {
        return Ok(());
    }
    for text in only {
        let glob = Glob::new(text);
        if !catalogue.claims.iter().any(|claim| glob.matches(&claim.id)) {
            return Err(
                Error::usage(format!("--only {text}"), "the catalogue has no such claim")
                    .fix("map-trace prove --list shows them"),
            );
        }
    }
    catalogue
        .claims
        .retain(|claim| only.iter().any(|text| Glob::new(text).matches(&claim.id)));
    Ok(())
}

/// `classic` or `swiss`.
fn maps_word(toolchain: &GoToolchain) -> &'static str {
    match toolchain.version.has_swiss_maps() {
        true => "swiss",
        false => "classic",
    }
}

/// What to install to have the rest judged.
fn missing(toolchains: &[GoToolchain]) -> Vec<String> {
    const HOW: &str = "install one from https://go.dev/dl/ and name it with --go PATH";
    let has = |swiss| {
        toolchains
            .iter()
            .any(|one| one.version.has_swiss_maps() == swiss)
    };
    match (has(false), has(true)) {
        (false, false) => vec![format!(
            "no Go toolchain was found: every claim about Go programs stays open; {HOW}"
        )],
        (false, true) => vec![format!(
            "no Go up to 1.23 was found: nothing is judged for classic maps; {HOW}"
        )],
        (true, false) => vec![format!(
            "no Go from 1.24 on was found: nothing is judged for Swiss maps; {HOW}"
        )],
        (true, true) => Vec::new(),
    }
}
