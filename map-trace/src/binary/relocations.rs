//! Pointers in a file's data, as the loader leaves them with a load bias of zero.

use std::ops::ControlFlow;

use super::elf::{Elf, abi};

/// Relocations kept, at most: 32 MiB of them.
const MAX: usize = 2 << 20;
/// Elf64_Rela.
const ENTRY: usize = 24;

/// The `R_X86_64_RELATIVE` entries of the dynamic relocation table, by address.
#[derive(Debug, Default)]
pub(super) struct Relocations {
    entries: Vec<(u64, u64)>,
}

impl Relocations {
    pub fn read(elf: &Elf) -> Self {
        let table = elf.dynamic(abi::DT_RELA).first().copied();
        let size = elf.dynamic(abi::DT_RELASZ).first().copied();
        let place = table.and_then(|table| elf.offset_of(table)).zip(size);
        let Some(((start, room), size)) = place else {
            return Self::default();
        };
        let end = start.saturating_add(size.min(room));
        let mut entries = Vec::new();
        // A piece that is not the last repeats in the next one: each entry is taken where it is whole
        // for the first time.
        let mut next = start;
        let _: Option<()> = elf
            .image
            .scan(start, end, ENTRY as u64 - 1, &mut |base, piece| {
                let skip = usize::try_from(next.saturating_sub(base)).unwrap_or(usize::MAX);
                for entry in piece.get(skip..).unwrap_or_default().chunks_exact(ENTRY) {
                    next += ENTRY as u64;
                    let field = |at: usize| {
                        let mut bytes = [0; 8];
                        bytes.copy_from_slice(&entry[at..at + 8]);
                        u64::from_le_bytes(bytes)
                    };
                    if field(8) == abi::R_X86_64_RELATIVE {
                        entries.push((field(0), field(16)));
                    }
                }
                if entries.len() < MAX {
                    ControlFlow::Continue(())
                } else {
                    ControlFlow::Break(())
                }
            });
        entries.sort_unstable();
        Self { entries }
    }

    /// The pointer stored at an address; none when no relocation is there.
    pub fn at(&self, svma: u64) -> Option<u64> {
        let found = self
            .entries
            .binary_search_by_key(&svma, |&(place, _)| place);
        found.ok().map(|n| self.entries[n].1)
    }
}
