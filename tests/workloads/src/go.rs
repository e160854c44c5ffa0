//! Go toolchains and the Go workloads.

mod flavour;

pub use flavour::Flavour;

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

use map_trace_bpf_build::cache_dir;

use crate::build::{Error, at, files, once, read, root, sources};

/// Versions that set-up installs beside the distribution's: the last with classic maps in wide use,
/// and the newest with Swiss maps.
pub const PINNED_GO: [&str; 2] = ["1.23.9", "1.27.3"];

/// Every version map-trace is verified with, the distribution's 1.19 besides, and classic maps in the versions
/// whose default are Swiss ones. A new Go is a row here.
pub const MATRIX: [&str; 9] = [
    "1.21.13",
    "1.22.10",
    "1.23.9",
    "1.24.11",
    "1.24.11+noswissmap",
    "1.25.5",
    "1.25.5+noswissmap",
    "1.26.6",
    "1.27.3",
];

/// Names Go versions to use besides [`PINNED_GO`]: see [`wanted_go`].
pub const GO_VARIABLE: &str = "MAP_TRACE_GO";

/// A Go toolchain, with an experiment or without.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoToolchain {
    /// `go1.23.9`
    pub version: String,
    /// What `GOEXPERIMENT` is set to.
    pub experiment: Option<String>,
    /// The `go` command.
    pub go: PathBuf,
}

impl GoToolchain {
    /// Major, minor and patch as numbers; 0 where there is none.
    pub fn number(&self) -> [u32; 3] {
        numbers(&self.version)
    }

    /// True from Go 1.24 on, which has Swiss maps unless told otherwise.
    pub fn has_swiss_maps(&self) -> bool {
        self.number() >= [1, 24, 0] && self.experiment.as_deref() != Some("noswissmap")
    }

    /// The version and the experiment: `go1.24.11+noswissmap`.
    pub fn label(&self) -> String {
        let experiment = self.experiment.iter().map(|name| format!("+{name}"));
        std::iter::once(self.version.clone())
            .chain(experiment)
            .collect()
    }
}

/// Whether the symbol table and DWARF are left out (`-ldflags "-s -w"`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    Yes,
    No,
}

/// [`PINNED_GO`] and what `MAP_TRACE_GO` asks for besides, separated by commas: `1.24.11`, `1.24` (the one of
/// [`MATRIX`]), `1.24+noswissmap` (with that experiment), `all` (the whole of [`MATRIX`]).
pub fn wanted_go() -> Vec<String> {
    wanted(&asked_go())
}

/// Asks for versions as `MAP_TRACE_GO` does, in its place; the first to ask is heard.
pub fn ask_for_go(versions: &str) {
    let _first = ASKED.set(versions.to_owned());
}

/// What was asked for, for programs that this one starts.
pub fn asked_go() -> String {
    let from_environment = || env::var(GO_VARIABLE).unwrap_or_default();
    ASKED.get().cloned().unwrap_or_else(from_environment)
}

static ASKED: OnceLock<String> = OnceLock::new();

fn wanted(more: &str) -> Vec<String> {
    let more = more.split(',').map(str::trim);
    let more = more.filter(|version| !version.is_empty());
    let named = more.flat_map(|version| match version {
        "all" => MATRIX.map(str::to_owned).to_vec(),
        version => vec![in_full(version)],
    });
    let mut all: Vec<String> = PINNED_GO
        .map(str::to_owned)
        .into_iter()
        .chain(named)
        .collect();
    all.sort();
    all.dedup();
    all
}

/// `1.24+noswissmap` with its patch number.
fn in_full(asked: &str) -> String {
    let (version, experiment) = split(asked);
    let version = version.trim_start_matches("go");
    let of = |row: &&&str| {
        let rest = row.strip_prefix(version);
        rest.is_some_and(|rest| rest.starts_with('.')) && !row.contains('+')
    };
    let version = MATRIX.iter().find(of).map_or(version, |row| *row);
    match experiment {
        Some(experiment) => format!("{version}+{experiment}"),
        None => version.to_owned(),
    }
}

/// A version and its experiment, which follows a plus sign.
pub fn split(wanted: &str) -> (&str, Option<&str>) {
    wanted
        .split_once('+')
        .map_or((wanted, None), |(version, name)| (version, Some(name)))
}

/// The toolchains that are installed: the distribution's and the wanted ones, the oldest first.
pub fn go_toolchains() -> Vec<GoToolchain> {
    let wanted = wanted_go();
    let pinned = wanted.iter().filter_map(|wanted| {
        let (version, experiment) = split(wanted);
        Some((pinned_go(version)?, experiment.map(str::to_owned)))
    });
    let distribution = ["/usr/bin/go", "/usr/local/go/bin/go"].map(PathBuf::from);
    let mut found: Vec<GoToolchain> = distribution
        .into_iter()
        .map(|go| (go, None))
        .chain(pinned)
        .filter_map(|(go, experiment)| toolchain(go, experiment))
        .collect();
    found.sort_by_key(|toolchain| (toolchain.number(), toolchain.experiment.clone()));
    found.dedup_by(|a, b| a.label() == b.label());
    found
}

/// The `go` command set-up installed for a version.
pub fn pinned_go(version: &str) -> Option<PathBuf> {
    let library = cache_dir()?.join("go").join(version).join("lib");
    // lib/python3.N/site-packages/go is that version's GOROOT.
    fs::read_dir(library)
        .ok()?
        .filter_map(Result::ok)
        .map(|python| python.path().join("site-packages/go/bin/go"))
        .find(|go| go.is_file())
}

