//! `runtime.firstmoduledata`: where Go's text and inline tables really are.

use std::ops::ControlFlow;

use super::header::Header;
use crate::binary::elf::{Elf, abi};

/// Offsets in moduledata that are the same from Go 1.18 to 1.27 (`runtime/symtab.go`, checked against
/// the DWARF of built binaries).
mod offset {
    pub const PC_HEADER: u64 = 0;
    /// Length and capacity of ftab: one more than the functions.
    pub const FTAB_LEN: u64 = 136;
    pub const MIN_PC: u64 = 160;
    pub const TEXT: u64 = 176;
}

/// Where `gofunc` stands: Go 1.18 and 1.19; 1.20 to 1.26 (coverage counters came in before it); 1.27
/// (typedesclen, itaboffset and itabsize too).
const GOFUNC: [u64; 3] = [304, 320, 344];

/// Where `types` stands: up to Go 1.19, and since.
const TYPES: [u64; 2] = [280, 296];

/// What is used of moduledata.
#[derive(Clone, Copy, Debug)]
pub(super) struct Module {
    /// `runtime.text`.
    pub text: u64,
    /// `types`, where Go up to 1.19 and where later ones keep it.
    pub types: [Option<u64>; 2],
    /// The words where `gofunc` may stand, in the order of [`GOFUNC`].
    pub gofunc: [Option<u64>; 3],
}

/// Finds the module data that belongs to this table.
pub(super) fn find(elf: &Elf, header: &Header) -> Option<Module> {
    if let Some(section) = elf.section(".go.module")
        && let Some(module) = read(elf, header, section.svma)
    {
        return Some(module);
    }
    // The lengths in it need no relocation, whatever the linker left of its pointers.
    let count = header.functions + 1;
    let mut pair = [0; 16];
    pair[..8].copy_from_slice(&count.to_le_bytes());
    pair[8..].copy_from_slice(&count.to_le_bytes());
    elf.loads()
        .filter(|s| s.flags & abi::PF_W != 0)
        .find_map(|load| {
            let end = load.offset.saturating_add(load.file_size);
            elf.image.scan(load.offset, end, 15, &mut |base, piece| {
                let hit = piece.windows(16).enumerate().find_map(|(i, window)| {
                    if window != pair {
                        return None;
                    }
                    let at = load.svma + (base + i as u64 - load.offset);
                    read(elf, header, at.checked_sub(offset::FTAB_LEN)?)
                });
                hit.map_or(ControlFlow::Continue(()), ControlFlow::Break)
            })
        })
}

/// Reads and checks module data at an address: it must point back at the table.
fn read(elf: &Elf, header: &Header, at: u64) -> Option<Module> {
    let fields = [
        offset::PC_HEADER,
        offset::MIN_PC,
        offset::TEXT,
        GOFUNC[0],
        GOFUNC[1],
        GOFUNC[2],
        TYPES[0],
        TYPES[1],
    ];
    if elf.word(at.checked_add(offset::FTAB_LEN)?)? != header.functions + 1 {
        return None;
    }
    let places = fields.map(|field| at.saturating_add(field));
    let words = elf.relocated(&places);
    let [pc_header, min_pc, text, a, b, c, old, new] = words.try_into().ok()?;
    let text = text?;
    (pc_header? == header.svma && min_pc? == text && elf.is_code(text)).then_some(Module {
        text,
        types: [old, new],
        gofunc: [a, b, c],
    })
}
