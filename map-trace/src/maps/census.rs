//! Where a Go program's operations on maps are counted: the plan, made from its file alone.
//!
//! One row a function. A function that does its work by calling another of the same operation is left out,
//! since the other one is counted: Go 1.27's `mapaccess1` calls `mapaccess2`, reflect's functions call the
//! runtime's in one version and go past them in the next.

mod header;

use iced_x86::{Mnemonic, OpKind};
use map_trace_common::census::{CensusPlace, DIRECT, flag};

use header::Header;

use super::pattern::Glob;
use crate::binary::disasm::Code;
use crate::binary::layout::Layouts;
use crate::binary::probe_place::{self, Counting, ProbePlace};
use crate::binary::{Binary, Function, MapImplementation};
use crate::model::Operation::{self, Access, Assign, Clear, Delete, Iterate};

/// The operations that are counted; their places in this list are what the kernel knows them by.
pub const COUNTED: [Operation; 5] = [Assign, Access, Delete, Iterate, Clear];

/// What the kernel knows flushes of the write barrier's buffers by: no operation on a map.
pub const FLUSHES: u32 = 5;
/// Empties a processor's buffer of pointers stored while the collector marks (Go 1.23 runtime/mwbbuf.go:195).
const FLUSH: &str = "runtime.wbBufFlush1";

/// Functions counted, at most: generic ones have one for each shape.
const MAX_FUNCTIONS: usize = 256;

/// Where a function has its map.
#[derive(Clone, Copy)]
enum At {
    /// An argument: 0 is RAX, 1 is RBX.
    Argument(u32),
    /// The map of the iterator in RAX.
    Iterator,
    /// Not a map of the language.
    Nowhere,
}

type Row = (&'static str, Operation, At);

/// Compiled code calls these; the runtime and reflect end in them.
const COMMON: &[Row] = &[
    ("runtime.mapassign", Assign, At::Argument(1)),
    ("runtime.mapassign_fast32", Assign, At::Argument(1)),
    ("runtime.mapassign_fast32ptr", Assign, At::Argument(1)),
    ("runtime.mapassign_fast64", Assign, At::Argument(1)),
    ("runtime.mapassign_fast64ptr", Assign, At::Argument(1)),
    ("runtime.mapassign_faststr", Assign, At::Argument(1)),
    ("runtime.mapaccess1", Access, At::Argument(1)),
    ("runtime.mapaccess1_fat", Access, At::Argument(1)),
    ("runtime.mapaccess1_fast32", Access, At::Argument(1)),
    ("runtime.mapaccess1_fast64", Access, At::Argument(1)),
    ("runtime.mapaccess1_faststr", Access, At::Argument(1)),
    ("runtime.mapaccess2", Access, At::Argument(1)),
    ("runtime.mapaccess2_fat", Access, At::Argument(1)),
    ("runtime.mapaccess2_fast32", Access, At::Argument(1)),
    ("runtime.mapaccess2_fast64", Access, At::Argument(1)),
    ("runtime.mapaccess2_faststr", Access, At::Argument(1)),
    ("runtime.mapdelete", Delete, At::Argument(1)),
    ("runtime.mapdelete_fast32", Delete, At::Argument(1)),
    ("runtime.mapdelete_fast64", Delete, At::Argument(1)),
    ("runtime.mapdelete_faststr", Delete, At::Argument(1)),
    ("reflect.mapdelete", Delete, At::Argument(1)),
    ("reflect.mapdelete_faststr", Delete, At::Argument(1)),
    ("runtime.mapclear", Clear, At::Argument(1)),
];

const HMAP: &[Row] = &[("runtime.mapiternext", Iterate, At::Iterator)];

const SWISS: &[Row] = &[
    // Assigns of maps.Copy and maps.Clone up to 1.24.
    (
        "internal/runtime/maps.(*Map).PutSlot",
        Assign,
        At::Argument(0),
    ),
    ("internal/runtime/maps.(*Iter).Next", Iterate, At::Iterator),
];

/// `sync.Map` from Go 1.24 on, whichever maps the language has; before it was made of two of those.
const SYNC: &[Row] = &[
    ("sync.(*Map).Load", Access, At::Nowhere),
    ("sync.(*Map).Swap", Assign, At::Nowhere),
    ("sync.(*Map).LoadOrStore", Assign, At::Nowhere),
    ("sync.(*Map).CompareAndSwap", Assign, At::Nowhere),
    ("sync.(*Map).LoadAndDelete", Delete, At::Nowhere),
    ("sync.(*Map).CompareAndDelete", Delete, At::Nowhere),
    (
        "internal/sync.(*HashTrieMap[...]).Load",
        Access,
        At::Nowhere,
    ),
    (
        "internal/sync.(*HashTrieMap[...]).Swap",
        Assign,
        At::Nowhere,
    ),
    (
        "internal/sync.(*HashTrieMap[...]).LoadOrStore",
        Assign,
        At::Nowhere,
    ),
    (
        "internal/sync.(*HashTrieMap[...]).CompareAndSwap",
        Assign,
        At::Nowhere,
    ),
    (
        "internal/sync.(*HashTrieMap[...]).LoadAndDelete",
        Delete,
        At::Nowhere,
    ),
    (
        "internal/sync.(*HashTrieMap[...]).CompareAndDelete",
        Delete,
        At::Nowhere,
    ),
];

/// A place to count at.
#[derive(Clone, Debug)]
pub struct Planned {
    pub file_offset: u64,
    pub place: CensusPlace,
    pub operation: Operation,
    /// `runtime.mapassign_fast64+0xe`
    pub name: String,
    pub at: ProbePlace,
}

/// All places of a program.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    pub places: Vec<Planned>,
    /// Operations of which not every one is counted, and why.
    pub missed: Vec<(Operation, String)>,
    /// Where flushes of the write barrier's buffers are counted: file offset and place.
    pub flushes: Option<(u64, CensusPlace)>,
}

