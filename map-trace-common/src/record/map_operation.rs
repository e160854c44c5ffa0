use super::Header;
use crate::place::{ARGUMENTS, READ_WORDS, READS};

/// A probe in the user's code was hit. What the words mean is known to user space, by `place`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct MapOperationRecord {
    pub header: Header,
    /// Index of the place.
    pub place: u32,
    /// Bit n: `words[n]` could be read. Bit 31: the place closes, and its opening was not seen.
    pub read: u32,
    /// RAX, RBX, RCX, RDI, RSI, RDX; at a place that closes, as they were at the opening.
    pub arguments: [u64; ARGUMENTS],
    /// RAX at the place.
    pub result: u64,
    /// Bounds of the goroutine's stack; 0 when not known.
    pub stack_low: u64,
    pub stack_high: u64,
    /// Where each piece was read, 0 where none was wanted.
    pub addresses: [u64; READS],
    pub words: [[u64; READ_WORDS]; READS],
}

impl MapOperationRecord {
    /// Bit of `read`: the opening of the place was not seen.
    pub const NOT_OPENED: u32 = 1 << 31;
}
