//! Programs that are not what they were: of an unknown Go, damaged, replaced or deleted while they run, in other
//! namespaces, loaded into others. What is told of them is right, or it is said that nothing is.
#![expect(
    clippy::expect_used,
    reason = "helpers of tests: a failure here is a failed test"
)]

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};

use map_trace::model::summary::CountKind;
use map_trace_tests::{
    Flavour, GoToolchain, Live, Session, Strip, Traced, asked_go, c, gated, go, go_toolchains,
    require_root,
};

fn oldest() -> GoToolchain {
    go_toolchains().swap_remove(0)
}

fn newest() -> GoToolchain {
    go_toolchains().pop().expect("a toolchain")
}

/// A program with other bytes, ready to run.
fn changed(folder: &Path, program: &Path, change: impl FnOnce(&mut Vec<u8>)) -> PathBuf {
    let mut bytes = fs::read(program).expect("the program");
    change(&mut bytes);
    let path = folder.join("changed");
    fs::write(&path, bytes).expect("room for a copy");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("a mode");
    path
}

/// Makes the program say that it is of a Go that never was.
fn of_another_go(bytes: &mut [u8], version: &str) {
    let minor = version.split('.').nth(1).expect("go1.N.M");
    let at = version.find(minor).expect("N") + minor.len() - 2;
    let mut found = 0;
    let mut from = 0;
    while let Some(next) = position(&bytes[from..], version.as_bytes()) {
        bytes[from + next + at..][..2].copy_from_slice(b"99");
        from += next + version.len();
        found += 1;
    }
    assert!(found > 0, "no {version} in the program");
}

fn position(bytes: &[u8], wanted: &[u8]) -> Option<usize> {
    bytes
        .windows(wanted.len())
        .position(|piece| piece == wanted)
}

/// Offset and size of the sections with this in their name.
fn sections(program: &Path, name: &str) -> Vec<(usize, usize)> {
    use object::{Object, ObjectSection};
    let bytes = fs::read(program).expect("the program");
    let file = object::File::parse(&*bytes).expect("an ELF file");
    let named = file
        .sections()
        .filter(|section| section.name().is_ok_and(|own| own.contains(name)));
    let ranges = named.filter_map(|section| section.file_range());
    ranges
        .map(|(offset, size)| (offset as usize, size as usize))
        .collect()
}

fn run(program: &Path) -> Traced {
    Session::run(program)
        .arguments(&["-iterations", "40"])
        .in_full()
        .traced()
        .sound()
}

/// Functions that contain the loops that were told.
fn looping(traced: &Traced) -> BTreeSet<&str> {
    let own = traced
        .trace
        .iterations()
        .filter(|event| event.entries == Some(10));
    own.flat_map(|event| traced.trace.functions(&event.context))
        .filter(|function| function.starts_with("main.loop"))
        .collect()
}

/// A file's name is bytes, and a mapping's path is text, in which a line break is written otherwise.
#[test]
fn a_program_whose_name_is_not_text_has_its_functions_named() {
    for name in [&b"line\nbreak"[..], b"no \xff text"] {
        let folder = tempfile::tempdir().expect("a folder");
        let program = folder.path().join(OsStr::from_bytes(name));
        fs::copy(c("first_touch"), &program).expect("room for a copy");
        let traced = Session::run(program).argument("5").traced().sound();
        let faults = traced.trace.faults_in(traced.said.range());
        assert_eq!(faults.len(), 5);
        for fault in faults {
            let functions = traced.trace.functions(&fault.context);
            assert!(functions.contains(&"main"), "{functions:?}");
        }
        let executables = &traced.summary.program.executables;
        assert_eq!(executables[0].language.as_deref(), Some("c"));
    }
}

#[test]
fn of_an_unknown_go_maps_are_told_when_the_program_describes_them_and_refused_when_not() {
    let folder = tempfile::tempdir().expect("a folder");
    for toolchain in [oldest(), newest()] {
        for strip in [Strip::Yes, Strip::No] {
            let program = go(&toolchain, strip, "maps");
            let program = changed(folder.path(), &program, |bytes| {
                of_another_go(bytes, &toolchain.version);
            });
            let traced = run(&program);
            assert_eq!(traced.status(), 0, "{}", traced.stderr());
            let refused = &traced.trace.header().not_probed;
            if strip == Strip::Yes {
                assert!(
                    refused.len() == 1 && refused[0].contains("no table for go1.99"),
                    "{refused:?}"
                );
                assert_eq!(traced.trace.iterations().count(), 0);
            } else {
                assert!(refused.is_empty(), "{refused:?}");
                assert!(looping(&traced).contains("main.loop"));
            }
        }
    }
}

