//! Classic maps (`runtime/map.go`, Go up to 1.23): a header, an array of 2^B buckets, and while it grows the
//! old array besides.

use iced_x86::Register;
use map_trace_common::place::{ARGUMENTS, Place, from};
use map_trace_common::record::kind;

use super::{NO_READ, Planner, Role, argument, at, map_at, map_type};
use crate::binary::probe_place::inside;

/// The type and the map are the first two arguments of most functions.
const TYPE: u32 = argument(0);
const MAP: u32 = argument(1);

pub(super) fn plan(planner: &mut Planner<'_>) {
    let b = planner
        .plan
        .layouts
        .offset("runtime.hmap", "B")
        .unwrap_or(0);
    let by_size = u32::try_from(b + 1).unwrap_or(0);
    planner.call(
        "runtime.makemap",
        Role::Make,
        Place {
            kind: kind::MAP_MAKE,
            subject: from::RESULT,
            group_byte: by_size,
            reads: [at(from::RESULT), map_type(TYPE), NO_READ],
            ..Place::default()
        },
    );
    planner.make_small();
    let grows = planner.call(
        "runtime.hashGrow",
        Role::HashGrow,
        Place {
            kind: kind::MAP_GROW,
            subject: MAP,
            group_byte: by_size,
            reads: [at(MAP), map_type(TYPE), NO_READ],
            ..Place::default()
        },
    );
    if !grows {
        planner
            .plan
            .notes
            .push("growth cannot be seen: runtime.hashGrow has no place".to_owned());
    }
    evacuated(planner);
    planner.entry(
        "runtime.mapiterinit",
        Role::Iterate,
        Place {
            kind: kind::ITERATION,
            subject: MAP,
            reads: [at(MAP), map_type(TYPE), NO_READ],
            ..Place::default()
        },
    );
    planner.entry(
        "runtime.mapclear",
        Role::Clear,
        Place {
            kind: kind::MAP_CLEAR,
            subject: MAP,
            reads: [at(MAP), map_type(TYPE), NO_READ],
            ..Place::default()
        },
    );
}

/// When the last bucket has moved, `advanceEvacuationMark` lets go of the old array: from then on that memory
/// is anyone's.
fn evacuated(planner: &mut Planner<'_>) {
    let field = planner.plan.layouts.offset("runtime.hmap", "oldbuckets");
    let found = planner
        .function("runtime.advanceEvacuationMark")
        .and_then(|(function, _)| {
            let code = planner.binary.code_of(&function)?;
            let (place, register) = inside::before_clearing(planner.binary, &code, field?)?;
            Some((function, place, kept(register)?))
        });
    let Some((function, place, map)) = found else {
        planner.plan.notes.push(
            "the end of a map's growth cannot be seen: its old buckets are not told apart from free memory".to_owned(),
        );
        return;
    };
    planner.add(&function, place, Role::Evacuated, map_at(map));
}

/// A register as a source, if it is one of those that are kept.
pub(super) fn kept(register: Register) -> Option<u32> {
    const KEPT: [Register; ARGUMENTS] = [
        Register::RAX,
        Register::RBX,
        Register::RCX,
        Register::RDI,
        Register::RSI,
        Register::RDX,
    ];
    let n = KEPT.iter().position(|one| *one == register)?;
    Some(argument(u32::try_from(n).ok()?))
}
