//! A Go program built with several versions of Go, as the user it will run as.

use std::ffi::{OsStr, OsString};
use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::{Error, Result};
use crate::target::identity::{self, Identity, Sudo, UserChoice};
use crate::target::toolchains;

/// Most of a compiler's words shown, characters.
const MAX_WORDS: usize = 2000;

/// Programs by the version that built them, in a folder that goes away again.
pub struct Builds {
    source: PathBuf,
    user: UserChoice,
    folder: Option<PathBuf>,
    programs: Vec<(String, PathBuf)>,
}

/// A `go` command and the version it has.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Toolchain {
    go: PathBuf,
    /// `1.23.9`
    version: String,
}

impl Builds {
    /// `source`: a folder with a Go program, or one of its files.
    pub fn new(source: &OsStr, user: &UserChoice) -> Self {
        Self {
            source: source.into(),
            user: user.clone(),
            folder: None,
            programs: Vec::new(),
        }
    }

    /// What a version built.
    pub fn program(&self, version: &str) -> Option<&Path> {
        let mut programs = self.programs.iter();
        let (_, path) = programs.find(|(built, _)| built == version)?;
        Some(path)
    }

    /// Builds the program with a version, once; calls `tell` before it does.
    pub fn build(&mut self, version: &str, tell: impl FnOnce()) -> Result<()> {
        if self.program(version).is_some() {
            return Ok(());
        }
        let source = self.source.clone();
        let (folder, package) = package(&source)?;
        let identity = identity::resolve(&self.user, &Sudo::from_environment())?;
        let toolchain = find(version, &identity)?;
        let out = self.folder(&identity)?.join(format!("go{version}"));
        tell();
        let mut command = as_user(&toolchain.go, &identity);
        command
            .current_dir(folder)
            .args(["build", "-o"])
            .arg(&out)
            .arg(package);
        if std::env::var_os("GOCACHE").is_none() && !has_home(&identity) {
            command.env("GOCACHE", self.folder(&identity)?.join("cache"));
        }
        let what = || {
            format!(
                "cannot build {} with go{}",
                source.display(),
                toolchain.version
            )
        };
        let output = command.output().map_err(|why| Error::failed(what(), why))?;
        if !output.status.success() {
            let words = String::from_utf8_lossy(&output.stderr);
            let words: String = words.trim().chars().take(MAX_WORDS).collect();
            return Err(Error::failed(what(), words));
        }
        self.programs.push((version.to_owned(), out));
        Ok(())
    }

