//! uprobes in user code. The program knows nothing of Go: the cookie says which place was hit, and the place,
//! written by user space, says what to read and how to tell it.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::generated::{bpf_get_attach_cookie, bpf_probe_read_user};
use aya_ebpf::macros::uprobe;
use aya_ebpf::programs::ProbeContext;
use map_trace_common::place::{ARGUMENTS, Place, READ_WORDS, READS, Read, flag, from};
use map_trace_common::record::{Header, MapOperationRecord};

use crate::emit::{self, Group};
use crate::goroutine;
use crate::maps::{BINARIES, Cpu, MAP_OPERATION, OPENED, PLACES, Process};
use crate::stack;
use crate::task::{self, PtRegs, Registers};

#[uprobe]
pub fn structure(ctx: ProbeContext) -> u32 {
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
    let Some(place) = PLACES.get(cookie as u32) else {
        return 0;
    };
    if place.flags & flag::UNLESS_FLAGS != 0 && task::begins_anew(&ctx) {
        return 0;
    }
    // SAFETY: process is a map value.
    unsafe {
        if (*process).goroutines == 0 {
            (*process).goroutines = place.binary as u64 + 1;
        }
    }
    if place.flags & flag::MARKS != 0 {
        return 0;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return 0;
    };
    hit(&ctx, cpu, process, place, cookie as u32, pid_tgid);
    emit::leave(cpu);
    0
}

#[inline(always)]
fn hit(
    ctx: &ProbeContext,
    cpu: *mut Cpu,
    process: *const Process,
    place: &Place,
    index: u32,
    pid_tgid: u64,
) {
    // Go's ABIInternal keeps g in r14.
    let g = task::interrupted(ctx, offset_of!(PtRegs, r14));
    let key = stack::mix(g, pid_tgid >> 32);
    let mut arguments = [
        task::interrupted(ctx, offset_of!(PtRegs, ax)),
        task::interrupted(ctx, offset_of!(PtRegs, bx)),
        task::interrupted(ctx, offset_of!(PtRegs, cx)),
        task::interrupted(ctx, offset_of!(PtRegs, di)),
        task::interrupted(ctx, offset_of!(PtRegs, si)),
        task::interrupted(ctx, offset_of!(PtRegs, dx)),
    ];
    if place.flags & flag::OPENS != 0 {
        if place.flags & flag::KEEPS != 0 {
            let address = arguments[0].wrapping_add(place.reads[0].offset as u64);
            arguments[ARGUMENTS - 1] = goroutine::word(address);
        }
        let _full = OPENED.insert(&key, &arguments, 0);
        return;
    }
    let Some(record) = MAP_OPERATION.get_ptr_mut(0) else {
        return;
    };
    let mut header = emit::header::<MapOperationRecord>(place.kind, pid_tgid);
    // SAFETY: this CPU's record, held until emit::leave.
    let record = unsafe { &mut (*record).record };
    record.read = 0;
    record.result = arguments[0];
    record.arguments = arguments;
    if place.flags & flag::CLOSES != 0 {
        match OPENED.get_ptr(&key) {
            // SAFETY: a map value; only this goroutine's own next call replaces it.
            Some(opened) => record.arguments = unsafe { *opened },
            None => {
                record.read = MapOperationRecord::NOT_OPENED;
                record.arguments = [0; ARGUMENTS];
            }
        }
        let _gone = OPENED.remove(&key);
    }
    record.place = index;
    if place.flags & flag::SUPPLEMENT != 0 {
        fill(record, place, &mut header, g);
        emit::supplement(record);
        return;
    }
    let registers = Registers {
        ip: task::interrupted(ctx, offset_of!(PtRegs, ip)),
        sp: task::interrupted(ctx, offset_of!(PtRegs, sp)),
        bp: task::interrupted(ctx, offset_of!(PtRegs, bp)),
    };
    header.stack = stack::take_at(cpu, &registers, process, place.flags & flag::INSIDE != 0);
    let size = if place.group_byte == 0 {
        0
    } else {
        read(record, &place.reads[0], 0);
        byte(record, place.group_byte - 1)
    };
    let group = Group {
        code: place.role as u64 | size << 8,
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address: value(record, place.subject),
        duration_ns: 0,
    };
    // What goes beyond the detail limit is only counted, and nothing more is read for it.
    if emit::admit(cpu, &header, &group) {
        fill(record, place, &mut header, g);
        let _aggregate = emit::finish(cpu, &header, record, &group);
    }
}

/// Reads what the place asks for.
#[inline(always)]
fn fill(record: &mut MapOperationRecord, place: &Place, header: &mut Header, g: u64) {
    for n in 0..READS {
        read(record, &place.reads[n], n);
    }
    if let Some(layout) = BINARIES.get(place.binary) {
        header.goroutine = goroutine::of(layout, g);
    }
    // `runtime.g` begins with the bounds of its stack.
    record.stack_low = goroutine::word(g);
    record.stack_high = goroutine::word(g.wrapping_add(8));
    record.header = *header;
}

/// An index of at most 31, in a form in which the verifier sees that it is.
#[inline(always)]
fn bounded(index: u32) -> usize {
    let mut index = index as u64;
    // SAFETY: an operation on a register.
    unsafe { core::arch::asm!("{0} &= 31", inout(reg) index) };
    index as usize
}

/// Word `at` of what was read; nothing sensible for one that is none.
#[inline(always)]
fn word(record: &MapOperationRecord, at: u32) -> u64 {
    // SAFETY: 32 words behind the record belong to the same map value.
    unsafe { *record.words.as_ptr().cast::<u64>().add(bounded(at)) }
}

/// A byte of what was read.
#[inline(always)]
fn byte(record: &MapOperationRecord, at: u32) -> u64 {
    word(record, at / 8) >> (at % 8 * 8) & 0xff
}

/// What a value of `from` stands for.
#[inline(always)]
fn value(record: &MapOperationRecord, source: u32) -> u64 {
    if source >= from::WORD {
        return word(record, source - from::WORD);
    }
    if source == from::RESULT {
        return record.result;
    }
    // SAFETY: as above; the arguments come before the words.
    unsafe {
        *record
            .arguments
            .as_ptr()
            .add(bounded(source.wrapping_sub(from::ARGUMENT)))
    }
}

/// Reads one piece of memory; zeroes what cannot be read.
#[inline(always)]
fn read(record: &mut MapOperationRecord, wanted: &Read, n: usize) {
    record.words[n] = [0; READ_WORDS];
    record.addresses[n] = 0;
    if wanted.base == from::NOTHING {
        return;
    }
    let mut address = value(record, wanted.base);
    if address == 0 {
        return;
    }
    if wanted.index != from::NOTHING {
        address = address.wrapping_add(value(record, wanted.index).wrapping_mul(8));
    }
    address = address.wrapping_add(wanted.offset as u64);
    if wanted.indirect != 0 {
        address = goroutine::word(address);
    }
    record.addresses[n] = address;
    // SAFETY: the helper writes 64 bytes of this CPU's record, zeroes on failure.
    let failed = unsafe {
        bpf_probe_read_user(
            (&raw mut record.words[n]).cast(),
            (READ_WORDS * 8) as u32,
            address as *const _,
        )
    };
    if failed == 0 {
        record.read |= 1 << n;
    }
}
