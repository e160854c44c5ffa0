//! How a Go program ends itself: the runtime's functions for it, and which map was misused.
//!
//! `runtime.throw` and `runtime.fatal` take the text (Go 1.19 runtime/panic.go:1040 and :1059, as later), and
//! `runtime.fatalpanic` the panic that nobody recovers, whose value was made text of by then if it knows how
//! (`preprintpanics`). None of them is called in a program that goes on.
//!
//! By the time of the call the map's address is in no register any more: the text took its place. It is taken where
//! the map function has just seen that the map is misused, from the register of that check.

use map_trace_common::place::{Place, Read};
use map_trace_common::record::kind;

use super::hmap::kept;
use super::{Planner, Role, argument, at, map_at, word};
use crate::binary::probe_place::misuse;
use crate::binary::{Function, MapImplementation};

/// Places where a misused map is known, at most: generic code has one for each shape.
const MAX_PLACES: usize = 128;
/// What the texts about misused maps begin with (runtime/map.go, internal/runtime/maps/runtime.go).
const MISUSED: &[u8] = b"concurrent map ";

/// 64 bytes, `n` times as far behind what a source says.
const fn piece(base: u32, n: u32) -> Read {
    Read {
        offset: n * 64,
        ..at(base)
    }
}

pub(super) fn plan(planner: &mut Planner<'_>) {
    let text = argument(0);
    let told = Place {
        kind: kind::FATAL,
        subject: text,
        reads: [piece(text, 0), piece(text, 1), piece(text, 2)],
        ..Place::default()
    };
    if !planner.entry("runtime.throw", Role::Throw, told) {
        planner
            .plan
            .notes
            .push("fatal errors cannot be seen: runtime.throw is not there".to_owned());
    }
    // Go 1.18 has none.
    planner.entry("runtime.fatal", Role::Fatal, told);
    // `runtime._panic` has its value as type and pointer; the pointer of a string leads to it.
    let value = panic_value(planner.binary.facts().go_minor().unwrap_or(0));
    let panic = Place {
        reads: [at(argument(0)), at(word(0, value + 1)), at(word(1, 0))],
        ..told
    };
    planner.entry("runtime.fatalpanic", Role::Panic, panic);
    misused(planner);
}

/// Where `runtime._panic` has its value, in words (runtime/runtime2.go): Go 1.26 dropped what stood before it.
pub const fn panic_value(minor: u32) -> u32 {
    if minor >= 26 { 0 } else { 1 }
}

/// Where map functions have found out.
fn misused(planner: &mut Planner<'_>) {
    let layouts = &planner.plan.layouts;
    let flags = match planner.plan.implementation {
        MapImplementation::Hmap => layouts.offset("runtime.hmap", "flags"),
        MapImplementation::Swiss => layouts.offset("internal/runtime/maps.Map", "writing"),
    };
    let Some(flags) = flags else {
        return;
    };
    let mut functions: Vec<Function> = Vec::new();
    planner.binary.functions(&mut |function| {
        if functions.len() < MAX_PLACES && of_maps(&function.name) {
            functions.push(function.clone());
        }
    });
    let mut left = MAX_PLACES;
    for function in functions {
        let Some(code) = planner.binary.code_of(&function) else {
            continue;
        };
        for (place, register) in misuse::found(planner.binary, &code, flags, MISUSED) {
            let Some(map) = kept(register).filter(|_| left > 0) else {
                continue;
            };
            left -= 1;
            planner.add(&function, place, Role::FatalMap, map_at(map));
        }
    }
}

/// Functions that look whether their map is misused.
fn of_maps(name: &str) -> bool {
    const BEGIN: [&str; 6] = [
        "runtime.mapassign",
        "runtime.mapaccess",
        "runtime.mapdelete",
        "runtime.mapiternext",
        "runtime.mapclear",
        "runtime.mapclone",
    ];
    const SWISS: &str = "internal/runtime/maps.";
    BEGIN.iter().any(|begin| name.starts_with(begin)) || name.starts_with(SWISS)
}
