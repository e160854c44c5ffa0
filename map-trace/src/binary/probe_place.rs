//! Where a uprobe on a function costs least and counts right, chosen by disassembly.
//!
//! A uprobe replaces an instruction by a trap. What the trap costs beyond itself depends on that
//! instruction: the kernel emulates a few (`arch/x86/kernel/uprobes.c`: `push` of a register, jumps,
//! `nop`) and steps the rest one by one on a page of its own, which costs seven times as much.
//!
//! The place must also be passed exactly once a call, with the arguments still in their registers. A Go
//! function's first instruction is not: when its stack check fails, `runtime.morestack` grows the stack
//! and begins the function anew. From Go 1.21 on a `push rbp` follows the check; before, there is none,
//! and the check's own `jbe` is probed: hits whose flags say it will be taken are the failed checks.
//!
//! Returns are found by disassembly too, since a return probe replaces the return address and Go, which
//! moves stacks and reads them, crashes on that.

use iced_x86::{
    FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind, Register,
};

pub mod inside;
pub mod misuse;
#[cfg(test)]
mod tests;

use super::Binary;
use super::disasm::{Code, is_jump, word};

/// What the kernel does with the instruction below a uprobe.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Class {
    /// Its effect is computed: one trap.
    Emulated,
    /// It is executed on another page with the trap flag set: two traps.
    SingleStepped,
}

impl Class {
    pub const fn is_emulated(self) -> bool {
        matches!(self, Self::Emulated)
    }

    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Emulated => "emulated",
            Self::SingleStepped => "single-stepped",
        }
    }
}

/// What a hit costs with a program that only counts, in ns: medians on Linux 6.18 under KVM. A guide for
/// comparing places; a session measures its own.
const COST_JUMP: u32 = 530;
const COST_PUSH: u32 = 580;
const COST_STEPPED: u32 = 3_950;

/// How hits become calls.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Counting {
    /// One hit a call.
    Exact,
    /// One hit a call, and one for each failed stack check: those have the carry or the zero flag set
    /// (`jbe` is about to be taken) and are to be ignored.
    ExactUnlessFlags,
}

/// Where to put a uprobe.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct ProbePlace {
    /// Address stated in the file.
    #[serde(serialize_with = "super::hex")]
    pub address: u64,
    /// What a uprobe is placed by.
    #[serde(serialize_with = "super::hex")]
    pub file_offset: u64,
    /// The instruction there, such as `push rbp`.
    pub instruction: String,
    pub class: Class,
    /// Expected cost of a hit.
    pub cost_ns: u32,
    pub counting: Counting,
    /// Why here.
    pub why: &'static str,
}

/// Every way in and out of a function.
#[derive(Clone, Debug, Default, PartialEq, Eq, serde::Serialize)]
pub struct ProbePlaces {
    /// None when no place is passed exactly once a call with the arguments in place.
    pub entry: Option<ProbePlace>,
    /// Each return instruction. Single-stepped: for results, not for counting.
    pub returns: Vec<ProbePlace>,
    /// Jumps to other functions: a return of theirs is one of this function.
    pub tail_jumps: Vec<ProbePlace>,
    /// Every way out is among the two above. False with indirect jumps that are no switch, or bytes that
    /// are no instructions.
    pub exits_complete: bool,
}

/// Arguments and the goroutine in Go's register ABI (cmd/compile/abi-internal.md) and the System V ABI.
const ARGUMENTS: [Register; 12] = [
    Register::RAX,
    Register::RBX,
    Register::RCX,
    Register::RDX,
    Register::RDI,
    Register::RSI,
    Register::R8,
    Register::R9,
    Register::R10,
    Register::R11,
    Register::R14,
    Register::RSP,
];

/// Chooses the places of a function.
pub fn choose(binary: &Binary, code: &Code) -> ProbePlaces {
    let offset = |svma| binary.file_offset_of_svma(svma);
    places(code, &offset, &|svma| binary.pointer(svma))
}

/// The first instruction that every call passes exactly once, for a means that cares for nothing else.
pub fn passed_once(code: &Code) -> Option<u64> {
    let first = straight(code, stack_check(code)).first().copied();
    first.map(Instruction::ip)
}

