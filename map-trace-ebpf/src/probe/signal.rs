//! `signal:signal_generate` and `signal:signal_deliver` (include/trace/events/signal.h), folded into one
//! record a signal. Only the signals that hardware faults and traps turn into.

use aya_ebpf::EbpfContext;
use map_trace_common::record::{SignalRecord, flag, kind};

use super::programs;
use crate::emit::{self, Group};
use crate::maps::{CPU, Cpu, PendingSignal, Process, SIGNALS};
use crate::settings::setting;
use crate::verifier::forgotten;
use crate::{stack, task};

programs!(
    "signal_generate",
    signal_generate,
    signal_generate_raw,
    generate
);
programs!(
    "signal_deliver",
    signal_deliver,
    signal_deliver_raw,
    deliver
);

const SIGILL: u32 = 4;
const SIGTRAP: u32 = 5;
const SIGBUS: u32 = 7;
const SIGSEGV: u32 = 11;
/// The recorded signals.
const SIGNALS_RECORDED: [u32; 4] = [SIGILL, SIGTRAP, SIGBUS, SIGSEGV];
/// `TRACE_SIGNAL_DELIVERED` of signal_generate's result.
const RESULT_DELIVERED: i32 = 0;
/// `SEND_SIG_NOINFO` 0 and `SEND_SIG_PRIV` 1 stand for no siginfo.
const LAST_SPECIAL_INFO: u64 = 1;
/// `SI_KERNEL`
const SI_KERNEL: i32 = 0x80;

#[inline(always)]
fn recorded(signal: u32) -> bool {
    signal == SIGSEGV || signal == SIGBUS || signal == SIGTRAP || signal == SIGILL
}

/// Key of a pending signal: the thread's for a directed one, the process's for a group one.
#[inline(always)]
fn key(id: u32, signal: u32, group: bool) -> u64 {
    ((id as u64) << 8) | signal as u64 | ((group as u64) << 40)
}

/// Code and address out of a kernel_siginfo.
#[inline(always)]
fn siginfo(info: u64) -> (i32, u64) {
    if info <= LAST_SPECIAL_INFO {
        return (if info == 1 { SI_KERNEL } else { 0 }, 0);
    }
    let code = task::field::<i32>(info, setting!(siginfo_code)).unwrap_or(0);
    // Positive codes are the kernel's; only a hardware fault's has an address.
    let address = if code > 0 && code != SI_KERNEL {
        task::field::<u64>(info, setting!(siginfo_addr)).unwrap_or(0)
    } else {
        0
    };
    (code, address)
}

/// Arguments: sig, info, task, group, result.
#[inline(always)]
fn generate<C: EbpfContext>(ctx: &C) {
    let signal = task::argument(ctx, 0) as u32;
    if !recorded(signal) {
        return;
    }
    let target = task::argument(ctx, 2);
    let tgid = task::field::<u32>(target, setting!(task_tgid)).unwrap_or(0);
    let tid = task::field::<u32>(target, setting!(task_pid)).unwrap_or(0);
    let Some(process) = task::process(tgid) else {
        return;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return;
    }
    let pid_tgid = ((tgid as u64) << 32) | tid as u64;
    let signal = forgotten(signal as u64, pid_tgid) as u32;
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    let (code, address) = siginfo(task::argument(ctx, 1));
    let group = task::argument(ctx, 3) as u32 != 0;
    let header = emit::header::<SignalRecord>(kind::SIGNAL, pid_tgid);
    let pending = PendingSignal {
        generate_ns: header.ktime_ns,
        address,
        code,
        result: task::argument(ctx, 4) as i32,
        tgid,
        reserved: 0,
    };
    let key = key(if group { tgid } else { tid }, signal, group);
    let lost = pending.result != RESULT_DELIVERED || SIGNALS.insert(&key, &pending, 0).is_err();
    if lost {
        undelivered(cpu, process, signal, &pending, pid_tgid);
    }
    emit::leave(cpu);
}

