//! What a function's instructions are.

use std::fmt;

use iced_x86::{
    Code as Op, FlowControl, Instruction, InstructionInfoFactory, Mnemonic, OpAccess, OpKind,
    Register,
};

use super::{Presence, Ruling, matching, no_function, some};
use crate::binary::{Binary, Function};
use crate::maps::pattern::Glob;

/// Functions have an instruction of some shape, or have none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Code {
    pub function: String,
    pub shape: Shape,
    pub expect: Presence,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// A mnemonic in lower case, or `lock`: any instruction with that prefix, or `rep_` and a string instruction.
    Instruction(String),
    /// A comparison with this constant.
    Compares(i64),
    /// A store through RAX after a call of a function that matches, before RAX or the flow changes.
    StoresResultOf(String),
}

impl Code {
    pub fn judge(&self, binary: &Binary) -> Ruling {
        let functions = matching(binary, &self.function);
        if functions.is_empty() {
            return no_function(&self.function);
        }
        let mut told = Vec::new();
        for function in &functions {
            let Some(code) = binary.code_of(function).filter(|code| code.whole) else {
                return Ruling::open(format!("the code of {} cannot be read", function.name));
            };
            let found = self.shape.find(binary, &code.instructions);
            let reason = match found {
                Some(at) => format!(
                    "{} has one at {}",
                    function.name,
                    place(binary, function, at)
                ),
                None => format!(
                    "none among the {} instructions of {}",
                    code.instructions.len(),
                    function.name
                ),
            };
            if !self.expect.is(found.is_some()) {
                return Ruling::of(false, reason);
            }
            told.push(reason);
        }
        Ruling::of(true, some(&told))
    }
}

/// Offset in the function, and the source line where the program tells it.
fn place(binary: &Binary, function: &Function, at: u64) -> String {
    let mut frames = Vec::new();
    binary.frames(at, &mut frames);
    let offset = at.saturating_sub(function.start);
    let line = frames
        .first()
        .and_then(|frame| Some((frame.file.as_ref()?, frame.line?)));
    match line {
        Some((file, line)) => {
            let file = file.rsplit('/').next().unwrap_or(file);
            format!("+{offset:#x} ({file}:{line})")
        }
        None => format!("+{offset:#x}"),
    }
}

impl Shape {
    /// Address of the first instruction of this shape.
    fn find(&self, binary: &Binary, code: &[Instruction]) -> Option<u64> {
        match self {
            Self::Instruction(word) => code
                .iter()
                .find(|instruction| is(instruction, word))
                .map(Instruction::ip),
            Self::Compares(number) => code
                .iter()
                .find(|instruction| compares(instruction, *number))
                .map(Instruction::ip),
            Self::StoresResultOf(callee) => {
                let glob = Glob::new(callee);
                stores_result(code, &|target| {
                    binary
                        .function_at(target)
                        .is_some_and(|function| glob.matches(&function.name))
                })
            }
        }
    }
}

fn is(instruction: &Instruction, word: &str) -> bool {
    if word == "lock" {
        // xchg with memory locks without the prefix (SDM vol. 2, XCHG).
        let exchange = instruction.mnemonic() == Mnemonic::Xchg
            && (instruction.op0_kind() == OpKind::Memory
                || instruction.op1_kind() == OpKind::Memory);
        return instruction.has_lock_prefix() || exchange;
    }
    let mnemonic = format!("{:?}", instruction.mnemonic()).to_lowercase();
    match word.strip_prefix("rep_") {
        Some(rest) => {
            (instruction.has_rep_prefix() || instruction.has_repne_prefix()) && mnemonic == rest
        }
        None => mnemonic == word,
    }
}

fn compares(instruction: &Instruction, number: i64) -> bool {
    if instruction.mnemonic() != Mnemonic::Cmp {
        return false;
    }
    let immediate = |kind| {
        matches!(
            kind,
            OpKind::Immediate8
                | OpKind::Immediate16
                | OpKind::Immediate32
                | OpKind::Immediate8to16
                | OpKind::Immediate8to32
                | OpKind::Immediate8to64
                | OpKind::Immediate32to64
        )
    };
    (0..instruction.op_count())
        .filter(|&n| immediate(instruction.op_kind(n)))
        .any(|n| instruction.immediate(n).cast_signed() == number)
}

