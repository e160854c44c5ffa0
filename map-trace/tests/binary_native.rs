//! C, C++ and Rust binaries: names and lines against binutils, refusals, the caches of the symbolizer.

#![expect(
    clippy::unwrap_used,
    clippy::expect_used,
    reason = "what a test needs fails the test"
)]

mod support;

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use map_trace::binary::stack::RawStack;
use map_trace::binary::symbolizer::{Code, Place, Symbolizer, Wanted};
use map_trace::binary::{Binary, CodeFrame, Language, SlotPlace, name, vdso};

/// What `addr2line -fi` says of each address: function (mangled) and line, innermost first.
fn addr2line(path: &Path, addresses: &[u64]) -> Vec<Vec<(String, u32)>> {
    let mut child = Command::new("addr2line")
        .args(["-fia", "-e"])
        .arg(path)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("addr2line of binutils");
    let text: String = addresses.iter().map(|a| format!("{a:#x}\n")).collect();
    let mut stdin = child.stdin.take().unwrap();
    let writer = std::thread::spawn(move || stdin.write_all(text.as_bytes()).unwrap());
    let out = child.wait_with_output().unwrap();
    writer.join().unwrap();
    let mut answers: Vec<Vec<(String, u32)>> = Vec::new();
    let text = String::from_utf8(out.stdout).unwrap();
    let mut lines = text.lines();
    while let Some(line) = lines.next() {
        if line.starts_with("0x") {
            answers.push(Vec::new());
            continue;
        }
        let place = lines
            .next()
            .unwrap()
            .split(" (discriminator")
            .next()
            .unwrap();
        let number = place.rsplit(':').next().unwrap().parse().unwrap_or(0);
        answers.last_mut().unwrap().push((line.to_owned(), number));
    }
    assert_eq!(answers.len(), addresses.len());
    answers
}

fn frames(binary: &Binary, svma: u64) -> Vec<CodeFrame> {
    let mut frames = Vec::new();
    binary.frames(svma, &mut frames);
    frames
}

#[test]
fn names_lines_and_inlined_calls_agree_with_binutils() {
    for (file, flags) in [
        ("stack.c", &["-O2", "-g"][..]),
        ("maps.cpp", &["-O2", "-g"]),
        ("maps.cpp", &["-g", "-gdwarf-4", "-no-pie"]),
        ("maps.cpp", &["-O2", "-g", "-gz"]),
    ] {
        let path = support::build_native(file, flags);
        let binary = Binary::open(&path).unwrap();
        let mut addresses = Vec::new();
        binary.functions(&mut |f| addresses.extend((f.start..f.end).step_by(13)));
        let (mut exact, mut lines) = (0, 0);
        for (svma, expected) in addresses.iter().zip(addr2line(&path, &addresses)) {
            let found = frames(&binary, *svma);
            let what = || format!("{file} {flags:?} {svma:#x}: {found:?} against {expected:?}");
            let (host, _) = expected.last().unwrap();
            // Functions of the start files have no line table; both know them by symbol.
            if host != "??" {
                let expected_host = name::demangle(host.as_bytes());
                let own = found.last().unwrap_or_else(|| panic!("{}", what()));
                assert_eq!(own.function, expected_host, "{}", what());
                exact += usize::from(found.len() == expected.len());
                lines +=
                    usize::from(found.first().and_then(|f| f.line).unwrap_or(0) == expected[0].1);
            }
        }
        // The two readers split a few ranges of inlined code differently.
        let total = addresses.len();
        assert!(total > 50, "{total}");
        assert!(
            exact * 100 >= total * 95,
            "{file} {flags:?}: {exact} of {total}"
        );
        assert!(
            lines * 100 >= total * 95,
            "{file} {flags:?}: {lines} of {total}"
        );
    }
}

