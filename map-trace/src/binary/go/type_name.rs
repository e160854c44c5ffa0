//! Names of Go types, from the type descriptors in the file (`abi.Type`, internal/abi/type.go).

use super::super::Binary;
use super::super::name::clean;

/// Fields of `abi.Type`, the same from Go 1.18 to 1.27.
mod offset {
    pub const TFLAG: usize = 20;
    pub const KIND: usize = 23;
    pub const STR: usize = 40;
    pub const SIZE: usize = 48;
}

/// `abi.Map`, `abi.String`, and the bits of the kind byte that hold them.
const MAP: u8 = 21;
const STRING: u8 = 24;
const KIND_MASK: u8 = 31;
/// `abi.TFlagExtraStar`: the string has a `*` in front that is not part of it.
const EXTRA_STAR: u8 = 2;
/// Longest name told.
const MAX_NAME: usize = 1024;

impl Binary {
    /// The name of the map type whose descriptor is at an address, such as `map[string]int`; none when there
    /// is no such descriptor.
    pub fn go_map_type(&self, svma: u64) -> Option<String> {
        let mut descriptor = [0; offset::SIZE];
        self.read(svma, &mut descriptor)?;
        if descriptor[offset::KIND] & KIND_MASK != MAP {
            return None;
        }
        let name = &descriptor[offset::STR..offset::STR + 4];
        let name = u32::from_le_bytes(name.try_into().ok()?);
        let types = self.go()?.types(self.facts().go_minor()?)?;
        let text = self.type_string(types.checked_add(u64::from(name))?)?;
        let star = descriptor[offset::TFLAG] & EXTRA_STAR != 0;
        let text = if star { text.strip_prefix('*')? } else { &text };
        Some(clean(text))
    }

    /// Whether the type whose descriptor is at an address has strings as its values; none without a descriptor.
    pub fn go_is_string(&self, svma: u64) -> Option<bool> {
        let mut descriptor = [0; offset::SIZE];
        self.read(svma, &mut descriptor)?;
        Some(descriptor[offset::KIND] & KIND_MASK == STRING)
    }

    /// A name: a byte of flags, the length as a varint, the text (`abi.Name`).
    fn type_string(&self, at: u64) -> Option<String> {
        let mut head = [0; 3];
        self.read(at, &mut head)?;
        let (length, skip) = match head {
            [_, low, _] if low < 0x80 => (usize::from(low), 2),
            [_, low, high] if high < 0x80 => (usize::from(low & 0x7f) | usize::from(high) << 7, 3),
            _ => return None,
        };
        let mut bytes = vec![0; length.min(MAX_NAME)];
        self.read(at.checked_add(skip)?, &mut bytes)?;
        String::from_utf8(bytes)
            .ok()
            .filter(|text| !text.is_empty())
    }
}
