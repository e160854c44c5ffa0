//! Ring records. Each starts with a [`Header`]; `Header::size` is the whole record's bytes.
//!
//! Times are `bpf_ktime_get_ns`: CLOCK_MONOTONIC, nanoseconds.

mod aggregate;
mod exec;
mod exit;
mod fault_end;
mod fork;
mod map_operation;
mod memory_call;
mod page_fault;
mod pte_sample;
mod signal;
mod stack;
mod userfaultfd;
mod watch_hit;

pub use aggregate::{Aggregate, AggregateKey, AggregateValue, pte_class};
pub use exec::ExecRecord;
pub use exit::ExitRecord;
pub use fault_end::FaultEndRecord;
pub use fork::ForkRecord;
pub use map_operation::MapOperationRecord;
pub use memory_call::MemoryCallRecord;
pub use page_fault::PageFaultRecord;
pub use pte_sample::PteSampleRecord;
pub use signal::SignalRecord;
pub use stack::StackRecord;
pub use userfaultfd::UserfaultfdRecord;
pub use watch_hit::WatchHitRecord;

/// Kinds of record; the value of [`Header::kind`] and the index of `counters::Counters::kinds`.
pub mod kind {
    pub const PAGE_FAULT_USER: u32 = 0;
    pub const PAGE_FAULT_KERNEL: u32 = 1;
    pub const MPROTECT: u32 = 2;
    pub const PKEY_MPROTECT: u32 = 3;
    pub const MMAP: u32 = 4;
    pub const MUNMAP: u32 = 5;
    pub const MREMAP: u32 = 6;
    pub const BRK: u32 = 7;
    pub const MADVISE: u32 = 8;
    pub const SIGNAL: u32 = 9;
    pub const FORK: u32 = 10;
    pub const EXEC: u32 = 11;
    pub const EXIT: u32 = 12;
    /// A user stack; interned, not an event, so not counted as one.
    pub const STACK: u32 = 13;
    pub const PTE_SAMPLE: u32 = 14;
    pub const WATCH_HIT: u32 = 15;
    /// The end of a page fault; belongs to an event, is none itself.
    pub const FAULT_END: u32 = 16;
    pub const MAP_MAKE: u32 = 17;
    pub const MAP_GROW: u32 = 18;
    pub const ITERATION: u32 = 19;
    /// Something became known of a map; not an event, so not counted as one.
    pub const MAP_STATE: u32 = 20;
    pub const MAP_CLEAR: u32 = 21;
    /// Go's runtime did something of its own: collected garbage, stopped the world, changed its heap.
    pub const RUNTIME: u32 = 22;
    /// A Go program is about to end itself: a fatal error or a panic nobody recovers.
    pub const FATAL: u32 = 23;
    /// A power of two.
    pub const COUNT: usize = 32;
    /// A registration with userfaultfd; for the replay of mappings, not an event, so not counted as one.
    pub const USERFAULTFD: u32 = 32;
}

/// Bits of [`Header::flags`].
pub mod flag {
    /// A mapping call of the same process was between entry and exit at this moment.
    pub const MAPPING_IN_FLIGHT: u32 = 1;
    /// The call was entered but its return was never seen (the thread died in it).
    pub const NO_RETURN: u32 = 2;
    /// The page-table entry was read twice with different values.
    pub const PTE_UNSTABLE: u32 = 4;
    /// The page-table walk was not done or could not be finished.
    pub const PTE_UNREAD: u32 = 8;
    /// Fork made a thread of the same process.
    pub const THREAD: u32 = 16;
    /// Fork made a process that shares the parent's address space (vfork, CLONE_VM).
    pub const SHARED_MM: u32 = 32;
    /// Exit of the process's last thread.
    pub const LAST_THREAD: u32 = 64;
    /// The signal was generated but not delivered (blocked, ignored, or the thread died first).
    pub const UNDELIVERED: u32 = 128;
    /// The fault waited for a disk.
    pub const MAJOR: u32 = 512;
    /// The fault was given up: a signal interrupted the kernel before the page was in place.
    pub const UNDONE: u32 = 1024;
    /// The new process is followed.
    pub const FOLLOWED: u32 = 256;
}

/// Start of every record.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Header {
    pub kind: u32,
    /// Bytes of the whole record.
    pub size: u32,
    pub ktime_ns: u64,
    pub tgid: u32,
    pub tid: u32,
    pub cpu: u32,
    pub flags: u32,
    /// Hash of the user stack, 0 when none was taken.
    pub stack: u64,
    /// Go's id of the goroutine, 0 when not known or none.
    pub goroutine: u64,
}
