//! What can stand in the way of the BPF object.

use std::fmt;
use std::io;
use std::path::PathBuf;

/// What each route to a BPF toolchain lacks. Shown on one line, with the command that installs it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Missing {
    /// Parts of the Debian route that are not there.
    pub debian: Vec<String>,
    /// Parts of the rustup route that are not there.
    pub rustup: Vec<String>,
    /// The linker both need, when it is not there.
    pub linker: Option<String>,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut lacks = Vec::new();
        if !self.rustup.is_empty() {
            lacks.push(format!(
                "neither {} nor {}",
                self.debian.join(", "),
                self.rustup.join(", ")
            ));
        }
        lacks.extend(self.linker.iter().map(|linker| format!("no {linker}")));
        write!(
            f,
            "no toolchain for the BPF target ({}); install one with: cargo xtask setup",
            lacks.join(", ")
        )
    }
}

impl std::error::Error for Missing {}

/// Why no BPF object was made.
#[derive(Debug)]
pub enum Error {
    /// No route is whole.
    Missing(Missing),
    /// A command could not be started.
    Spawn { command: String, source: io::Error },
    /// The compiler or the linker failed; what it said is on stderr.
    Failed { command: String, status: String },
    /// The build went through and the object is not where it belongs.
    NoObject(PathBuf),
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Missing(missing) => missing.fmt(f),
            Self::Spawn { command, source } => {
                write!(
                    f,
                    "cannot start {command}: {source}; repair it with: cargo xtask setup"
                )
            }
            Self::Failed { command, status } => {
                write!(f, "building the BPF object failed: {command}: {status}")
            }
            Self::NoObject(path) => write!(f, "the BPF build left no object at {}", path.display()),
        }
    }
}

impl std::error::Error for Error {}

impl From<Missing> for Error {
    fn from(missing: Missing) -> Self {
        Self::Missing(missing)
    }
}
