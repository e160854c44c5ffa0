//! Bounds that both sides rely on.

/// Return addresses taken by the frame-pointer walk (the innermost ip is kept besides).
pub const MAX_FRAMES: usize = 127;
/// 8-byte words from the user's rsp upward that tell stacks apart where the program's own code runs, and from which
/// hidden callers are put back: enough for a function that has no frame yet.
pub const OWN_WORDS: usize = 16;
/// As many where a library's code runs, which is often built without frame pointers: all its callers are to be put back
/// (glibc's `vfprintf` alone has a frame of more than a kilobyte, and `sscanf` of two).
pub const LIBRARY_WORDS: usize = 384;
/// Room for them: a power of two, so that an index can be cut to it.
pub const WINDOW_WORDS: usize = 512;
/// Words read in one piece where the program's own code runs: most of its frames lie in them.
pub const OWN_WINDOW: usize = 128;
/// Processes followed at once.
pub const MAX_PROCESSES: u32 = 16_384;
/// Memory syscalls and signals under way at once.
pub const MAX_PENDING: u32 = 16_384;
/// Groups (kind, error code, PTE class, stack) whose events are delivered in full up to the detail limit.
pub const MAX_GROUPS: u32 = 32_768;
/// Groups counted in the kernel beyond detail.
pub const MAX_AGGREGATES: u32 = 32_768;
/// Bytes of the ring buffer.
pub const RING_BYTES: u32 = 16 << 20;
/// Fault details are no longer put in the ring above this fill: the rest is kept for stacks, mappings,
/// lifecycle.
pub const RING_DETAIL_BYTES: u32 = RING_BYTES / 4 * 3;
/// Address granularity of an aggregate: 16 MiB.
pub const AGGREGATE_SHIFT: u32 = 24;
/// Region value of an aggregate that no longer tells addresses apart.
pub const REGION_ANY: u64 = u64::MAX;
/// Slots in which a fault's start waits for its end, by thread id modulo this.
pub const FAULT_SLOTS: u32 = 4096;