fn places(
    code: &Code,
    offset: &dyn Fn(u64) -> Option<u64>,
    word_at: &dyn Fn(u64) -> Option<u64>,
) -> ProbePlaces {
    let mut found = ProbePlaces {
        entry: entry(code, offset),
        exits_complete: code.whole,
        ..ProbePlaces::default()
    };
    for (n, i) in code.instructions.iter().enumerate() {
        let leaves = |why| stepped(i, offset, why);
        match i.flow_control() {
            FlowControl::Return => found.returns.extend(leaves("a return")),
            FlowControl::UnconditionalBranch | FlowControl::ConditionalBranch
                if !code.contains(i.near_branch_target()) =>
            {
                found
                    .tail_jumps
                    .extend(emulated(i, offset, Counting::Exact, "a tail jump"));
            }
            FlowControl::IndirectBranch if !is_switch(code, n, word_at) => {
                found.exits_complete = false;
            }
            _ => {}
        }
    }
    found
}

/// The stack check of a Go function.
#[derive(Clone, Copy)]
pub(super) struct StackCheck {
    /// Position of its last jump to the code that grows the stack.
    jump: usize,
    /// Address of the jump back to the first instruction.
    pub again: u64,
}

/// `cmp rsp,[r14+16]; jbe grow`, with a `lea` or `sub` before it for large frames
/// (cmd/internal/obj/x86, stacksplit). At `grow` a call and then a jump back to the first instruction.
pub(super) fn stack_check(code: &Code) -> Option<StackCheck> {
    const LONGEST: usize = 9;
    let mut last = None;
    for (jump, i) in code.instructions.iter().take(LONGEST).enumerate() {
        match i.flow_control() {
            FlowControl::Next => {}
            FlowControl::ConditionalBranch
                if matches!(i.mnemonic(), Mnemonic::Jbe | Mnemonic::Jb) =>
            {
                match grows_the_stack(code, i.near_branch_target()) {
                    Some(again) => last = Some(StackCheck { jump, again }),
                    None => break,
                }
            }
            _ => break,
        }
    }
    last
}

/// A call and then a jump to the function's first instruction, nothing but moves before and between:
/// gives the address of that jump.
fn grows_the_stack(code: &Code, target: u64) -> Option<u64> {
    const LONGEST: usize = 40;
    let from = code.at(target)?;
    let mut called = false;
    for i in code.instructions[from..].iter().take(LONGEST) {
        match i.flow_control() {
            FlowControl::Next => {}
            FlowControl::Call if !called => called = true,
            FlowControl::UnconditionalBranch => {
                return (called && i.near_branch_target() == code.start).then_some(i.ip());
            }
            _ => return None,
        }
    }
    None
}

/// The instructions every call passes exactly once with its arguments in place: from the stack check, or
/// the start, up to the first one that jumps, calls, is jumped to, or overwrites an argument.
fn straight(code: &Code, check: Option<StackCheck>) -> Vec<&Instruction> {
    let comes_back = |to: u64| {
        code.instructions.iter().any(|i| {
            is_jump(i) && i.near_branch_target() == to && Some(i.ip()) != check.map(|c| c.again)
        })
    };
    let first = check.map_or(0, |check| check.jump + 1);
    let mut factory = InstructionInfoFactory::new();
    let mut passed = Vec::new();
    for (n, i) in code.instructions.iter().enumerate() {
        if i.is_invalid() || comes_back(i.ip()) {
            break;
        }
        if n < first {
            continue;
        }
        passed.push(i);
        if i.flow_control() != FlowControl::Next || spoils_arguments(i, &mut factory) {
            break;
        }
    }
    passed
}

fn entry(code: &Code, offset: &dyn Fn(u64) -> Option<u64>) -> Option<ProbePlace> {
    let check = stack_check(code);
    let straight = straight(code, check);
    if let Some(push) = straight.iter().find(|i| is_short_push(i)) {
        let why = match check {
            Some(_) => "the push after the stack check",
            None => "a push that every call passes; there is no stack check",
        };
        return emulated(push, offset, Counting::Exact, why);
    }
    if !straight.is_empty()
        && let Some(jump) = check.map(|check| &code.instructions[check.jump])
        && jump.mnemonic() == Mnemonic::Jbe
        && is_plain_jump(jump)
    {
        let why = "the jump of the stack check, no push follows";
        return emulated(jump, offset, Counting::ExactUnlessFlags, why);
    }
    if let Some(jump) = straight.iter().find(|i| is_plain_jump(i)) {
        return emulated(
            jump,
            offset,
            Counting::Exact,
            "a jump that every call passes",
        );
    }
    let first = straight.iter().find(|i| can_be_stepped(i))?;
    let why = match check {
        Some(_) => "after the stack check; the kernel emulates nothing near",
        None => "the first instruction; the kernel emulates nothing near",
    };
    stepped(first, offset, why)
}