    /// The folder for what is built, the user's to write in.
    fn folder(&mut self, identity: &Identity) -> Result<PathBuf> {
        if let Some(folder) = &self.folder {
            return Ok(folder.clone());
        }
        let name = format!("map-trace-compare-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        let what = || format!("cannot make {}", folder.display());
        let failed = |why| Error::failed(what(), why);
        // Fails when it is there already: nobody else's folder is built in.
        fs::create_dir(&folder).map_err(failed)?;
        self.folder = Some(folder.clone());
        fs::set_permissions(&folder, fs::Permissions::from_mode(0o755)).map_err(failed)?;
        if identity.drop {
            chown(&folder, Some(identity.uid), Some(identity.gid)).map_err(failed)?;
        }
        Ok(folder)
    }
}

impl Drop for Builds {
    fn drop(&mut self) {
        if let Some(folder) = &self.folder {
            // What cannot be removed lies in the folder for temporary files, whose owner clears it.
            let _left = fs::remove_dir_all(folder);
        }
    }
}

/// The folder to build in and what to build there.
fn package(source: &Path) -> Result<(&Path, &OsStr)> {
    let file = source
        .extension()
        .is_some_and(|extension| extension == "go")
        && source.is_file();
    if source.is_dir() {
        return Ok((source, OsStr::new(".")));
    }
    let parent = source
        .parent()
        .filter(|parent| !parent.as_os_str().is_empty());
    match source.file_name() {
        Some(name) if file => Ok((parent.unwrap_or(Path::new(".")), name)),
        _ => {
            let why = "with --vary go= the program is a folder of Go sources or a .go file";
            Err(Error::usage(source.display().to_string(), why))
        }
    }
}

/// The newest toolchain of a version: `1.23` is any 1.23, `go1.23.9` that one.
fn find(version: &str, identity: &Identity) -> Result<Toolchain> {
    let wanted = version.strip_prefix("go").unwrap_or(version);
    let mut found: Vec<_> = places(identity)
        .into_iter()
        .filter_map(|go| ask(go, identity))
        .collect();
    found.sort_by_key(|toolchain| numbers(&toolchain.version));
    let fits = |toolchain: &&Toolchain| is_of(&toolchain.version, wanted);
    if let Some(toolchain) = found.iter().rfind(fits) {
        return Ok(toolchain.clone());
    }
    let known: Vec<_> = found
        .iter()
        .map(|toolchain| toolchain.version.as_str())
        .collect();
    let why = match known[..] {
        [] => "no Go toolchain was found".to_owned(),
        _ => format!("there is {}", known.join(", ")),
    };
    let what = format!("no Go {wanted} to build with");
    Err(Error::usage(what, why).fix(format!(
        "install it in PATH, /usr/local/go, ~/sdk/go{wanted} or ~/.cache/map-trace/go/{wanted}"
    )))
}

fn is_of(version: &str, wanted: &str) -> bool {
    let rest = version.strip_prefix(wanted);
    rest.is_some_and(|rest| !rest.starts_with(|c: char| c.is_ascii_digit()))
}

/// Where toolchains are looked for.
fn places(identity: &Identity) -> Vec<PathBuf> {
    let own = identity.environment.iter().find(|(name, _)| name == "HOME");
    let homes = [own.map(|(_, home)| home.clone()), std::env::var_os("HOME")];
    let homes: Vec<PathBuf> = homes.into_iter().flatten().map(PathBuf::from).collect();
    let caches = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let caches = caches
        .into_iter()
        .chain(homes.iter().map(|home| home.join(".cache")));
    let caches: Vec<PathBuf> = caches.map(|cache| cache.join("map-trace")).collect();
    toolchains::go_commands(&homes, &caches)
}

/// `go version go1.23.9 linux/amd64`
fn ask(go: PathBuf, identity: &Identity) -> Option<Toolchain> {
    let output = as_user(&go, identity).arg("version").output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let version = text
        .split_whitespace()
        .nth(2)?
        .strip_prefix("go")?
        .to_owned();
    Some(Toolchain { go, version })
}

/// A `go` command that stays with its own version.
fn as_user(go: &Path, identity: &Identity) -> Command {
    let mut command = Command::new(go);
    command
        .env("GOTOOLCHAIN", "local")
        .env_remove("GOROOT")
        .stdin(Stdio::null());
    if identity.drop {
        command.uid(identity.uid).gid(identity.gid);
        let variables: &[(OsString, OsString)] = &identity.environment;
        command.envs(variables.iter().cloned());
    }
    command
}

fn has_home(identity: &Identity) -> bool {
    identity.environment.iter().any(|(name, _)| name == "HOME")
        || ["HOME", "XDG_CACHE_HOME"]
            .iter()
            .any(|name| std::env::var_os(name).is_some())
}

fn numbers(version: &str) -> [u32; 3] {
    let mut numbers = [0; 3];
    for (number, part) in numbers.iter_mut().zip(version.split('.')) {
        let digits: String = part.chars().take_while(char::is_ascii_digit).collect();
        *number = digits.parse().unwrap_or(0);
    }
    numbers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_names_itself_or_the_releases_under_it() {
        for (version, wanted, fits) in [
            ("1.23.9", "1.23.9", true),
            ("1.23.9", "1.23", true),
            ("1.23.10", "1.23.1", false),
            ("1.24rc1", "1.24", true),
            ("1.2", "1.23", false),
        ] {
            assert_eq!(is_of(version, wanted), fits, "{version} {wanted}");
        }
        assert!(numbers("1.23.10") > numbers("1.23.9"));
    }

    #[test]
    fn what_is_built_is_a_folder_or_a_file_of_go() {
        let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
        let sources = manifest.join("tests/fixtures/go-maps");
        assert_eq!(
            package(&sources).unwrap(),
            (sources.as_path(), OsStr::new("."))
        );
        let main = sources.join("main.go");
        assert_eq!(
            package(&main).unwrap(),
            (sources.as_path(), OsStr::new("main.go"))
        );
        let error = package(&manifest.join("Cargo.toml")).unwrap_err();
        assert!(
            error.to_string().contains("a folder of Go sources"),
            "{error}"
        );
    }
}