/// Plans the census of a Go program with maps; `entries` asks for page-table entries of the maps' storage.
pub fn plan(binary: &Binary, layouts: &Layouts, entries: bool) -> Plan {
    let Some(implementation) = binary.facts().map_implementation else {
        return Plan::default();
    };
    let found = counted(binary, implementation);
    let header = Header::of(implementation, layouts);
    let mut plan = Plan {
        flushes: flushes(binary),
        ..Plan::default()
    };
    for (function, row) in &found {
        plan.add(binary, function, row, &found, header, entries);
    }
    plan
}

/// Functions that do what is counted, and their rows.
fn counted(binary: &Binary, implementation: MapImplementation) -> Vec<(Function, &'static Row)> {
    let own = match implementation {
        MapImplementation::Hmap => HMAP,
        MapImplementation::Swiss => SWISS,
    };
    let sync: &[Row] = if has_hash_tries(binary) { SYNC } else { &[] };
    let rows: Vec<(Glob, &Row)> = COMMON
        .iter()
        .chain(own)
        .chain(sync)
        .map(|row| (Glob::new(row.0), row))
        .collect();
    let mut found: Vec<(Function, &Row)> = Vec::new();
    binary.functions(&mut |function| {
        let row = rows.iter().find(|(glob, _)| glob.matches(&function.name));
        if let Some((_, row)) = row.filter(|_| found.len() < MAX_FUNCTIONS) {
            found.push((function.clone(), row));
        }
    });
    found
}

/// A function calls another of the same operation, which is counted.
fn hands_on(function: &Function, row: &Row, code: &Code, found: &[(Function, &Row)]) -> bool {
    let same = |start: u64| {
        let other = found.iter().find(|(other, _)| other.start == start);
        other.is_some_and(|(other, of)| other.start != function.start && of.1 == row.1)
    };
    code.instructions.iter().any(|i| {
        matches!(i.mnemonic(), Mnemonic::Call | Mnemonic::Jmp)
            && i.op0_kind() == OpKind::NearBranch64
            && same(i.near_branch_target())
    })
}

/// An instruction that a call passes exactly once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Passed {
    pub file_offset: u64,
    /// Index into [`COUNTED`].
    pub operation: usize,
}

