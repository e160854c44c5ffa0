//! The map-trace binary under test.

use std::env;
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// A user every system has and that owns nothing.
const NOBODY: u32 = 65534;

/// The binary: `MAP_TRACE_BIN`, else built now with the profile the tests have.
pub fn map_trace() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match env::var_os("MAP_TRACE_BIN") {
        Some(path) => path.into(),
        None => build(),
    })
}

fn build() -> PathBuf {
    let cargo = env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let status = Command::new(cargo)
        .args(["build", "--quiet", "-p", "map-trace"])
        .current_dir(&workspace)
        .status()
        .expect("cargo starts");
    assert!(status.success(), "building map-trace: {status}");
    let target =
        env::var_os("CARGO_TARGET_DIR").map_or_else(|| workspace.join("target"), PathBuf::from);
    target
        .join("debug/map-trace")
        .canonicalize()
        .expect("cargo built map-trace")
}

/// Fails the test when it does not run as root.
pub fn require_root() {
    // SAFETY: geteuid has no preconditions.
    let user = unsafe { libc::geteuid() };
    assert_eq!(
        user, 0,
        "this test traces programs and needs root: run cargo xtask test"
    );
}

/// map-trace as a user without any right, from a place that user can read.
pub fn as_nobody() -> Command {
    static COPY: OnceLock<PathBuf> = OnceLock::new();
    let copy = COPY.get_or_init(|| {
        let folder = env::temp_dir().join(format!("map-trace-nobody-{}", std::process::id()));
        let open = || fs::Permissions::from_mode(0o755);
        fs::create_dir_all(&folder).expect("a folder for the copy");
        fs::set_permissions(&folder, open()).expect("a folder others can read");
        let copy = folder.join("map-trace");
        fs::copy(map_trace(), &copy).expect("a copy of map-trace");
        fs::set_permissions(&copy, open()).expect("a copy others can run");
        copy
    });
    let mut command = Command::new(copy);
    // Nobody cannot stand in a folder of root's.
    command.uid(NOBODY).gid(NOBODY).current_dir("/");
    for name in ["SUDO_UID", "SUDO_GID", "SUDO_USER"] {
        command.env_remove(name);
    }
    command
}
