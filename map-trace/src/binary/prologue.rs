//! Where the return address is, read off the instructions from a function's start: for assembly that
//! has no unwind information.

use std::collections::HashMap;

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::unwind::{CallerBp, ReturnSlot, SlotPlace};

/// Functions longer than this are not read.
pub(super) const MAX_BYTES: u64 = 64 << 10;

/// What is known at one instruction, relative to the return address's slot.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct State {
    /// Slot minus rsp.
    sp: Option<i64>,
    /// Slot minus rbp, once rbp is this function's frame pointer.
    pub bp: Option<i64>,
    /// What became of the caller's rbp.
    caller_bp: CallerBp,
}

impl State {
    const ENTRY: Self = Self {
        sp: Some(0),
        bp: None,
        caller_bp: CallerBp::Unchanged,
    };
    const LOST: Self = Self {
        sp: None,
        bp: None,
        caller_bp: CallerBp::Unknown,
    };

    pub fn slot(self) -> ReturnSlot {
        let place = match (self.sp, self.bp) {
            (Some(sp), _) => SlotPlace::FromSp(sp),
            (None, Some(bp)) => SlotPlace::FromBp(bp),
            (None, None) => SlotPlace::Unknown,
        };
        ReturnSlot {
            place,
            caller_bp: self.caller_bp,
        }
    }

    /// What holds on both of two ways to an instruction.
    fn joined(self, other: Self) -> Self {
        Self {
            sp: self.sp.filter(|_| self.sp == other.sp),
            bp: self.bp.filter(|_| self.bp == other.bp),
            caller_bp: if self.caller_bp == other.caller_bp {
                self.caller_bp
            } else {
                CallerBp::Unknown
            },
        }
    }
}

/// Reads `code`, the function's bytes from its start at `start`, up to the instruction at `svma`.
///
/// One pass in address order; the state at a jump's target is kept until it is reached. Code that only
/// a later jump reaches is not understood, and the answer is then none.
pub(super) fn state(code: &[u8], start: u64, svma: u64) -> Option<State> {
    let mut decoder = Decoder::with_ip(64, code, start, DecoderOptions::NONE);
    let mut instruction = Instruction::default();
    let mut state = Some(State::ENTRY);
    let mut arriving: HashMap<u64, State> = HashMap::new();
    while decoder.can_decode() {
        decoder.decode_out(&mut instruction);
        if instruction.is_invalid() {
            break;
        }
        let at = instruction.ip();
        if let Some(&arrived) = arriving.get(&at) {
            state = Some(state.map_or(arrived, |s| s.joined(arrived)));
        }
        // A caller is asked for at its return address minus one, inside the call: the same frame.
        if svma < instruction.next_ip() {
            return state.filter(|_| svma >= at);
        }
        let Some(now) = state else { continue };
        let next = step(now, &instruction);
        let target = instruction.near_branch_target();
        state = match instruction.flow_control() {
            FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch if target > at => {
                arriving
                    .entry(target)
                    .and_modify(|s| *s = s.joined(next))
                    .or_insert(next);
                (instruction.flow_control() == FlowControl::ConditionalBranch).then_some(next)
            }
            FlowControl::ConditionalBranch => Some(next),
            FlowControl::UnconditionalBranch
            | FlowControl::IndirectBranch
            | FlowControl::Return
            | FlowControl::Exception => None,
            _ => Some(next),
        };
    }
    None
}

/// The state after an instruction.
fn step(state: State, i: &Instruction) -> State {
    let names = |number: u32, register: Register| {
        i.op_count() > number
            && i.op_kind(number) == OpKind::Register
            && i.op_register(number).full_register() == register
    };
    let exchanged = matches!(
        i.mnemonic(),
        Mnemonic::Xchg | Mnemonic::Xadd | Mnemonic::Enter
    );
    if exchanged && (names(1, Register::RSP) || names(1, Register::RBP) || i.op_count() < 2) {
        return State::LOST;
    }
    if i.mnemonic() == Mnemonic::Leave {
        return State {
            sp: state.bp.and_then(|bp| bp.checked_sub(8)),
            bp: None,
            caller_bp: CallerBp::Unchanged,
        };
    }
    if names(0, Register::RBP) {
        rbp_named(state, i)
    } else if names(0, Register::RSP) && writes_first(i) {
        rsp_written(state, i)
    } else {
        neither_written(state, i)
    }
}

