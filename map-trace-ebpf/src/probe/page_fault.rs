//! `exceptions:page_fault_user` and `exceptions:page_fault_kernel`
//! (arch/x86/include/asm/trace/exceptions.h): address, regs, error code; before the kernel handles the fault.

use map_trace_common::counters::FAULT_CODES;
use map_trace_common::record::{PageFaultRecord, flag, kind};

use super::{fault_end, programs};
use crate::emit::{self, Group};
use crate::maps::{Cpu, Process};
use crate::settings::setting;
use crate::task::Tracepoint;
use crate::{pagewalk, task};

programs!(
    "page_fault_user",
    page_fault_user,
    page_fault_user_raw,
    user
);
programs!(
    "page_fault_kernel",
    page_fault_kernel,
    page_fault_kernel_raw,
    kernel
);

/// The helper that reads the kernel's memory disables page faults meanwhile (mm/maccess.c,
/// `copy_from_kernel_nofault`), so that it finds the count one higher than it was.
const READING_ITSELF: i32 = 1;
/// The vsyscall page: a kernel address that is handled as a user's (arch/x86/mm/fault.c).
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;

#[inline(always)]
fn user<C: Tracepoint>(ctx: &C) {
    fault(ctx, kind::PAGE_FAULT_USER);
}

#[inline(always)]
fn kernel<C: Tracepoint>(ctx: &C) {
    // A kernel fault on a kernel address is not the program's.
    if (task::argument(ctx, 0) as i64) < 0 {
        return;
    }
    fault(ctx, kind::PAGE_FAULT_KERNEL);
}

#[inline(always)]
fn fault<C: Tracepoint>(ctx: &C, kind: u32) {
    let pid_tgid = task::pid_tgid();
    let Some(process) = task::process((pid_tgid >> 32) as u32) else {
        return;
    };
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    if belongs(cpu, process, kind) {
        record(ctx, cpu, process, kind, pid_tgid);
    }
    emit::leave(cpu);
}

/// Whether perf, too, counts this fault as the program's.
#[inline(always)]
fn belongs(cpu: *mut Cpu, process: *const Process, kind: u32) -> bool {
    let current = task::current();
    let disabled_at = setting!(task_pagefault_disabled);
    // SAFETY: process is a map value, cpu this CPU's.
    unsafe {
        // Between begin_new_exec and the exec tracepoint the loader's own faults are the program's: the
        // address space is no longer the launcher's.
        if (*process).counting == 0
            && ((*process).launcher_mm == 0 || task::mm(current) == (*process).launcher_mm)
        {
            (*cpu).counters.faults_before_exec += 1;
            return false;
        }
        if kind == kind::PAGE_FAULT_KERNEL {
            let disabled = task::field::<i32>(current, disabled_at);
            if disabled.unwrap_or(0) > READING_ITSELF {
                (*cpu).counters.faults_disabled += 1;
                return false;
            }
        }
    }
    true
}

#[inline(always)]
fn record<C: Tracepoint>(
    ctx: &C,
    cpu: *mut Cpu,
    process: *const Process,
    kind: u32,
    pid_tgid: u64,
) {
    let address = task::argument(ctx, 0);
    let error_code = task::argument(ctx, 2);
    let entry = if (address as i64) < 0 && address & !0xfff != VSYSCALL {
        // SAFETY: this CPU's record.
        unsafe { (*cpu).counters.faults_at_kernel_address += 1 };
        pagewalk::Entry {
            flags: flag::PTE_UNREAD,
            ..Default::default()
        }
    } else {
        pagewalk::walk_in(process, address)
    };
    let registers = if kind == kind::PAGE_FAULT_USER {
        task::registers_of(ctx, task::argument(ctx, 1))
    } else {
        task::user_registers()
    };
    let mut header = emit::header::<PageFaultRecord>(kind, pid_tgid);
    header.flags = entry.flags;
    // SAFETY: process is a map value, cpu this CPU's; the index is masked to the array's length.
    let generation = unsafe {
        if (*process).in_flight != 0 {
            header.flags |= flag::MAPPING_IN_FLIGHT;
        }
        let code = (error_code as usize) & (FAULT_CODES - 1);
        let mode = (kind & 1) as usize;
        (*cpu).counters.fault_codes[mode][code] += 1;
        (*cpu).counters.walks += (entry.level != 0) as u64;
        (*cpu).counters.walks_unstable += (entry.flags & flag::PTE_UNSTABLE != 0) as u64;
        (*process).generation
    };
    emit::take_stack(cpu, &mut header, registers, process);
    let group = Group {
        code: error_code,
        pte_class: pagewalk::class(&entry),
        generation,
        address,
        duration_ns: 0,
    };
    // SAFETY: this CPU's record.
    let record = unsafe { &mut (*cpu).fault };
    *record = PageFaultRecord {
        header,
        address,
        ip: registers.ip,
        error_code,
        pte: entry.raw,
        pte_level: entry.level,
        pte_class: group.pte_class,
    };
    let taken = fault_end::settle(&header, pid_tgid);
    let counted_in = emit::deliver_detail(cpu, &header, record, &group);
    fault_end::begin(pid_tgid, header.ktime_ns, taken, counted_in);
}
