//! Where a register's value comes from, followed backward along every way to it.

use std::collections::HashMap;

use iced_x86::{
    Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register, UsedMemory,
};

use super::graph::Graph;
use super::role::Role;

/// Steps of one question at most.
const MAX_STEPS: usize = 20_000;

/// Where a value comes from on all ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// The address of a place on the stack, by its displacement from rsp.
    Address(i64),
    /// What the call at this position left in a register.
    Result(usize, Register),
    /// What the function's caller left in it.
    Parameter(Register),
    /// The place of a value that an assign gave back, or one at a fixed distance of it.
    Assigned,
    /// Anything else, or different things on different ways.
    Other,
    /// Too long to follow.
    Unknown,
}

/// Where a value stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Place {
    Register(Register),
    /// A word at this displacement from rsp, which stands still between prologue and epilogue.
    Slot(i64),
}

enum Back {
    To(Place, i64),
    End(Origin),
}

/// Answers for one function.
pub(super) struct Tracer<'a> {
    graph: &'a Graph,
    factory: InstructionInfoFactory,
}

impl<'a> Tracer<'a> {
    pub fn new(graph: &'a Graph) -> Self {
        Self {
            graph,
            factory: InstructionInfoFactory::new(),
        }
    }

    /// Where the value of a register before the instruction at a position comes from. Words on the stack
    /// are followed to the stores that filled them.
    pub fn origin(&mut self, at: usize, register: Register) -> Origin {
        let start = (at, Place::Register(register));
        let mut seen = HashMap::from([(start, 0i64)]);
        let mut open = vec![start];
        let mut agreed: Option<Origin> = None;
        let mut drifts = false;
        while let Some((at, place)) = open.pop() {
            if seen.len() > MAX_STEPS {
                return Origin::Unknown;
            }
            let offset = seen.get(&(at, place)).copied().unwrap_or(0);
            let mut ends = Vec::new();
            if at == 0 {
                ends.push(match place {
                    Place::Register(register) => Origin::Parameter(register),
                    Place::Slot(_) => Origin::Other,
                });
            }
            for before in self.graph.before(at) {
                match self.back(before, place) {
                    Back::End(found) => ends.push(found),
                    Back::To(place, by) => {
                        let offset = offset.wrapping_add(by);
                        match seen.get(&(before, place)) {
                            Some(known) => drifts |= *known != offset,
                            None => {
                                seen.insert((before, place), offset);
                                open.push((before, place));
                            }
                        }
                    }
                }
            }
            for found in ends {
                let found = match found {
                    Origin::Address(base) => Origin::Address(base.wrapping_add(offset)),
                    other => other,
                };
                if found == Origin::Other || *agreed.get_or_insert(found) != found {
                    return Origin::Other;
                }
            }
        }
        match agreed {
            Some(Origin::Address(_)) if drifts => Origin::Other,
            Some(found) => found,
            None => Origin::Other,
        }
    }

    /// What the value in a place after an instruction was before it.
    fn back(&mut self, at: usize, place: Place) -> Back {
        let role = self.graph.role(at);
        let i = &self.graph.instructions[at];
        match place {
            Place::Register(register) if self.graph.is_call(at) => {
                if role == Role::Assign && register == Register::RAX {
                    Back::End(Origin::Assigned)
                } else if role.keeps(register) {
                    Back::To(place, 0)
                } else {
                    Back::End(Origin::Result(at, register))
                }
            }
            Place::Slot(_) if self.graph.is_call(at) => Back::To(place, 0),
            Place::Register(register) => {
                if self.writes(i, register) {
                    defined(i, register)
                } else {
                    Back::To(place, 0)
                }
            }
            Place::Slot(slot) => {
                if self.writes(i, Register::RSP) {
                    return Back::End(Origin::Other);
                }
                if !self.stores(at, slot, 8) {
                    return Back::To(place, 0);
                }
                let whole = i.mnemonic() == Mnemonic::Mov
                    && i.op1_kind() == OpKind::Register
                    && i.op1_register().is_gpr64()
                    && i.memory_displacement64() as i64 == slot;
                if whole {
                    Back::To(Place::Register(i.op1_register()), 0)
                } else {
                    Back::End(Origin::Other)
                }
            }
        }
    }

    /// Whether an instruction changes a register or a part of it.
    pub fn writes(&mut self, i: &Instruction, register: Register) -> bool {
        let info = self.factory.info(i);
        info.used_registers()
            .iter()
            .any(|used| used.register().full_register() == register && is_write(used.access()))
    }

    /// Whether an instruction stores to one of `length` bytes at a displacement from rsp, by rsp.
    pub fn stores(&mut self, at: usize, slot: i64, length: i64) -> bool {
        let Some(i) = self.graph.instructions.get(at) else {
            return false;
        };
        if self.graph.is_call(at) {
            return false;
        }
        self.factory.info(i).used_memory().iter().any(|memory| {
            let from = memory.displacement() as i64;
            let size = memory.memory_size().size().max(1) as i64;
            is_write(memory.access())
                && memory.base() == Register::RSP
                && memory.index() == Register::None
                && from < slot.saturating_add(length)
                && from.saturating_add(size) > slot
        })
    }

    /// The memory an instruction reads or writes.
    pub fn memory(&mut self, at: usize) -> Vec<UsedMemory> {
        let Some(i) = self.graph.instructions.get(at) else {
            return Vec::new();
        };
        self.factory.info(i).used_memory().to_vec()
    }
}

/// The value an instruction puts into a register.
fn defined(i: &Instruction, register: Register) -> Back {
    let other = Back::End(Origin::Other);
    if i.op_count() == 0 || i.op0_kind() != OpKind::Register || i.op0_register() != register {
        return other;
    }
    let displacement = i.memory_displacement64() as i64;
    let plain = i.memory_index() == Register::None;
    let moved = |by: i64| Back::To(Place::Register(register), by);
    match (i.mnemonic(), i.op1_kind()) {
        (Mnemonic::Mov, OpKind::Register) => Back::To(Place::Register(i.op1_register()), 0),
        (Mnemonic::Mov, OpKind::Memory) if plain && i.memory_base() == Register::RSP => {
            Back::To(Place::Slot(displacement), 0)
        }
        (Mnemonic::Lea, _) if plain && i.memory_base() == Register::RSP => {
            Back::End(Origin::Address(displacement))
        }
        (Mnemonic::Lea, _) if plain && i.memory_base().is_gpr64() => {
            Back::To(Place::Register(i.memory_base()), displacement)
        }
        (Mnemonic::Add, OpKind::Immediate8to64 | OpKind::Immediate32to64) => {
            moved(i.immediate(1) as i64)
        }
        (Mnemonic::Sub, OpKind::Immediate8to64 | OpKind::Immediate32to64) => {
            moved((i.immediate(1) as i64).wrapping_neg())
        }
        (Mnemonic::Inc, _) => moved(1),
        (Mnemonic::Dec, _) => moved(-1),
        _ => other,
    }
}

/// An access that leaves another value.
pub(super) const fn is_write(access: OpAccess) -> bool {
    matches!(
        access,
        OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
    )
}