/// After an instruction whose first operand is rbp (or a part of it).
fn rbp_named(mut state: State, i: &Instruction) -> State {
    let restored = |from: Option<i64>| match from.map(CallerBp::Saved) {
        Some(saved) if saved == state.caller_bp => CallerBp::Unchanged,
        _ => CallerBp::Unknown,
    };
    match i.mnemonic() {
        Mnemonic::Push => {
            state.sp = state.sp.and_then(|sp| sp.checked_add(8));
            if let (CallerBp::Unchanged, Some(sp)) = (state.caller_bp, state.sp) {
                state.caller_bp = CallerBp::Saved(-sp);
            }
        }
        Mnemonic::Pop => {
            state.caller_bp = restored(state.sp.map(|sp| -sp));
            state.sp = state.sp.and_then(|sp| sp.checked_sub(8));
            state.bp = None;
        }
        Mnemonic::Mov if i.op1_kind() == OpKind::Register && i.op1_register() == Register::RSP => {
            state.bp = state.sp;
        }
        Mnemonic::Mov if i.op1_kind() == OpKind::Memory => {
            state.caller_bp = restored(at_rsp(&state, i));
            state.bp = None;
        }
        // Go 1.20 and older: `mov [rsp+n], rbp; lea rbp, [rsp+n]` ... `mov rbp, [rsp+n]`.
        Mnemonic::Lea => state.bp = at_rsp(&state, i).map(|at| -at),
        _ if writes_first(i) => {
            state.bp = None;
            if state.caller_bp == CallerBp::Unchanged {
                state.caller_bp = CallerBp::Unknown;
            }
        }
        _ => {}
    }
    state
}

/// After an instruction that writes rsp as its first operand.
fn rsp_written(mut state: State, i: &Instruction) -> State {
    state.sp = match i.mnemonic() {
        Mnemonic::Mov if i.op1_kind() == OpKind::Register && i.op1_register() == Register::RBP => {
            state.bp
        }
        Mnemonic::Lea if i.memory_index() == Register::None => {
            let by = i.memory_displacement64() as i64;
            match i.memory_base() {
                Register::RSP => state.sp.and_then(|sp| sp.checked_sub(by)),
                Register::RBP => state.bp.and_then(|bp| bp.checked_sub(by)),
                _ => None,
            }
        }
        Mnemonic::Sub => state
            .sp
            .zip(immediate(i))
            .and_then(|(sp, by)| sp.checked_add(by)),
        Mnemonic::Add => state
            .sp
            .zip(immediate(i))
            .and_then(|(sp, by)| sp.checked_sub(by)),
        _ => None,
    };
    state
}

/// After an instruction that moves rsp at most by pushing and popping.
fn neither_written(mut state: State, i: &Instruction) -> State {
    let stores_rbp = i.mnemonic() == Mnemonic::Mov
        && i.op0_kind() == OpKind::Memory
        && i.op1_register() == Register::RBP;
    if stores_rbp
        && state.caller_bp == CallerBp::Unchanged
        && let Some(at) = at_rsp(&state, i)
    {
        state.caller_bp = CallerBp::Saved(at);
    }
    // A call comes back with rsp as it was.
    let calls = matches!(
        i.flow_control(),
        FlowControl::Call | FlowControl::IndirectCall
    );
    if !calls {
        let by = i64::from(i.stack_pointer_increment());
        state.sp = state.sp.and_then(|sp| sp.checked_sub(by));
    }
    state
}

/// Where a memory operand relative to rsp lies, from the slot.
fn at_rsp(state: &State, i: &Instruction) -> Option<i64> {
    if i.memory_base() != Register::RSP || i.memory_index() != Register::None {
        return None;
    }
    (i.memory_displacement64() as i64).checked_sub(state.sp?)
}

fn immediate(i: &Instruction) -> Option<i64> {
    match i.op1_kind() {
        OpKind::Immediate8to64 | OpKind::Immediate32to64 => Some(i.immediate(1) as i64),
        _ => None,
    }
}

