//! Exact per-CPU totals, kept beside the ring and read at the end.

/// Error codes told apart in [`Counters::fault_codes`]; every x86 page-fault bit in use is below this
/// except SGX (bit 15) and RMP (bit 31), which share the last slot.
pub const FAULT_CODES: usize = 128;

/// One run of a program in this many is timed, a power of two: to ask for the time costs 25 ns.
pub const TIMED_ONE_IN: u64 = 64;

/// Totals of one event kind. `counted == delivered + aggregated + dropped`, or the run is void.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct KindCounters {
    pub counted: u64,
    pub delivered: u64,
    pub aggregated: u64,
    pub dropped: u64,
}

/// One CPU's totals, indexed by `record::kind`.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Counters {
    pub kinds: [KindCounters; crate::record::kind::COUNT],
    /// Faults by mode (0 user, 1 kernel) and error code.
    pub fault_codes: [[u64; FAULT_CODES]; 2],
    /// User-mode faults at a kernel address: refused by hardware, not counted by perf's page-faults.
    pub faults_at_kernel_address: u64,
    /// Kernel faults seen while faults were disabled (the `_nofault` accessors): not the program's.
    pub faults_disabled: u64,
    /// Faults of the launcher before the program's own address space existed.
    pub faults_before_exec: u64,
    /// Stack records that did not fit the ring.
    pub stacks_dropped: u64,
    /// Memory syscalls through the 32-bit entry, which are not decoded.
    pub compat_calls: u64,
    /// Calls that succeeded and may do what madvise does without being it.
    pub unseen_madvise: u64,
    /// State that could not be kept because a bounded table was full.
    pub table_full: u64,
    /// Times a program ran nested inside another on one CPU and left the event to the outer one.
    pub nested: u64,
    /// Page-table walks and how many read two different values.
    pub walks: u64,
    pub walks_unstable: u64,
    /// Runs of programs that had something to do for a followed process.
    pub runs: u64,
    /// Of these, runs that were timed, one in [`TIMED_ONE_IN`], and how long they took.
    pub runs_timed: u64,
    pub timed_ns: u64,
}
