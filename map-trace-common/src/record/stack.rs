use super::Header;
use crate::limits::{LIBRARY_WORDS, MAX_FRAMES};

/// A user stack, sent once for each new hash, with as much of `list` as is used.
///
/// Frames are return addresses found by following rbp. The words at rsp let user space put back the callers of
/// functions that have no frame (yet): see docs/architecture.md.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StackRecord {
    pub header: Header,
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    /// Count of frames.
    pub depth: u32,
    /// 1 when the walk stopped at `MAX_FRAMES` with the chain going on.
    pub truncated: u32,
    /// Count of words, all of which tell this stack from others.
    pub word_count: u32,
    /// Number of execs of the process when taken.
    pub generation: u32,
    /// `depth` frames, and right behind them `word_count` words.
    pub list: [u64; MAX_FRAMES + LIBRARY_WORDS],
}
