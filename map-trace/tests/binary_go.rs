//! Go binaries: the function table reader against the Go runtime's own answers.

#![expect(clippy::unwrap_used, reason = "what a test needs fails the test")]

mod support;

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use map_trace::binary::{Binary, CodeFrame, Language, MapImplementation, SlotPlace};
use support::{GO_BUILDS, GO_VERSIONS, GoBuild};

struct Case {
    version: &'static str,
    build: &'static GoBuild,
    binary: Binary,
    /// What the program says of itself.
    says: String,
}

fn cases() -> &'static [Case] {
    static CASES: OnceLock<Vec<Case>> = OnceLock::new();
    CASES.get_or_init(|| {
        let mut cases = Vec::new();
        for version in GO_VERSIONS {
            for build in &GO_BUILDS {
                let path = support::build_go(version, "go-walk", build);
                cases.push(Case {
                    version,
                    build,
                    binary: Binary::open(&path).unwrap(),
                    says: support::output(&mut Command::new(&path)),
                });
            }
        }
        cases
    })
}

fn hex(text: &str) -> u64 {
    u64::from_str_radix(text, 16).unwrap()
}

fn frames(binary: &Binary, offset: u64) -> Vec<CodeFrame> {
    let mut frames = Vec::new();
    if let Some(svma) = binary.svma_of_file_offset(offset) {
        binary.frames(svma, &mut frames);
    }
    frames
}

fn place(frame: &CodeFrame) -> String {
    let file = frame.file.as_deref().unwrap_or("?");
    format!("{file}:{}", frame.line.unwrap_or(0))
}

#[test]
fn functions_files_and_lines_are_those_the_runtime_gives() {
    for case in cases() {
        let (mut looked, mut nameless) = (0, 0);
        for line in case.says.lines().filter(|l| l.starts_with("at ")) {
            let words: Vec<&str> = line.splitn(5, ' ').collect();
            let (offset, entry, at, name) = (hex(words[1]), hex(words[2]), words[3], words[4]);
            let found = frames(&case.binary, offset);
            let what = || format!("{} {} {line}: {found:?}", case.version, case.build.name);
            let first = found.first().unwrap_or_else(|| panic!("{}", what()));
            if name == "?" {
                nameless += 1;
            } else {
                assert_eq!(first.function, name, "{}", what());
            }
            assert_eq!(place(first), at, "{}", what());
            let svma = case.binary.svma_of_file_offset(offset).unwrap();
            let function = case.binary.function_at(svma).unwrap();
            assert_eq!(
                Some(function.start),
                case.binary.svma_of_file_offset(entry),
                "{}",
                what()
            );
            assert!(function.start <= svma && svma < function.end);
            assert_eq!(found.last().unwrap().function, function.name);
            looked += 1;
        }
        assert!(nameless <= 8, "{nameless} without a name");
        assert!(
            looked > 5000,
            "{} {}: {looked}",
            case.version,
            case.build.name
        );
    }
}

#[test]
fn go_code_the_runtime_does_not_know_is_not_given_a_go_name() {
    for case in cases() {
        let unknown: Vec<u64> = case
            .says
            .lines()
            .filter_map(|l| l.strip_prefix("none ").map(hex))
            .collect();
        for offset in unknown {
            for frame in frames(&case.binary, offset) {
                let c =
                    !frame.function.contains("main.") && !frame.function.starts_with("runtime.");
                assert!(c, "{} {}: {frame:?}", case.version, case.build.name);
            }
        }
    }
}

#[test]
fn a_chain_of_inlined_calls_is_the_one_the_runtime_walks() {
    for case in cases() {
        let chain: Vec<&str> = case
            .says
            .lines()
            .filter_map(|l| l.strip_prefix("chain "))
            .collect();
        let pc = case
            .says
            .lines()
            .filter(|l| l.starts_with("pc "))
            .nth(1)
            .unwrap();
        let found = frames(&case.binary, hex(&pc[3..]) - 1);
        let words: Vec<String> = found
            .iter()
            .map(|f| format!("{} {}", f.function, place(f)))
            .collect();
        assert_eq!(words, chain[1..4], "{} {}", case.version, case.build.name);
        let inlined: Vec<bool> = found.iter().map(|f| f.inlined).collect();
        assert_eq!(inlined, [true, true, false]);
    }
}