/// Address of the first store through RAX, or through a register it was moved to, behind a call that `wanted` accepts.
fn stores_result(code: &[Instruction], wanted: &dyn Fn(u64) -> bool) -> Option<u64> {
    let mut info = InstructionInfoFactory::new();
    let mut slot: Vec<Register> = Vec::new();
    for instruction in code {
        match instruction.flow_control() {
            FlowControl::Call => {
                slot.clear();
                if wanted(instruction.near_branch_target()) {
                    slot.push(Register::RAX);
                }
                continue;
            }
            // A branch forward, as around a write barrier, leaves the registers alone.
            FlowControl::Next | FlowControl::ConditionalBranch => {}
            _ => slot.clear(),
        }
        if slot.is_empty() || instruction.code() == Op::INVALID {
            continue;
        }
        let used = info.info(instruction);
        let stores = used.used_memory().iter().any(|memory| {
            matches!(
                memory.access(),
                OpAccess::Write | OpAccess::ReadWrite | OpAccess::CondWrite
            ) && slot.contains(&memory.base())
        });
        if stores {
            return Some(instruction.ip());
        }
        let moved = instruction.mnemonic() == Mnemonic::Mov
            && instruction.op1_kind() == OpKind::Register
            && slot.contains(&instruction.op1_register());
        let written: Vec<Register> = used
            .used_registers()
            .iter()
            .filter(|register| !matches!(register.access(), OpAccess::Read | OpAccess::CondRead))
            .map(|register| register.register().full_register())
            .collect();
        slot.retain(|register| !written.contains(register));
        if moved && instruction.op0_kind() == OpKind::Register {
            slot.push(instruction.op0_register().full_register());
        }
    }
    None
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.function)?;
        match &self.shape {
            Shape::Instruction(word) => write!(f, "instruction {word}")?,
            Shape::Compares(number) => write!(f, "comparison with {number}")?,
            Shape::StoresResultOf(callee) => write!(f, "store through the result of {callee}")?,
        }
        write!(f, " {}", self.expect)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::binary::disasm::Code as Decoded;

    fn decode(bytes: &[u8]) -> Vec<Instruction> {
        Decoded::decode(bytes, 0x1000).instructions
    }

    #[test]
    fn a_prefix_and_a_mnemonic_are_found_where_they_are_and_nowhere_else() {
        // lock or [rax], cl; or [rax], cl; rep movsb; syscall; xchg [rax], cl; ret
        let code = decode(&[
            0xf0, 0x08, 0x08, 0x08, 0x08, 0xf3, 0xa4, 0x0f, 0x05, 0x86, 0x08, 0xc3,
        ]);
        let found = |word: &str| -> Vec<usize> {
            (0..code.len()).filter(|&n| is(&code[n], word)).collect()
        };
        assert_eq!(found("lock"), [0, 4]);
        assert_eq!(found("rep_movsb"), [2]);
        assert_eq!(found("syscall"), [3]);
        assert_eq!(found("ret"), [5]);
        assert!(found("mfence").is_empty());
    }

    #[test]
    fn a_comparison_is_told_by_its_constant() {
        // cmp rcx, 0x800; cmp cl, 2; mov ecx, 128
        let code = decode(&[
            0x48, 0x81, 0xf9, 0, 8, 0, 0, 0x80, 0xf9, 2, 0xb9, 128, 0, 0, 0,
        ]);
        let found = |number| code.iter().any(|one| compares(one, number));
        assert!(found(2048) && found(2));
        assert!(!found(128), "a move is no comparison");
        assert!(!found(256));
    }

    #[test]
    fn a_store_counts_only_through_what_the_call_returned() {
        let wanted = |target| target == 0x1100;
        let find = |bytes: &[u8]| stores_result(&decode(bytes), &wanted);
        // call 0x1100; mov [rax], rcx
        let call = [0xe8, 0xfb, 0, 0, 0];
        let with = |rest: &[u8]| [&call[..], rest].concat();
        assert_eq!(find(&with(&[0x48, 0x89, 0x08])), Some(0x1005));
        // Through a copy: mov rdi, rax; mov [rdi], rcx
        assert_eq!(
            find(&with(&[0x48, 0x89, 0xc7, 0x48, 0x89, 0x0f])),
            Some(0x1008)
        );
        // A load is no store; xor eax, eax forgets the slot.
        assert_eq!(find(&with(&[0x48, 0x8b, 0x08, 0xc3])), None);
        assert_eq!(find(&with(&[0x31, 0xc0, 0x48, 0x89, 0x08])), None);
        // Another function's result.
        assert_eq!(find(&[0xe8, 0, 0, 0, 0, 0x48, 0x89, 0x08]), None);
    }
}
