//! Where a Go program keeps the goroutine that a thread runs: in the thread-local variable `runtime.tlsg`.
//!
//! Its place relative to the thread pointer is fixed when the program is linked or loaded
//! (cmd/internal/obj/x86, cmd/link): -8 when it is the only one, elsewhere in a program with C's variables.

use iced_x86::{OpKind, Register};

use super::Binary;

/// `PT_TLS` (gABI).
const PT_TLS: u32 = 7;
/// Functions that load g from thread-local storage by name; one of them is in every program.
const LOADERS: [&str; 5] = [
    "runtime.morestack.abi0",
    "runtime.morestack",
    "runtime.mcall",
    "runtime.load_g.abi0",
    "runtime.load_g",
];

impl Binary {
    /// Bytes from the thread pointer (`fs` base) to the word that holds g; none when it cannot be told.
    pub fn g_from_fs(&self) -> Option<i32> {
        if let Some(stated) = self.g_in_code() {
            return Some(stated);
        }
        let segment = self.elf.segments.iter().find(|s| s.kind == PT_TLS)?;
        // Position-independent code reads the offset from a word the loader fills: the variables of the
        // program itself end at the thread pointer (ELF Handling For Thread-Local Storage, variant II).
        (segment.memory_size == 8).then_some(-8)
    }

    /// `mov r, fs:[disp]` in a function of the runtime.
    fn g_in_code(&self) -> Option<i32> {
        LOADERS.iter().find_map(|name| {
            let symbol = self.symbol(name).into_iter().find(|found| !found.data)?;
            let code = self.code(symbol.svma, symbol.svma.checked_add(symbol.size)?)?;
            code.instructions.iter().find_map(|i| {
                let reads = (0..i.op_count()).any(|n| i.op_kind(n) == OpKind::Memory)
                    && i.segment_prefix() == Register::FS
                    && i.memory_base() == Register::None
                    && i.memory_index() == Register::None;
                let at = i.memory_displacement64().cast_signed();
                (reads && (-65536..0).contains(&at)).then(|| i32::try_from(at).ok())?
            })
        })
    }
}
