//! Where the function table is and what its header says.

use std::ops::ControlFlow;

use crate::binary::elf::{Elf, abi};
use crate::binary::image::Image;

/// Functions believed in one binary, at most.
const MAX_FUNCTIONS: u64 = 1 << 22;
/// Places with the magic number tried when no section names the table.
const MAX_CANDIDATES: usize = 16;

/// Which record layout the magic number stands for (`internal/abi/symtab.go`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    /// 0xfffffff0: Go 1.18 and 1.19.
    Go118,
    /// 0xfffffff1: Go 1.20 and later.
    Go120,
}

/// `runtime.pcHeader`, its offsets turned into file offsets. Pairs are start and end.
#[derive(Clone, Debug)]
pub(super) struct Header {
    pub layout: Layout,
    /// Address of the table.
    pub svma: u64,
    /// File offset of the table's end (an upper bound).
    pub end: u64,
    pub functions: u64,
    /// Address of `runtime.text` as the header has it; 0 from Go 1.26 on and where a relocation fills it.
    pub text_start: u64,
    pub names: (u64, u64),
    pub units: (u64, u64),
    pub files: (u64, u64),
    pub pc_tables: (u64, u64),
    /// functab, and the base of the records' offsets.
    pub functab: u64,
}

impl Header {
    /// Reads the header at a file offset; `end` is where the bytes that can belong to it end.
    fn parse(image: &Image, at: u64, svma: u64, end: u64) -> Option<Self> {
        let start: [u8; 8] = image.array(at)?;
        let layout = match start[0] {
            0xf0 => Layout::Go118,
            0xf1 => Layout::Go120,
            _ => return None,
        };
        // Magic, two zero bytes, instruction quantum 1 and 8-byte pointers: x86-64.
        if start[1..] != [0xff, 0xff, 0xff, 0, 0, 1, 8] {
            return None;
        }
        let word = |number: u64| image.u64(at + 8 + number * 8);
        let functions = word(0)?;
        let text_start = word(2)?;
        let mut places = [0; 5];
        for (place, number) in places.iter_mut().zip(3..) {
            *place = at.checked_add(word(number)?)?;
        }
        let [names, units, files, pc_tables, functab] = places;
        let ordered = places.is_sorted() && names >= at + 64 && functab < end;
        let room = end.checked_sub(functab)? / 8;
        if !ordered || functions == 0 || functions > MAX_FUNCTIONS || functions >= room {
            return None;
        }
        Some(Self {
            layout,
            svma,
            end,
            functions,
            text_start,
            names: (names, units),
            units: (units, files),
            files: (files, pc_tables),
            pc_tables: (pc_tables, functab),
            functab,
        })
    }

    /// Bytes of a `_func` before its pcdata: Go 1.20 added startLine.
    pub const fn record_size(&self) -> u64 {
        match self.layout {
            Layout::Go118 => 40,
            Layout::Go120 => 44,
        }
    }

    /// The last functab entry: the end of Go's text, from its start.
    pub fn end_offset(&self, image: &Image) -> Option<u32> {
        image.u32(self.functab + self.functions * 8)
    }
}

/// Every place the table may be: the sections that are named for it, then wherever its first eight
/// bytes stand in loaded data of a file that is Go's by its notes or has no section headers (an external
/// linker merges the table into `.data.rel.ro` before Go 1.26).
pub(super) fn candidates(elf: &Elf) -> impl Iterator<Item = Header> {
    let mut found = Vec::new();
    for name in [".gopclntab", ".data.rel.ro.gopclntab"] {
        if let Some(section) = elf.section(name) {
            let end = section.offset.saturating_add(section.size);
            found.extend(Header::parse(
                &elf.image,
                section.offset,
                section.svma,
                end.min(elf.image.len()),
            ));
        }
    }
    let marked = [".go.buildinfo", ".note.go.buildid", ".go.module"]
        .iter()
        .any(|name| elf.section(name).is_some());
    if found.is_empty() && (marked || elf.sections.is_empty()) {
        search(elf, &mut found);
    }
    found.into_iter()
}

fn search(elf: &Elf, found: &mut Vec<Header>) {
    for load in elf
        .loads()
        .filter(|s| s.flags & abi::PF_X == 0 || elf.sections.is_empty())
    {
        let end = load
            .offset
            .saturating_add(load.file_size)
            .min(elf.image.len());
        let _: Option<()> = elf.image.scan(load.offset, end, 7, &mut |base, piece| {
            for (i, window) in piece.windows(8).enumerate() {
                if window[1..] == [0xff, 0xff, 0xff, 0, 0, 1, 8] && window[0] & 0xfe == 0xf0 {
                    let at = base + i as u64;
                    let svma = load.svma + (at - load.offset);
                    found.extend(Header::parse(&elf.image, at, svma, end));
                }
            }
            if found.len() >= MAX_CANDIDATES {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            }
        });
    }
}
