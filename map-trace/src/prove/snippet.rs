//! Sources that a compiler takes or refuses.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::toolchain::{GoToolchain, compiler, words};
use super::workspace::Workspace;
use crate::claim::catalogue::{Compile, Source};
use crate::claim::facts::Ruling;

/// Asks the compiler. `go` is the toolchain for Go; `number` names the scratch files.
pub fn judge(
    compile: &Compile,
    go: Option<&GoToolchain>,
    workspace: &Workspace,
    number: usize,
) -> Ruling {
    let folder = workspace.scratch().join(format!("snippet-{number}"));
    let ruling = unpack(compile, &folder, workspace)
        .and_then(|file| command(compile, go, &file, &folder, workspace))
        .and_then(|command| ask(compile, command, workspace));
    // Scratch.
    let _gone = fs::remove_dir_all(&folder);
    ruling.unwrap_or_else(Ruling::open)
}

/// Puts the source into a folder of its own; gives the file, or the folder when there are several.
fn unpack(compile: &Compile, folder: &Path, workspace: &Workspace) -> Result<PathBuf, String> {
    let told = |why: std::io::Error| format!("{}: {why}", folder.display());
    fs::create_dir_all(folder).map_err(told)?;
    let end = if compile.go { "go" } else { "rs" };
    if compile.go {
        fs::write(folder.join("go.mod"), "module snippet\n\ngo 1.19\n").map_err(told)?;
    }
    let files: Vec<(String, Vec<u8>)> = match &compile.source {
        Source::Text(text) => vec![(format!("snippet.{end}"), text.as_bytes().to_vec())],
        Source::File(name) => {
            let program = format!("snippets/{name}");
            let files = workspace.sources.of(&program).map(|(path, bytes)| {
                let own = path.rsplit('/').next().unwrap_or(path);
                (own.to_owned(), bytes.to_vec())
            });
            files.collect()
        }
    };
    let Some((first, _)) = files.first() else {
        return Err(format!("there is no source for {compile:?}"));
    };
    let first = folder.join(first);
    for (name, bytes) in &files {
        fs::write(folder.join(name), bytes).map_err(told)?;
    }
    Ok(first)
}

fn command(
    compile: &Compile,
    go: Option<&GoToolchain>,
    file: &Path,
    folder: &Path,
    workspace: &Workspace,
) -> Result<Command, String> {
    let out = folder.join("out");
    if !compile.go {
        let mut command = compiler("rustc", "install Rust from https://rustup.rs")?;
        command
            .args([
                "--edition",
                "2021",
                "--crate-type",
                "lib",
                "--emit",
                "metadata",
                "-o",
            ])
            .arg(out)
            .arg(file);
        return Ok(command);
    }
    let go = go.ok_or("there is no Go toolchain; install one from https://go.dev/dl/")?;
    let mut command = go.command(workspace);
    command
        .current_dir(folder)
        .args(["build", "-o"])
        .arg(out)
        .arg(".");
    Ok(command)
}

fn ask(compile: &Compile, mut command: Command, workspace: &Workspace) -> Result<Ruling, String> {
    let output = command
        .output()
        .map_err(|why| format!("cannot start {}: {why}", command.get_program().display()))?;
    let said = words(command.get_program(), &output.stderr, workspace);
    if output.status.code().is_none() {
        return Err(format!("the compiler was ended by a signal: {said}"));
    }
    Ok(match (output.status.success(), &compile.refusal) {
        (true, refusal) => Ruling::of(refusal.is_none(), "the compiler takes it"),
        (false, None) => Ruling::of(false, said),
        (false, Some(text)) => {
            let all = String::from_utf8_lossy(&output.stderr);
            Ruling::of(all.contains(text.as_str()), said)
        }
    })
}
