//! `raw_syscalls` `sys_enter` and `sys_exit` (include/trace/events/syscalls.h), filtered by number first:
//! every syscall of the machine passes here.

use core::mem::offset_of;
use map_trace_common::record::{MemoryCallRecord, flag, kind};

use super::{fault_end, programs};
use crate::emit::{self, Group};
use crate::maps::{CALLS, Cpu, PendingCall, Process};
use crate::settings::setting;
use crate::task::{self, PtRegs, Tracepoint};
use crate::verifier::forgotten;
use crate::{atomic, pagewalk, stack, userfaultfd};

programs!("sys_enter", sys_enter, sys_enter_raw, enter);
programs!("sys_exit", sys_exit, sys_exit_raw, exit);

/// Syscall numbers of x86-64 (arch/x86/entry/syscalls/syscall_64.tbl).
const MMAP: u64 = 9;
const MPROTECT: u64 = 10;
const MUNMAP: u64 = 11;
const BRK: u64 = 12;
const MREMAP: u64 = 25;
const MADVISE: u64 = 28;
const EXECVE: u64 = 59;
const EXECVEAT: u64 = 322;
const PKEY_MPROTECT: u64 = 329;
const IO_URING_SETUP: u64 = 425;
const PROCESS_MADVISE: u64 = 440;
/// `__X32_SYSCALL_BIT` (arch/x86/include/uapi/asm/unistd.h).
const X32_BIT: u64 = 0x4000_0000;
/// `MAP_FIXED`: only then does mmap's address name existing memory.
const MAP_FIXED: u64 = 0x10;

/// The record kind of a memory syscall.
#[inline(always)]
fn kind_of(number: u64) -> Option<u32> {
    Some(match number {
        MMAP => kind::MMAP,
        MPROTECT => kind::MPROTECT,
        MUNMAP => kind::MUNMAP,
        BRK => kind::BRK,
        MREMAP => kind::MREMAP,
        MADVISE => kind::MADVISE,
        PKEY_MPROTECT => kind::PKEY_MPROTECT,
        _ => return None,
    })
}

/// Numbers of the same calls through the 32-bit entry (syscall_32.tbl).
#[inline(always)]
fn is_compat_memory_call(number: u64) -> bool {
    matches!(number, 45 | 90 | 91 | 125 | 163 | 192 | 219 | 380)
}

/// The same calls by the numbers of the x32 ABI.
#[inline(always)]
fn is_x32_memory_call(number: u64) -> bool {
    number & X32_BIT != 0 && kind_of(number & !X32_BIT).is_some()
}

#[inline(always)]
fn interesting(number: u64) -> bool {
    kind_of(number).is_some()
        || number == EXECVE
        || number == EXECVEAT
        || is_compat_memory_call(number)
        || is_x32_memory_call(number)
}

#[inline(always)]
fn enter<C: Tracepoint>(ctx: &C) {
    let number = task::argument(ctx, 1);
    if !interesting(number) {
        return;
    }
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return;
    };
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    entered(ctx, cpu, process, number, pid_tgid);
    emit::leave(cpu);
}

#[inline(always)]
fn entered<C: Tracepoint>(
    ctx: &C,
    cpu: *mut Cpu,
    process: *mut Process,
    number: u64,
    pid_tgid: u64,
) {
    let regs = task::argument(ctx, 0);
    // SAFETY: process is a map value, cpu this CPU's.
    unsafe {
        if (*process).counting == 0 {
            if number == EXECVE || number == EXECVEAT {
                launcher_execs(process);
            }
            return;
        }
        if number == EXECVE || number == EXECVEAT {
            // The address space is about to change; until the exec is done it is looked up each time.
            (*process).pgd = 0;
            return;
        }
        let x32 = is_x32_memory_call(number);
        if x32 || task::is_compat_call() {
            (*cpu).counters.compat_calls += (x32 || is_compat_memory_call(number)) as u64;
            return;
        }
    }
    let Some(kind) = kind_of(number) else {
        return;
    };
    let kind = forgotten(kind as u64, pid_tgid) as u32;
    let args = arguments(ctx, regs);
    let mut header = emit::header::<MemoryCallRecord>(kind, pid_tgid);
    fault_end::settle(&header, pid_tgid);
    emit::take_stack(cpu, &mut header, task::registers_of(ctx, regs), process);
    stack::send(cpu, &header, header.stack);
    let reads_entry = kind != kind::BRK && (kind != kind::MMAP || args[3] & MAP_FIXED != 0);
    let entry = if reads_entry {
        pagewalk::walk_in(process, args[0])
    } else {
        Default::default()
    };
    let call = PendingCall {
        enter_ns: header.ktime_ns,
        number,
        args,
        stack: header.stack,
        // SAFETY: this CPU's record, filled by take_stack.
        ip: unsafe { (*cpu).stack.ip },
        pte_before: entry.raw,
        level_before: entry.level,
        flags: entry.flags & flag::PTE_UNSTABLE,
        goroutine: header.goroutine,
    };
    if CALLS.insert(&pid_tgid, &call, 0).is_ok() {
        // SAFETY: an aligned field of a map value.
        unsafe { atomic::add(&raw mut (*process).in_flight, 1) };
    } else {
        // Its return will find nothing to tell: the event is counted here, as lost.
        let counters = emit::counters(cpu, kind);
        // SAFETY: this CPU's record.
        unsafe {
            (*counters).counted += 1;
            (*counters).dropped += 1;
            (*cpu).counters.table_full += 1;
        }
    }
}

