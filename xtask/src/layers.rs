//! `cargo xtask layers`: who may import whom, and how long a file may be (docs/architecture.md).

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};

use crate::process::workspace;
use crate::rust_source;

/// A file longer than this is shown; most should be shorter.
const COMFORTABLE_LINES: usize = 400;
/// A file longer than this fails.
const MOST_LINES: usize = 600;

/// The crates whose sources are measured.
const CRATES: [&str; 6] = [
    "bpf-build",
    "map-trace",
    "map-trace-common",
    "map-trace-ebpf",
    "tests",
    "xtask",
];

/// Everything before the live parts, in the order data flows. A module may import those before it.
const FLOW: [&str; 12] = [
    "model", "decode", "space", "binary", "cause", "maps", "trace", "evidence", "claim", "compare",
    "output", "cli",
];

/// What the modules beside the flow may import.
const BESIDE: [(&str, &[&str]); 6] = [
    ("exit_code", &[]),
    ("error", &["exit_code"]),
    ("target", &["model", "error", "exit_code"]),
    (
        "kernel",
        &["model", "error", "exit_code", "decode", "binary", "target"],
    ),
    (
        "session",
        &[
            "model",
            "error",
            "exit_code",
            "decode",
            "space",
            "binary",
            "cause",
            "maps",
            "trace",
            "evidence",
            "claim",
            "compare",
            "kernel",
            "target",
        ],
    ),
    (
        "prove",
        &[
            "model",
            "error",
            "exit_code",
            "binary",
            "maps",
            "trace",
            "evidence",
            "claim",
            "kernel",
            "target",
            "session",
        ],
    ),
];

/// Crates that only some files may name. A name that ends in `/` is a folder.
const CONFINED: [(&str, &[&str]); 5] = [
    ("aya", &["kernel.rs", "kernel/"]),
    ("aya_obj", &["kernel.rs", "kernel/"]),
    ("perf_event", &["kernel.rs", "kernel/"]),
    ("clap", &["cli.rs", "cli/"]),
    (
        "tokio",
        &[
            "session.rs",
            "session/live.rs",
            "session/live/",
            "kernel/ring.rs",
        ],
    ),
];

/// Prints the long files and every broken rule.
///
/// # Errors
///
/// A rule is broken, or a source cannot be read.
pub fn run() -> Result<()> {
    let mut out = io::stdout().lock();
    for (lines, file) in lengths()? {
        if lines > COMFORTABLE_LINES {
            writeln!(out, "{lines:5} lines  {}", file.display())?;
        }
    }
    let broken: Vec<_> = broken_imports()?.into_iter().chain(too_long()?).collect();
    for rule in &broken {
        writeln!(out, "{rule}")?;
    }
    if !broken.is_empty() {
        bail!("{} broken rules", broken.len());
    }
    writeln!(out, "layers: every import points the right way")?;
    Ok(())
}

fn too_long() -> Result<Vec<String>> {
    Ok(lengths()?
        .into_iter()
        .filter(|(lines, _)| *lines > MOST_LINES)
        .map(|(lines, file)| format!("{}: {lines} lines, at most {MOST_LINES}", file.display()))
        .collect())
}

fn broken_imports() -> Result<Vec<String>> {
    let mut broken = Vec::new();
    let root = workspace().join("map-trace/src");
    for (file, source) in sources(&root)? {
        let shown = Path::new("map-trace/src").join(&file);
        for (line, rule) in judge(&file, &source) {
            broken.push(format!("{}:{line}: {rule}", shown.display()));
        }
    }
    for (file, source) in sources(&workspace().join("map-trace-common/src"))? {
        for path in rust_source::paths(&source) {
            if path
                .segments
                .first()
                .is_some_and(|first| first == "std" || first == "alloc")
            {
                broken.push(format!(
                    "map-trace-common/src/{}:{}: only core here",
                    file.display(),
                    path.line
                ));
            }
        }
    }
    Ok(broken)
}

/// The broken rules of one file of map-trace, with their lines.
fn judge(file: &Path, source: &str) -> Vec<(usize, String)> {
    let module = module_path(file);
    let mut broken = Vec::new();
    for path in rust_source::paths(source) {
        let from = module.first().map_or("", String::as_str);
        if let Some(to) = imported(&module, &path)
            && !may_import(from, to)
        {
            broken.push((path.line, format!("`{from}` may not import `{to}`")));
        }
        if let Some(name) = path.segments.first()
            && let Some((name, places)) = CONFINED.iter().find(|(confined, _)| confined == name)
            && !places.iter().any(|place| stands_in(file, place))
        {
            broken.push((path.line, format!("`{name}` only in {}", places.join(", "))));
        }
        if from == "output" && path.inline_depth == 0 && !is_test(file) && does_io(&path.segments) {
            broken.push((
                path.line,
                "`output` returns bytes and does no I/O".to_owned(),
            ));
        }
    }
    broken
}

fn stands_in(file: &Path, place: &str) -> bool {
    if place.ends_with('/') {
        file.starts_with(place)
    } else {
        file == Path::new(place)
    }
}

/// A file of tests only, which may do what its module may not.
fn is_test(file: &Path) -> bool {
    file.components()
        .any(|part| matches!(part.as_os_str().to_str(), Some("tests" | "tests.rs")))
}

fn does_io(segments: &[String]) -> bool {
    let second = segments.get(1).map(String::as_str);
    segments.first().is_some_and(|first| first == "std")
        && matches!(second, Some("fs" | "net" | "process" | "env"))
}

