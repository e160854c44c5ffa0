//! Timer samples of watched ranges: perf's cpu-clock event fires while a followed task runs, so its own page
//! tables are at hand. Each tick reads a few entries and goes on from there at the next.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use map_trace_common::range::{MAX_RANGES, Range, SAMPLES_PER_TICK};
use map_trace_common::record::{PteSampleRecord, kind};

use crate::emit::{self, Group};
use crate::maps::{Cpu, Process, RANGES};
use crate::{pagewalk, task};

#[perf_event]
pub fn sample(_ctx: PerfEventContext) -> u32 {
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
    tick(cpu, process, pid_tgid);
    emit::leave(cpu);
    0
}

/// Goes round the ranges, one entry each, until the tick's share is used up.
#[inline(always)]
fn tick(cpu: *mut Cpu, process: *const Process, pid_tgid: u64) {
    let mut header = emit::header::<PteSampleRecord>(kind::PTE_SAMPLE, pid_tgid);
    let mut index = 0;
    for _ in 0..SAMPLES_PER_TICK {
        let Some(range) = RANGES.get_ptr_mut(index & (MAX_RANGES - 1)) else {
            return;
        };
        // SAFETY: a map value; a cursor that two CPUs move at once only repeats or skips a page.
        let (pages, tgid) = unsafe { ((*range).pages, (*range).tgid) };
        if pages == 0 {
            if index == 0 {
                return;
            }
            index = 0;
            continue;
        }
        if tgid == 0 || tgid == pid_tgid >> 32 {
            if header.stack == 0 {
                emit::take_stack(cpu, &mut header, task::user_registers(), process);
            }
            one(cpu, process, range, index, &header);
        }
        index += 1;
    }
}

/// Reads the range's next entry.
#[inline(always)]
fn one(
    cpu: *mut Cpu,
    process: *const Process,
    range: *mut Range,
    index: u32,
    header: &map_trace_common::record::Header,
) {
    // SAFETY: a map value.
    let address = unsafe {
        let page = (*range).cursor;
        (*range).cursor = if page + 1 >= (*range).pages { 0 } else { page + 1 };
        (*range).start + page * 4096
    };
    let entry = pagewalk::walk_in(process, address);
    let class = pagewalk::class(&entry);
    let mut header = *header;
    header.flags = entry.flags;
    let record = PteSampleRecord {
        header,
        address,
        pte: entry.raw,
        pte_level: entry.level,
        pte_class: class,
        range: index,
        reserved: 0,
    };
    let group = Group {
        code: index as u64,
        pte_class: class,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address,
        duration_ns: 0,
    };
    let _delivered = emit::deliver_detail(cpu, &header, &record, &group);
}
