//! A reader of BTF, the kernel's description of its own types (Documentation/bpf/btf.rst).
//!
//! Rust has no CO-RE field relocations for BPF, so offsets are looked up here at run time. The reader is
//! total: bytes come from sysfs, but every offset, count and reference is checked, and every walk along
//! references is bounded.

mod spelling;

use std::path::Path;

mod find;

/// Where the running kernel publishes it (CONFIG_DEBUG_INFO_BTF).
pub const RUNNING: &str = "/sys/kernel/btf/vmlinux";

/// Most bytes read; distribution kernels have 5 to 15 MiB.
const MAX_BYTES: u64 = 128 << 20;
/// Most typedefs and qualifiers in a row.
const MAX_HOPS: usize = 32;
/// Deepest nesting of anonymous members.
const MAX_DEPTH: usize = 16;
/// Most members looked at for one name.
const MAX_MEMBERS: usize = 20_000;

const MAGIC: u16 = 0xeb9f;
/// Bytes of `struct btf_header` up to and including `str_len`.
const HEADER: usize = 24;
/// Bytes of `struct btf_type`.
const TYPE: usize = 12;

/// Why bytes are not BTF this reader understands.
#[derive(Debug, thiserror::Error)]
pub enum BtfError {
    #[error("this kernel has no BTF ({path}: {source}); it needs CONFIG_DEBUG_INFO_BTF")]
    Absent {
        path: &'static str,
        source: std::io::Error,
    },
    #[error("BTF is cut short: {what} at byte {at}")]
    Short { what: &'static str, at: usize },
    #[error("BTF begins with {0:#06x}, not 0xeb9f")]
    Magic(u16),
    #[error("BTF version {0} is not known")]
    Version(u8),
    #[error("BTF type {id} is of unknown kind {kind}")]
    Kind { id: u32, kind: u8 },
}

/// Kinds of types (include/uapi/linux/btf.h).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    Int = 1,
    Pointer = 2,
    Array = 3,
    Struct = 4,
    Union = 5,
    Enum = 6,
    Forward = 7,
    Typedef = 8,
    Volatile = 9,
    Const = 10,
    Restrict = 11,
    Function = 12,
    Prototype = 13,
    Variable = 14,
    Section = 15,
    Float = 16,
    DeclTag = 17,
    TypeTag = 18,
    Enum64 = 19,
}

const KINDS: [Kind; 19] = [
    Kind::Int,
    Kind::Pointer,
    Kind::Array,
    Kind::Struct,
    Kind::Union,
    Kind::Enum,
    Kind::Forward,
    Kind::Typedef,
    Kind::Volatile,
    Kind::Const,
    Kind::Restrict,
    Kind::Function,
    Kind::Prototype,
    Kind::Variable,
    Kind::Section,
    Kind::Float,
    Kind::DeclTag,
    Kind::TypeTag,
    Kind::Enum64,
];

impl Kind {
    fn from_number(number: u8) -> Option<Self> {
        KINDS.get(usize::from(number).checked_sub(1)?).copied()
    }

    /// Bytes that follow a type of this kind with `vlen` elements.
    const fn extra(self, vlen: usize) -> usize {
        match self {
            Self::Int | Self::Variable | Self::DeclTag => 4,
            Self::Array => 12,
            Self::Struct | Self::Union | Self::Section | Self::Enum64 => vlen * 12,
            Self::Enum | Self::Prototype => vlen * 8,
            _ => 0,
        }
    }
}

/// Number of a type; 0 is `void`.
pub type TypeId = u32;

/// One type.
#[derive(Clone, Copy, Debug)]
pub struct Type<'a> {
    pub kind: Kind,
    pub name: &'a [u8],
    /// Size in bytes, or the type referred to, by kind.
    pub size_or_type: u32,
    /// `kind_flag`: members hold bit-field sizes in the upper byte of their offset.
    bit_fields: bool,
    body: &'a [u8],
}

/// A member found by name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Member {
    /// From the start of the outermost structure, bits.
    pub bits: u64,
    /// Width of a bit-field, 0 for a whole member.
    pub width: u8,
    pub of: TypeId,
}

/// Parsed BTF.
pub struct Btf {
    bytes: Vec<u8>,
    /// Position of each type; the first has id 1.
    types: Vec<u32>,
    strings: std::ops::Range<usize>,
}

impl Btf {
    /// The running kernel's.
    ///
    /// # Errors
    /// There is none, or it is damaged.
    pub fn running() -> Result<Self, BtfError> {
        Self::parse(read(Path::new(RUNNING)).map_err(|source| BtfError::Absent {
            path: RUNNING,
            source,
        })?)
    }

