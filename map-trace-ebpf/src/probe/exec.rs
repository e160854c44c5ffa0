//! `sched:sched_process_exec` (include/trace/events/sched.h): p, old_pid, bprm; the new image is in place.

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_comm;
use aya_ebpf::helpers::generated::bpf_send_signal;
use map_trace_common::record::{ExecRecord, kind};

use super::programs;
use crate::emit::{self, Group};
use crate::maps::{Cpu, Process};
use crate::settings::setting;
use crate::{pagewalk, task};

programs!("sched_process_exec", process_exec, process_exec_raw, exec);

const SIGSTOP: u32 = 19;
/// Offset of `rlim[RLIMIT_STACK].rlim_cur` (include/uapi/asm-generic/resource.h, include/uapi/linux/resource.h).
const STACK_LIMIT: u64 = 3 * 16;

#[inline(always)]
fn exec<C: EbpfContext>(ctx: &C) {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return;
    };
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    executed(cpu, process, task::argument(ctx, 1) as u32, pid_tgid);
    emit::leave(cpu);
}

#[inline(always)]
fn executed(cpu: *mut Cpu, process: *mut Process, old_tid: u32, pid_tgid: u64) {
    let mm = task::mm(task::current());
    let start_code = task::field::<u64>(mm, setting!(mm_start_code)).unwrap_or(0);
    let pgd = pagewalk::pgd_of(mm);
    let end_code = task::field::<u64>(mm, setting!(mm_end_code)).unwrap_or(0);
    // SAFETY: process is a map value.
    let (generation, min_flt_before, maj_flt_before) = unsafe {
        (*process).counting = 1;
        (*process).generation += 1;
        (*process).in_flight = 0;
        (*process).goroutines = 0;
        (*process).pgd = pgd;
        (*process).start_code = start_code;
        (*process).end_code = end_code;
        (
            (*process).generation,
            (*process).min_flt_before,
            (*process).maj_flt_before,
        )
    };
    let header = emit::header::<ExecRecord>(kind::EXEC, pid_tgid);
    let record = ExecRecord {
        header,
        start_code,
        end_code,
        start_stack: task::field(mm, setting!(mm_start_stack)).unwrap_or(0),
        start_brk: task::field(mm, setting!(mm_start_brk)).unwrap_or(0),
        stack_limit: stack_limit().unwrap_or(0),
        min_flt_before,
        maj_flt_before,
        old_tid,
        generation,
        comm: bpf_get_current_comm().unwrap_or_default(),
    };
    let group = Group {
        code: 0,
        pte_class: 0,
        generation,
        address: 0,
        duration_ns: 0,
    };
    emit::deliver(cpu, &header, &record, &group);
    if setting!(stop_at_exec) != 0 && generation == 1 {
        // SAFETY: a helper that takes a number. The stop takes effect on the way back to user mode.
        let _refused = unsafe { bpf_send_signal(SIGSTOP) };
    }
}

/// How far the stack of the current process may grow.
#[inline(always)]
fn stack_limit() -> Option<u64> {
    let signal = task::field::<u64>(task::current(), setting!(task_signal))?;
    task::field(signal.wrapping_add(STACK_LIMIT), setting!(signal_rlim))
}
