use map_trace_common::record::{Header as RecordHeader, MapOperationRecord};

use super::array::Array;
use super::*;

const BUCKET: u64 = 144;

fn arrays(map: u64, parts: &[(u64, u64, Part)]) -> Fact {
    let array = |&(start, to, part): &(u64, u64, Part)| Array {
        start,
        from: 0,
        to,
        part,
        whole_object: false,
    };
    Fact {
        map,
        unit: BUCKET,
        storage: Storage::Arrays(parts.iter().map(array).collect()),
        ..Fact::default()
    }
}

fn made(map: u64) -> Fact {
    Fact {
        map,
        fresh: true,
        header_size: 48,
        ..Fact::default()
    }
}

fn on(registry: &Registry, address: u64) -> Option<(u64, Part)> {
    let found = registry.locate(1, address, 1)?;
    Some((found.map, found.part))
}

#[test]
fn a_growing_map_has_both_arrays_until_the_old_one_is_let_go() {
    let mut registry = Registry::default();
    registry.apply(1, &made(0x1000));
    registry.apply(1, &arrays(0x1000, &[(0x10000, 8, Part::Buckets)]));
    let grown = [(0x20000, 16, Part::Buckets), (0x10000, 8, Part::OldBuckets)];
    let change = registry.apply(1, &arrays(0x1000, &grown));
    assert_eq!((change.added.len(), change.removed.len()), (2, 1));
    assert_eq!(on(&registry, 0x1000), Some((0x1000, Part::Header)));
    assert_eq!(on(&registry, 0x10000), Some((0x1000, Part::OldBuckets)));
    assert_eq!(
        on(&registry, 0x20000 + 16 * BUCKET - 1),
        Some((0x1000, Part::Buckets))
    );
    assert_eq!(on(&registry, 0x20000 + 16 * BUCKET), None);
    let done = Fact {
        map: 0x1000,
        storage: Storage::NoOld,
        ..Fact::default()
    };
    registry.apply(1, &done);
    assert_eq!(on(&registry, 0x10000), None);
    assert_eq!(on(&registry, 0x20000), Some((0x1000, Part::Buckets)));
}

#[test]
fn memory_used_anew_is_no_longer_the_old_maps() {
    let mut registry = Registry::default();
    registry.apply(1, &arrays(0x1000, &[(0x10000, 8, Part::Buckets)]));
    // Another map's array begins in the middle of it.
    registry.apply(1, &arrays(0x2000, &[(0x10100, 8, Part::Buckets)]));
    assert_eq!(on(&registry, 0x10000), None);
    assert_eq!(on(&registry, 0x10100), Some((0x2000, Part::Buckets)));
    // A new map at the old one's address has none of its memory.
    registry.apply(1, &made(0x2000));
    assert_eq!(on(&registry, 0x10100), None);
}

#[test]
fn what_is_told_twice_changes_nothing() {
    let mut registry = Registry::default();
    let fact = arrays(0x1000, &[(0x10000, 8, Part::Buckets)]);
    assert_eq!(registry.apply(1, &fact).added.len(), 1);
    assert_eq!(registry.apply(1, &fact), Change::default());
}

#[test]
fn processes_have_maps_of_their_own_and_a_copy_starts_with_the_same() {
    let mut registry = Registry::default();
    registry.apply(1, &arrays(0x1000, &[(0x10000, 8, Part::Buckets)]));
    assert!(registry.locate(2, 0x10000, 1).is_none());
    registry.fork(1, 2);
    registry.forget(1);
    assert!(registry.locate(1, 0x10000, 1).is_none());
    assert!(registry.locate(2, 0x10000, 1).is_some());
}

