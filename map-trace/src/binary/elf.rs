//! The headers of an ELF file: segments, sections, notes and the dynamic section.
//!
//! Only what the tracer needs of the System V ABI (gABI chapters 4 and 5, x86-64 supplement). Everything
//! read is hostile: counts are bounded, offsets are checked against the image.

use std::sync::Arc;

use gimli::Reader;

use super::BinaryError;
use super::image::Image;
use super::window::Window;

/// Program and section headers looked at, at most.
const MAX_HEADERS: u64 = 8192;
/// Longest section name or note taken.
const MAX_NAME: u64 = 256;
/// Bytes of a compressed section once inflated, at most.
const MAX_INFLATED: u64 = 24 << 20;

/// gABI and x86-64 supplement constants, by their names there.
pub(super) mod abi {
    pub const ELFCLASS64: u8 = 2;
    pub const ELFDATA2MSB: u8 = 2;
    pub const EM_X86_64: u16 = 62;
    pub const ET_DYN: u16 = 3;
    pub const PT_LOAD: u32 = 1;
    pub const PT_DYNAMIC: u32 = 2;
    pub const PT_INTERP: u32 = 3;
    pub const PT_NOTE: u32 = 4;
    pub const PT_GNU_EH_FRAME: u32 = 0x6474_e550;
    pub const PF_X: u32 = 1;
    pub const PF_W: u32 = 2;
    pub const SHT_SYMTAB: u32 = 2;
    pub const SHT_NOTE: u32 = 7;
    pub const SHT_NOBITS: u32 = 8;
    pub const SHT_DYNSYM: u32 = 11;
    pub const SHF_EXECINSTR: u64 = 1 << 2;
    pub const SHF_COMPRESSED: u64 = 1 << 11;
    pub const DT_NEEDED: u64 = 1;
    pub const DT_STRTAB: u64 = 5;
    pub const DT_RELA: u64 = 7;
    pub const DT_RELASZ: u64 = 8;
    pub const DT_FLAGS_1: u64 = 0x6fff_fffb;
    pub const DF_1_PIE: u64 = 0x0800_0000;
    pub const R_X86_64_RELATIVE: u64 = 8;
    pub const STT_OBJECT: u8 = 1;
    pub const STT_FUNC: u8 = 2;
    pub const STT_NOTYPE: u8 = 0;
    pub const STT_TLS: u8 = 6;
    pub const STT_GNU_IFUNC: u8 = 10;
    pub const STB_LOCAL: u8 = 0;
    pub const SHN_LORESERVE: u16 = 0xff00;
}

/// A program header.
#[derive(Clone, Copy, Debug)]
pub(super) struct Segment {
    pub kind: u32,
    pub flags: u32,
    pub offset: u64,
    pub svma: u64,
    pub file_size: u64,
    pub memory_size: u64,
}

/// A section header.
#[derive(Clone, Debug)]
pub(super) struct Section {
    pub name: String,
    pub kind: u32,
    pub flags: u64,
    pub svma: u64,
    pub offset: u64,
    pub size: u64,
    pub link: u32,
}

impl Section {
    pub const fn executable(&self) -> bool {
        self.flags & abi::SHF_EXECINSTR != 0
    }
}

/// What the headers say.
#[derive(Debug)]
pub(super) struct Elf {
    pub image: Arc<Image>,
    /// 32 or 64.
    pub bits: u8,
    pub machine: u16,
    /// `ET_EXEC`, `ET_DYN`, ...
    pub kind: u16,
    pub segments: Vec<Segment>,
    pub sections: Vec<Section>,
}

impl Elf {
    /// Reads the headers. A 32-bit or big-endian file, or one of another machine, is accepted with no
    /// segments and no sections: its facts can be told, its code cannot be named.
    pub fn parse(name: &str, image: Arc<Image>) -> Result<Self, BinaryError> {
        let not_elf = || BinaryError::NotElf { name: name.into() };
        let broken = |what| BinaryError::Malformed {
            name: name.into(),
            what,
        };
        let ident: [u8; 20] = image.array(0).ok_or_else(not_elf)?;
        if ident[..4] != *b"\x7fELF" {
            return Err(not_elf());
        }
        let big = ident[5] == abi::ELFDATA2MSB;
        let half = |at: usize| {
            let pair = [ident[at], ident[at + 1]];
            if big {
                u16::from_be_bytes(pair)
            } else {
                u16::from_le_bytes(pair)
            }
        };
        let mut found = Self {
            bits: if ident[4] == abi::ELFCLASS64 { 64 } else { 32 },
            machine: half(18),
            kind: half(16),
            segments: Vec::new(),
            sections: Vec::new(),
            image,
        };
        if found.bits == 64 && !big {
            found.segments = found
                .read_segments()
                .ok_or_else(|| broken("the program headers are outside the file"))?;
            // Section headers may be gone (sstrip, packers): everything then comes from segments.
            found.sections = found.read_sections().unwrap_or_default();
        }
        Ok(found)
    }