/// `kernel/ring.rs` -> `["kernel", "ring"]`; the crate's root is empty.
fn module_path(file: &Path) -> Vec<String> {
    let mut names: Vec<_> = file
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if names
        .last()
        .is_some_and(|name| matches!(name.as_str(), "lib" | "main" | "mod"))
    {
        names.pop();
    }
    names
}

/// The top-level module of ours that a path names from `module`, when it names one.
fn imported<'a>(module: &[String], path: &'a rust_source::Path) -> Option<&'a str> {
    let first = path.segments.first()?;
    let rest = match first.as_str() {
        "crate" | "map_trace" => &path.segments[1..],
        "super" => {
            let ups = path
                .segments
                .iter()
                .take_while(|segment| *segment == "super")
                .count();
            if ups != module.len() + path.inline_depth {
                return None;
            }
            &path.segments[ups..]
        }
        _ => return None,
    };
    let name = rest.first().map(String::as_str)?;
    is_module(name).then_some(name)
}

fn is_module(name: &str) -> bool {
    FLOW.contains(&name) || BESIDE.iter().any(|(module, _)| *module == name)
}

fn may_import(from: &str, to: &str) -> bool {
    // The crate's root and main.rs name every module; nothing else is outside the table.
    if from.is_empty() || from == to {
        return true;
    }
    if let Some((_, allowed)) = BESIDE.iter().find(|(module, _)| *module == from) {
        return allowed.contains(&to);
    }
    let rank = |name: &str| FLOW.iter().position(|module| *module == name);
    match (rank(from), rank(to)) {
        (Some(from), Some(to)) => to < from,
        // `model` is pure words; the rest of the flow may fail; only `cli` starts live parts.
        (Some(0), None) => false,
        (Some(_), None) => matches!(to, "error" | "exit_code") || from == "cli",
        _ => false,
    }
}

/// Length and path of every Rust file of the workspace, the longest first.
fn lengths() -> Result<Vec<(usize, PathBuf)>> {
    let mut lengths = Vec::new();
    for name in CRATES {
        for (file, source) in sources(&workspace().join(name))? {
            lengths.push((source.lines().count(), Path::new(name).join(file)));
        }
    }
    lengths.sort_by(|a, b| b.cmp(a));
    Ok(lengths)
}

/// Every Rust file under a folder, relative to it, with its text.
fn sources(folder: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(current) = folders.pop() {
        let entries = fs::read_dir(&current).with_context(|| current.display().to_string())?;
        for entry in entries {
            let path = entry?.path();
            if path.is_dir() && path.file_name().is_some_and(|name| name != "target") {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
                found.push((path.strip_prefix(folder)?.to_owned(), text));
            }
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(file: &str, source: &str) -> Vec<String> {
        judge(Path::new(file), source)
            .into_iter()
            .map(|(_, rule)| rule)
            .collect()
    }

    #[test]
    fn every_import_of_the_workspace_points_the_right_way() {
        assert_eq!(broken_imports().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn no_source_file_is_too_long_to_read() {
        assert_eq!(too_long().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn every_top_level_module_is_in_the_table() {
        let lib = fs::read_to_string(workspace().join("map-trace/src/lib.rs")).unwrap();
        let modules: Vec<_> = lib
            .lines()
            .filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';'))
            .collect();
        assert!(modules.contains(&"kernel"), "{modules:?}");
        for module in modules {
            assert!(is_module(module), "`{module}` has no row in FLOW or BESIDE");
        }
    }

    #[test]
    fn an_import_against_the_flow_is_found_however_it_is_written() {
        let rule = ["`decode` may not import `trace`"];
        assert_eq!(rules("decode.rs", "use crate::trace::Writer;"), rule);
        assert_eq!(rules("decode/x.rs", "use crate::{model, trace};"), rule);
        assert_eq!(
            rules("decode/x.rs", "fn f() { super::super::trace::g() }"),
            rule
        );
        assert_eq!(
            rules("decode.rs", "mod tests { use super::super::trace; }"),
            rule
        );
        assert_eq!(
            rules("decode/x.rs", "use super::trace;"),
            Vec::<String>::new()
        );
        assert_eq!(
            rules("trace.rs", "use crate::decode;"),
            Vec::<String>::new()
        );
    }

    #[test]
    fn privileged_and_command_line_crates_stay_in_their_rooms() {
        assert_eq!(
            rules("space.rs", "use aya::Ebpf;"),
            ["`aya` only in kernel.rs, kernel/"]
        );
        assert_eq!(
            rules("session.rs", "use clap::Args;"),
            ["`clap` only in cli.rs, cli/"]
        );
        assert_eq!(rules("kernel/object.rs", "tokio::spawn(f)").len(), 1);
        assert_eq!(
            rules("kernel/object.rs", "use aya::Ebpf;"),
            Vec::<String>::new()
        );
        assert_eq!(rules("session.rs", "tokio::spawn(f)"), Vec::<String>::new());
    }

    #[test]
    fn nothing_but_main_imports_the_command_line() {
        for module in FLOW.iter().filter(|name| **name != "cli") {
            assert!(!may_import(module, "cli"), "{module}");
        }
        assert!(!may_import("session", "cli") && !may_import("kernel", "cli"));
        assert_eq!(
            rules("main.rs", "map_trace::cli::main()"),
            Vec::<String>::new()
        );
    }
}
