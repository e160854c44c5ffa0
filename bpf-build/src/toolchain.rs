//! The two routes to a compiler and a `core` for the BPF target.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::error::Missing;
use crate::{BPF_LINKER_VERSION, TARGET, linker};

/// The compiler of Debian's `rustc-web`.
pub const DEBIAN_RUSTC: &str = "/usr/bin/rustc";
/// The rustup toolchain whose `rust-src` is used.
pub const NIGHTLY: &str = "nightly";

/// How `core` for the BPF target is had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Route {
    /// A compiler that comes with a prebuilt `core` for the target.
    Debian { rustc: PathBuf },
    /// rustup's nightly, which builds `core` from source.
    Rustup,
}

/// A whole toolchain for the BPF target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    pub route: Route,
    /// bpf-linker.
    pub linker: PathBuf,
}

/// Finds a BPF toolchain, the Debian route first: it needs no nightly compiler.
///
/// # Errors
///
/// [`Missing`] names what each route lacks.
pub fn detect() -> Result<Toolchain, Missing> {
    let linker = linker::find();
    let mut missing = Missing::default();
    if debian_core().is_none() {
        missing
            .debian
            .push(format!("{DEBIAN_RUSTC} with core for {TARGET}"));
    }
    if nightly_source().is_none() {
        missing.rustup.push("nightly with rust-src".to_owned());
    }
    if linker.is_none() {
        let part = format!("bpf-linker {BPF_LINKER_VERSION}");
        missing.debian.push(part.clone());
        missing.rustup.push(part);
    }
    let route = if missing.debian.is_empty() {
        Route::Debian {
            rustc: DEBIAN_RUSTC.into(),
        }
    } else {
        Route::Rustup
    };
    match linker {
        Some(linker) if missing.debian.is_empty() || missing.rustup.is_empty() => {
            Ok(Toolchain { route, linker })
        }
        _ => Err(missing),
    }
}

/// Folder of Debian's prebuilt `core` for the BPF target, when it is there.
pub fn debian_core() -> Option<PathBuf> {
    let sysroot = output(Command::new(DEBIAN_RUSTC).args(["--print", "sysroot"]))?;
    let libraries = Path::new(&sysroot)
        .join("lib/rustlib")
        .join(TARGET)
        .join("lib");
    let has_core = std::fs::read_dir(&libraries)
        .ok()?
        .filter_map(Result::ok)
        .any(|entry| entry.file_name().to_string_lossy().starts_with("libcore-"));
    has_core.then_some(libraries)
}

/// The source of `core` in rustup's nightly, when the component `rust-src` is there.
pub fn nightly_source() -> Option<PathBuf> {
    let sysroot = output(
        Command::new("rustup")
            .args(["run", NIGHTLY, "rustc", "--print", "sysroot"])
            .env_remove("RUSTUP_TOOLCHAIN"),
    )?;
    let source = Path::new(&sysroot).join("lib/rustlib/src/rust/library/core");
    source.is_dir().then_some(source)
}

/// One line of a command's output; `None` when it is not there or fails.
fn output(command: &mut Command) -> Option<String> {
    let output = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    (output.status.success() && !text.trim().is_empty()).then(|| text.trim().to_owned())
}
