//! Places inside a function: where something is known that is known nowhere else so cheaply.

use iced_x86::{FlowControl, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register};

use super::{Counting, ProbePlace, emulated, is_plain_jump};
use crate::binary::Binary;
use crate::binary::disasm::{Code, is_jump};

/// Instructions looked at behind a call.
const BEHIND: usize = 12;
/// Instructions looked at before a store.
const BEFORE: usize = 6;

/// The first emulated instruction after each call of a function that `called` accepts, while RAX still holds
/// what it returned and before anything jumps: a jump or the next call itself.
pub fn after_call(binary: &Binary, code: &Code, called: &dyn Fn(&str) -> bool) -> Vec<ProbePlace> {
    let mut factory = InstructionInfoFactory::new();
    let offset = |svma| binary.file_offset_of_svma(svma);
    let mut found = Vec::new();
    for (n, i) in code.instructions.iter().enumerate() {
        if i.mnemonic() != Mnemonic::Call || i.op0_kind() != OpKind::NearBranch64 {
            continue;
        }
        let target = binary.function_at(i.near_branch_target());
        if !target.is_some_and(|function| called(&function.name)) {
            continue;
        }
        for next in code.instructions.iter().skip(n + 1).take(BEHIND) {
            if is_landing(code, next.ip()) {
                break;
            }
            // `call rel32` is emulated: the kernel pushes the return address itself.
            let call = next.mnemonic() == Mnemonic::Call && next.len() == 5;
            if call || (is_jump(next) && is_plain_jump(next)) {
                found.extend(emulated(
                    next,
                    &offset,
                    Counting::Exact,
                    "what a call returned is in rax",
                ));
                break;
            }
            let writes_rax = factory.info(next).used_registers().iter().any(|used| {
                used.register().full_register() == Register::RAX
                    && !matches!(used.access(), OpAccess::Read | OpAccess::CondRead)
            });
            if next.flow_control() != FlowControl::Next || writes_rax {
                break;
            }
        }
    }
    found
}

/// The jump of the write barrier's check that stands before `mov qword [r+field], 0`, and r: the place is
/// passed each time the field is cleared, just before.
pub fn before_clearing(binary: &Binary, code: &Code, field: u64) -> Option<(ProbePlace, Register)> {
    let offset = |svma| binary.file_offset_of_svma(svma);
    let (n, store) = code.instructions.iter().enumerate().find(|(_, i)| {
        i.mnemonic() == Mnemonic::Mov
            && i.op0_kind() == OpKind::Memory
            && i.memory_displacement64() == field
            && i.memory_index() == Register::None
            && i.memory_base().is_gpr64()
            && i.op1_kind() == OpKind::Immediate32to64
            && i.immediate32to64() == 0
    })?;
    let before = &code.instructions[n.saturating_sub(BEFORE)..n];
    let jump = before.windows(3).rev().find_map(|three| {
        // A nop may stand between, which keeps jumps off a line's end.
        let check = if three[1].mnemonic() == Mnemonic::Nop {
            &three[0]
        } else {
            &three[1]
        };
        let checks = check.mnemonic() == Mnemonic::Cmp && check.memory_base() == Register::RIP;
        (checks && is_jump(&three[2]) && is_plain_jump(&three[2])).then_some(&three[2])
    })?;
    let place = emulated(
        jump,
        &offset,
        Counting::Exact,
        "just before the field is cleared",
    )?;
    Some((place, store.memory_base()))
}

/// Something else in the function jumps here.
fn is_landing(code: &Code, svma: u64) -> bool {
    code.instructions
        .iter()
        .any(|i| is_jump(i) && i.near_branch_target() == svma)
}
