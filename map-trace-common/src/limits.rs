//! Bounds that both sides rely on.

/// Return addresses taken by the frame-pointer walk (the innermost ip is kept besides).
pub const MAX_FRAMES: usize = 127;
/// 8-byte words copied from the user's rsp upward, from which a hidden caller is put back.
pub const STACK_WORDS: usize = 16;
/// 8-byte words of the user stack read in one piece, a power of two.
pub const WINDOW_WORDS: usize = 128;
/// Processes followed at once.
pub const MAX_PROCESSES: u32 = 16_384;
/// Memory syscalls and signals under way at once.
pub const MAX_PENDING: u32 = 16_384;
/// Groups (kind, error code, PTE class, stack) whose events are delivered in full up to the detail limit.
pub const MAX_GROUPS: u32 = 32_768;
/// Groups counted in the kernel beyond detail.
pub const MAX_AGGREGATES: u32 = 32_768;
/// Bytes of the ring buffer.
pub const RING_BYTES: u32 = 8 << 20;
/// Fault details are no longer put in the ring above this fill: the rest is kept for stacks, mappings,
/// lifecycle.
pub const RING_DETAIL_BYTES: u32 = RING_BYTES / 4 * 3;
/// Address granularity of an aggregate: 16 MiB.
pub const AGGREGATE_SHIFT: u32 = 24;
/// Region value of an aggregate that no longer tells addresses apart.
pub const REGION_ANY: u64 = u64::MAX;
/// Slots in which a fault's start waits for its end, by thread id modulo this.
pub const FAULT_SLOTS: u32 = 4096;
