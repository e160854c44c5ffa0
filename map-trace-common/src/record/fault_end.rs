use super::Header;

/// The kernel is done with a page fault of this thread (mm/memory.c, `mm_account_fault`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FaultEndRecord {
    pub header: Header,
    /// `ktime_ns` of the fault's own record.
    pub start_ns: u64,
}
