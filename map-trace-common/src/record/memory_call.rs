use super::Header;

/// A memory syscall, emitted at its return with `Header::ktime_ns` the time of entry.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct MemoryCallRecord {
    pub header: Header,
    pub exit_ns: u64,
    /// Arguments in syscall order (rdi, rsi, rdx, r10, r8, r9).
    pub args: [u64; 6],
    /// The kernel's result, negative errno on failure; meaningless with `flag::NO_RETURN`.
    pub result: i64,
    pub ip: u64,
    /// Entry of the first page of the range, before and after; level 0 when not read.
    pub pte_before: u64,
    pub pte_after: u64,
    pub level_before: u32,
    pub level_after: u32,
}
