//! The symbol tables of an ELF file: which function is at an address, where a symbol is.
//!
//! The index holds 24 bytes for each function and no names; names are read where they are needed. An
//! address belongs to a symbol only inside the symbol's stated size. Assembly symbols of size zero
//! reach to the next symbol of their section, whatever that is, and no further.

use std::sync::Arc;

use super::elf::{Elf, abi};
use super::image::Image;
use super::name;

/// Code symbols kept, at most (24 MB): beyond it functions are honestly unknown.
const MAX_SYMBOLS: usize = 1 << 20;
/// Bytes of one Elf64_Sym.
const ENTRY: u64 = 24;

/// Symbols linkers put at the ends of sections: no functions.
const BOUNDARIES: [&[u8]; 6] = [
    b"runtime.text",
    b"runtime.etext",
    b"etext",
    b"_etext",
    b"__etext",
    b"__executable_start",
];

/// One entry of a symbol table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    pub svma: u64,
    pub size: u64,
    /// Index in all tables taken one after the other.
    index: u32,
    kind: u8,
    binding: u8,
}

impl Entry {
    const fn is_function(&self) -> bool {
        matches!(self.kind, abi::STT_FUNC | abi::STT_GNU_IFUNC)
    }

    /// Data that `--watch` can name.
    pub const fn is_object(&self) -> bool {
        self.kind == abi::STT_OBJECT
    }

    /// A name for code: a function, or a global label of assembly.
    const fn names_code(&self) -> bool {
        self.is_function() || (self.kind == abi::STT_NOTYPE && self.binding != abi::STB_LOCAL)
    }
}

/// A symbol table with its strings, as file ranges.
#[derive(Clone, Copy, Debug)]
struct Table {
    offset: u64,
    count: u64,
    strings: u64,
    strings_end: u64,
}

/// Code symbols by address.
#[derive(Debug)]
pub(super) struct Symbols {
    image: Arc<Image>,
    tables: Vec<Table>,
    /// Sorted by address.
    code: Vec<Entry>,
    /// End of the executable section each size-zero symbol lies in is looked up here.
    sections: Vec<(u64, u64)>,
}

/// A function of a symbol table: its bounds and the entry that names it.
pub(super) struct Found {
    pub start: u64,
    pub end: u64,
    pub name: Vec<u8>,
}

impl Symbols {
    /// Indexes the code symbols of `.symtab` and `.dynsym`.
    pub fn index(elf: &Elf) -> Self {
        let mut symbols = Self {
            image: Arc::clone(&elf.image),
            tables: tables(elf),
            code: Vec::new(),
            sections: elf
                .sections
                .iter()
                .filter(|s| s.executable())
                .map(|s| (s.svma, s.svma.saturating_add(s.size)))
                .collect(),
        };
        let mut code = Vec::new();
        symbols.each(&mut |entry| {
            let named = entry.is_function() || entry.kind == abi::STT_NOTYPE;
            if named && code.len() < MAX_SYMBOLS && elf.is_code(entry.svma) {
                code.push(entry);
            }
        });
        code.sort_unstable_by_key(|e| (e.svma, e.index));
        code.shrink_to_fit();
        symbols.code = code;
        symbols
    }

    /// Every defined entry of the tables with its index, in table order.
    pub fn each(&self, take: &mut dyn FnMut(Entry)) {
        let mut first = 0_u64;
        for table in &self.tables {
            for i in 0..table.count {
                let Some(raw) = self.image.array::<24>(table.offset + i * ENTRY) else {
                    break;
                };
                let section = u16::from_le_bytes([raw[6], raw[7]]);
                let kind = raw[4] & 0xf;
                let (svma, size) = (long(&raw, 8), long(&raw, 16));
                // Undefined, absolute and thread-local symbols have no address in the image.
                let placed = section != 0 && section < abi::SHN_LORESERVE && kind != abi::STT_TLS;
                if placed && let Ok(index) = u32::try_from(first + i) {
                    take(Entry {
                        svma,
                        size,
                        index,
                        kind,
                        binding: raw[4] >> 4,
                    });
                }
            }
            first += table.count;
        }
    }

