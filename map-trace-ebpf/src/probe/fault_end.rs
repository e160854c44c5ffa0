//! The end of a page fault: perf's software events for minor and major faults overflow in
//! `mm_account_fault` (mm/memory.c), when the page is in place. No tracepoint marks it.
//!
//! Minor faults are measured one in so many (the event's period), major ones all.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use map_trace_common::limits::FAULT_SLOTS;
use map_trace_common::record::{FaultEndRecord, flag, kind};

use crate::emit;
use crate::maps::FAULTS;
use crate::task;

/// The slot of a thread.
#[inline(always)]
fn slot(pid_tgid: u64) -> u32 {
    pid_tgid as u32 & (FAULT_SLOTS - 1)
}

/// Notes the start of a fault whose event was sent.
#[inline(always)]
pub fn begin(pid_tgid: u64, start_ns: u64) {
    if let Some(fault) = FAULTS.get_ptr_mut(slot(pid_tgid)) {
        // SAFETY: a map value; who overwrites whom is settled by comparing pid_tgid at the end.
        unsafe {
            (*fault).pid_tgid = pid_tgid;
            (*fault).start_ns = start_ns;
        }
    }
}

#[perf_event]
pub fn fault_end(_ctx: PerfEventContext) -> u32 {
    end(0);
    0
}

#[perf_event]
pub fn fault_end_major(_ctx: PerfEventContext) -> u32 {
    end(flag::MAJOR);
    0
}

#[inline(always)]
fn end(flags: u32) {
    let pid_tgid = task::pid_tgid();
    let Some(fault) = FAULTS.get_ptr_mut(slot(pid_tgid)) else {
        return;
    };
    // SAFETY: a map value.
    let start_ns = unsafe {
        if (*fault).pid_tgid != pid_tgid {
            return;
        }
        (*fault).pid_tgid = 0;
        (*fault).start_ns
    };
    let mut header = emit::header::<FaultEndRecord>(kind::FAULT_END, pid_tgid);
    header.flags = flags;
    emit::supplement(&FaultEndRecord { header, start_ns });
}