/// Where execution breakpoints count, by duty cycle.
///
/// Only functions that Go never preempts asynchronously (runtime/preempt.go, `isAsyncSafePoint`): it would
/// come back to the very instruction, which would count twice.
pub fn passed(binary: &Binary) -> Vec<Passed> {
    const NOT_PREEMPTED: [&str; 3] = ["runtime.", "internal/runtime/", "reflect."];
    let Some(implementation) = binary.facts().map_implementation else {
        return Vec::new();
    };
    let found = counted(binary, implementation);
    let places = found.iter().filter_map(|(function, row)| {
        let name = function.name.as_str();
        let stays = NOT_PREEMPTED.iter().any(|prefix| name.starts_with(prefix));
        let code = binary.code_of(function).filter(|_| stays)?;
        if hands_on(function, row, &code, &found) {
            return None;
        }
        Some(Passed {
            file_offset: binary.file_offset_of_svma(probe_place::passed_once(&code)?)?,
            operation: COUNTED.iter().position(|one| *one == row.1)?,
        })
    });
    places.collect()
}

/// Its `sync.Map` is `internal/sync.HashTrieMap`.
fn has_hash_tries(binary: &Binary) -> bool {
    let facts = binary.facts();
    let without = |name: &String| name == "nosynchashtriemap";
    facts.go_minor().is_some_and(|minor| minor >= 24) && !facts.go_experiments.iter().any(without)
}

fn flushes(binary: &Binary) -> Option<(u64, CensusPlace)> {
    let symbol = binary.symbol(FLUSH).into_iter().find(|found| !found.data)?;
    let function = binary.function_at(symbol.svma)?;
    let code = binary.code_of(&function)?;
    let place = probe_place::choose(binary, &code).entry?;
    let flags = match place.counting {
        Counting::ExactUnlessFlags => flag::UNLESS_FLAGS,
        Counting::Exact => 0,
    };
    let counts = CensusPlace {
        operation: FLUSHES,
        flags,
        through: DIRECT,
        ..CensusPlace::default()
    };
    Some((place.file_offset, counts))
}

impl Plan {
    fn add(
        &mut self,
        binary: &Binary,
        function: &Function,
        row: &Row,
        found: &[(Function, &Row)],
        header: Option<Header>,
        entries: bool,
    ) {
        let (_, operation, at) = row;
        let mut missed = |why: &str| {
            let why = format!("{} {why}", function.name);
            self.missed.push((operation.clone(), why));
        };
        let Some(code) = binary.code_of(function) else {
            return missed("has code that cannot be read");
        };
        if hands_on(function, row, &code, found) {
            return;
        }
        let Some(place) = probe_place::choose(binary, &code).entry else {
            return missed("has no place that every call passes once");
        };
        let mut census = CensusPlace {
            operation: index(operation),
            through: DIRECT,
            ..CensusPlace::default()
        };
        if place.counting == Counting::ExactUnlessFlags {
            census.flags |= flag::UNLESS_FLAGS;
        }
        if let Some(header) = header {
            header.fill(*at, entries, &mut census);
        }
        self.places.push(Planned {
            file_offset: place.file_offset,
            place: census,
            operation: operation.clone(),
            name: format!(
                "{}+{:#x}",
                function.name,
                place.address.wrapping_sub(function.start)
            ),
            at: place,
        });
    }
}

/// The number the kernel knows an operation by.
fn index(operation: &Operation) -> u32 {
    (0u32..)
        .zip(&COUNTED)
        .find(|(_, counted)| *counted == operation)
        .map_or(0, |(index, _)| index)
}

/// Names of a classic map's flags, by bit (Go 1.23 runtime/map.go:94).
pub const HMAP_FLAGS: [&str; 4] = ["iterator", "old_iterator", "hash_writing", "same_size_grow"];
/// A Swiss map has one (Go 1.27 internal/runtime/maps/map.go, `writing`).
pub const SWISS_FLAGS: [&str; 1] = ["writing"];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_counted_operation_has_a_number_of_its_own_that_the_kernel_has_room_for() {
        let numbers: Vec<u32> = COUNTED.iter().map(index).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4]);
        assert_eq!(COUNTED.len(), FLUSHES as usize);
        assert!(COUNTED.len() < map_trace_common::census::OPERATIONS);
    }

    #[test]
    fn every_row_counts_an_operation_that_is_counted() {
        for (name, operation, _) in COMMON.iter().chain(HMAP).chain(SWISS).chain(SYNC) {
            assert!(COUNTED.contains(operation), "{name}");
        }
    }
}