#[test]
fn languages_are_told_apart_stripped_or_not() {
    for (file, flags, language) in [
        ("stack.c", &["-O2"][..], Language::C),
        ("stack.c", &["-O2", "-s"], Language::C),
        ("maps.cpp", &["-O2"], Language::Cpp),
        ("maps.cpp", &["-O2", "-s"], Language::Cpp),
        ("maps.rs", &["-g"], Language::Rust),
        ("maps.rs", &["-Cstrip=symbols"], Language::Rust),
    ] {
        let binary = Binary::open(&support::build_native(file, flags)).unwrap();
        let facts = binary.facts();
        assert_eq!(facts.language, Some(language), "{file} {flags:?}");
        let stripped = flags.iter().any(|f| *f == "-s" || f.contains("strip"));
        assert_eq!(facts.stripped, stripped);
        assert!(facts.pie && facts.interpreter.is_some() && facts.go_version.is_none());
        assert_eq!(facts.map_implementation, None);
    }
}

#[test]
fn a_stripped_binary_gives_no_name_rather_than_a_neighbours() {
    let full = Binary::open(&support::build_native("stack.c", &["-O2"])).unwrap();
    let stripped = Binary::open(&support::build_native("stack.c", &["-O2", "-s"])).unwrap();
    for function in ["protect", "hot", "leaf_in_assembly"] {
        let symbol = &full.symbol(function)[0];
        assert_eq!(frames(&full, symbol.svma)[0].function, function);
        assert!(frames(&stripped, symbol.svma).is_empty());
        assert!(stripped.function_at(symbol.svma).is_none());
        // How to leave it is known all the same.
        if function != "leaf_in_assembly" {
            assert_eq!(
                stripped.return_slot(symbol.svma).place,
                SlotPlace::FromSp(0)
            );
        }
    }
}

#[test]
fn a_label_of_assembly_reaches_to_the_next_symbol_and_no_further() {
    let binary = Binary::open(&support::build_native("stack.c", &["-O2"])).unwrap();
    let label = binary.symbol("unsized_in_assembly")[0].clone();
    let next = binary.symbol("after_unsized")[0].clone();
    assert_eq!(label.size, 0);
    let function = binary.function_at(next.svma - 1).unwrap();
    assert_eq!(
        (function.name.as_str(), function.end),
        ("unsized_in_assembly", next.svma)
    );
    assert_eq!(binary.function_at(next.svma).unwrap().name, "after_unsized");
    // Past the last byte of a sized function nothing is named until the next one begins.
    let after = binary.function_at(next.svma + next.size);
    assert!(
        after.is_none_or(|f| f.start == next.svma + next.size),
        "padding"
    );
}

#[test]
fn data_symbols_are_found_with_their_size() {
    let binary = Binary::open(&support::build_native("stack.c", &["-O2"])).unwrap();
    let page = binary.symbol("page");
    assert_eq!(page.len(), 1);
    assert!(page[0].data && page[0].size == 8);
    assert!(!binary.is_code(page[0].svma));
    assert!(frames(&binary, page[0].svma).is_empty());
}

#[test]
fn the_vdso_names_its_functions() {
    let vdso = vdso().expect("every x86-64 process has one");
    let symbols = vdso.symbol("__vdso_clock_gettime");
    assert_eq!(symbols.len(), 1);
    assert_eq!(frames(&vdso, symbols[0].svma)[0].function, "clock_gettime");
    assert_eq!(
        vdso.return_slot(symbols[0].svma).place,
        SlotPlace::FromSp(0)
    );
}

fn wanted(path: &Path, build_id: Option<&str>) -> Wanted {
    Wanted {
        path: path.to_string_lossy().into_owned(),
        build_id: build_id.map(str::to_owned),
        inode: None,
    }
}

#[test]
fn a_binary_of_another_build_is_passed_over() {
    let one = support::build_native("stack.c", &["-O2"]);
    let other = support::build_native("stack.c", &["-O2", "-g"]);
    let id = Binary::open(&one).unwrap().build_id().unwrap().to_owned();
    let symbolizer = Symbolizer::new();
    let missing = PathBuf::from("/nowhere/at/all");
    let wanted = wanted(&one, Some(&id));
    assert!(
        symbolizer
            .open(&wanted, &[missing.clone(), other.clone()])
            .is_none()
    );
    let symbolizer = Symbolizer::new();
    let found = symbolizer
        .open(&wanted, &[missing.clone(), other, one.clone()])
        .unwrap();
    assert_eq!(found.build_id(), Some(id.as_str()));
    // Once open it is kept, whatever becomes of the file.
    let again = symbolizer.open(&wanted, &[missing]).unwrap();
    assert!(Arc::ptr_eq(&found, &again));
    let elsewhere = Wanted {
        inode: Some((0, 1)),
        build_id: None,
        ..wanted
    };
    assert!(symbolizer.open(&elsewhere, &[one]).is_none());
}

