//! `inspect` of damaged Go programs: right, or plainly refused.

#![expect(
    clippy::unwrap_used,
    reason = "a test ends at the first thing that is not as it must be"
)]

mod support;

use std::fs;

use map_trace::binary::Binary;
use map_trace::binary::layout::{Layouts, Source};
use map_trace::binary::reach::SystemCall;
use map_trace::maps::inspection::inspect;
use support::{GO_VERSIONS, GoBuild, PLAIN};

/// A small generator with a fixed seed.
struct Noise(u64);

impl Noise {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % limit as u64).unwrap()
    }
}

const UNPACKED: GoBuild = GoBuild {
    name: "unpacked",
    flags: &["-ldflags=-compressdwarf=false"],
    cgo: false,
};

#[test]
fn damaged_debug_information_is_refused_or_harmless() {
    let path = support::build_go("1.23.9", "go-maps", &UNPACKED);
    let whole = fs::read(&path).unwrap();
    let right = Layouts::find(&Binary::open(&path).unwrap());
    assert!(right.structs.iter().all(|s| s.source == Source::Dwarf));
    let hits = |needle: &[u8]| -> Vec<usize> {
        let windows = whole.windows(needle.len()).enumerate();
        windows
            .filter(|(_, w)| *w == needle)
            .map(|(at, _)| at)
            .collect()
    };
    let mut places: Vec<usize> = Vec::new();
    for name in [
        "runtime.hmap",
        "runtime.hiter",
        "runtime.g",
        "internal/abi.MapType",
    ] {
        places.extend(hits(format!("{name}\0").as_bytes()));
    }
    assert!(places.len() >= 8);
    let mut noise = Noise(42);
    let mut refused = 0;
    for _ in 0..60 {
        let mut bytes = whole.clone();
        // Among the members of one of the structures.
        let at = places[noise.below(places.len())] + noise.below(200);
        bytes[at] ^= 1 << noise.below(8);
        let binary = Binary::from_bytes("damaged", bytes).unwrap();
        let told = Layouts::find(&binary);
        if told.structs.is_empty() {
            refused += 1;
            assert!(told.unknown.is_some());
            continue;
        }
        for layout in &right.structs {
            for field in &layout.fields {
                let offset = told.offset(&layout.name, field.name);
                assert_eq!(
                    offset,
                    Some(field.offset),
                    "{} {} {at:#x}",
                    layout.name,
                    field.name
                );
            }
        }
    }
    assert!(refused > 0, "no change hit a field");
}

#[test]
fn a_damaged_binary_is_told_of_without_a_panic() {
    for version in GO_VERSIONS {
        let whole = fs::read(support::build_go(version, "go-maps", &PLAIN)).unwrap();
        let mut noise = Noise(7);
        let mut told_of = 0;
        for round in 0..12 {
            let mut bytes = whole.clone();
            for _ in 0..1 << (round % 6 * 2) {
                let at = noise.below(bytes.len());
                bytes[at] = u8::try_from(noise.below(256)).unwrap();
            }
            if round % 3 == 0 {
                bytes.truncate(noise.below(whole.len()));
            }
            if let Ok(binary) = Binary::from_bytes("damaged", bytes) {
                let told = inspect("damaged", &binary, &SystemCall::memory());
                told_of += 1;
                assert!(serde_json::to_string(&told).is_ok());
            }
        }
        assert!(told_of > 6, "{version}");
    }
}

#[test]
fn a_damaged_function_table_is_said_and_nothing_is_made_up() {
    let path = support::build_go("1.27.3", "go-maps", &PLAIN);
    let mut bytes = fs::read(&path).unwrap();
    let magic = [0xf1, 0xff, 0xff, 0xff, 0, 0, 1, 8];
    let places: Vec<usize> = bytes
        .windows(8)
        .enumerate()
        .filter_map(|(at, w)| (w == magic).then_some(at))
        .collect();
    assert!(!places.is_empty());
    for at in places {
        bytes[at + 8..at + 64].fill(0xee);
    }
    let binary = Binary::from_bytes("damaged", bytes).unwrap();
    let told = inspect("damaged", &binary, &SystemCall::memory());
    assert_eq!(told.language, Some("go"));
    assert_eq!(told.go_version.as_deref(), Some("go1.27.3"));
    assert!(told.layouts.is_none() && told.calls.is_none() && told.absent.is_empty());
    assert!(
        told.notes
            .iter()
            .any(|note| note.contains("function table"))
    );
}