/// A line of a program's source that sets a variable of its build: `// build: CGO_ENABLED=1`.
const BUILD_LINE: &str = "// build: ";
/// A line that names the first Go version that can build it: `// since: go1.20`.
const SINCE_LINE: &str = "// since: ";

/// Builds every Go workload that a toolchain can build; returns the folder that holds them.
///
/// # Errors
///
/// The toolchain refused a program.
pub fn build_go(toolchain: &GoToolchain, strip: Strip) -> Result<PathBuf, Error> {
    for program in programs(&sources().join("go"))? {
        let text = read(&program.join("main.go"))?;
        let since = after(&text, SINCE_LINE).next().map(numbers);
        if since.is_none_or(|since| toolchain.number() >= since) {
            build_program(toolchain, strip.into(), &program)?;
        }
    }
    Ok(folder(toolchain, strip.into()))
}

/// Builds one Go workload; returns its path.
///
/// # Errors
///
/// There is no such program, or the toolchain refused it.
pub fn build_go_program(
    toolchain: &GoToolchain,
    flavour: Flavour,
    name: &str,
) -> Result<PathBuf, Error> {
    build_program(toolchain, flavour, &sources().join("go").join(name))
}

/// Builds a Go program that lies in a folder elsewhere, in a module of its own; returns its path.
///
/// # Errors
///
/// There is no such program, or the toolchain refused it.
pub fn build_go_at(
    toolchain: &GoToolchain,
    flavour: Flavour,
    program: &Path,
) -> Result<PathBuf, Error> {
    build_program(toolchain, flavour, program)
}

fn folder(toolchain: &GoToolchain, flavour: Flavour) -> PathBuf {
    root().join(format!("{}{}", toolchain.label(), flavour.suffix()))
}

fn build_program(
    toolchain: &GoToolchain,
    flavour: Flavour,
    program: &Path,
) -> Result<PathBuf, Error> {
    let mut inputs = vec![read(&sources().join("go/go.mod"))?];
    for extension in ["go", "s"] {
        for source in files(program, extension)? {
            inputs.push(read(&source)?);
        }
    }
    let inputs: Vec<_> = inputs.iter().map(String::as_str).collect();
    let mut command = go(&toolchain.go);
    command.current_dir(program).args(["build", "-trimpath"]);
    if let Some(experiment) = &toolchain.experiment {
        command.env("GOEXPERIMENT", experiment);
    }
    flavour.apply(&mut command);
    for setting in inputs.iter().flat_map(|text| after(text, BUILD_LINE)) {
        if let Some((name, value)) = setting.split_once('=') {
            command.env(name, value);
        }
    }
    let out = folder(toolchain, flavour).join(program.file_name().unwrap_or_default());
    once(&out, command, &inputs, program)?;
    Ok(out)
}

/// What follows `start` in each line that begins with it.
fn after<'a>(text: &'a str, start: &'a str) -> impl Iterator<Item = &'a str> {
    text.lines()
        .filter_map(move |line| line.strip_prefix(start))
        .map(str::trim)
}

/// Each folder under `go/` with Go files is a program.
fn programs(folder: &Path) -> Result<Vec<PathBuf>, Error> {
    let entries = fs::read_dir(folder).map_err(|source| at(folder, source))?;
    let mut found: Vec<_> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.is_dir())
        .collect();
    found.sort();
    Ok(found)
}

/// A `go` command that stays with its own version, off the network and out of the user's folders.
fn go(go: &Path) -> Command {
    let mut command = Command::new(go);
    command
        .env("GOTOOLCHAIN", "local")
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off")
        .env("GOENV", "off")
        .env("GOWORK", "off")
        .env("CGO_ENABLED", "0")
        .env("GOCACHE", root().join("go-cache"))
        .env("GOPATH", root().join("go-path"))
        .env_remove("GOROOT")
        .env_remove("GOEXPERIMENT");
    command
}

/// What `go version` says of itself: `go version go1.23.9 linux/amd64`.
fn toolchain(path: PathBuf, experiment: Option<String>) -> Option<GoToolchain> {
    let output = go(&path)
        .arg("version")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text.split_whitespace().nth(2)?.to_owned();
    version.starts_with("go1.").then_some(GoToolchain {
        version,
        experiment,
        go: path,
    })
}

fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    let parts = version.trim_start_matches("go").split('.');
    for (number, part) in numbers.iter_mut().zip(parts) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        *number = digits.parse().unwrap_or(0);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_compared_as_numbers() {
        assert!(numbers("go1.9.10") < numbers("go1.19"));
        assert_eq!(numbers("go1.24rc1"), [1, 24, 0]);
        let swiss = |version: &str, experiment: Option<&str>| {
            GoToolchain {
                version: version.to_owned(),
                experiment: experiment.map(str::to_owned),
                go: PathBuf::new(),
            }
            .has_swiss_maps()
        };
        assert!(!swiss("go1.23.9", None) && swiss("go1.24.11", None));
        assert!(!swiss("go1.24.11", Some("noswissmap")));
    }

    #[test]
    fn versions_may_be_asked_for_by_their_middle_number_and_with_an_experiment() {
        assert_eq!(wanted(""), PINNED_GO);
        assert_eq!(
            wanted("1.21, go1.24+noswissmap,1.25.1"),
            [
                "1.21.13",
                "1.23.9",
                "1.24.11+noswissmap",
                "1.25.1",
                "1.27.3"
            ]
        );
        assert_eq!(wanted("all"), MATRIX);
        assert_eq!(wanted("1.2"), ["1.2", "1.23.9", "1.27.3"]);
    }
}