/// Writes a register that may hold an argument. `push` and `sub rsp` leave arguments where they are, and
/// a write of flags or memory harms none.
fn spoils_arguments(i: &Instruction, factory: &mut InstructionInfoFactory) -> bool {
    let stack_only = i.is_stack_instruction()
        || (i.op_count() > 0
            && i.op0_kind() == OpKind::Register
            && i.op0_register() == Register::RSP);
    factory.info(i).used_registers().iter().any(|used| {
        let register = used.register().full_register();
        let writes = matches!(
            used.access(),
            OpAccess::Write | OpAccess::CondWrite | OpAccess::ReadWrite | OpAccess::ReadCondWrite
        );
        writes && ARGUMENTS.contains(&register) && !(register == Register::RSP && stack_only)
    })
}

/// `push` of a 64-bit register in one byte, or two with REX.B: `push_setup_xol_ops`, since Linux 4.16.
fn is_short_push(i: &Instruction) -> bool {
    i.mnemonic() == Mnemonic::Push
        && i.op0_kind() == OpKind::Register
        && i.op0_register().is_gpr64()
        && i.len()
            == if (Register::RAX..=Register::RDI).contains(&i.op0_register()) {
                1
            } else {
                2
            }
}

/// A jump in its plain encoding: `branch_setup_xol_ops` refuses those with an operand-size prefix. A nop
/// is emulated as well and never chosen: Linux 6.18 turns one of five bytes into a call, which writes
/// below rsp, where a leaf function may keep its variables.
fn is_plain_jump(i: &Instruction) -> bool {
    let len = match i.flow_control() {
        FlowControl::ConditionalBranch if i.is_jcc_short() => 2,
        FlowControl::ConditionalBranch if i.is_jcc_near() => 6,
        FlowControl::UnconditionalBranch if i.is_jmp_short() => 2,
        FlowControl::UnconditionalBranch if i.is_jmp_near() => 5,
        _ => return false,
    };
    i.len() == len
}

/// The kernel refuses traps, port and privileged instructions, and nobody wants a probe on `endbr64`
/// replaced under CET.
fn can_be_stepped(i: &Instruction) -> bool {
    !i.is_privileged()
        && !matches!(
            i.mnemonic(),
            Mnemonic::Int3
                | Mnemonic::Int
                | Mnemonic::Ud2
                | Mnemonic::Syscall
                | Mnemonic::Nop
                | Mnemonic::Endbr64
        )
}

fn emulated(
    i: &Instruction,
    offset: &dyn Fn(u64) -> Option<u64>,
    counting: Counting,
    why: &'static str,
) -> Option<ProbePlace> {
    if is_jump(i) && !is_plain_jump(i) {
        return stepped(i, offset, why);
    }
    Some(ProbePlace {
        address: i.ip(),
        file_offset: offset(i.ip())?,
        instruction: word(i),
        class: Class::Emulated,
        cost_ns: if is_jump(i) { COST_JUMP } else { COST_PUSH },
        counting,
        why,
    })
}

fn stepped(
    i: &Instruction,
    offset: &dyn Fn(u64) -> Option<u64>,
    why: &'static str,
) -> Option<ProbePlace> {
    Some(ProbePlace {
        address: i.ip(),
        file_offset: offset(i.ip())?,
        instruction: word(i),
        class: Class::SingleStepped,
        cost_ns: COST_STEPPED,
        counting: Counting::Exact,
        why,
    })
}

/// Whether an indirect jump is a switch: `lea r, [rip+table]` shortly before `jmp [r+i*8]`, the table's
/// first word pointing into the function (cmd/compile/internal/ssagen, jump tables, from Go 1.19).
fn is_switch(code: &Code, n: usize, word_at: &dyn Fn(u64) -> Option<u64>) -> bool {
    const BACK: usize = 6;
    let jump = &code.instructions[n];
    if jump.op0_kind() != OpKind::Memory || jump.memory_index_scale() != 8 {
        return false;
    }
    code.instructions[n.saturating_sub(BACK)..n]
        .iter()
        .rev()
        .find(|i| i.mnemonic() == Mnemonic::Lea && i.op0_register() == jump.memory_base())
        .and_then(super::disasm::rip_address)
        .and_then(word_at)
        .is_some_and(|target| code.contains(target))
}
