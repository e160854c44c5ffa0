//! The ways a Go program is built in.

use std::process::Command;

use super::Strip;

/// How a Go program is built and linked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Flavour {
    Plain,
    /// Without symbol table and DWARF (`-ldflags "-s -w"`).
    Stripped,
    /// At no fixed address (`-buildmode=pie`).
    Pie,
    /// By the C linker (`-linkmode=external`), as programs with C code are.
    External,
    /// With no optimisation, as for a debugger (`-gcflags "all=-N -l"`).
    Unoptimised,
    /// With the race detector, which is C code in Go's own text (`-race`).
    Race,
    /// For processors with AVX2 (`GOAMD64=v3`).
    V3,
    /// To be loaded by a Go program (`-buildmode=plugin`).
    Plugin,
    /// To be loaded by a C program (`-buildmode=c-shared`).
    Library,
}

impl From<Strip> for Flavour {
    fn from(strip: Strip) -> Self {
        match strip {
            Strip::Yes => Self::Stripped,
            Strip::No => Self::Plain,
        }
    }
}

impl Flavour {
    /// What follows the version in the folder's name.
    pub(super) const fn suffix(self) -> &'static str {
        match self {
            Self::Plain => "",
            Self::Stripped => "-stripped",
            Self::Pie => "-pie",
            Self::External => "-external",
            Self::Unoptimised => "-unoptimised",
            Self::Race => "-race",
            Self::V3 => "-v3",
            Self::Plugin => "-plugin",
            Self::Library => "-library",
        }
    }

    /// Has a build made this way.
    pub(super) fn apply(self, command: &mut Command) {
        match self {
            Self::Plain => {}
            Self::Stripped => {
                command.args(["-ldflags", "-s -w"]);
            }
            Self::Pie => {
                command.arg("-buildmode=pie");
            }
            Self::External => {
                command
                    .args(["-ldflags", "-linkmode=external"])
                    .env("CGO_ENABLED", "1");
            }
            Self::Unoptimised => {
                command.args(["-gcflags", "all=-N -l"]);
            }
            Self::Race => {
                command.arg("-race").env("CGO_ENABLED", "1");
            }
            Self::V3 => {
                command.env("GOAMD64", "v3");
            }
            Self::Plugin => {
                command.arg("-buildmode=plugin").env("CGO_ENABLED", "1");
            }
            Self::Library => {
                command.arg("-buildmode=c-shared").env("CGO_ENABLED", "1");
            }
        }
    }
}
