//! Functions of the kernel that programs may call since they have BTF (Documentation/bpf/kfuncs.rst). aya knows
//! only helpers; so the programs are built with a number in place of each, and this puts the function there.

use aya_obj::generated::bpf_insn;
use map_trace_common::kfunc::READ_ONLY_CAST;
use map_trace_common::settings::Settings;

use super::bpf_probe;
use super::btf::{Btf, Kind};

/// `call`, and whom: a helper, a function of the kernel (`BPF_PSEUDO_KFUNC_CALL`).
const CALL: u8 = 0x85;
const KERNEL_FUNCTION: u8 = 2;
/// `r0 = 0`: in place of a call that is never reached.
const SET: u8 = 0xb7;

/// Finds `bpf_rdonly_cast` (Linux 6.2) and a type to use it with, and tries both. Without, the programs read the
/// kernel's memory through a helper.
pub fn find(btf: &Btf, settings: &mut Settings) {
    let found = btf.find(&[
        (Kind::Function, "bpf_rdonly_cast"),
        (Kind::Struct, "pt_regs"),
    ]);
    let first = |index: usize| found.get(index).and_then(|ids| ids.first()).copied();
    let (Some(function), Some(word)) = (first(0), first(1)) else {
        return;
    };
    if bpf_probe::instructions(&trial(function, word)).is_ok() {
        (settings.word_function, settings.word_type) = (function, word);
    }
}

/// `r0 = *(u64 *)cast(0, type); r0 = 0; exit`
fn trial(function: u32, word: u32) -> [u64; 6] {
    let set = |register: u64, value: u32| u64::from(SET) | register << 8 | u64::from(value) << 32;
    [
        set(1, 0),
        set(2, word),
        u64::from(CALL) | u64::from(KERNEL_FUNCTION) << 12 | u64::from(function) << 32,
        // r0 = *(u64 *)(r0 + 0)
        0x79,
        set(0, 0),
        0x95,
    ]
}

/// Puts the function of this kernel where the programs call it; without one, an instruction without effect.
pub fn resolve(program: &mut [bpf_insn], settings: &Settings) {
    let calls = program.iter_mut().filter(|instruction| {
        instruction.code == CALL && instruction.src_reg() == 0 && instruction.imm == READ_ONLY_CAST
    });
    for instruction in calls {
        if settings.word_function == 0 {
            instruction.code = SET;
            instruction.imm = 0;
        } else {
            instruction.set_src_reg(KERNEL_FUNCTION);
            instruction.imm = settings.word_function.cast_signed();
        }
    }
}

#[cfg(test)]
mod tests;
