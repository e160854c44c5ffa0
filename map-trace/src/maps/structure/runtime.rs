//! What the runtime does of its own: collections, stops of the world, the heap's memory.
//!
//! Each place is the beginning of a function that runs a few times a collection, or once for memory that the kernel
//! is asked for or given. Where there is a choice it is one whose arguments say everything, since the end of a
//! function costs more to probe than its beginning.

use map_trace_common::place::{Place, flag};
use map_trace_common::record::kind;

use super::{Planner, Role, argument};

/// A function, what its call means, and what is not known without it.
struct Row {
    /// The first of these that is there; Go moved some.
    names: &'static [&'static str],
    role: Role,
    /// Told beside events, not one itself.
    beside: bool,
    lacks: &'static str,
}

/// Lines are of Go 1.23; each function is there from Go 1.18 to 1.27 with these arguments.
const ROWS: [Row; 6] = [
    // runtime/mgcpacer.go:416, in the stopped world in which setGCPhase(_GCmark) follows.
    Row {
        names: &["runtime.(*gcControllerState).startCycle"],
        role: Role::GcStart,
        beside: false,
        lacks: "the beginning of garbage collections",
    },
    // runtime/mgc.go:1665, right behind setGCPhase(_GCoff), the world stopped.
    Row {
        names: &["runtime.gcSweep"],
        role: Role::GcEnd,
        beside: false,
        lacks: "the end of garbage collections",
    },
    // runtime/proc.go:1537. From Go 1.21 on the first argument is the reason.
    Row {
        names: &["runtime.stopTheWorldWithSema"],
        role: Role::StopBegin,
        beside: true,
        lacks: "how long the world was stopped",
    },
    // runtime/proc.go:1659
    Row {
        names: &["runtime.startTheWorldWithSema"],
        role: Role::StopEnd,
        beside: false,
        lacks: "stops of the world",
    },
    // runtime/mem_linux.go:41: address, length. Only the scavenger calls it (runtime/mgcscavenge.go:778).
    Row {
        names: &["runtime.sysUnusedOS", "runtime.sysUnused"],
        role: Role::Scavenge,
        beside: false,
        lacks: "memory that the scavenger gives back",
    },
    // runtime/mpagealloc.go:357: base, size. Only (*mheap).grow calls it.
    Row {
        names: &["runtime.(*pageAlloc).grow"],
        role: Role::HeapGrow,
        beside: false,
        lacks: "growth of the heap",
    },
];

pub(super) fn plan(planner: &mut Planner<'_>) {
    for row in &ROWS {
        let subject = match row.role {
            Role::HeapGrow => argument(1),
            _ => argument(0),
        };
        let place = if row.beside {
            Place {
                flags: flag::SUPPLEMENT,
                subject,
                ..Place::default()
            }
        } else {
            Place {
                kind: kind::RUNTIME,
                subject,
                ..Place::default()
            }
        };
        let found = row
            .names
            .iter()
            .any(|name| planner.entry(name, row.role, place));
        if !found {
            let note = format!(
                "{} cannot be seen: {} is not there",
                row.lacks, row.names[0]
            );
            planner.plan.notes.push(note);
        }
    }
}