#[test]
fn a_replaced_file_and_a_pipe_are_refused_without_waiting() {
    let directory = tempfile::tempdir().unwrap();
    let pipe = directory.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&pipe)
            .status()
            .unwrap()
            .success()
    );
    assert!(Binary::open(&pipe).is_err());
    let path = directory.path().join("program");
    fs::copy(support::build_native("stack.c", &["-O2", "-g"]), &path).unwrap();
    let binary = Binary::open(&path).unwrap();
    let hot = binary.symbol("hot")[0].clone();
    // Cut short while open: answers dry up, nothing dies.
    fs::File::options()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(100)
        .unwrap();
    let _ = (frames(&binary, hot.svma), binary.return_slot(hot.svma));
    assert!(binary.symbol("recurse").is_empty() || binary.symbol("recurse").len() == 1);
}

#[test]
fn a_stack_is_named_restored_and_expanded() {
    let path = support::build_native("stack.c", &["-O2", "-g"]);
    let symbolizer = Symbolizer::new();
    let binary = symbolizer
        .open(&wanted(&path, None), std::slice::from_ref(&path))
        .unwrap();
    let bias = 0x5555_0000_0000;
    let at = |name: &str| binary.symbol(name)[0].svma + bias;
    let protect = at("protect");
    // At the first instruction of `protect`, called from `hot`, with a frame pointer of `main`.
    let hot = at("hot") + 40;
    let raw = RawStack {
        ip: protect,
        sp: 0x7fff_0000,
        bp: 0x7fff_0100,
        words: vec![hot, 0, 0, 0],
        frames: vec![0x1234],
        truncated: false,
    };
    let module: Arc<str> = "program".into();
    let named = symbolizer.symbolize(&raw, &|address| {
        let svma = address
            .checked_sub(bias)
            .filter(|&svma| binary.is_code(svma))?;
        Some(Place {
            module: Some(Arc::clone(&module)),
            code: Code::Binary(Arc::clone(&binary), svma),
        })
    });
    let named = named.frames;
    let names: Vec<Option<&str>> = named.iter().map(|f| f.function.as_deref()).collect();
    assert_eq!(names[0], Some("protect"));
    let host = named
        .iter()
        .position(|f| f.function.as_deref() == Some("hot"));
    let host = &named[host.unwrap()];
    assert!(host.restored && host.line.is_some() && host.module.as_deref() == Some("program"));
    assert_eq!(
        names.last(),
        Some(&None),
        "an address nothing knows has no name"
    );
    assert!(host.gap, "the chain does not meet the caller put back");
}

#[test]
fn damaged_binaries_answer_without_a_panic() {
    let path = support::build_native("maps.cpp", &["-O2", "-g"]);
    let whole = fs::read(path).unwrap();
    let healthy = Binary::from_bytes("whole", whole.clone()).unwrap();
    let mut probes = BTreeSet::new();
    healthy.functions(&mut |f| {
        probes.insert(f.start + (f.end - f.start) / 2);
    });
    let mut seed = 0x9e37_79b9_7f4a_7c15_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    for round in 0..60 {
        let mut bytes = whole.clone();
        for _ in 0..(1 << (round % 12)) {
            let at = random(bytes.len() as u64) as usize;
            bytes[at] = random(256) as u8;
        }
        // Headers suffer more often than their share of the bytes.
        for _ in 0..round % 4 {
            let at = random(1024) as usize;
            bytes[at] = random(256) as u8;
        }
        if round % 7 == 0 {
            bytes.truncate(random(whole.len() as u64) as usize);
        }
        let Ok(binary) = Binary::from_bytes("damaged", bytes) else {
            continue;
        };
        let _ = (binary.facts(), binary.symbol("main"));
        for &svma in probes.iter().step_by(5) {
            let _ = (frames(&binary, svma), binary.return_slot(svma));
        }
    }
}