/// The launcher is about to become the program: what it has used so far is its own.
#[inline(always)]
unsafe fn launcher_execs(process: *mut Process) {
    let current = task::current();
    let mm = task::mm(current);
    let minor = task::field(current, setting!(task_min_flt)).unwrap_or(0);
    let major = task::field(current, setting!(task_maj_flt)).unwrap_or(0);
    // SAFETY: process is a map value.
    unsafe {
        (*process).launcher_mm = mm;
        (*process).min_flt_before = minor;
        (*process).maj_flt_before = major;
    }
}

/// The registers of a syscall's arguments, in order.
#[inline(always)]
fn arguments<C: Tracepoint>(ctx: &C, regs: u64) -> [u64; 6] {
    [
        ctx.register(regs, offset_of!(PtRegs, di)),
        ctx.register(regs, offset_of!(PtRegs, si)),
        ctx.register(regs, offset_of!(PtRegs, dx)),
        ctx.register(regs, offset_of!(PtRegs, r10)),
        ctx.register(regs, offset_of!(PtRegs, r8)),
        ctx.register(regs, offset_of!(PtRegs, r9)),
    ]
}

#[inline(always)]
fn exit<C: Tracepoint>(ctx: &C) {
    let regs = task::argument(ctx, 0);
    let number = ctx.register(regs, offset_of!(PtRegs, orig_ax));
    if userfaultfd::concerns(ctx, regs, number) {
        userfaultfd::returned(ctx, regs, number);
        return;
    }
    let kind = kind_of(number);
    if kind.is_none() && number != PROCESS_MADVISE && number != IO_URING_SETUP {
        return;
    }
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
    let result = task::argument(ctx, 1);
    if let Some(kind) = kind {
        let kind = forgotten(kind as u64, pid_tgid) as u32;
        exited(cpu, process, kind, result, pid_tgid);
    } else if result as i64 >= 0 {
        // SAFETY: cpu is this CPU's.
        unsafe { (*cpu).counters.unseen_madvise += 1 };
    }
    emit::leave(cpu);
}

#[inline(always)]
fn exited(cpu: *mut Cpu, process: *mut Process, kind: u32, result: u64, pid_tgid: u64) {
    let Some(call) = CALLS.get_ptr(&pid_tgid) else {
        // Entered before the probes were armed, or through the 32-bit entry, or the table was full.
        return;
    };
    // SAFETY: a map value; only this thread writes it.
    let call = unsafe { *call };
    if kind_of(call.number) != Some(kind) {
        return;
    }
    let failed = (result as i64) < 0 && (result as i64) >= -4095;
    let entry = if failed || kind == kind::BRK {
        Default::default()
    } else {
        let moved = kind == kind::MMAP;
        pagewalk::walk_in(process, if moved { result } else { call.args[0] })
    };
    finish(
        cpu,
        process,
        &call,
        pid_tgid,
        Return {
            result: result as i64,
            entry,
            flags: 0,
        },
    );
}

/// How a call ended.
pub struct Return {
    pub result: i64,
    pub entry: pagewalk::Entry,
    pub flags: u32,
}

/// Emits a call and forgets it.
#[inline(always)]
pub fn finish(
    cpu: *mut Cpu,
    process: *mut Process,
    call: &PendingCall,
    pid_tgid: u64,
    end: Return,
) {
    let Some(kind) = kind_of(call.number) else {
        return;
    };
    let kind = forgotten(kind as u64, pid_tgid) as u32;
    let mut header = emit::header::<MemoryCallRecord>(kind, pid_tgid);
    let exit_ns = header.ktime_ns;
    header.ktime_ns = call.enter_ns;
    header.stack = call.stack;
    header.goroutine = call.goroutine;
    header.flags = call.flags | (end.entry.flags & flag::PTE_UNSTABLE) | end.flags;
    let record = MemoryCallRecord {
        header,
        exit_ns,
        args: call.args,
        result: end.result,
        ip: call.ip,
        pte_before: call.pte_before,
        pte_after: end.entry.raw,
        level_before: call.level_before,
        level_after: end.entry.level,
    };
    let group = Group {
        code: call.args[2],
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address: call.args[0],
        duration_ns: exit_ns - call.enter_ns,
    };
    emit::deliver(cpu, &header, &record, &group);
    let _ = CALLS.remove(&pid_tgid);
    // SAFETY: an aligned field of a map value.
    unsafe { atomic::add(&raw mut (*process).in_flight, u64::MAX) };
}

/// A thread that ends inside a call: emits the call without a result.
pub fn abandon(cpu: *mut Cpu, process: *mut Process, pid_tgid: u64) {
    if let Some(call) = CALLS.get_ptr(&pid_tgid) {
        // SAFETY: a map value; only this thread writes it.
        let call = unsafe { *call };
        let end = Return {
            result: 0,
            entry: Default::default(),
            flags: flag::NO_RETURN,
        };
        finish(cpu, process, &call, pid_tgid, end);
    }
}