    /// x86-64, 64 bits, little-endian: code that can be named.
    pub fn is_x86_64(&self) -> bool {
        self.bits == 64 && self.machine == abi::EM_X86_64 && !self.segments.is_empty()
    }

    fn read_segments(&self) -> Option<Vec<Segment>> {
        let table = self.image.u64(32)?;
        let size = u64::from(u16::from_le_bytes(self.image.array(54)?));
        let count = u64::from(u16::from_le_bytes(self.image.array(56)?));
        let mut segments = Vec::new();
        if count > 0 && size < 56 {
            return None;
        }
        for i in 0..count.min(MAX_HEADERS) {
            let at = table.checked_add(i * size)?;
            segments.push(Segment {
                kind: self.image.u32(at)?,
                flags: self.image.u32(at + 4)?,
                offset: self.image.u64(at + 8)?,
                svma: self.image.u64(at + 16)?,
                file_size: self.image.u64(at + 32)?,
                memory_size: self.image.u64(at + 40)?,
            });
        }
        Some(segments)
    }

    fn read_sections(&self) -> Option<Vec<Section>> {
        let table = self.image.u64(40)?;
        let size = u64::from(u16::from_le_bytes(self.image.array(58)?));
        let mut count = u64::from(u16::from_le_bytes(self.image.array(60)?));
        let mut names_index = u64::from(u16::from_le_bytes(self.image.array(62)?));
        if table == 0 || size < 64 {
            return None;
        }
        // gABI: with 0xff00 sections or more the counts stand in section 0.
        if count == 0 {
            count = self.image.u64(table.checked_add(32)?)?;
        }
        if names_index == 0xffff {
            names_index = u64::from(self.image.u32(table.checked_add(40)?)?);
        }
        let names = table.checked_add(names_index.checked_mul(size)?)?;
        let names_at = self.image.u64(names.checked_add(24)?)?;
        let names_end = names_at.checked_add(self.image.u64(names.checked_add(32)?)?)?;
        let mut sections = Vec::new();
        for i in 0..count.min(MAX_HEADERS) {
            let at = table.checked_add(i * size)?;
            let name = names_at.checked_add(u64::from(self.image.u32(at)?))?;
            let name = self
                .image
                .cstr(name, names_end, MAX_NAME)
                .unwrap_or_default();
            sections.push(Section {
                name: super::name::clean(&String::from_utf8_lossy(&name)),
                kind: self.image.u32(at.checked_add(4)?)?,
                flags: self.image.u64(at.checked_add(8)?)?,
                svma: self.image.u64(at.checked_add(16)?)?,
                offset: self.image.u64(at.checked_add(24)?)?,
                size: self.image.u64(at.checked_add(32)?)?,
                link: self.image.u32(at.checked_add(40)?)?,
            });
        }
        Some(sections)
    }