    /// Finds the sections and every type.
    ///
    /// # Errors
    /// The bytes are cut short or of a format not known.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, BtfError> {
        let header = |what| move || BtfError::Short { what, at: 0 };
        let magic = u16_at(&bytes, 0).ok_or_else(header("header"))?;
        if magic != MAGIC {
            return Err(BtfError::Magic(magic));
        }
        let version = *bytes.get(2).ok_or_else(header("header"))?;
        if version != 1 {
            return Err(BtfError::Version(version));
        }
        if bytes.len() < HEADER {
            return Err(header("header")());
        }
        let base = word(&bytes, 4).ok_or_else(header("header"))?;
        let types = section(&bytes, base, 8).ok_or_else(header("type section"))?;
        let strings = section(&bytes, base, 16).ok_or_else(header("string section"))?;
        let types = positions(&bytes, types)?;
        Ok(Self {
            bytes,
            types,
            strings,
        })
    }

    /// Number of types, `void` not counted.
    pub fn len(&self) -> usize {
        self.types.len()
    }

    pub fn is_empty(&self) -> bool {
        self.types.is_empty()
    }

    /// The type with this id; `None` for `void` and beyond the last.
    pub fn get(&self, id: TypeId) -> Option<Type<'_>> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        let at = usize::try_from(*self.types.get(index)?).ok()?;
        let (name, info) = (word(&self.bytes, at)?, word(&self.bytes, at + 4)?);
        let (kind, vlen) = kind_of(info);
        let kind = Kind::from_number(kind)?;
        let body = self.bytes.get(at + TYPE..)?;
        Some(Type {
            kind,
            name: self.string(name),
            size_or_type: u32_at(&self.bytes, at + 8)?,
            bit_fields: info >> 31 != 0,
            body: body.get(..kind.extra(vlen))?,
        })
    }

    /// Follows typedefs and qualifiers to what they stand for.
    pub fn strip(&self, mut id: TypeId) -> TypeId {
        for _ in 0..MAX_HOPS {
            match self.get(id) {
                Some(Type {
                    kind:
                        Kind::Typedef | Kind::Volatile | Kind::Const | Kind::Restrict | Kind::TypeTag,
                    size_or_type,
                    ..
                }) => id = size_or_type,
                _ => break,
            }
        }
        id
    }

    /// A member by its path from a structure or union, through anonymous members and nested ones.
    pub fn member(&self, of: TypeId, path: &[&str]) -> Option<Member> {
        let mut at = Member {
            bits: 0,
            width: 0,
            of,
        };
        let mut budget = MAX_MEMBERS;
        for name in path {
            let found = self.direct_member(at.of, name.as_bytes(), MAX_DEPTH, &mut budget)?;
            at = Member {
                bits: at.bits.checked_add(found.bits)?,
                ..found
            };
        }
        Some(at)
    }

    /// A member of the structure itself or of its anonymous members.
    fn direct_member(
        &self,
        of: TypeId,
        name: &[u8],
        depth: usize,
        budget: &mut usize,
    ) -> Option<Member> {
        let structure = self.get(self.strip(of))?;
        if !matches!(structure.kind, Kind::Struct | Kind::Union) {
            return None;
        }
        for entry in structure.body.chunks_exact(12) {
            *budget = budget.checked_sub(1)?;
            let found = self.string(word(entry, 0)?);
            let raw = u32_at(entry, 8)?;
            let (bits, width) = if structure.bit_fields {
                (raw & 0xff_ffff, (raw >> 24) as u8)
            } else {
                (raw, 0)
            };
            let member = Member {
                bits: u64::from(bits),
                width,
                of: u32_at(entry, 4)?,
            };
            if found == name {
                return Some(member);
            }
            if found.is_empty()
                && depth > 0
                && let Some(inner) = self.direct_member(member.of, name, depth - 1, budget)
            {
                return Some(Member {
                    bits: member.bits.checked_add(inner.bits)?,
                    ..inner
                });
            }
        }
        None
    }

    /// The parameters of a function prototype: name and type.
    pub fn parameters(&self, prototype: TypeId) -> Option<Vec<(&[u8], TypeId)>> {
        let prototype = self.get(prototype)?;
        if prototype.kind != Kind::Prototype {
            return None;
        }
        prototype
            .body
            .chunks_exact(8)
            .map(|entry| Some((self.string(word(entry, 0)?), u32_at(entry, 4)?)))
            .collect()
    }

    /// A name; empty when the offset is out of range.
    fn string(&self, offset: usize) -> &[u8] {
        let rest = self.string_from(offset).unwrap_or_default();
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(0);
        rest.get(..end).unwrap_or_default()
    }

    /// The string section from this offset on.
    fn string_from(&self, offset: usize) -> Option<&[u8]> {
        self.bytes.get(self.strings.clone())?.get(offset..)
    }
}

fn read(path: &Path) -> std::io::Result<Vec<u8>> {
    use std::io::Read;
    let file = std::fs::File::open(path)?;
    let size = file.metadata()?.len().min(MAX_BYTES);
    let mut bytes = Vec::with_capacity(usize::try_from(size).unwrap_or(0) + 1);
    file.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Positions of all types.
fn positions(bytes: &[u8], section: std::ops::Range<usize>) -> Result<Vec<u32>, BtfError> {
    let mut types = Vec::with_capacity(section.len() / 24);
    let mut at = section.start;
    while at < section.end {
        let short = || BtfError::Short { what: "type", at };
        let position = u32::try_from(at).map_err(|_| short())?;
        if section.end - at < TYPE {
            return Err(short());
        }
        let (kind, vlen) = kind_of(word(bytes, at + 4).ok_or_else(short)?);
        let extra = Kind::from_number(kind)
            .ok_or_else(|| BtfError::Kind {
                id: u32::try_from(types.len() + 1).unwrap_or(u32::MAX),
                kind,
            })?
            .extra(vlen);
        if section.end - at - TYPE < extra {
            return Err(short());
        }
        types.push(position);
        at += TYPE + extra;
    }
    Ok(types)
}

/// A section's place from its offset and length at `field` of the header.
fn section(bytes: &[u8], base: usize, field: usize) -> Option<std::ops::Range<usize>> {
    let start = base.checked_add(word(bytes, field)?)?;
    let end = start.checked_add(word(bytes, field + 4)?)?;
    (end <= bytes.len()).then_some(start..end)
}

/// `info`: vlen in bits 0-15, kind in bits 24-28.
const fn kind_of(info: usize) -> (u8, usize) {
    ((info >> 24 & 0x1f) as u8, info & 0xffff)
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(
        bytes.get(at..at.checked_add(2)?)?.try_into().ok()?,
    ))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(
        bytes.get(at..at.checked_add(4)?)?.try_into().ok()?,
    ))
}

fn word(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u32_at(bytes, at)?).ok()
}

#[cfg(test)]
pub(super) mod tests;
