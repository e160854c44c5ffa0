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
    let mut route = None;
    if debian_core().is_some() {
        route = Some(Route::Debian {
            rustc: DEBIAN_RUSTC.into(),
        });
    } else {
        missing
            .debian
            .push(format!("{DEBIAN_RUSTC} with core for {TARGET}"));
        if nightly_source().is_some() {
            route = Some(Route::Rustup);
        } else {
            missing.rustup.push("nightly with rust-src".to_owned());
        }
    }
    if let (Some(route), Some(linker)) = (route, &linker) {
        let linker = linker.clone();
        return Ok(Toolchain { route, linker });
    }
    if linker.is_none() {
        missing.linker = Some(format!("bpf-linker {BPF_LINKER_VERSION}"));
    }
    Err(missing)
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
            .env_remove("RUSTUP_TOOLCHAIN")
            // Asking must not install.
            .env("RUSTUP_AUTO_INSTALL", "0"),
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