    /// The loaded segments.
    pub fn loads(&self) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(|s| s.kind == abi::PT_LOAD)
    }

    /// The address a file offset is loaded at, as the file states it.
    pub fn svma_of(&self, offset: u64) -> Option<u64> {
        self.loads()
            .find(|s| offset >= s.offset && offset - s.offset < s.file_size)
            .and_then(|s| s.svma.checked_add(offset - s.offset))
    }

    /// The file offset of an address, and how many bytes of the file follow in its segment.
    pub fn offset_of(&self, svma: u64) -> Option<(u64, u64)> {
        self.loads()
            .find(|s| svma >= s.svma && svma - s.svma < s.file_size)
            .and_then(|s| {
                let inside = svma - s.svma;
                Some((s.offset.checked_add(inside)?, s.file_size - inside))
            })
    }

    /// The word stored in the file at an address.
    pub fn word(&self, svma: u64) -> Option<u64> {
        let (offset, room) = self.offset_of(svma)?;
        (room >= 8).then(|| self.image.u64(offset)).flatten()
    }

    /// True for an address in a segment that is loaded executable.
    pub fn is_code(&self, svma: u64) -> bool {
        self.loads()
            .any(|s| s.flags & abi::PF_X != 0 && svma >= s.svma && svma - s.svma < s.memory_size)
    }

    pub fn section(&self, name: &str) -> Option<&Section> {
        self.sections.iter().find(|s| s.name == name)
    }

    /// A section's bytes as a reader; compressed ones are inflated into memory, within a limit.
    pub fn window(&self, name: &str) -> Option<Window> {
        let section = self.section(name)?;
        if section.kind == abi::SHT_NOBITS {
            return None;
        }
        if section.flags & abi::SHF_COMPRESSED == 0 {
            return Some(Window::new(&self.image, section.offset, section.size));
        }
        let inflated = self.inflate(section)?;
        let len = inflated.len() as u64;
        Some(Window::new(&Arc::new(Image::from_bytes(inflated)), 0, len))
    }

    /// gABI "Section Compression": Elf64_Chdr, then zlib or zstd data.
    fn inflate(&self, section: &Section) -> Option<Vec<u8>> {
        let kind = self.image.u32(section.offset)?;
        let size = self.image.u64(section.offset.checked_add(8)?)?;
        if size > MAX_INFLATED {
            return None;
        }
        let packed_at = section.offset.checked_add(24)?;
        let packed = self
            .image
            .bytes(packed_at, section.size.checked_sub(24)?, MAX_INFLATED)?;
        let format = match kind {
            1 => object::CompressionFormat::Zlib,
            2 => object::CompressionFormat::Zstandard,
            _ => return None,
        };
        let data = object::CompressedData {
            format,
            data: &packed,
            uncompressed_size: size,
        };
        data.decompress().ok().map(std::borrow::Cow::into_owned)
    }

    /// The first note of a type under an owner, from the PT_NOTE segments or the SHT_NOTE sections.
    pub fn note(&self, owner: &[u8], kind: u32) -> Option<Vec<u8>> {
        let segments = self
            .segments
            .iter()
            .filter(|s| s.kind == abi::PT_NOTE)
            .map(|s| (s.offset, s.file_size));
        let sections = self
            .sections
            .iter()
            .filter(|s| s.kind == abi::SHT_NOTE)
            .map(|s| (s.offset, s.size));
        segments
            .chain(sections)
            .find_map(|(offset, size)| self.note_in(offset, size, owner, kind))
    }

    fn note_in(&self, offset: u64, size: u64, owner: &[u8], kind: u32) -> Option<Vec<u8>> {
        let mut window = Window::new(&self.image, offset, size);
        for _ in 0..64 {
            let name_len = window.read_u32().ok()?;
            let data_len = window.read_u32().ok()?;
            let this_kind = window.read_u32().ok()?;
            let name_at = window.position();
            window
                .skip(name_len.checked_next_multiple_of(4)? as usize)
                .ok()?;
            let data_at = window.position();
            if this_kind == kind
                && self.image.bytes(name_at, u64::from(name_len), MAX_NAME)? == owner
            {
                return self.image.bytes(data_at, u64::from(data_len), MAX_NAME);
            }
            window
                .skip(data_len.checked_next_multiple_of(4)? as usize)
                .ok()?;
        }
        None
    }

    /// The values of one tag of the dynamic section.
    pub fn dynamic(&self, tag: u64) -> Vec<u64> {
        let Some(segment) = self.segments.iter().find(|s| s.kind == abi::PT_DYNAMIC) else {
            return Vec::new();
        };
        let mut values = Vec::new();
        for i in 0..(segment.file_size / 16).min(MAX_HEADERS) {
            let at = segment.offset.saturating_add(i * 16);
            let (Some(this), Some(value)) =
                (self.image.u64(at), self.image.u64(at.saturating_add(8)))
            else {
                break;
            };
            if this == 0 {
                break;
            }
            if this == tag {
                values.push(value);
            }
        }
        values
    }

    /// A NUL-terminated string in the dynamic string table.
    pub fn dynamic_string(&self, offset: u64) -> Option<String> {
        let table = *self.dynamic(abi::DT_STRTAB).first()?;
        let (at, room) = self.offset_of(table.checked_add(offset)?)?;
        let bytes = self.image.cstr(at, at.checked_add(room)?, MAX_NAME)?;
        Some(super::name::clean(&String::from_utf8_lossy(&bytes)))
    }

    /// The words at these addresses as the loader leaves them with a load bias of zero: the bytes of the
    /// file, or the addend of an `R_X86_64_RELATIVE` relocation on that address (GNU ld leaves zero in
    /// the file, Go's linker and `DT_RELR` keep the value there).
    pub fn relocated(&self, svmas: &[u64]) -> Vec<Option<u64>> {
        let mut words: Vec<Option<u64>> = svmas.iter().map(|&s| self.word(s)).collect();
        let table = self.dynamic(abi::DT_RELA).first().copied();
        let size = self.dynamic(abi::DT_RELASZ).first().copied();
        let (Some(table), Some(size)) = (table, size) else {
            return words;
        };
        let Some((start, room)) = self.offset_of(table) else {
            return words;
        };
        let end = start.saturating_add(size.min(room));
        // Entries are 24 bytes; pieces of a scan are not a multiple, so the overlap is asked for and
        // each entry taken from the table's own phase.
        let _: Option<()> = self.image.scan(start, end, 23, &mut |base, piece| {
            let phase = (24 - (base - start) % 24) % 24;
            for entry in piece
                .get(phase as usize..)
                .unwrap_or_default()
                .chunks_exact(24)
            {
                let field = |at: usize| {
                    let mut bytes = [0; 8];
                    bytes.copy_from_slice(&entry[at..at + 8]);
                    u64::from_le_bytes(bytes)
                };
                if field(8) == abi::R_X86_64_RELATIVE
                    && let Some(i) = svmas.iter().position(|&s| s == field(0))
                {
                    words[i] = Some(field(16));
                }
            }
            std::ops::ControlFlow::Continue(())
        });
        words
    }
}
