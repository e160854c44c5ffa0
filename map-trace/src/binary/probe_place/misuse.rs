//! Where a function has found its argument misused and is about to say so: `lea rax, [rip+text]`, which a call that
//! never returns follows.

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

use super::{Counting, ProbePlace, emulated, is_plain_jump, is_short_push, stepped};
use crate::binary::Binary;
use crate::binary::disasm::{Code, is_jump, rip_address};

/// Instructions between the text and the call.
const TO_CALL: usize = 5;
/// Instructions between the check and the text.
const TO_CHECK: usize = 12;

/// Each place where a text that begins so is about to be said, and the register that holds the address of what was
/// checked: the check reads the byte at `field` of it.
pub fn found(
    binary: &Binary,
    code: &Code,
    field: u64,
    begins: &[u8],
) -> Vec<(ProbePlace, Register)> {
    let is_text = |i: &Instruction| {
        let mut text = vec![0; begins.len()];
        i.mnemonic() == Mnemonic::Lea
            && i.op0_register() == Register::RAX
            && rip_address(i).is_some_and(|at| binary.read(at, &mut text).is_some())
            && text == begins
    };
    let offset = |svma| binary.file_offset_of_svma(svma);
    let mut all = Vec::new();
    for (n, i) in code.instructions.iter().enumerate() {
        if i.mnemonic() != Mnemonic::Lea || !is_text(i) || !calls_soon(code, n) {
            continue;
        }
        let Some(register) = checked(code, n, field) else {
            continue;
        };
        let why = "what is misused is in a register";
        let place = if is_short_push(i) || is_plain_jump(i) {
            emulated(i, &offset, Counting::Exact, why)
        } else {
            stepped(i, &offset, why)
        };
        all.extend(place.map(|place| (place, register)));
    }
    all
}

/// A call follows, and nothing between that goes elsewhere.
fn calls_soon(code: &Code, from: usize) -> bool {
    let behind = code.instructions.iter().skip(from + 1).take(TO_CALL);
    behind
        .take_while(|i| matches!(i.flow_control(), FlowControl::Next | FlowControl::Call))
        .any(|i| i.flow_control() == FlowControl::Call)
}

/// The register through which the check before `at` read the field, if it still holds the same at `at`: backward
/// along the only way that leads there.
fn checked(code: &Code, at: usize, field: u64) -> Option<Register> {
    let mut factory = InstructionInfoFactory::new();
    let mut written: Vec<Register> = Vec::new();
    let mut n = at;
    for _ in 0..TO_CHECK {
        n = before(code, n)?;
        let i = code.instructions.get(n)?;
        if i.flow_control() == FlowControl::Call {
            return None;
        }
        if let Some(register) = reads(i, field) {
            // `mov al, [rax+8]` leaves nothing to take.
            let gone = written.contains(&register) || writes(i, &mut factory).contains(&register);
            return (!gone).then_some(register);
        }
        written.extend(writes(i, &mut factory));
    }
    None
}

/// The instruction that runs before one: the jump to it if there is one and it is not reached otherwise.
fn before(code: &Code, n: usize) -> Option<usize> {
    let i = code.instructions.get(n)?;
    let previous = n.checked_sub(1)?;
    let flows = matches!(
        code.instructions.get(previous)?.flow_control(),
        FlowControl::Next | FlowControl::ConditionalBranch | FlowControl::Call
    );
    let mut jumps = code
        .instructions
        .iter()
        .enumerate()
        .filter(|(_, jump)| is_jump(jump) && jump.near_branch_target() == i.ip())
        .map(|(at, _)| at);
    match (flows, jumps.next(), jumps.next()) {
        (true, None, _) => Some(previous),
        (false, Some(jump), None) => Some(jump),
        _ => None,
    }
}

/// The register by which an instruction reads the byte at an offset.
fn reads(i: &Instruction, field: u64) -> Option<Register> {
    let memory = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory);
    let byte = matches!(
        i.mnemonic(),
        Mnemonic::Movzx | Mnemonic::Test | Mnemonic::Cmp | Mnemonic::Mov
    ) && i.memory_size().size() == 1;
    let plain = i.memory_index() == Register::None && i.memory_base().is_gpr64();
    (memory
        && byte
        && plain
        && i.memory_displacement64() == field
        && i.memory_base() != Register::RSP)
        .then(|| i.memory_base())
}

fn writes(i: &Instruction, factory: &mut InstructionInfoFactory) -> Vec<Register> {
    let used = factory.info(i).used_registers().iter();
    used.filter(|used| !matches!(used.access(), OpAccess::Read | OpAccess::CondRead))
        .map(|used| used.register().full_register())
        .collect()
}
