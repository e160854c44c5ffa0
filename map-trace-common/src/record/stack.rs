use super::Header;
use crate::limits::{MAX_FRAMES, STACK_WORDS};

/// A user stack, sent once for each new hash. Only the first `depth` frames are sent.
///
/// `frames` are return addresses found by following rbp. The words at rsp let user space put back the
/// caller of a function that has no frame (yet): see docs/architecture.md.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct StackRecord {
    pub header: Header,
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
    /// Count of valid `frames`.
    pub depth: u32,
    /// 1 when the walk stopped at `MAX_FRAMES` with the chain going on.
    pub truncated: u32,
    /// Count of valid `words`.
    pub word_count: u32,
    /// Number of execs of the process when taken.
    pub generation: u32,
    pub words: [u64; STACK_WORDS],
    pub frames: [u64; MAX_FRAMES],
}