#[test]
fn tables_come_and_go_one_by_one() {
    let mut registry = Registry::default();
    let table = |address, groups| Table {
        address,
        groups,
        count: 4,
        local_depth: 0,
    };
    let tables = |gone, tables: &[Table]| Fact {
        map: 0x1000,
        unit: 136,
        storage: Storage::Tables {
            directory: None,
            gone,
            tables: tables.to_vec(),
        },
        ..Fact::default()
    };
    let one_group = Fact {
        map: 0x1000,
        unit: 136,
        storage: Storage::Group(0x8000),
        ..Fact::default()
    };
    registry.apply(1, &one_group);
    assert_eq!(on(&registry, 0x8000 + 135), Some((0x1000, Part::Group)));
    registry.apply(1, &tables(0, &[table(0x100, 0x10000)]));
    assert_eq!(
        on(&registry, 0x8000),
        None,
        "a map with tables has no group of its own"
    );
    assert_eq!(on(&registry, 0x100), Some((0x1000, Part::Table)));
    let split = registry.apply(
        1,
        &tables(0x100, &[table(0x200, 0x20000), table(0x300, 0x30000)]),
    );
    assert_eq!((split.added.len(), split.removed.len()), (4, 2));
    assert_eq!(on(&registry, 0x10000), None);
    assert_eq!(
        on(&registry, 0x30000 + 4 * 136 - 1),
        Some((0x1000, Part::Group))
    );
}

#[test]
fn memory_that_is_given_back_is_on_no_map() {
    let mut registry = Registry::default();
    registry.apply(1, &arrays(0x1000, &[(0x10000, 8, Part::Buckets)]));
    assert!(!registry.freed(1, 0x20000, 0x1000));
    assert!(registry.freed(1, 0x10000, 0x1000));
    assert_eq!(on(&registry, 0x10000), None);
}

#[test]
fn entries_are_found_before_what_else_a_range_touches() {
    let mut registry = Registry::default();
    registry.apply(1, &made(0x10000));
    registry.apply(1, &arrays(0x10000, &[(0x10100, 8, Part::Buckets)]));
    let found = registry.locate(1, 0x10000, 0x1000).unwrap();
    assert_eq!(found.part, Part::Buckets);
}

/// The shape of Go 1.23's maps.
fn shape() -> Shape {
    let layouts = crate::binary::layout::Layouts {
        structs: layout_of(&[
            (
                "runtime.hmap",
                48,
                &[
                    ("count", 0),
                    ("flags", 8),
                    ("B", 9),
                    ("buckets", 16),
                    ("oldbuckets", 24),
                ],
            ),
            ("internal/abi.MapType", 88, &[("BucketSize", 82)]),
        ]),
        ..Default::default()
    };
    Shape::of(crate::binary::MapImplementation::Hmap, &layouts).unwrap()
}

