//! Registrations with userfaultfd, at the return of the calls that make and end them: ioctl(2), close(2),
//! close_range(2). No other interface tells which memory is registered at a given moment.

use core::mem::{MaybeUninit, offset_of};

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use map_trace_common::record::{UserfaultfdRecord, kind};

use crate::emit;
use crate::maps::{EVENTS, Process};
use crate::task::{self, PtRegs, Tracepoint};

/// Syscall numbers (arch/x86/entry/syscalls/syscall_64.tbl).
const CLOSE: u64 = 3;
const IOCTL: u64 = 16;
const CLOSE_RANGE: u64 = 436;
/// Requests (include/uapi/linux/userfaultfd.h).
const UFFDIO_REGISTER: u64 = 0xc020_aa00;
const UFFDIO_UNREGISTER: u64 = 0x8010_aa01;
/// `CLOSE_RANGE_CLOEXEC`: marks, does not close.
const CLOSE_RANGE_CLOEXEC: u64 = 4;

/// True for the calls that may change what is registered.
#[inline(always)]
pub fn concerns<C: Tracepoint>(ctx: &C, regs: u64, number: u64) -> bool {
    match number {
        IOCTL => {
            let request = ctx.register(regs, offset_of!(PtRegs, si)) & 0xffff_ffff;
            request == UFFDIO_REGISTER || request == UFFDIO_UNREGISTER
        }
        CLOSE | CLOSE_RANGE => true,
        _ => false,
    }
}

/// Tells what a successful call changed.
#[inline(always)]
pub fn returned<C: Tracepoint>(ctx: &C, regs: u64, number: u64) {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return;
    };
    // SAFETY: process is a map value.
    let idle =
        unsafe { (*process).counting == 0 || (number != IOCTL && (*process).userfaultfd == 0) };
    if idle || task::argument(ctx, 1) != 0 {
        return;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    let record = if number == IOCTL {
        registration(ctx, regs, process, pid_tgid)
    } else {
        closing(ctx, regs, number, pid_tgid)
    };
    if EVENTS
        .output::<UserfaultfdRecord>(&record, emit::FLAGS)
        .is_err()
    {
        // SAFETY: this CPU's record.
        unsafe { (*cpu).counters.table_full += 1 };
    }
    emit::leave(cpu);
}

#[inline(always)]
fn registration<C: Tracepoint>(
    ctx: &C,
    regs: u64,
    process: *mut Process,
    pid_tgid: u64,
) -> UserfaultfdRecord {
    // struct uffdio_register: start, len, mode; struct uffdio_range is its beginning.
    let mut words = MaybeUninit::<[u64; 3]>::zeroed();
    let address = ctx.register(regs, offset_of!(PtRegs, dx));
    // SAFETY: the helper writes 24 bytes to memory of this frame, zeroes on failure.
    let [start, length, mode] = unsafe {
        bpf_probe_read_user(words.as_mut_ptr().cast(), 24, address as *const _);
        words.assume_init()
    };
    let request = ctx.register(regs, offset_of!(PtRegs, si)) & 0xffff_ffff;
    let register = request == UFFDIO_REGISTER;
    // SAFETY: process is a map value.
    unsafe { (*process).userfaultfd = 1 };
    let descriptor = ctx.register(regs, offset_of!(PtRegs, di)) as u32;
    UserfaultfdRecord {
        header: emit::header::<UserfaultfdRecord>(kind::USERFAULTFD, pid_tgid),
        start,
        length,
        mode: if register { mode } else { 0 },
        first: descriptor,
        last: descriptor,
    }
}

#[inline(always)]
fn closing<C: Tracepoint>(ctx: &C, regs: u64, number: u64, pid_tgid: u64) -> UserfaultfdRecord {
    let first = ctx.register(regs, offset_of!(PtRegs, di)) as u32;
    let range = number == CLOSE_RANGE;
    let kept = range && ctx.register(regs, offset_of!(PtRegs, dx)) & CLOSE_RANGE_CLOEXEC != 0;
    let last = if range {
        ctx.register(regs, offset_of!(PtRegs, si)) as u32
    } else {
        first
    };
    UserfaultfdRecord {
        header: emit::header::<UserfaultfdRecord>(kind::USERFAULTFD, pid_tgid),
        // An empty range closes nothing.
        first: if kept { 1 } else { first },
        last: if kept { 0 } else { last },
        ..UserfaultfdRecord::default()
    }
}
