//! Timer samples of watched ranges: perf's cpu-clock event fires while a followed task runs, so its own page
//! tables are at hand. Each tick reads a few entries and goes on from there at the next.

use aya_ebpf::macros::perf_event;
use aya_ebpf::programs::PerfEventContext;
use map_trace_common::range::{LAST, MAX_RANGES, SAMPLES_PER_TICK};
use map_trace_common::record::{PteSampleRecord, kind};

use crate::emit::{self, Group};
use crate::maps::{CPU, Cpu, Process, RANGES};
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
    if pages(0) == 0 {
        return;
    }
    let mut header = emit::header::<PteSampleRecord>(kind::PTE_SAMPLE, pid_tgid);
    emit::take_stack(cpu, &mut header, task::user_registers(), process);
    let Some(last) = RANGES.get_ptr_mut(LAST) else {
        return;
    };
    // SAFETY: a map value; two CPUs that move the cursor at once only repeat or skip a range.
    let (wanted, mut index) = unsafe { ((*last).start, (*last).cursor as u32 & (MAX_RANGES - 1)) };
    for n in 0..SAMPLES_PER_TICK {
        if wanted != 0 && n as u64 >= wanted {
            break;
        }
        if pages(index) == 0 {
            index = 0;
        }
        map_trace_sample(index as u64, header.stack, header.goroutine);
        index += 1;
    }
    // SAFETY: as above.
    unsafe { (*last).cursor = index as u64 };
}

/// Pages of a range; 0 behind the last one.
#[inline(always)]
fn pages(index: u32) -> u64 {
    let Some(range) = RANGES.get_ptr(index & (MAX_RANGES - 1)) else {
        return 0;
    };
    // SAFETY: a map value.
    unsafe { (*range).pages }
}

/// Reads the range's next entry and tells it. A global BPF function, so that the verifier checks it once
/// and not once a turn of the loop above.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn map_trace_sample(index: u64, stack: u64, goroutine: u64) -> u64 {
    let pid_tgid = task::pid_tgid();
    let (Some(cpu), Some(process), Some(range)) = (
        CPU.get_ptr_mut(0),
        task::process((pid_tgid >> 32) as u32),
        RANGES.get_ptr_mut(index as u32 & (MAX_RANGES - 1)),
    ) else {
        return 0;
    };
    // SAFETY: a map value.
    let owner = unsafe { (*range).tgid };
    if owner != 0 && owner != pid_tgid >> 32 {
        return 0;
    }
    // SAFETY: a map value; a cursor that two CPUs move at once only repeats or skips a page.
    let (address, generation) = unsafe {
        let page = (*range).cursor;
        (*range).cursor = if page + 1 >= (*range).pages {
            0
        } else {
            page + 1
        };
        ((*range).start + page * 4096, (*process).generation)
    };
    let entry = pagewalk::walk_in(process, address);
    let pte_class = pagewalk::class(&entry);
    let mut header = emit::header::<PteSampleRecord>(kind::PTE_SAMPLE, pid_tgid);
    header.stack = stack;
    header.goroutine = goroutine;
    header.flags = entry.flags;
    let record = PteSampleRecord {
        header,
        address,
        pte: entry.raw,
        pte_level: entry.level,
        pte_class,
        range: index as u32,
        reserved: 0,
    };
    let group = Group {
        code: index,
        pte_class,
        generation,
        address,
        duration_ns: 0,
    };
    (emit::deliver_detail(cpu, &header, &record, &group) == 0) as u64
}
