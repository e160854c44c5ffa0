//! Builds real binaries for tests, from small sources, with the toolchains of this machine.

#![expect(dead_code, reason = "each test file uses a part of this")]
#![expect(
    clippy::expect_used,
    clippy::panic,
    reason = "what a test needs fails the test"
)]

use std::env;
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The Go versions that tests use: classic maps without and with Go 1.21's inline trees, Swiss maps.
pub const GO_VERSIONS: [&str; 3] = ["1.19.8", "1.23.9", "1.27.3"];

/// A way to build a Go program.
#[derive(Clone, Copy, Debug, Hash)]
pub struct GoBuild {
    pub name: &'static str,
    pub flags: &'static [&'static str],
    pub cgo: bool,
}

pub const PLAIN: GoBuild = GoBuild {
    name: "plain",
    flags: &[],
    cgo: false,
};
pub const STRIPPED: GoBuild = GoBuild {
    name: "stripped",
    flags: &["-ldflags=-s -w"],
    cgo: false,
};
pub const PIE: GoBuild = GoBuild {
    name: "pie",
    flags: &["-buildmode=pie"],
    cgo: false,
};
pub const PIE_STRIPPED: GoBuild = GoBuild {
    name: "pie-stripped",
    flags: &["-buildmode=pie", "-ldflags=-s -w"],
    cgo: false,
};
pub const CGO: GoBuild = GoBuild {
    name: "cgo",
    flags: &["-tags=withc"],
    cgo: true,
};
/// The external linker merges the function table into `.data.rel.ro` and leaves its pointers to
/// relocations (before Go 1.26).
pub const CGO_PIE_STRIPPED: GoBuild = GoBuild {
    name: "cgo-pie-stripped",
    flags: &["-tags=withc", "-buildmode=pie", "-ldflags=-s -w"],
    cgo: true,
};
pub const GO_BUILDS: [GoBuild; 6] = [PLAIN, STRIPPED, PIE, PIE_STRIPPED, CGO, CGO_PIE_STRIPPED];

/// Directory of sources.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// The go command of a version: `MAP_TRACE_GO_1_23_9`, the cache `cargo xtask setup` fills, PATH.
pub fn go(version: &str) -> PathBuf {
    let variable = format!("MAP_TRACE_GO_{}", version.replace('.', "_"));
    if let Some(path) = env::var_os(&variable) {
        return path.into();
    }
    let cache = env::var_os("XDG_CACHE_HOME").map_or_else(
        || PathBuf::from(env::var_os("HOME").expect("HOME is set")).join(".cache"),
        PathBuf::from,
    );
    let cached = cache.join("map-trace/go").join(version).join("bin/go");
    if cached.exists() {
        return cached;
    }
    let words = Command::new("go").arg("version").output();
    let found = words.is_ok_and(|out| {
        String::from_utf8_lossy(&out.stdout).split(' ').nth(2) == Some(&format!("go{version}"))
    });
    assert!(
        found,
        "Go {version} is not installed: run `cargo xtask setup` (or set {variable})"
    );
    "go".into()
}

/// Builds the Go program of a fixture directory once.
pub fn build_go(version: &str, fixture_name: &str, build: &GoBuild) -> PathBuf {
    let source = fixture(fixture_name);
    let key = (version, build, contents(&source));
    once(
        &format!("{fixture_name}-{version}-{}", build.name),
        &key,
        |out| {
            let mut command = Command::new(go(version));
            command
                .arg("build")
                .args(build.flags)
                .arg("-o")
                .arg(out)
                .arg(".")
                .current_dir(&source)
                .env("CGO_ENABLED", if build.cgo { "1" } else { "0" })
                .env("GOTOOLCHAIN", "local")
                .env("GOFLAGS", "-mod=mod")
                .env("GOPROXY", "off");
            command
        },
    )
}

/// Builds a C, C++ or Rust source file once, by its extension.
pub fn build_native(file: &str, flags: &[&str]) -> PathBuf {
    let source = fixture(file);
    let key = (file, flags, fs::read(&source).expect("fixture"));
    once(&file.replace(['.', '/'], "-"), &key, |out| {
        let compiler = match source.extension().and_then(|e| e.to_str()) {
            Some("c" | "S") => "gcc",
            Some("cpp") => "g++",
            Some("rs") => "rustc",
            other => panic!("no compiler for {other:?}"),
        };
        let mut command = Command::new(compiler);
        command.args(flags).arg("-o").arg(out).arg(&source);
        command
    })
}

/// Runs the build unless its output, named after everything that goes into it, is there already.
fn once(name: &str, key: &impl Hash, command: impl FnOnce(&Path) -> Command) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    key.hash(&mut hasher);
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("binaries");
    fs::create_dir_all(&directory).expect("temporary directory");
    let path = directory.join(format!("{name}-{:016x}", hasher.finish()));
    if !path.exists() {
        // Tests run side by side: each builds under a name of its own, the last rename wins.
        let unique = tempfile::tempdir_in(&directory).expect("temporary directory");
        let partial = unique.path().join("program");
        let mut command = command(&partial);
        let out = command.output().unwrap_or_else(|error| {
            panic!("{command:?}: {error}; run `cargo xtask setup`");
        });
        assert!(
            out.status.success(),
            "{command:?}: {}",
            String::from_utf8_lossy(&out.stderr)
        );
        fs::rename(&partial, &path).expect("rename");
    }
    path
}

fn contents(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory)
        .expect("fixture directory")
        .map(|entry| entry.expect("entry").path())
        .map(|path| (path.clone(), fs::read(&path).expect("fixture")))
        .collect();
    files.sort();
    files
}

/// Runs a program and gives its standard output.
pub fn output(command: &mut Command) -> String {
    let out = command.output().expect("program runs");
    assert!(
        out.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&out.stderr)
    );
    String::from_utf8(out.stdout).expect("UTF-8")
}
