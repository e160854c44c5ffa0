//! Which instructions reach the value of `m[k] = v`: Go's caller stores it itself, into the place that
//! the assign gave back in rax.

use iced_x86::{FlowControl, Instruction, Register};

use super::Stores;
use super::graph::Graph;
use super::origin::{Origin, Tracer, is_write};
use super::role::Role;

/// Whether the instruction at a position reads or writes through an assign's place.
pub(super) fn at_instruction(graph: &Graph, at: usize) -> Stores {
    let Some(i) = graph.instructions.get(at) else {
        return Stores::Unknown;
    };
    if i.flow_control() != FlowControl::Next || !graph.whole {
        return if graph.whole {
            Stores::No
        } else {
            Stores::Unknown
        };
    }
    let mut tracer = Tracer::new(graph);
    let bases: Vec<Register> = tracer
        .memory(at)
        .iter()
        .map(|memory| memory.base())
        .filter(|base| base.is_gpr64() && *base != Register::RSP)
        .collect();
    let answers = bases
        .into_iter()
        .map(|base| judged(tracer.origin(at, base)));
    // A copy from elsewhere into the place: which of the two faulted is not told by the instruction.
    answers
        .reduce(|one, other| if one == other { one } else { Stores::Unknown })
        .unwrap_or(Stores::No)
}

/// Whether a call at a position writes memory through an assign's place.
pub(super) fn at_call(graph: &Graph, at: usize) -> Stores {
    let Role::Copy { to, .. } = graph.role(at) else {
        return Stores::No;
    };
    if !graph.whole {
        return Stores::Unknown;
    }
    judged(Tracer::new(graph).origin(at, to))
}

const fn judged(origin: Origin) -> Stores {
    match origin {
        Origin::Assigned => Stores::Yes,
        Origin::Unknown => Stores::Unknown,
        _ => Stores::No,
    }
}

/// What the instruction of a copying function says: its caller knows where it writes to.
pub(super) fn in_copy(i: &Instruction) -> Stores {
    let mut factory = iced_x86::InstructionInfoFactory::new();
    let info = factory.info(i);
    let memory = || {
        let all = info.used_memory().iter();
        all.filter(|memory| memory.base() != Register::RSP)
    };
    let writes = memory().any(|memory| is_write(memory.access()));
    let reads = memory().any(|memory| !is_write(memory.access()));
    match (reads, writes) {
        (_, false) => Stores::No,
        (false, true) => Stores::OfCaller { sure: true },
        (true, true) => Stores::OfCaller { sure: false },
    }
}
