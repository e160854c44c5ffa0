//! Swiss maps (`internal/runtime/maps`, Go from 1.24): a header, and behind it one group, or a directory of
//! tables with an array of groups each.

use map_trace_common::place::{ARGUMENTS, Place, Read, flag, from};
use map_trace_common::record::kind;

use super::{NO_READ, Planner, Role, argument, at, map_type, word};

/// `maps.Map.dirPtr`, word of the header.
const DIRECTORY: u32 = 2;
/// `maps.Map.globalDepth`, byte of the header.
const GLOBAL_DEPTH: u32 = 32;
/// `maps.table.index`, word of a table.
const INDEX: u32 = 1;
/// The last argument that is kept.
const LAST: u32 = ARGUMENTS as u32 - 1;

/// The first table of the header read first.
const FIRST_TABLE: Read = Read {
    base: word(0, DIRECTORY),
    index: from::NOTHING,
    offset: 0,
    indirect: 1,
};

pub(super) fn plan(planner: &mut Planner<'_>) {
    let make = Place {
        kind: kind::MAP_MAKE,
        subject: from::RESULT,
        group_byte: GLOBAL_DEPTH + 1,
        reads: [at(from::RESULT), map_type(argument(0)), FIRST_TABLE],
        ..Place::default()
    };
    planner.call("internal/runtime/maps.NewMap", Role::Make, make);
    let table = Place {
        kind: kind::MAP_STATE,
        flags: flag::SUPPLEMENT,
        subject: from::RESULT,
        reads: [at(from::RESULT), NO_READ, NO_READ],
        ..Place::default()
    };
    if !planner.after_call(
        "internal/runtime/maps.NewMap",
        "newTable",
        Role::NewTable,
        table,
    ) {
        planner
            .plan
            .notes
            .push("of a map made large only the first table is known".to_owned());
    }
    planner.make_small();
    let clone = Place {
        reads: [at(from::RESULT), map_type(argument(1)), FIRST_TABLE],
        ..make
    };
    planner.call("internal/runtime/maps.(*Map).Clone", Role::Clone, clone);
    growth(planner);
    planner.entry(
        "internal/runtime/maps.(*Iter).Init",
        Role::Iterate,
        Place {
            kind: kind::ITERATION,
            subject: argument(2),
            reads: [at(argument(2)), map_type(argument(1)), FIRST_TABLE],
            ..Place::default()
        },
    );
    planner.entry(
        "internal/runtime/maps.(*Map).Clear",
        Role::Clear,
        Place {
            kind: kind::MAP_CLEAR,
            subject: argument(0),
            reads: [at(argument(0)), map_type(argument(1)), FIRST_TABLE],
            ..Place::default()
        },
    );
}

fn growth(planner: &mut Planner<'_>) {
    let of_map = Place {
        kind: kind::MAP_GROW,
        subject: argument(0),
        reads: [at(argument(0)), map_type(argument(1)), NO_READ],
        ..Place::default()
    };
    planner.call(
        "internal/runtime/maps.(*Map).growToSmall",
        Role::FirstGroup,
        of_map,
    );
    let to_tables = Place {
        reads: [at(argument(0)), map_type(argument(1)), FIRST_TABLE],
        ..of_map
    };
    let tables = planner.call(
        "internal/runtime/maps.(*Map).growToTable",
        Role::ToTables,
        to_tables,
    );
    let larger = Place {
        kind: kind::MAP_GROW,
        subject: argument(2),
        group_byte: GLOBAL_DEPTH + 1,
        reads: [
            at(argument(2)),
            NO_READ,
            Read {
                base: word(0, DIRECTORY),
                index: argument(LAST),
                offset: 0,
                indirect: 1,
            },
        ],
        ..Place::default()
    };
    // It leaves the old table with an index of -1.
    let grows = planner.call_keeping(
        "internal/runtime/maps.(*table).grow",
        Role::TableGrow,
        larger,
        INDEX,
    );
    // installTableSplit(map, old, left, right) ends a split: all four are known there, at one hit.
    let split = Place {
        kind: kind::MAP_GROW,
        subject: argument(0),
        group_byte: GLOBAL_DEPTH + 1,
        reads: [at(argument(0)), at(argument(2)), at(argument(3))],
        ..Place::default()
    };
    let splits = planner.entry(
        "internal/runtime/maps.(*Map).installTableSplit",
        Role::TableSplit,
        split,
    );
    if !(tables && grows && splits) {
        planner
            .plan
            .notes
            .push("not all growth of maps can be seen".to_owned());
    }
}