#[test]
fn damaged_debug_information_and_function_tables_change_nothing_for_the_program() {
    let folder = tempfile::tempdir().expect("a folder");
    for toolchain in [oldest(), newest()] {
        let program = go(&toolchain, Strip::No, "maps");
        let debug = sections(&program, "debug_");
        assert!(debug.len() > 2, "{debug:?}");
        let damaged = changed(folder.path(), &program, |bytes| {
            for (offset, size) in debug {
                bytes[offset..offset + size]
                    .iter_mut()
                    .step_by(11)
                    .for_each(|byte| *byte ^= 0x55);
            }
        });
        let traced = run(&damaged);
        assert_eq!(traced.status(), 0, "{}", traced.stderr());
        // Without it the table of versions has the layouts, and Go's own tables the names.
        assert!(looping(&traced).contains("main.loop"));

        let table = sections(&program, "gopclntab");
        let damaged = changed(folder.path(), &program, |bytes| {
            bytes[table[0].0] ^= 0x55;
        });
        let alone = Command::new(&damaged).output().expect("it starts");
        let traced = run(&damaged);
        // Go's runtime looks at its table, too.
        assert_eq!(Some(traced.status()), alone.status.code());
        let refused = &traced.trace.header().not_probed;
        assert!(
            refused.len() == 1 && refused[0].contains("function table is missing or damaged"),
            "{refused:?}"
        );
    }
}

/// A running copy of the workload `maps` that waits before its loops.
struct Waiting {
    child: Child,
    lines: BufReader<std::process::ChildStdout>,
}

impl Waiting {
    fn start(mut command: Command) -> Self {
        require_root();
        let (child, lines) = gated(&mut command);
        Self { child, lines }
    }

    /// The process that runs the copy: the child itself, or what it started in a namespace of its own.
    fn pid(&self, program: &Path) -> u32 {
        let of = |pid: u32| {
            let exe = fs::read_link(format!("/proc/{pid}/exe")).ok()?;
            (exe == program).then_some(pid)
        };
        let own = self.child.id();
        let children = fs::read_to_string(format!("/proc/{own}/task/{own}/children"));
        let children = children.unwrap_or_default();
        let children = children
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok());
        std::iter::once(own)
            .chain(children)
            .find_map(of)
            .expect("the program runs")
    }

    /// Attaches, lets the loops run, and ends the recording while the program still lives: mappings whose changes were
    /// lost can be read until then.
    fn traced(self, pid: u32) -> Traced {
        self.traced_beside(pid, |_| ())
    }

    /// The same, with something else done while it is recorded.
    fn traced_beside(mut self, pid: u32, beside: impl FnOnce(&Live)) -> Traced {
        let mut live = Session::attach(&[pid]).in_full().live();
        live.wait_for_error("map-trace: recording");
        beside(&live);
        let mut stdin = self.child.stdin.take().expect("a pipe");
        stdin.write_all(b"x").expect("the program reads");
        let mut line = String::new();
        while line != "done\n" {
            line.clear();
            assert!(self.lines.read_line(&mut line).expect("a line") > 0);
        }
        live.signal(libc::SIGINT);
        live.wait();
        drop(stdin);
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).expect("the end");
        assert!(self.child.wait().expect("its end").success());
        live.finish()
    }
}

fn check_attached(traced: &Traced, how: &str) {
    let loops: Vec<_> = traced.trace.iterations().collect();
    assert_eq!(loops.len(), 40, "{how}");
    for event in &loops {
        assert_eq!(
            event.map_type.as_deref(),
            Some("map[uint64]uint64"),
            "{how}"
        );
        let functions = traced.trace.functions(&event.context);
        // Also on a machine so busy that changes of mappings were lost.
        assert!(functions.contains(&"main.loop"), "{how}: {functions:?}");
    }
}

