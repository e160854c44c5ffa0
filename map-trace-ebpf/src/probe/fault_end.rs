//! The end of a page fault: perf's software events for minor and major faults overflow in
//! `mm_account_fault` (mm/memory.c), when the page is in place. No tracepoint marks it.
//!
//! Minor faults are measured one in so many (the event's period), major ones all.
//!
//! A fault that a signal interrupts has no end: perf counts it as a page fault, and `mm_account_fault` returns
//! before it counts. The thread's own counts, compared at its next event, tell.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use map_trace_common::limits::FAULT_SLOTS;
use map_trace_common::record::{FaultEndRecord, Header, flag, kind};

use crate::emit;
use crate::maps::FAULTS;
use crate::task;

/// The slot of a thread.
#[inline(always)]
fn slot(pid_tgid: u64) -> u32 {
    pid_tgid as u32 & (FAULT_SLOTS - 1)
}

/// Notes the start of a fault: the thread's completed faults so far, and the aggregate that counts it, 0 when
/// its event was sent.
#[inline(always)]
pub fn begin(pid_tgid: u64, start_ns: u64, taken: u64, group: u64) {
    if let Some(fault) = FAULTS.get_ptr_mut(slot(pid_tgid)) {
        // SAFETY: a map value; who overwrites whom is settled by comparing pid_tgid at the end.
        unsafe {
            (*fault).pid_tgid = pid_tgid;
            (*fault).start_ns = start_ns;
            (*fault).taken = taken;
            (*fault).group = group;
        }
    }
}

/// The current thread goes on: a last fault of it that added nothing to its counts was given up. Said before
/// the event of `header`. Returns the thread's completed faults so far.
#[inline(always)]
pub fn settle(header: &Header, pid_tgid: u64) -> u64 {
    let taken = task::faults_taken();
    let Some(fault) = FAULTS.get_ptr_mut(slot(pid_tgid)) else {
        return taken;
    };
    // SAFETY: a map value.
    unsafe {
        if (*fault).pid_tgid != pid_tgid || (*fault).taken != taken || taken == task::UNKNOWN {
            return taken;
        }
        (*fault).pid_tgid = 0;
        if (*fault).group != 0 {
            emit::undone((*fault).group);
            return taken;
        }
        let header = Header {
            kind: kind::FAULT_END,
            size: size_of::<FaultEndRecord>() as u32,
            flags: flag::UNDONE,
            stack: 0,
            ..*header
        };
        emit::supplement(&FaultEndRecord {
            header,
            start_ns: (*fault).start_ns,
        });
    }
    taken
}

/// The current thread ends; its number may be given to another.
#[inline(always)]
pub fn forget(pid_tgid: u64) {
    if let Some(fault) = FAULTS.get_ptr_mut(slot(pid_tgid)) {
        // SAFETY: a map value.
        unsafe { (*fault).pid_tgid = 0 };
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
        if (*fault).pid_tgid != pid_tgid || (*fault).group != 0 {
            return;
        }
        (*fault).pid_tgid = 0;
        (*fault).start_ns
    };
    let mut header = emit::header::<FaultEndRecord>(kind::FAULT_END, pid_tgid);
    header.flags = flags;
    emit::supplement(&FaultEndRecord { header, start_ns });
}
