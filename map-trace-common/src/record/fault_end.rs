use super::Header;

/// The kernel is done with a page fault of this thread (mm/memory.c, `mm_account_fault`), or, with
/// `flag::UNDONE`, never was: the thread went on without a fault having been added to its `min_flt` or `maj_flt`.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct FaultEndRecord {
    pub header: Header,
    /// `ktime_ns` of the fault's own record.
    pub start_ns: u64,
}