#[test]
fn facts_say_what_was_built() {
    for case in cases() {
        let facts = case.binary.facts();
        let name = format!("{} {}", case.version, case.build.name);
        assert_eq!(facts.language, Some(Language::Go), "{name}");
        assert_eq!(
            facts.go_version,
            Some(format!("go{}", case.version)),
            "{name}"
        );
        let minor: u32 = case.version.split('.').nth(1).unwrap().parse().unwrap();
        let swiss = minor >= 24;
        let expected = if swiss {
            MapImplementation::Swiss
        } else {
            MapImplementation::Hmap
        };
        assert_eq!(facts.map_implementation, Some(expected), "{name}");
        assert_eq!(
            facts.stripped,
            case.build.name.contains("stripped"),
            "{name}"
        );
        assert_eq!(facts.pie, case.build.name.contains("pie"), "{name}");
        assert_eq!(
            facts.interpreter.is_some(),
            facts.pie || case.build.cgo,
            "{name}"
        );
        assert!(
            facts.x86_64 && facts.bits == 64 && facts.go_functions,
            "{name}"
        );
        assert!(
            facts.build_id.as_ref().is_some_and(|id| id.len() >= 32),
            "{name}"
        );
        let setting = |key: &str| {
            let found = facts.go_build_settings.iter().find(|(k, _)| k == key);
            found.map(|(_, value)| value.as_str())
        };
        assert_eq!(
            setting("CGO_ENABLED"),
            Some(if case.build.cgo { "1" } else { "0" }),
            "{name}"
        );
        assert_eq!(setting("GOARCH"), Some("amd64"), "{name}");
        let row = facts.executable("/bin/x\n");
        assert_eq!(row.language.as_deref(), Some("go"));
        assert_eq!(row.path, "/bin/x?");
    }
}

#[test]
fn a_symbol_is_found_by_name_with_or_without_a_symbol_table() {
    for case in cases() {
        for name in [
            "main.host",
            "runtime.mapassign_fast64",
            "runtime.(*mheap).alloc",
        ] {
            let found = case.binary.symbol(name);
            if name == "runtime.mapassign_fast64" && found.is_empty() {
                continue;
            }
            let what = format!("{} {} {name}: {found:?}", case.version, case.build.name);
            assert_eq!(found.len(), 1, "{what}");
            let function = case.binary.function_at(found[0].svma).unwrap();
            assert_eq!(
                (function.name.as_str(), function.start),
                (name, found[0].svma),
                "{what}"
            );
        }
        assert!(case.binary.symbol("main.middle").is_empty(), "inlined away");
        assert!(case.binary.symbol("no such").is_empty());
    }
}

#[test]
fn the_list_of_functions_agrees_with_the_lookup_by_address() {
    for case in cases() {
        let mut listed = Vec::new();
        case.binary.functions(&mut |f| listed.push(f.clone()));
        assert!(listed.len() > 1000, "{}", listed.len());
        assert!(listed.iter().any(|f| f.name == "main.host"));
        for function in listed.iter().step_by(17) {
            assert_eq!(
                case.binary.function_at(function.start).as_ref(),
                Some(function)
            );
            assert_eq!(
                case.binary.function_at(function.end - 1).as_ref(),
                Some(function)
            );
        }
    }
}

#[test]
fn c_code_in_a_cgo_binary_is_named_by_its_symbols_when_it_has_them() {
    for case in cases().iter().filter(|c| c.build.cgo) {
        let found = case.binary.symbol("fixture_in_c");
        assert!(
            case.binary.facts().stripped || found.len() == 1,
            "{}",
            case.build.name
        );
        for symbol in found {
            let mut frames = Vec::new();
            case.binary.frames(symbol.svma + 4, &mut frames);
            assert_eq!(frames[0].function, "fixture_in_c");
            let slot = case.binary.return_slot(symbol.svma);
            assert_eq!(slot.place, SlotPlace::FromSp(0));
        }
    }
}

