//! Ranges whose page-table entries are sampled.

/// Ranges at most.
pub const MAX_RANGES: u32 = 64;
/// Entries read at one tick.
pub const SAMPLES_PER_TICK: u32 = 16;

/// A range of a process; `pages` of 0 marks an unused slot.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Range {
    pub start: u64,
    pub pages: u64,
    /// The page to read next.
    pub cursor: u64,
}
