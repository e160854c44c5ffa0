//! `sched:sched_process_fork` (include/trace/events/sched.h): parent, child; before the child runs.

use aya_ebpf::EbpfContext;
use map_trace_common::record::{ForkRecord, flag, kind};

use super::{fault_end, programs};
use crate::emit::{self, Group};
use crate::maps::{Cpu, PROCESSES, Process};
use crate::settings::setting;
use crate::{pagewalk, task};

programs!("sched_process_fork", process_fork, process_fork_raw, fork);

#[inline(always)]
fn fork<C: EbpfContext>(ctx: &C) {
    let child = task::argument(ctx, 1);
    let child_tgid = task::field::<u32>(child, setting!(task_tgid)).unwrap_or(0);
    let pid_tgid = task::pid_tgid();
    let tgid = (pid_tgid >> 32) as u32;
    let parent_process = task::process(tgid);
    if child_tgid != tgid {
        forget_reused(child_tgid);
    }
    let Some(process) = parent_process else {
        return;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    forked(cpu, process, child, child_tgid, pid_tgid);
    emit::leave(cpu);
}

/// A new process with the id of one that has ended is not that one.
#[inline(always)]
fn forget_reused(tgid: u32) {
    if let Some(process) = task::process(tgid) {
        // SAFETY: process is a map value.
        if unsafe { (*process).exited } != 0 {
            let _ = PROCESSES.remove(&tgid);
        }
    }
}

#[inline(always)]
fn forked(cpu: *mut Cpu, process: *const Process, child: u64, child_tgid: u32, pid_tgid: u64) {
    let mut header = emit::header::<ForkRecord>(kind::FORK, pid_tgid);
    fault_end::settle(&header, pid_tgid);
    if child_tgid == header.tgid {
        header.flags = flag::THREAD | flag::FOLLOWED | flag::SHARED_MM;
    } else {
        if task::mm(child) == task::mm(task::current()) {
            header.flags |= flag::SHARED_MM;
        }
        if setting!(follow_forks) != 0 && follow(cpu, process, child, child_tgid) {
            header.flags |= flag::FOLLOWED;
        }
    }
    let record = ForkRecord {
        header,
        child_tgid,
        child_tid: task::field::<u32>(child, setting!(task_pid)).unwrap_or(0),
    };
    let group = Group {
        code: 0,
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address: 0,
        duration_ns: 0,
    };
    emit::deliver(cpu, &header, &record, &group);
}

/// Registers the child; false when the table is full.
#[inline(always)]
fn follow(cpu: *mut Cpu, process: *const Process, task: u64, child_tgid: u32) -> bool {
    let pgd = pagewalk::pgd_of(task::mm(task));
    // SAFETY: process is a map value.
    let child = unsafe {
        Process {
            in_flight: 0,
            exited: 0,
            pgd,
            ..*process
        }
    };
    if PROCESSES.insert(&child_tgid, &child, 0).is_ok() {
        return true;
    }
    // SAFETY: this CPU's record.
    unsafe { (*cpu).counters.table_full += 1 };
    false
}
