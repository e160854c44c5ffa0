//! uprobes that count operations on maps, for the census: the cheapest thing a probe can do, and a look at the
//! map's header and at the page its storage begins in.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_attach_cookie, bpf_probe_read_user};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use map_trace_common::census::{
    CensusCounts, CensusPlace, DIRECT, EntryCounts, FLAGS, GOAL_PLACE, HEADER_WORDS, SIZES, flag,
};
use map_trace_common::record::{MapOperationRecord, kind, pte_class};

use crate::maps::{CENSUS, CENSUS_COUNTS, CENSUS_GOAL, MAP_OPERATION, Process};
use crate::task::{self, PtRegs};
use crate::{atomic, emit, goroutine, pagewalk};

#[uprobe]
pub fn census(ctx: ProbeContext) -> u32 {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return 0;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return 0;
    }
    // SAFETY: the helper takes the program's own context.
    let cookie = unsafe { bpf_get_attach_cookie(ctx.as_ptr()) };
    let Some(place) = CENSUS.get(cookie as u32) else {
        return 0;
    };
    if place.flags & flag::UNLESS_FLAGS != 0 && task::begins_anew(&ctx) {
        return 0;
    }
    let Some(counts) = CENSUS_COUNTS.get_ptr_mut(place.operation) else {
        return 0;
    };
    // SAFETY: a map value. A uprobe's program may be preempted by another on its CPU: additions are atomic.
    unsafe { atomic::add(&raw mut (*counts).count, 1) };
    reach(place, pid_tgid);
    if place.flags & flag::HEADER != 0 {
        // What is read of the program's memory may not be there: the fault would be ours.
        let Some(cpu) = emit::enter(pid_tgid) else {
            return 0;
        };
        look(&ctx, process, place, counts);
        emit::leave(cpu);
    }
    0
}

/// Tells of the operation that begins once as many as wanted have begun.
#[inline(always)]
fn reach(place: &CensusPlace, pid_tgid: u64) {
    let Some(goal) = CENSUS_GOAL.get_ptr_mut(0) else {
        return;
    };
    // SAFETY: a map value; only `seen` changes while programs run, and atomically.
    let reached = unsafe {
        (*goal).operations >> (place.operation & 63) & 1 != 0
            && atomic::count(&raw mut (*goal).seen) == (*goal).after
    };
    if !reached {
        return;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    if let Some(record) = MAP_OPERATION.get_ptr_mut(0) {
        // SAFETY: this CPU's record, held until emit::leave.
        let record = unsafe { &mut (*record).record };
        record.header = emit::header::<MapOperationRecord>(kind::MAP_STATE, pid_tgid);
        record.place = GOAL_PLACE;
        record.read = 0;
        emit::supplement(record);
    }
    emit::leave(cpu);
}

/// The map that is worked on; 0 when there is none.
#[inline(always)]
fn map(ctx: &ProbeContext, place: &CensusPlace) -> u64 {
    // All are loaded, then one is chosen: the verifier allows no load at an offset that was computed.
    let [ax, bx, cx] = [
        task::interrupted(ctx, offset_of!(PtRegs, ax)),
        task::interrupted(ctx, offset_of!(PtRegs, bx)),
        task::interrupted(ctx, offset_of!(PtRegs, cx)),
    ];
    let argument = match place.argument {
        0 => ax,
        1 => bx,
        _ => cx,
    };
    if place.through == DIRECT || argument == 0 {
        argument
    } else {
        goroutine::word(argument.wrapping_add(place.through as u64))
    }
}

/// A word of the header, by an index that the verifier sees is in it.
#[inline(always)]
fn word(header: &[u64; HEADER_WORDS], index: u32) -> u64 {
    match index {
        0 => header[0],
        1 => header[1],
        2 => header[2],
        _ => header[3],
    }
}

/// A right shift by less than 64.
#[inline(always)]
fn shifted(word: u64, by: u32) -> u64 {
    word >> (by & 63)
}

#[inline(always)]
fn look(
    ctx: &ProbeContext,
    process: *const Process,
    place: &CensusPlace,
    counts: *mut CensusCounts,
) {
    let map = map(ctx, place);
    let mut header = [0u64; HEADER_WORDS];
    // SAFETY: the helper writes the array's bytes, zeroes on failure.
    let failed = map == 0
        || unsafe {
            bpf_probe_read_user(
                header.as_mut_ptr().cast(),
                (HEADER_WORDS * 8) as u32,
                map.wrapping_add(place.header as u64) as *const _,
            )
        } != 0;
    if failed {
        // SAFETY: a map value.
        unsafe { atomic::add(&raw mut (*counts).no_header, 1) };
        return;
    }
    let state = word(&header, place.state_word);
    let flags = shifted(state, place.flags_shift) as usize & (FLAGS - 1);
    let size = shifted(state, place.size_shift) as usize & (SIZES - 1);
    // SAFETY: a map value; the masks keep the indexes inside the arrays.
    unsafe {
        atomic::add((&raw mut (*counts).flags).cast::<u64>().add(flags), 1);
        atomic::add((&raw mut (*counts).sizes).cast::<u64>().add(size), 1);
    }
    if place.flags & flag::ENTRY != 0 {
        // SAFETY: a map value.
        let entries = unsafe { &raw mut (*counts).entries };
        entry(process, storage(place, &header), entries);
    }
}

/// Where the map keeps its elements, its first table's if there are several.
#[inline(always)]
fn storage(place: &CensusPlace, header: &[u64; HEADER_WORDS]) -> u64 {
    let at = word(header, place.storage_word);
    if at == 0 || place.flags & flag::DIRECTORY == 0 || word(header, place.length_word) == 0 {
        return at;
    }
    let table = goroutine::word(at);
    if table == 0 {
        return 0;
    }
    goroutine::word(table.wrapping_add(place.table_groups as u64))
}

#[inline(always)]
fn entry(process: *const Process, address: u64, counts: *mut EntryCounts) {
    let entry = if address == 0 {
        pagewalk::Entry::default()
    } else {
        pagewalk::walk_in(process, address)
    };
    let class = pagewalk::class(&entry);
    let is = |bit: u32| (class & bit != 0) as u64;
    // SAFETY: a map value.
    unsafe {
        if entry.level == 0 {
            atomic::add(&raw mut (*counts).unread, 1);
            return;
        }
        atomic::add(&raw mut (*counts).samples, 1);
        atomic::add(&raw mut (*counts).unstable, is(pte_class::UNSTABLE));
        if class & pte_class::PRESENT == 0 {
            atomic::add(&raw mut (*counts).not_present, 1);
            return;
        }
        atomic::add(&raw mut (*counts).present, 1);
        atomic::add(&raw mut (*counts).no_execute, is(pte_class::NO_EXECUTE));
        if class & pte_class::WRITABLE != 0 {
            atomic::add(&raw mut (*counts).writable, 1);
        } else {
            atomic::add(&raw mut (*counts).read_only, 1);
        }
    }
}
