//! Compilers: where they are, and commands that run them away from the user's own settings.

use std::collections::BTreeMap;
use std::env;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use super::workspace::Workspace;
use crate::claim::catalogue::GoVersion;
use crate::error::{Error, Result};
use crate::target::toolchains;

/// Toolchains used, at most.
const MAX_TOOLCHAINS: usize = 16;

/// A Go toolchain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GoToolchain {
    pub version: GoVersion,
    /// The go command.
    pub go: PathBuf,
}

/// The toolchains to use, the oldest first, and what to say about others.
///
/// # Errors
/// One that was asked for is not there.
pub fn find(wanted: &[String]) -> Result<(Vec<GoToolchain>, Vec<String>)> {
    let mut found: BTreeMap<GoVersion, PathBuf> = BTreeMap::new();
    let caches: Vec<PathBuf> = cache_dir().into_iter().collect();
    for go in toolchains::go_commands(&homes(), &caches) {
        if let Some(toolchain) = ask(&go) {
            found.entry(toolchain.version).or_insert(toolchain.go);
        }
    }
    let mut notes = Vec::new();
    let chosen: BTreeMap<GoVersion, PathBuf> = if wanted.is_empty() {
        found
    } else {
        let mut chosen = BTreeMap::new();
        for text in wanted {
            let toolchain = choose(text, &found)?;
            chosen.insert(toolchain.version, toolchain.go);
        }
        chosen
    };
    if chosen.len() > MAX_TOOLCHAINS {
        notes.push(format!(
            "only {MAX_TOOLCHAINS} of {} Go toolchains are used",
            chosen.len()
        ));
    }
    let toolchains = chosen
        .into_iter()
        .take(MAX_TOOLCHAINS)
        .map(|(version, go)| GoToolchain { version, go });
    Ok((toolchains.collect(), notes))
}

/// A version (`1.23` is any 1.23.x), a go command, or a GOROOT.
fn choose(text: &str, found: &BTreeMap<GoVersion, PathBuf>) -> Result<GoToolchain> {
    let path = Path::new(text);
    if path.is_dir() || path.is_file() {
        let go = match path.is_dir() {
            true => path.join("bin/go"),
            false => path.to_owned(),
        };
        // It is started in other folders.
        let absolute = std::path::absolute(&go).unwrap_or(go);
        return ask(&absolute).ok_or_else(|| {
            Error::usage(format!("--go {text}"), "it is no go command and no GOROOT")
        });
    }
    let plain = text.strip_prefix("go").unwrap_or(text);
    let fits = |version: &GoVersion| {
        let name = version.to_string();
        name == plain
            || name
                .strip_prefix(plain)
                .is_some_and(|rest| rest.starts_with('.'))
    };
    let newest = found.iter().rev().find(|(version, _)| fits(version));
    newest
        .map(|(version, go)| GoToolchain {
            version: *version,
            go: go.clone(),
        })
        .ok_or_else(|| {
            let known: Vec<String> = found.keys().map(ToString::to_string).collect();
            let why = match known.is_empty() {
                true => "no Go was found".to_owned(),
                false => format!("found are {}", known.join(", ")),
            };
            Error::usage(format!("--go {text}"), why)
                .fix("install it from https://go.dev/dl/ and give the path of its go command")
        })
}

/// A program of PATH.
pub fn in_path(name: &str) -> Option<PathBuf> {
    let path = env::var_os("PATH")?;
    let mut folders: Vec<PathBuf> = env::split_paths(&path).collect();
    folders.extend(homes().into_iter().map(|home| home.join(".cargo/bin")));
    folders
        .into_iter()
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|file| file.is_file())
}

/// The home of whoever called sudo(8), then of the caller.
fn homes() -> Vec<PathBuf> {
    let caller = env::var("SUDO_USER").ok().filter(|name| name != "root");
    let of_caller = caller.and_then(|name| {
        let passwd = fs::read_to_string("/etc/passwd").ok()?;
        let line = passwd
            .lines()
            .find(|line| line.split(':').next() == Some(&name))?;
        line.split(':').nth(5).map(PathBuf::from)
    });
    let own = env::var_os("HOME").map(PathBuf::from);
    of_caller.into_iter().chain(own).collect()
}

/// `~/.cache/map-trace` of whoever called sudo, else of the caller.
pub fn cache_dir() -> Option<PathBuf> {
    let absolute = |path: &PathBuf| path.is_absolute();
    let xdg = || {
        env::var_os("XDG_CACHE_HOME")
            .map(PathBuf::from)
            .filter(absolute)
    };
    let base = match env::var("SUDO_USER") {
        Ok(name) if name != "root" => None,
        _ => xdg(),
    };
    let base = base.or_else(|| homes().first().map(|home| home.join(".cache")))?;
    Some(base.join("map-trace"))
}

/// What `go version` says of itself: `go version go1.23.9 linux/amd64`.
fn ask(go: &Path) -> Option<GoToolchain> {
    let output = Command::new(go)
        .arg("version")
        .env("GOTOOLCHAIN", "local")
        .env("GOENV", "off")
        .env_remove("GOROOT")
        .stdin(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let word = text.split_whitespace().nth(2)?;
    Some(GoToolchain {
        version: GoVersion::parse(word.strip_prefix("go")?)?,
        go: go.to_owned(),
    })
}

impl GoToolchain {
    /// A go command that stays with its own version, off the network and out of the user's folders.
    pub fn command(&self, workspace: &Workspace) -> Command {
        let mut command = Command::new(&self.go);
        command
            .env("GOTOOLCHAIN", "local")
            .env("GOFLAGS", "-mod=mod")
            .env("GOPROXY", "off")
            .env("GOENV", "off")
            .env("GOWORK", "off")
            .env("CGO_ENABLED", "0")
            .env("GOCACHE", workspace.cache().join("go-cache"))
            .env("GOPATH", workspace.cache().join("go-path"))
            .stdin(Stdio::null());
        for name in [
            "GOROOT",
            "GOEXPERIMENT",
            "GOAMD64",
            "GODEBUG",
            "GOARCH",
            "GOOS",
        ] {
            command.env_remove(name);
        }
        command
    }
}

/// A compiler of PATH, with what to do when it is not there.
pub fn compiler(name: &str, how: &str) -> Result<Command, String> {
    match in_path(name) {
        Some(path) => {
            let mut command = Command::new(path);
            command.stdin(Stdio::null());
            Ok(command)
        }
        None => Err(format!("there is no {name}; {how}")),
    }
}

/// What a failed compiler said, the last lines of it, without the folder that only this proof has.
pub fn words(program: &OsStr, stderr: &[u8], workspace: &Workspace) -> String {
    const KEPT: usize = 600;
    let folder = format!("{}/", workspace.scratch().display());
    let text = String::from_utf8_lossy(stderr)
        .replace(&folder, "")
        .replace('\n', " ");
    let text = crate::binary::name::clean(&text);
    let text = text.trim();
    let from = text.char_indices().rev().nth(KEPT).map_or(0, |(at, _)| at);
    let name = Path::new(program).file_name().unwrap_or(program);
    format!("{}: {}", name.to_string_lossy(), &text[from..])
}
