//! The instructions of one function.

use iced_x86::{Decoder, DecoderOptions, FlowControl, Instruction, Mnemonic, OpKind, Register};

use super::{Binary, Function};

/// Functions larger than this are not decoded: the largest of a Go toolchain's own binaries has 600 KiB.
const MAX_BYTES: u64 = 2 << 20;

/// A function, decoded from its first byte to its last.
#[derive(Clone, Debug)]
pub struct Code {
    pub start: u64,
    pub end: u64,
    /// In address order, without the padding behind the last.
    pub instructions: Vec<Instruction>,
    /// False when some bytes are no instructions: what was found is right, what was not found may be
    /// there.
    pub whole: bool,
}

impl Binary {
    /// Decodes a function; none when its bytes are not in the file or it is larger than 2 MiB.
    pub fn code(&self, start: u64, end: u64) -> Option<Code> {
        let size = end.checked_sub(start).filter(|&s| s <= MAX_BYTES)?;
        let mut bytes = vec![0; usize::try_from(size).ok()?];
        self.read(start, &mut bytes)?;
        Some(Code::decode(&bytes, start))
    }

    /// Decodes a function known by name.
    pub fn code_of(&self, function: &Function) -> Option<Code> {
        self.code(function.start, function.end)
    }
}

impl Code {
    /// Decodes the bytes of a function that begins at `start`.
    pub fn decode(bytes: &[u8], start: u64) -> Self {
        let mut decoder = Decoder::with_ip(64, bytes, start, DecoderOptions::NONE);
        let mut instructions = Vec::with_capacity(bytes.len() / 4);
        let mut whole = true;
        while decoder.can_decode() {
            let instruction = decoder.decode();
            whole &= !instruction.is_invalid();
            instructions.push(instruction);
        }
        while instructions.last().is_some_and(is_padding) {
            instructions.pop();
        }
        Self {
            start,
            end: start.saturating_add(bytes.len() as u64),
            instructions,
            whole,
        }
    }

    pub const fn contains(&self, svma: u64) -> bool {
        svma >= self.start && svma < self.end
    }

    /// The position of the instruction that begins at an address.
    pub fn at(&self, svma: u64) -> Option<usize> {
        self.instructions
            .binary_search_by_key(&svma, Instruction::ip)
            .ok()
    }
}

/// What compilers and linkers fill gaps with: `int3`, nops.
fn is_padding(instruction: &Instruction) -> bool {
    matches!(instruction.mnemonic(), Mnemonic::Int3 | Mnemonic::Nop)
}

/// A direct jump, conditional or not.
pub(super) fn is_jump(instruction: &Instruction) -> bool {
    matches!(
        instruction.flow_control(),
        FlowControl::ConditionalBranch | FlowControl::UnconditionalBranch
    )
}

/// The address an instruction names relative to itself (`lea rax, [rip+x]`, `jmp [rip+x]`).
pub(super) fn rip_address(instruction: &Instruction) -> Option<u64> {
    (instruction.memory_base() == Register::RIP
        && (0..instruction.op_count()).any(|n| instruction.op_kind(n) == OpKind::Memory))
    .then(|| instruction.memory_displacement64())
}

/// An instruction in a word or two: its mnemonic and, for a push, its register.
pub(super) fn word(instruction: &Instruction) -> String {
    let mut word = format!("{:?}", instruction.mnemonic()).to_lowercase();
    if instruction.mnemonic() == Mnemonic::Push && instruction.op0_kind() == OpKind::Register {
        word.push(' ');
        word.push_str(&format!("{:?}", instruction.op0_register()).to_lowercase());
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn padding_behind_a_function_is_no_part_of_it() {
        let code = Code::decode(&[0x55, 0xc3, 0xcc, 0xcc], 0x1000);
        assert_eq!(code.instructions.len(), 2);
        assert!(code.whole && code.end == 0x1004);
    }

    #[test]
    fn bytes_that_are_no_instructions_are_told() {
        assert!(!Code::decode(&[0x55, 0x06, 0xc3], 0x1000).whole);
        assert!(Code::decode(&[], 0x1000).instructions.is_empty());
    }

    #[test]
    fn instructions_are_found_by_address() {
        // je +1; push rax; ret
        let code = Code::decode(&[0x74, 0x01, 0x50, 0xc3], 0x1000);
        assert_eq!(code.at(0x1003), Some(2));
        assert_eq!(code.at(0x1001), None);
        assert!(code.contains(0x1003) && !code.contains(0x1004));
    }

    #[test]
    fn a_push_is_told_with_its_register() {
        let code = Code::decode(&[0x55, 0xc3], 0);
        assert_eq!(word(&code.instructions[0]), "push rbp");
        assert_eq!(word(&code.instructions[1]), "ret");
    }
}