/// Whether the first operand is written: all but comparisons, tests and pushes.
fn writes_first(i: &Instruction) -> bool {
    !matches!(
        i.mnemonic(),
        Mnemonic::Cmp
            | Mnemonic::Test
            | Mnemonic::Push
            | Mnemonic::Bt
            | Mnemonic::Jmp
            | Mnemonic::Call
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(code: &[u8], offset: u64) -> (SlotPlace, CallerBp) {
        let slot = state(code, 0x1000, 0x1000 + offset).map_or(ReturnSlot::UNKNOWN, State::slot);
        (slot.place, slot.caller_bp)
    }

    #[test]
    fn a_frame_pointer_prologue_is_followed_instruction_by_instruction() {
        // push rbp; mov rbp,rsp; sub rsp,0x20; leave; ret
        let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xec, 0x20, 0xc9, 0xc3];
        assert_eq!(at(&code, 0), (SlotPlace::FromSp(0), CallerBp::Unchanged));
        assert_eq!(at(&code, 1), (SlotPlace::FromSp(8), CallerBp::Saved(-8)));
        assert_eq!(at(&code, 4), (SlotPlace::FromSp(8), CallerBp::Saved(-8)));
        assert_eq!(at(&code, 8), (SlotPlace::FromSp(40), CallerBp::Saved(-8)));
        assert_eq!(at(&code, 9), (SlotPlace::FromSp(0), CallerBp::Unchanged));
    }

    #[test]
    fn a_frame_of_older_go_is_followed_too() {
        // sub rsp,0x18; mov [rsp+0x10],rbp; lea rbp,[rsp+0x10]; mov rsp,rdx; nop;
        let code = [
            0x48, 0x83, 0xec, 0x18, 0x48, 0x89, 0x6c, 0x24, 0x10, 0x48, 0x8d, 0x6c, 0x24, 0x10,
            0x48, 0x89, 0xd4, 0x90,
        ];
        assert_eq!(at(&code, 4), (SlotPlace::FromSp(0x18), CallerBp::Unchanged));
        assert_eq!(at(&code, 9), (SlotPlace::FromSp(0x18), CallerBp::Saved(-8)));
        assert_eq!(at(&code, 17), (SlotPlace::FromBp(8), CallerBp::Saved(-8)));
    }

    #[test]
    fn ways_that_disagree_leave_the_answer_unknown() {
        // test eax,eax; je +1; push rax; nop: with and without the push.
        let code = [0x85, 0xc0, 0x74, 0x01, 0x50, 0x90];
        assert_eq!(at(&code, 4).0, SlotPlace::FromSp(0));
        assert_eq!(at(&code, 5).0, SlotPlace::Unknown);
    }

    #[test]
    fn an_aligned_stack_is_left_through_rbp_or_not_at_all() {
        // push rbp; mov rbp,rsp; and rsp,-32; nop
        let code = [0x55, 0x48, 0x89, 0xe5, 0x48, 0x83, 0xe4, 0xe0, 0x90];
        assert_eq!(at(&code, 8), (SlotPlace::FromBp(8), CallerBp::Saved(-8)));
        // and rsp,-32; nop
        let code = [0x48, 0x83, 0xe4, 0xe0, 0x90];
        assert_eq!(at(&code, 4).0, SlotPlace::Unknown);
    }

    #[test]
    fn code_after_a_return_is_known_only_from_a_jump_to_it() {
        // je +2; push rax; ret; nop / the nop is reached with nothing pushed.
        let code = [0x74, 0x02, 0x50, 0xc3, 0x90];
        assert_eq!(at(&code, 4).0, SlotPlace::FromSp(0));
        // push rax; ret; nop
        let code = [0x50, 0xc3, 0x90];
        assert_eq!(at(&code, 2).0, SlotPlace::Unknown);
        // xchg rax,rsp; nop
        assert_eq!(at(&[0x48, 0x94, 0x90], 2).0, SlotPlace::Unknown);
        // Inside the call of `push rax; call +0; nop`.
        assert_eq!(
            at(&[0x50, 0xe8, 0, 0, 0, 0, 0x90], 5).0,
            SlotPlace::FromSp(8)
        );
    }
}
