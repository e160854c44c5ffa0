//! Compiling, once.

use std::env;
use std::ffi::OsString;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::io;
use std::path::{Path, PathBuf};
use std::process::{self, Command, Stdio};

/// Why a workload could not be built.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("cannot start {program}: {source}; install it with: cargo xtask setup")]
    Spawn { program: String, source: io::Error },
    #[error("{program} failed on {}: {output}", source_file.display())]
    Compiler {
        program: String,
        source_file: PathBuf,
        output: String,
    },
}

/// Flags of every C workload. `-O1` keeps the loops that touch memory as written; frame pointers are
/// kept because the tracer walks them, and a program that must do without says so in its first line.
const C_FLAGS: [&str; 8] = [
    "-std=gnu11",
    "-O1",
    "-g",
    "-Wall",
    "-Wextra",
    "-Werror",
    "-pthread",
    "-fno-omit-frame-pointer",
];

/// First line of a program with flags of its own: `// flags: -O2 -fomit-frame-pointer`.
const FLAGS_LINE: &str = "// flags:";

/// The folder of this crate's sources.
pub(crate) fn sources() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// `target/workloads`; `MAP_TRACE_WORKLOADS` names another place.
pub fn root() -> PathBuf {
    if let Some(chosen) = env::var_os("MAP_TRACE_WORKLOADS") {
        return chosen.into();
    }
    let workspace = sources().ancestors().nth(2).unwrap_or(sources());
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target.join("workloads")
}

/// Builds every C workload; returns the folder that holds them, each under its file's name.
///
/// # Errors
///
/// There is no compiler, or it refused a program.
pub fn build_c() -> Result<PathBuf, Error> {
    let folder = sources().join("c");
    let out = root().join("c");
    let header = read(&folder.join("workload.h"))?;
    for source in files(&folder, "c")? {
        let text = read(&source)?;
        let own = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix(FLAGS_LINE))
            .unwrap_or("");
        let mut command = Command::new("cc");
        command
            .args(C_FLAGS)
            .args(own.split_whitespace())
            .arg(&source);
        let name = source.file_stem().unwrap_or_default();
        let mut inputs = vec![text.clone(), header.clone()];
        for included in text.lines().filter_map(included) {
            inputs.push(read(&folder.join(included))?);
        }
        let inputs: Vec<&str> = inputs.iter().map(String::as_str).collect();
        once(&out.join(name), command, &inputs, &source)?;
    }
    Ok(out)
}

/// The file of this folder that a line includes.
fn included(line: &str) -> Option<&str> {
    line.strip_prefix("#include \"")?.strip_suffix('"')
}

/// Runs a compiler with `-o <out>` unless the last build of `out` had the same command and inputs.
pub(crate) fn once(
    out: &Path,
    mut command: Command,
    inputs: &[&str],
    source_file: &Path,
) -> Result<(), Error> {
    let mut hasher = DefaultHasher::new();
    (format!("{command:?}"), inputs).hash(&mut hasher);
    let fingerprint = format!("{:016x}", hasher.finish());
    let stamp = with_suffix(out, ".fingerprint");
    if out.is_file() && fs::read_to_string(&stamp).is_ok_and(|last| last == fingerprint) {
        return Ok(());
    }
    let folder = out.parent().unwrap_or(out);
    fs::create_dir_all(folder).map_err(|source| at(folder, source))?;
    let thread = format!("{:?}", std::thread::current().id());
    let number: String = thread.chars().filter(char::is_ascii_digit).collect();
    let fresh = with_suffix(out, &format!(".new-{}-{number}", process::id()));
    command.arg("-o").arg(&fresh).stdin(Stdio::null());
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|source| Error::Spawn {
        program: program.clone(),
        source,
    })?;
    if !output.status.success() {
        return Err(Error::Compiler {
            program,
            source_file: source_file.to_owned(),
            output: String::from_utf8_lossy(&output.stderr).into_owned(),
        });
    }
    fs::rename(&fresh, out).map_err(|source| at(out, source))?;
    fs::write(&stamp, fingerprint).map_err(|source| at(&stamp, source))
}

/// The files of a folder with one extension, sorted.
pub(crate) fn files(folder: &Path, extension: &str) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(|source| at(folder, source))?;
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|own| own == extension))
        .collect();
    found.sort();
    Ok(found)
}

pub(crate) fn read(path: &Path) -> Result<String, Error> {
    fs::read_to_string(path).map_err(|source| at(path, source))
}

pub(crate) fn at(path: &Path, source: io::Error) -> Error {
    Error::File {
        path: path.to_owned(),
        source,
    }
}

fn with_suffix(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_is_built_again_only_when_its_inputs_change() {
        let folder = root().join(format!("self-test-{}", process::id()));
        let out = folder.join("made");
        let log = folder.join("log");
        fs::create_dir_all(&folder).unwrap();
        let build = |input: &str| {
            let mut command = Command::new("sh");
            let script = format!("echo ran >> {}; : > \"$2\"", log.display());
            command.args(["-c", &script, "sh"]);
            once(&out, command, &[input], Path::new("x")).unwrap();
            fs::read_to_string(&log).unwrap().lines().count()
        };
        assert_eq!(build("a"), 1);
        assert_eq!(build("a"), 1);
        assert_eq!(build("b"), 2);
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_refused_program_is_named_with_the_compilers_words() {
        let mut command = Command::new("sh");
        command.args(["-c", "echo no good >&2; exit 1"]);
        let out = root().join("self-test-refused");
        let why = once(&out, command, &[], Path::new("x.c"))
            .unwrap_err()
            .to_string();
        assert!(why.contains("x.c") && why.contains("no good"), "{why}");
    }
}