/// Arguments: sig, info, ka. Runs in the thread that takes the signal, its registers still those of the
/// interrupted code.
#[inline(always)]
fn deliver<C: EbpfContext>(ctx: &C) {
    let signal = task::argument(ctx, 0) as u32;
    if !recorded(signal) {
        return;
    }
    let pid_tgid = task::pid_tgid();
    let signal = forgotten(signal as u64, pid_tgid) as u32;
    let tgid = (pid_tgid >> 32) as u32;
    let Some(process) = task::process(tgid) else {
        return;
    };
    // SAFETY: process is a map value.
    if unsafe { (*process).counting } == 0 {
        return;
    }
    let Some(cpu) = emit::enter(pid_tgid) else {
        return;
    };
    let (code, address) = siginfo(task::argument(ctx, 1));
    let mut header = emit::header::<SignalRecord>(kind::SIGNAL, pid_tgid);
    let (generate_ns, result) = take_pending(pid_tgid as u32, tgid, signal);
    let registers = task::user_registers();
    emit::take_stack(cpu, &mut header, registers, process);
    let handler = task::field::<u64>(task::argument(ctx, 2), setting!(sigaction_handler));
    let record = SignalRecord {
        header,
        generate_ns,
        address,
        handler: handler.unwrap_or(0),
        ip: registers.ip,
        signal: signal as i32,
        code,
        generate_result: result,
        reserved: 0,
    };
    send(cpu, process, &record);
    emit::leave(cpu);
}

/// Removes the pending record of a signal and returns when it was generated and with what result.
#[inline(always)]
fn take_pending(tid: u32, tgid: u32, signal: u32) -> (u64, i32) {
    for key in [key(tid, signal, false), key(tgid, signal, true)] {
        if let Some(pending) = SIGNALS.get_ptr(&key) {
            // SAFETY: a map value.
            let found = unsafe { ((*pending).generate_ns, (*pending).result) };
            let _ = SIGNALS.remove(&key);
            return found;
        }
    }
    (0, -1)
}

#[inline(always)]
fn send(cpu: *mut Cpu, process: *const Process, record: &SignalRecord) {
    let group = Group {
        code: record.signal as u64 | ((record.handler > 1) as u64) << 32,
        pte_class: 0,
        // SAFETY: process is a map value.
        generation: unsafe { (*process).generation },
        address: record.address,
        duration_ns: 0,
    };
    if record.header.stack != 0 {
        stack::send(cpu, &record.header, record.header.stack);
    }
    let _delivered = emit::deliver_detail(cpu, &record.header, record, &group);
}

/// Emits a signal that nobody will take: ignored, already pending, or its thread has ended.
#[inline(always)]
fn undelivered(
    cpu: *mut Cpu,
    process: *const Process,
    signal: u32,
    pending: &PendingSignal,
    pid_tgid: u64,
) {
    let mut header = emit::header::<SignalRecord>(kind::SIGNAL, pid_tgid);
    header.flags = flag::UNDELIVERED;
    let record = SignalRecord {
        header,
        generate_ns: pending.generate_ns,
        address: pending.address,
        handler: 0,
        ip: 0,
        signal: signal as i32,
        code: pending.code,
        generate_result: pending.result,
        reserved: 0,
    };
    send(cpu, process, &record);
}

/// A thread (or, with `group`, a process) that ends with signals pending: emits them as undelivered.
#[inline(always)]
pub fn abandon(pid_tgid: u64, group: bool) {
    for signal in SIGNALS_RECORDED {
        map_trace_abandon_signal(pid_tgid, signal as u64, group as u64);
    }
}

/// Emits one of them. A global BPF function: verified once, not for each signal.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn map_trace_abandon_signal(pid_tgid: u64, signal: u64, group: u64) -> u64 {
    let (Some(cpu), Some(process)) = (CPU.get_ptr_mut(0), task::process((pid_tgid >> 32) as u32))
    else {
        return 0;
    };
    let id = if group != 0 {
        (pid_tgid >> 32) as u32
    } else {
        pid_tgid as u32
    };
    let key = key(id, signal as u32, group != 0);
    if let Some(pending) = SIGNALS.get_ptr(&key) {
        // SAFETY: a map value.
        let pending = unsafe { *pending };
        let _ = SIGNALS.remove(&key);
        undelivered(cpu, process, signal as u32, &pending, pid_tgid);
    }
    0
}