#[test]
fn go_frames_say_where_their_return_address_is() {
    for case in cases() {
        let host = &case.binary.symbol("main.host")[0];
        assert_eq!(
            case.binary.return_slot(host.svma).place,
            SlotPlace::FromSp(0)
        );
        let call = case
            .says
            .lines()
            .filter(|l| l.starts_with("pc "))
            .nth(1)
            .unwrap();
        let call = case
            .binary
            .svma_of_file_offset(hex(&call[3..]) - 1)
            .unwrap();
        let inside = case.binary.return_slot(call).place;
        assert!(matches!(inside, SlotPlace::FromSp(16..=512)), "{inside:?}");
        let goexit = &case.binary.symbol("runtime.goexit")[0];
        assert_eq!(
            case.binary.return_slot(goexit.svma + 1).place,
            SlotPlace::Outermost
        );
    }
}

/// The section headers blanked out, as sstrip and some packers do.
#[test]
fn without_section_headers_the_table_is_found_or_nothing_is_named() {
    for case in cases().iter().filter(|c| !c.build.cgo) {
        let path = support::build_go(case.version, "go-walk", case.build);
        let mut bytes = std::fs::read(path).unwrap();
        bytes[40..48].fill(0);
        bytes[58..64].fill(0);
        let binary = Binary::from_bytes("headless", bytes).unwrap();
        let host = binary.symbol("main.host");
        assert_eq!(host.len(), 1, "{} {}", case.version, case.build.name);
        assert_eq!(host[0].svma, case.binary.symbol("main.host")[0].svma);
        assert_eq!(binary.facts().go_version, case.binary.facts().go_version);
    }
}

#[test]
fn a_file_that_is_not_elf_is_refused_and_one_of_another_machine_is_described() {
    let text = Binary::open(Path::new(file!()).parent().unwrap());
    assert!(text.is_err());
    assert!(Binary::from_bytes("text", b"#!/bin/sh\n".to_vec()).is_err());
    assert!(Binary::from_bytes("empty", Vec::new()).is_err());
    let mut arm = vec![0; 64];
    arm[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    arm[16] = 2;
    arm[18] = 183;
    let arm = Binary::from_bytes("arm", arm).unwrap();
    assert_eq!((arm.facts().machine, arm.facts().x86_64), (183, false));
    assert!(arm.symbol("main").is_empty() && arm.function_at(0).is_none());
}

/// Flips bytes where it hurts: the headers, the function table, the module data.
#[test]
fn a_damaged_function_table_gives_an_answer_without_a_panic_or_a_long_wait() {
    let mut seed = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |below: u64| {
        seed ^= seed << 13;
        seed ^= seed >> 7;
        seed ^= seed << 17;
        seed % below
    };
    let mut refused = 0;
    for case in cases().iter().filter(|c| c.build.name != "cgo") {
        let path = support::build_go(case.version, "go-walk", case.build);
        let whole = std::fs::read(path).unwrap();
        let table = whole
            .windows(8)
            .position(|w| w[1..] == [0xff, 0xff, 0xff, 0, 0, 1, 8] && w[0] & 0xfe == 0xf0)
            .unwrap();
        let host = case.binary.symbol("main.host")[0].svma;
        for round in 0..12 {
            let mut bytes = whole.clone();
            let (from, size) = match round % 4 {
                0 => (table, 72),
                1 => (table, whole.len() - table),
                2 => (0, 4096),
                _ => (0, whole.len()),
            };
            for _ in 0..(1_usize << round) {
                let at = from + random(size as u64) as usize;
                bytes[at] = random(256) as u8;
            }
            let started = std::time::Instant::now();
            let Ok(binary) = Binary::from_bytes("damaged", bytes) else {
                refused += 1;
                continue;
            };
            let _ = binary.facts();
            for svma in (host - 4096..host + 4096).step_by(64) {
                let mut frames = Vec::new();
                binary.frames(svma, &mut frames);
                let _ = binary.return_slot(svma);
                assert!(frames.len() <= 65, "{}", frames.len());
            }
            refused += usize::from(!binary.facts().go_functions);
            let took = started.elapsed();
            assert!(
                took.as_secs() < 20,
                "{} {}: {took:?}",
                case.version,
                case.build.name
            );
        }
    }
    assert!(refused > 0, "no damage was noticed");
}