type Struct = (&'static str, u64, &'static [(&'static str, u64)]);

fn layout_of(structs: &[Struct]) -> Vec<crate::binary::layout::Layout> {
    use crate::binary::layout::{Field, Layout, Source};
    let field = |&(name, offset): &(&'static str, u64)| Field { name, offset };
    structs
        .iter()
        .map(|(name, size, fields)| Layout {
            name: (*name).to_owned(),
            size: Some(*size),
            fields: fields.iter().map(field).collect(),
            source: Source::VersionTable,
        })
        .collect()
}

fn grown(b: u64, flags: u64) -> MapOperationRecord {
    let mut record = MapOperationRecord {
        header: RecordHeader::default(),
        read: 3,
        arguments: [0x5000, 0x1000, 0, 0, 0, 0],
        ..MapOperationRecord::default()
    };
    record.words[0] = [100, flags | b << 8, 0x20000, 0x10000, 0, 0, 0, 0];
    // BucketSize at 82: the third word of the second 64 bytes, from its third byte on.
    record.words[1][2] = BUCKET << 16;
    record
}

#[test]
fn a_record_of_growth_says_where_both_arrays_are() {
    let fact = shape().fact(crate::maps::structure::Role::HashGrow, &grown(5, 0));
    assert_eq!(
        (fact.map, fact.type_address, fact.unit),
        (0x1000, 0x5000, BUCKET)
    );
    let mut registry = Registry::default();
    registry.apply(1, &fact);
    assert_eq!(
        on(&registry, 0x20000 + 32 * BUCKET - 1),
        Some((0x1000, Part::Buckets))
    );
    // From 16 buckets on some more for overflow are allocated with them.
    assert_eq!(
        on(&registry, 0x20000 + 33 * BUCKET),
        Some((0x1000, Part::Overflow))
    );
    assert_eq!(on(&registry, 0x10000), Some((0x1000, Part::OldBuckets)));
    assert_eq!(on(&registry, 0x10000 + 20 * BUCKET), None);
}

#[test]
fn a_growth_of_the_same_size_has_an_old_array_as_long_as_the_new() {
    let mut registry = Registry::default();
    registry.apply(
        1,
        &shape().fact(crate::maps::structure::Role::HashGrow, &grown(5, 8)),
    );
    assert_eq!(
        on(&registry, 0x10000 + 31 * BUCKET),
        Some((0x1000, Part::OldBuckets))
    );
}

#[test]
fn impossible_headers_say_nothing_of_memory() {
    for b in [41, 63, 255] {
        let fact = shape().fact(crate::maps::structure::Role::HashGrow, &grown(b, 0));
        assert_eq!(fact.storage, Storage::Unknown, "{b}");
    }
}

proptest::proptest! {
    #[test]
    fn any_bytes_in_any_order_leave_the_counts_right(
        records in proptest::collection::vec(
            (proptest::array::uniform32(proptest::num::u64::ANY), 0_u32..26, 1_u32..3), 0..40)
    ) {
        let shape = shape();
        let mut registry = Registry::default();
        for (words, role, tgid) in records {
            let mut record = MapOperationRecord { read: words[31] as u32, ..Default::default() };
            // Few different addresses, so that maps meet.
            let near = |word: u64| if word & 1 == 0 { word } else { word >> 48 };
            record.arguments.copy_from_slice(&words.map(near)[..6]);
            record.result = near(words[5]);
            for (n, word) in words.iter().enumerate().take(24) {
                record.words[n / 8][n % 8] = near(*word);
            }
            if let Some(role) = crate::maps::structure::Role::of(role) {
                registry.apply(tgid, &shape.fact(role, &record));
            }
            let ranges: usize = registry.processes.values().map(|process| process.ranges.len()).sum();
            let maps: usize = registry.processes.values().map(|process| process.maps.len()).sum();
            assert_eq!((registry.ranges, registry.maps), (ranges, maps));
            for process in registry.processes.values() {
                let mut end = 0;
                for (start, (until, _, _)) in &process.ranges {
                    assert!(*start >= end && until > start, "ranges overlap");
                    end = *until;
                }
            }
        }
    }
}

#[test]
fn a_map_that_is_emptied_lets_go_of_its_old_array_and_keeps_the_other() {
    let clear = crate::maps::structure::Role::Clear;
    let mut registry = Registry::default();
    registry.apply(
        1,
        &shape().fact(crate::maps::structure::Role::HashGrow, &grown(5, 0)),
    );
    let mut empty = grown(5, 0);
    empty.words[0][0] = 0;
    registry.apply(1, &shape().fact(clear, &empty));
    let old = Some((0x1000, Part::OldBuckets));
    assert_eq!(on(&registry, 0x10000), old, "nothing is done to it");
    let fact = shape().fact(clear, &grown(5, 0));
    assert_eq!(fact.header.map(|header| header.entries), Some(100));
    registry.apply(1, &fact);
    assert_eq!(on(&registry, 0x10000), None);
    assert_eq!(on(&registry, 0x20000), Some((0x1000, Part::Buckets)));
}

#[test]
fn what_does_not_fit_is_counted_and_what_is_known_stays_right() {
    let mut registry = Registry::default();
    let maps = MAX_MAPS as u64;
    for n in 0..maps {
        registry.apply(1, &made(0x1000 + n * 64));
    }
    assert_eq!(registry.left_out, 0);
    let beyond = 0x1000 + maps * 64;
    registry.apply(1, &made(beyond));
    registry.apply(1, &made(beyond));
    assert_eq!(registry.left_out, 2);
    assert_eq!(on(&registry, beyond), None);
    // A known one is told on; once a process is gone there is room again.
    registry.apply(1, &arrays(0x1000, &[(0x4000_0000, 8, Part::Buckets)]));
    assert_eq!(on(&registry, 0x4000_0000), Some((0x1000, Part::Buckets)));
    registry.forget(1);
    registry.apply(2, &made(beyond));
    assert_eq!(registry.left_out, 2);
}
