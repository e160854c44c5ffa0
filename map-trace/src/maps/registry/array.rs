//! How many bytes the arrays of a classic map have.

use super::{Part, Range};

/// Sizes of objects that Go's allocator hands out (runtime/sizeclasses.go, the same from Go 1.16 to 1.27);
/// larger ones get pages of their own.
const SIZES: [u16; 67] = [
    8, 16, 24, 32, 48, 64, 80, 96, 112, 128, 144, 160, 176, 192, 208, 224, 240, 256, 288, 320, 352,
    384, 416, 448, 480, 512, 576, 640, 704, 768, 896, 1024, 1152, 1280, 1408, 1536, 1792, 2048,
    2304, 2688, 3072, 3200, 3456, 4096, 4864, 5376, 6144, 6528, 6784, 6912, 8192, 9472, 9728,
    10_240, 10_880, 12_288, 13_568, 14_336, 16_384, 18_432, 19_072, 20_480, 21_760, 24_576, 27_264,
    28_672, 32_768,
];
const PAGE: u64 = 8192;

/// Bytes of the object that so many bytes are allocated as.
fn object(bytes: u64) -> u64 {
    let fits = SIZES.into_iter().map(u64::from).find(|&size| size >= bytes);
    fits.unwrap_or_else(|| bytes.checked_next_multiple_of(PAGE).unwrap_or(bytes))
}

/// An array counted in buckets; its bytes follow from the map's type.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Array {
    pub start: u64,
    /// First bucket and the one behind the last.
    pub from: u64,
    pub to: u64,
    pub part: Part,
    /// It has all buckets that fit into the object that was allocated for it.
    pub whole_object: bool,
}

impl Array {
    /// Its bytes, when a bucket has `unit` of them; empty when that is not known.
    pub fn of_unit(&self, unit: u64) -> Range {
        let at = |n: u64| {
            n.checked_mul(unit)
                .and_then(|bytes| self.start.checked_add(bytes))
        };
        let (start, mut end) = (at(self.from).unwrap_or(0), at(self.to).unwrap_or(0));
        let whole = end.saturating_sub(self.start);
        if self.whole_object && unit != 0 {
            // What is left of the last bucket's place is not a bucket.
            end = self.start.saturating_add(object(whole) / unit * unit);
        }
        Range {
            start,
            end,
            part: self.part,
        }
    }
}

/// An array of 2^b buckets; from 16 on with an eighth of a half more for overflow (makeBucketArray,
/// runtime/map.go).
pub fn array(found: &mut Vec<Array>, start: u64, b: u8, [part, rest]: [Part; 2]) {
    let buckets = 1_u64 << b;
    let spare = if b >= 4 { 1_u64 << (b - 4) } else { 0 };
    let own = |from, to, part, whole_object| Array {
        start,
        from,
        to,
        part,
        whole_object,
    };
    if spare == 0 {
        found.push(own(0, buckets, part, false));
    } else if part == rest {
        found.push(own(0, buckets + spare, part, true));
    } else {
        found.push(own(0, buckets, part, false));
        found.push(own(buckets, buckets + spare, rest, true));
    }
}
