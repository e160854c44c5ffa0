//! When a record takes effect, and on what.

use map_trace_common::record::{MemoryCallRecord, kind};

use crate::decode::Record;

/// Whether a call changes mappings that its address argument names; where the kernel chooses there are none.
pub fn changes_existing(call: &MemoryCallRecord) -> bool {
    match call.header.kind {
        kind::MPROTECT | kind::PKEY_MPROTECT | kind::MUNMAP | kind::MREMAP | kind::MADVISE => true,
        kind::MMAP => call.args[3] & libc::MAP_FIXED as u64 != 0,
        _ => false,
    }
}

/// The time at which a record took effect: a memory call changes the mappings by its return.
pub fn effective_ns(record: &Record) -> u64 {
    match record {
        Record::PageFault(record) => record.header.ktime_ns,
        Record::MemoryCall(record) => record.exit_ns,
        Record::Signal(record) => record.header.ktime_ns,
        Record::Fork(record) => record.header.ktime_ns,
        Record::Exec(record) => record.header.ktime_ns,
        Record::Exit(record) => record.header.ktime_ns,
        Record::FaultEnd(record) => record.header.ktime_ns,
        Record::PteSample(record) => record.header.ktime_ns,
        Record::WatchHit(record) => record.header.ktime_ns,
        Record::Userfaultfd(record) => record.header.ktime_ns,
        Record::MapOperation(record) => record.header.ktime_ns,
        Record::Stack(_) => 0,
    }
}
