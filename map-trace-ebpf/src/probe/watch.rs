//! A hardware watchpoint (perf breakpoint event) of a followed task was hit.

use aya_ebpf::EbpfContext;
use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use map_trace_common::record::{WatchHitRecord, kind};

use crate::emit::{self, Group};
use crate::task;

#[perf_event]
pub fn watch(ctx: PerfEventContext) -> u32 {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return 0;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return 0;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return 0;
    };
    let address = address(&ctx);
    let registers = task::user_registers();
    let mut header = emit::header::<WatchHitRecord>(kind::WATCH_HIT, pid_tgid);
    emit::take_stack(cpu, &mut header, registers, process);
    let record = WatchHitRecord {
        header,
        address,
        ip: registers.ip,
    };
    let group = Group {
        code: 0,
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address,
        duration_ns: 0,
    };
    let _delivered = emit::deliver_detail(cpu, &header, &record, &group);
    emit::leave(cpu);
    0
}

/// `bpf_perf_event_data.addr` (include/uapi/linux/bpf_perf_event.h): after pt_regs and the period.
#[inline(always)]
fn address(ctx: &PerfEventContext) -> u64 {
    // SAFETY: the verifier knows the context's layout and allows this word.
    unsafe { core::ptr::read_volatile(ctx.as_ptr().cast::<u64>().add(ADDRESS_WORD)) }
}

/// 21 words of pt_regs, then sample_period, then addr.
const ADDRESS_WORD: usize = 22;