    /// The raw name of an entry.
    pub fn name(&self, entry: &Entry) -> Option<Vec<u8>> {
        let mut index = u64::from(entry.index);
        for table in &self.tables {
            if index < table.count {
                let offset = self.image.u32(table.offset + index * ENTRY)?;
                let at = table.strings.checked_add(u64::from(offset))?;
                let name = self.image.cstr(at, table.strings_end, name::MAX_MANGLED)?;
                return (!name.is_empty()).then_some(name);
            }
            index -= table.count;
        }
        None
    }

    /// The function an address lies in; none when no symbol covers it.
    pub fn at(&self, svma: u64) -> Option<Found> {
        self.sized(svma).or_else(|| self.unsized_at(svma))
    }

    /// The innermost function whose stated size covers the address.
    fn sized(&self, svma: u64) -> Option<Found> {
        let upto = self.code.partition_point(|e| e.svma <= svma);
        // Functions do not nest in practice; a few aliases and labels may stand between.
        let entry = self.code[..upto]
            .iter()
            .rev()
            .take(64)
            .find(|e| e.names_code() && e.size > 0 && svma - e.svma < e.size)?;
        let end = entry.svma.checked_add(entry.size)?;
        self.found(entry.svma, end, &|e| e.size > 0)
    }

    /// A label of assembly, up to whatever symbol or section end comes next.
    fn unsized_at(&self, svma: u64) -> Option<Found> {
        let upto = self.code.partition_point(|e| e.svma <= svma);
        let start = self.code[..upto].last()?.svma;
        let from = self.code.partition_point(|e| e.svma < start);
        if self.code[from..upto].iter().any(|e| e.size > 0) {
            return None;
        }
        let &(_, section_end) = self
            .sections
            .iter()
            .find(|&&(low, high)| low <= start && start < high)?;
        let next = self.code.get(upto).map_or(u64::MAX, |e| e.svma);
        let end = next.min(section_end);
        if svma >= end {
            return None;
        }
        self.found(start, end, &|e| e.size == 0)
    }

    /// The best name among the code symbols at `start` that `fits`.
    fn found(&self, start: u64, end: u64, fits: &dyn Fn(&Entry) -> bool) -> Option<Found> {
        let from = self.code.partition_point(|e| e.svma < start);
        let name = self.code[from..]
            .iter()
            .take_while(|e| e.svma == start)
            .take(64)
            .filter(|e| e.names_code() && fits(e))
            .filter_map(|e| self.name(e))
            .filter(|name| !BOUNDARIES.contains(&name.as_slice()))
            .min_by(|a, b| {
                let (a, b) = (String::from_utf8_lossy(a), String::from_utf8_lossy(b));
                name::preference(&a).cmp(&name::preference(&b))
            })?;
        Some(Found { start, end, name })
    }

    /// Every function with bounds and a name, in address order, aliases once.
    pub fn functions(&self, take: &mut dyn FnMut(Found)) {
        let mut last = None;
        for entry in &self.code {
            if last == Some(entry.svma) || !entry.names_code() {
                continue;
            }
            if let Some(found) = self.at(entry.svma).filter(|f| f.start == entry.svma) {
                last = Some(entry.svma);
                take(found);
            }
        }
    }
}

/// The symbol tables the section headers name; `.symtab` first.
fn tables(elf: &Elf) -> Vec<Table> {
    [abi::SHT_SYMTAB, abi::SHT_DYNSYM]
        .iter()
        .filter_map(|&kind| {
            let section = elf.sections.iter().find(|s| s.kind == kind)?;
            let strings = elf.sections.get(section.link as usize)?;
            Some(Table {
                offset: section.offset,
                count: section.size.min(elf.image.len()) / ENTRY,
                strings: strings.offset,
                strings_end: strings.offset.checked_add(strings.size)?,
            })
        })
        .collect()
}

fn long(raw: &[u8; 24], at: usize) -> u64 {
    let mut bytes = [0; 8];
    bytes.copy_from_slice(&raw[at..at + 8]);
    u64::from_le_bytes(bytes)
}
