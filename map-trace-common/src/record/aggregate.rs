//! Events counted in the kernel and not delivered one by one.

/// What one aggregate's events have in common.
#[repr(C)]
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct AggregateKey {
    pub kind: u32,
    pub tgid: u32,
    /// Fault error code; for a memory syscall its protection or advice argument; for a signal its number.
    pub code: u64,
    pub stack: u64,
    /// `address >> AGGREGATE_SHIFT`, or `REGION_ANY`.
    pub region: u64,
    /// Page-table facts that decide the cause: see `pte_class`.
    pub pte_class: u32,
    /// Generation (execs) of the process.
    pub generation: u32,
    /// The CPU that counts, so that no two write one value.
    pub cpu: u64,
}

/// Bits of [`AggregateKey::pte_class`].
pub mod pte_class {
    pub const UNREAD: u32 = 1;
    /// The entry was all zero bits.
    pub const EMPTY: u32 = 2;
    pub const PRESENT: u32 = 4;
    pub const WRITABLE: u32 = 8;
    pub const USER: u32 = 16;
    pub const NO_EXECUTE: u32 = 32;
    pub const ZERO_PAGE: u32 = 64;
    /// Not present, not empty, and it decodes as PROT_NONE (or a NUMA hint).
    pub const PROT_NONE: u32 = 128;
    pub const UNSTABLE: u32 = 256;
    /// Not present, not empty, and it decodes as a swap entry of a swap file (swap type below 23).
    pub const SWAP: u32 = 512;
    /// The entry carries userfaultfd's write protection.
    pub const UFFD_WP: u32 = 1024;
    /// Present and written through: Dirty or SavedDirty is set.
    pub const DIRTY: u32 = 2048;
    /// Bits 12.. hold the level.
    pub const LEVEL_SHIFT: u32 = 12;
}

/// Counts of one aggregate; per CPU, summed by user space.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct AggregateValue {
    pub count: u64,
    pub first_ns: u64,
    pub last_ns: u64,
    pub address_min: u64,
    pub address_max: u64,
    pub duration_ns: u64,
    /// Faults of it that added nothing to the thread's `min_flt` and `maj_flt`.
    pub undone: u64,
}

/// Value of the `AGGREGATES` map.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Aggregate {
    pub key: AggregateKey,
    pub value: AggregateValue,
}
