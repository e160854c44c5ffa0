//! `sched:sched_process_exit` (include/trace/events/sched.h): p; a thread ends.

use aya_ebpf::EbpfContext;
use map_trace_common::record::{ExitRecord, flag, kind};

use super::{fault_end, programs, signal, syscall};
use crate::emit::{self, Group};
use crate::maps::{Cpu, Process};
use crate::settings::setting;
use crate::task;

programs!("sched_process_exit", process_exit, process_exit_raw, exit);

#[inline(always)]
fn exit<C: EbpfContext>(_ctx: &C) {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    ended(cpu, process, pid_tgid);
    emit::leave(cpu);
}

#[inline(always)]
fn ended(cpu: *mut Cpu, process: *mut Process, pid_tgid: u64) {
    let current = task::current();
    syscall::abandon(cpu, process, pid_tgid);
    signal::abandon(pid_tgid, false);
    let mut header = emit::header::<ExitRecord>(kind::EXIT, pid_tgid);
    // do_exit has already counted this thread out (kernel/exit.c, signal->live).
    let live = task::field::<u64>(current, setting!(task_signal))
        .and_then(|signal| task::field::<i32>(signal, setting!(signal_live)));
    if live == Some(0) {
        header.flags = flag::LAST_THREAD;
        signal::abandon(pid_tgid, true);
    }
    fault_end::settle(&header, pid_tgid);
    fault_end::forget(pid_tgid);
    let record = ExitRecord {
        header,
        exit_code: task::field(current, setting!(task_exit_code)).unwrap_or(0),
        reserved: 0,
    };
    let group = Group {
        code: record.exit_code as u64,
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address: 0,
        duration_ns: 0,
    };
    emit::deliver(cpu, &header, &record, &group);
    if live == Some(0) {
        // SAFETY: process is a map value. It stays registered: exit_mm may still fault in its name.
        unsafe { (*process).exited = 1 };
    }
}