#[test]
fn a_program_whose_file_is_gone_or_another_keeps_its_own_names() {
    let toolchain = oldest();
    let other = go(&newest(), Strip::No, "demo");
    for how in ["deleted", "replaced"] {
        let folder = tempfile::tempdir().expect("a folder");
        let program = changed(folder.path(), &go(&toolchain, Strip::Yes, "maps"), |_| ());
        let mut command = Command::new(&program);
        command.args(["-gate", "-iterations", "40"]);
        let waiting = Waiting::start(command);
        let pid = waiting.pid(&program);
        if how == "deleted" {
            fs::remove_file(&program).expect("it is removed");
        } else {
            let new = folder.path().join("new");
            fs::copy(&other, &new).expect("a copy");
            fs::rename(&new, &program).expect("it takes the place");
        }
        check_attached(&waiting.traced(pid), how);
    }
}

#[test]
fn stacks_have_names_though_changes_of_mappings_were_lost() {
    let folder = tempfile::tempdir().expect("a folder");
    let program = changed(folder.path(), &go(&oldest(), Strip::Yes, "maps"), |_| ());
    let mut command = Command::new(&program);
    command.args(["-gate", "-iterations", "40"]);
    let waiting = Waiting::start(command);
    let pid = waiting.pid(&program);
    // Every process's changes go through the rings, which hold some thousands; nobody looks at them meanwhile.
    let storm = |live: &Live| {
        live.signal(libc::SIGSTOP);
        let map = || {
            // SAFETY: new memory where the kernel chooses, taken away again; nothing is in it.
            unsafe {
                let (none, size) = (std::ptr::null_mut(), 4096);
                let flags = libc::MAP_PRIVATE | libc::MAP_ANONYMOUS;
                let page = libc::mmap(none, size, libc::PROT_READ, flags, -1, 0);
                assert_eq!(libc::munmap(page, size), 0);
            }
        };
        (0..50_000).for_each(|_| map());
        live.signal(libc::SIGCONT);
    };
    let traced = waiting.traced_beside(pid, storm);
    let loss = &traced.summary.loss;
    assert!(
        loss.mappings > 0 && loss.mappings_read_again > 0,
        "{loss:?}"
    );
    assert!(traced.stderr().contains("mapping records lost"));
    check_attached(&traced, "after a loss");
}

#[test]
fn a_program_in_other_namespaces_is_not_taken_for_what_its_path_leads_to_here() {
    let toolchain = oldest();
    let folder = tempfile::tempdir().expect("a folder");
    // Here the path leads to another program.
    let path = folder.path().join("subject");
    fs::copy(go(&newest(), Strip::No, "demo"), &path).expect("a copy");
    let inside = go(&toolchain, Strip::Yes, "maps");
    let script = format!(
        "mount --bind {} {path} && exec {path} -gate -iterations 40",
        inside.display(),
        path = path.display()
    );
    let mut command = Command::new("unshare");
    let namespaces = ["--mount", "--pid", "--fork", "--mount-proc"];
    command.args(namespaces).args(["sh", "-c", &script]);
    let waiting = Waiting::start(command);
    let pid = waiting.pid(&path);
    check_attached(&waiting.traced(pid), "mount and pid namespace");
}

#[test]
fn go_code_in_a_library_or_a_plugin_is_named_and_never_counted_as_if_all_were_known() {
    let toolchain = newest();
    let mut cases = vec![(c("load"), Flavour::Library)];
    // A plugin needs a standard library of its own kind, which takes long to build.
    if !asked_go().is_empty() {
        cases.push((go(&toolchain, Strip::No, "plugin_host"), Flavour::Plugin));
    }
    for (host, flavour) in cases {
        let library = go(&toolchain, flavour, "library");
        let traced = Session::run(host)
            .argument(&library)
            .option("--census")
            .option("full")
            .in_full()
            .traced()
            .sound();
        assert_eq!(traced.said.number("assigns"), 5000);
        let rows = &traced.summary.operations;
        assert!(
            rows.iter().all(|row| row.count.kind != CountKind::Exact),
            "{rows:?}"
        );
        let not_counted = &traced.trace.footer().not_counted;
        let told = |note: &String| note.contains("library has Go code that is not probed");
        assert!(not_counted.iter().any(told), "{not_counted:?}");
        // Faults of the map that it fills are its assigns all the same.
        let assigns = traced.trace.faults().filter(|fault| {
            let assigned = fault.context.operation.word() == "assign";
            assigned
                && traced
                    .trace
                    .functions(&fault.context)
                    .iter()
                    .any(|function| function.ends_with(".Fill"))
        });
        assert!(assigns.count() > 10, "{flavour:?}");
    }
}
