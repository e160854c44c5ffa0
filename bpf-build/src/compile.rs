//! Running a second cargo on `map-trace-ebpf`.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::TARGET;
use crate::error::Error;
use crate::toolchain::{NIGHTLY, Route, Toolchain, detect};

/// Variables the outer cargo, clippy or the user set for the host build. They would make the inner
/// build use the wrong compiler, flags or target directory.
const SCRUBBED_PREFIXES: [&str; 4] = ["RUSTC", "RUSTFLAGS", "RUSTDOC", "CARGO_"];
/// Of those, the ones the inner build needs: where cargo keeps things, how it reaches a registry, and
/// the job server it shares with the outer build.
const KEPT_PREFIXES: [&str; 7] = [
    "CARGO_HOME",
    "CARGO_HTTP_",
    "CARGO_NET_",
    "CARGO_REGISTRIES_",
    "CARGO_REGISTRY_",
    "CARGO_TERM_",
    "CARGO_MAKEFLAGS",
];

/// Builds the BPF object; all intermediate files go under `out_dir`. Returns the object's path.
///
/// # Errors
///
/// [`Error::Missing`] when there is no toolchain; otherwise what went wrong, the compiler's own words
/// being on stderr already.
pub fn build(out_dir: &Path) -> Result<PathBuf, Error> {
    let toolchain = detect()?;
    // Not the workspace's target directory: the outer cargo holds its lock while we run.
    let target_dir = out_dir.join("bpf");
    let mut command = command(&toolchain, &target_dir);
    let shown = format!("{command:?}");
    let status = command.status().map_err(|source| Error::Spawn {
        command: shown.clone(),
        source,
    })?;
    if !status.success() {
        return Err(Error::Failed {
            command: shown,
            status: status.to_string(),
        });
    }
    let object = target_dir
        .join(TARGET)
        .join("release")
        .join("map-trace-ebpf");
    if object.is_file() {
        Ok(object)
    } else {
        Err(Error::NoObject(object))
    }
}

/// Files and folders the object is made from.
pub fn inputs() -> Vec<PathBuf> {
    let workspace = workspace();
    [
        "map-trace-ebpf/src",
        "map-trace-ebpf/Cargo.toml",
        "map-trace-ebpf/Cargo.lock",
        "map-trace-common/src",
        "map-trace-common/Cargo.toml",
    ]
    .iter()
    .map(|path| workspace.join(path))
    .collect()
}

fn workspace() -> &'static Path {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here)
}

fn command(toolchain: &Toolchain, target_dir: &Path) -> Command {
    let mut command = match &toolchain.route {
        Route::Debian { rustc } => {
            let mut command = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            scrub(&mut command);
            // Debian's compiler is a stable one; aya-ebpf needs the unstable features of BPF's core.
            command
                .env("RUSTC", rustc)
                .env("RUSTC_BOOTSTRAP", "1")
                .arg("build");
            command
        }
        Route::Rustup => {
            let mut command = Command::new("rustup");
            scrub(&mut command);
            command.env_remove("RUSTUP_TOOLCHAIN").args([
                "run",
                NIGHTLY,
                "cargo",
                "build",
                "-Z",
                "build-std=core",
            ]);
            command
        }
    };
    command
        .args(["--locked", "--release", "--target", TARGET, "--target-dir"])
        .arg(target_dir)
        .env("CARGO_ENCODED_RUSTFLAGS", rustflags(&toolchain.linker))
        .current_dir(workspace().join("map-trace-ebpf"))
        .stdin(Stdio::null())
        // A build script's stdout is read by cargo as instructions.
        .stdout(Stdio::null());
    command
}

/// Flags of the BPF build, separated as cargo wants them so that paths may hold spaces.
fn rustflags(linker: &Path) -> OsString {
    let mut link = OsString::from("-Clinker=");
    link.push(linker);
    [
        link,
        // BTF in the object: without it tp_btf programs do not load.
        "-Clink-arg=--btf".into(),
        // Selects the register names of the machine being traced.
        "--cfg=bpf_target_arch=\"x86_64\"".into(),
    ]
    .join(OsStr::new("\x1f"))
}

fn scrub(command: &mut Command) {
    for (name, _) in env::vars_os() {
        if is_scrubbed(&name.to_string_lossy()) {
            command.env_remove(name);
        }
    }
}

fn is_scrubbed(name: &str) -> bool {
    let starts = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
    starts(&SCRUBBED_PREFIXES) && !starts(&KEPT_PREFIXES)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_outer_builds_compiler_flags_and_target_directory_are_not_inherited() {
        for name in [
            "RUSTC",
            "RUSTC_WRAPPER",
            "RUSTC_WORKSPACE_WRAPPER",
            "RUSTFLAGS",
            "CARGO_ENCODED_RUSTFLAGS",
            "CARGO_TARGET_DIR",
            "CARGO_BUILD_TARGET",
            "CARGO_PROFILE_RELEASE_DEBUG",
        ] {
            assert!(is_scrubbed(name), "{name}");
        }
        for name in [
            "CARGO_HOME",
            "CARGO_REGISTRIES_X_INDEX",
            "CARGO_MAKEFLAGS",
            "PATH",
            "HOME",
        ] {
            assert!(!is_scrubbed(name), "{name}");
        }
    }

    #[test]
    fn a_linker_path_with_a_space_stays_one_flag() {
        let flags = rustflags(Path::new("/a b/bpf-linker"));
        let text = flags.to_string_lossy();
        assert_eq!(text.split('\x1f').next(), Some("-Clinker=/a b/bpf-linker"));
    }

    #[test]
    fn every_input_of_the_object_exists() {
        for path in inputs() {
            assert!(path.exists(), "{}", path.display());
        }
    }
}
