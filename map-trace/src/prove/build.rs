//! Building: each program once, kept by what it is made of.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::mpsc;

use super::plan::{Plan, RunId};
use super::toolchain::{GoToolchain, compiler, words};
use super::workspace::Workspace;
use crate::claim::catalogue::{Catalogue, Experiment, Toolkit};

/// Flags of every C program, as its authors build it.
const C_FLAGS: [&str; 6] = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-pthread",
    "-fno-omit-frame-pointer",
];
/// First line of a C program with flags of its own.
const FLAGS_LINE: &str = "// flags:";

/// The programs, or why they could not be built.
pub type Built = BTreeMap<RunId, Result<PathBuf, String>>;

/// Builds every program of the plan, several at a time.
pub fn all(
    catalogue: &Catalogue,
    plan: &Plan,
    toolchains: &[GoToolchain],
    workspace: &Workspace,
    jobs: usize,
    tell: &mut dyn FnMut(&str),
) -> Built {
    let jobs = match jobs {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        jobs => jobs,
    };
    let ids: Vec<RunId> = plan.runs.keys().copied().collect();
    let next = Mutex::new(ids.iter());
    let take = || next.lock().ok().and_then(|mut ids| ids.next().copied());
    let (told, done) = mpsc::channel();
    let mut built = Built::new();
    std::thread::scope(|scope| {
        for _ in 0..jobs.min(ids.len()) {
            let told = told.clone();
            let take = &take;
            scope.spawn(move || {
                while let Some(id) = take() {
                    let experiment = &catalogue.experiments[id.experiment];
                    let toolchain = id.go.map(|go| &toolchains[go]);
                    let program = program(experiment, toolchain, workspace);
                    if told.send((id, program)).is_err() {
                        return;
                    }
                }
            });
        }
        drop(told);
        for (id, program) in done {
            let name = &catalogue.experiments[id.experiment].name;
            tell(&format!(
                "building {}/{}: {name}",
                built.len() + 1,
                ids.len()
            ));
            built.insert(id, program);
        }
    });
    built
}

/// Builds one program, unless the cache has it.
fn program(
    experiment: &Experiment,
    toolchain: Option<&GoToolchain>,
    workspace: &Workspace,
) -> Result<PathBuf, String> {
    let source = workspace
        .sources
        .path(&experiment.program)
        .ok_or_else(|| format!("there is no program {}", experiment.program))?;
    let mut command = match (experiment.toolkit(), toolchain) {
        (Toolkit::Go, Some(go)) => go_build(experiment, go, &source, workspace),
        (Toolkit::Go, None) => return Err("there is no Go toolchain".into()),
        (Toolkit::C, _) => c_build(experiment, &source, workspace)?,
        (Toolkit::Rust, _) => rust_build(experiment, &source)?,
    };
    let key = fingerprint(experiment, toolchain, &command, workspace);
    let name = experiment.program.replace('/', "-");
    let out = workspace.cache().join(format!("{name}-{key:016x}"));
    if out.is_file() {
        return Ok(out);
    }
    // Two experiments may share a program and be built at the same time: the last to finish stays.
    let thread = std::thread::current().id();
    let fresh = workspace.cache().join(format!(
        "{name}-{key:016x}.{}-{thread:?}",
        std::process::id()
    ));
    command.arg("-o").arg(&fresh);
    if experiment.toolkit() == Toolkit::Go {
        command.arg(".");
    }
    let output = command
        .output()
        .map_err(|why| format!("cannot start {}: {why}", command.get_program().display()))?;
    if !output.status.success() {
        let _gone = fs::remove_file(&fresh);
        let said = words(command.get_program(), &output.stderr, workspace);
        return Err(format!("{} cannot be built: {said}", experiment.program));
    }
    fs::rename(&fresh, &out).map_err(|why| format!("{}: {why}", out.display()))?;
    Ok(out)
}

fn go_build(
    experiment: &Experiment,
    go: &GoToolchain,
    source: &Path,
    workspace: &Workspace,
) -> Command {
    let build = &experiment.build;
    let mut command = go.command(workspace);
    command.current_dir(source).args(["build", "-trimpath"]);
    if build.cgo || build.flags.iter().any(|flag| flag == "-race") {
        command.env("CGO_ENABLED", "1");
    }
    if let Some(experiment) = &build.experiment {
        command.env("GOEXPERIMENT", experiment);
    }
    if !build.tags.is_empty() {
        command.arg("-tags").arg(build.tags.join(","));
    }
    command.args(&build.flags);
    command
}

fn c_build(
    experiment: &Experiment,
    source: &Path,
    workspace: &Workspace,
) -> Result<Command, String> {
    let mut command = compiler("cc", "install gcc")?;
    let text = workspace.sources.of(&experiment.program).next();
    let text = String::from_utf8_lossy(text.map_or(&[], |(_, bytes)| bytes)).into_owned();
    let own = text
        .lines()
        .next()
        .and_then(|line| line.strip_prefix(FLAGS_LINE))
        .unwrap_or("");
    command
        .args(C_FLAGS)
        .args(own.split_whitespace())
        .args(&experiment.build.flags)
        .arg(source);
    Ok(command)
}

fn rust_build(experiment: &Experiment, source: &Path) -> Result<Command, String> {
    let mut command = compiler("rustc", "install Rust from https://rustup.rs")?;
    let main = match source.is_dir() {
        true => source.join("main.rs"),
        false => source.to_owned(),
    };
    command
        .args([
            "-O",
            "-g",
            "--edition",
            "2021",
            "-C",
            "force-frame-pointers=yes",
        ])
        .args(&experiment.build.flags)
        .arg(main);
    Ok(command)
}

/// Of everything the program is made of; the folder it is made in is not part of it.
fn fingerprint(
    experiment: &Experiment,
    toolchain: Option<&GoToolchain>,
    command: &Command,
    workspace: &Workspace,
) -> u64 {
    let mut hasher = DefaultHasher::new();
    let shared = match experiment.toolkit() {
        Toolkit::Go => Some("go/go.mod"),
        Toolkit::C => Some("c/workload.h"),
        Toolkit::Rust => None,
    };
    let files = workspace.sources.of(&experiment.program);
    for file in files.chain(
        shared
            .into_iter()
            .flat_map(|name| workspace.sources.of(name)),
    ) {
        file.hash(&mut hasher);
    }
    experiment.build.hash(&mut hasher);
    command.get_program().hash(&mut hasher);
    if let Some(toolchain) = toolchain {
        toolchain.version.0.hash(&mut hasher);
    }
    env!("CARGO_PKG_VERSION").hash(&mut hasher);
    hasher.finish()
}
