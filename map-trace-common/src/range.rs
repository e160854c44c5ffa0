//! Ranges whose page-table entries are sampled.

/// Ranges at most.
pub const MAX_RANGES: u32 = 64;
/// Entries read at one tick, at most.
pub const SAMPLES_PER_TICK: u32 = 16;

/// A range of a process; `pages` of 0 marks an unused slot.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Range {
    pub start: u64,
    pub pages: u64,
    /// The page to read next.
    pub cursor: u64,
    /// The process it is of; 0: every process.
    pub tgid: u64,
}

/// Index of the last slot, which is no range and ends the list when all others are used. Its `start` is the number
/// of entries to read at one tick, 0 for [`SAMPLES_PER_TICK`], its `cursor` the range to read next.
pub const LAST: u32 = MAX_RANGES - 1;
