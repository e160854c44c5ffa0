//! The current task: who it is, its registers, its address space.

use core::mem::offset_of;

use aya_ebpf::EbpfContext;
use aya_ebpf::helpers::bpf_get_current_pid_tgid;
use aya_ebpf::helpers::generated::{
    bpf_get_current_task, bpf_get_current_task_btf, bpf_probe_read_kernel,
};
use aya_ebpf::programs::{BtfTracePointContext, ProbeContext, RawTracePointContext};

use map_trace_common::kfunc::READ_ONLY_CAST;

use crate::maps::{PROCESSES, Process};
use crate::settings::{known, setting};

/// User registers that the programs need. An ip of 0 says that there are none: an `Option` would leave the
/// rest undefined, and the verifier does not follow why it is not used then.
#[derive(Clone, Copy)]
pub struct Registers {
    pub ip: u64,
    pub sp: u64,
    pub bp: u64,
}

/// `struct pt_regs` of x86-64 (arch/x86/include/asm/ptrace.h); part of the kernel's ABI with tracers.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PtRegs {
    pub r15: u64,
    pub r14: u64,
    pub r13: u64,
    pub r12: u64,
    pub bp: u64,
    pub bx: u64,
    pub r11: u64,
    pub r10: u64,
    pub r9: u64,
    pub r8: u64,
    pub ax: u64,
    pub cx: u64,
    pub dx: u64,
    pub si: u64,
    pub di: u64,
    pub orig_ax: u64,
    pub ip: u64,
    pub cs: u64,
    pub flags: u64,
    pub sp: u64,
    pub ss: u64,
}

/// `__USER_CS`: 64-bit user code.
const USER_CS: u64 = 0x33;
/// `TS_COMPAT` (arch/x86/include/asm/thread_info.h): the call under way came through a 32-bit entry.
const TS_COMPAT: u32 = 2;

/// Whether the call of the current thread came through a 32-bit entry: 64-bit code may use `int 0x80`, too.
#[inline(always)]
pub fn is_compat_call() -> bool {
    field::<u32>(current(), setting!(task_status)).unwrap_or(0) & TS_COMPAT != 0
}

/// Reads a plain value of the kernel's memory; `None` when the address is not mapped.
#[inline(always)]
pub fn read_kernel<T: Copy>(address: u64) -> Option<T> {
    let mut value = core::mem::MaybeUninit::<T>::uninit();
    // SAFETY: the helper writes at most size_of::<T> bytes and zeroes them on failure.
    let failed = unsafe {
        bpf_probe_read_kernel(
            value.as_mut_ptr().cast(),
            size_of::<T>() as u32,
            address as *const _,
        )
    };
    if failed != 0 {
        return None;
    }
    // SAFETY: filled by the helper; T is plain integers everywhere in this crate.
    Some(unsafe { value.assume_init() })
}

/// Reads a word of the kernel's memory; `None` when the address is not mapped.
///
/// A plain load costs a twentieth of the helper. One that fails gives 0 (arch/x86/net/bpf_jit_comp.c,
/// `ex_handler_bpf`); so the helper tells what a 0 is.
#[inline(always)]
pub fn read_word(address: u64) -> Option<u64> {
    known_or(load(address), address)
}

/// What was loaded from an address, or, for a 0, what the helper says.
#[inline(always)]
pub fn known_or(word: u64, address: u64) -> Option<u64> {
    if word != 0 {
        return Some(word);
    }
    read_kernel(address)
}

/// The word at a kernel address; 0 when it is not mapped or this kernel does not let us load it.
#[inline(always)]
pub fn load(address: u64) -> u64 {
    let word_type = setting!(word_type);
    if word_type == 0 {
        return 0;
    }
    let typed: u64;
    // SAFETY: the function gives back its first argument (kernel/bpf/verifier.c, fixup_kfunc_call); the
    // verifier then knows what it points to, and turns a load that fails into 0.
    unsafe {
        core::arch::asm!(
            "call {function}",
            function = const READ_ONLY_CAST,
            inlateout("r1") address => _,
            inlateout("r2") word_type as u64 => _,
            lateout("r0") typed,
            lateout("r3") _, lateout("r4") _, lateout("r5") _,
            options(nostack)
        );
        core::ptr::read_volatile(typed as *const u64)
    }
}

/// Reads the field at `offset` of a kernel object.
#[inline(always)]
pub fn field<T: Copy>(object: u64, offset: u32) -> Option<T> {
    read_kernel(object.wrapping_add(known(offset)?))
}

/// Reads the word at `offset` of a kernel object.
#[inline(always)]
pub fn field_word(object: u64, offset: u32) -> Option<u64> {
    read_word(object.wrapping_add(known(offset)?))
}

/// The current `task_struct`.
#[inline(always)]
pub fn current() -> u64 {
    // SAFETY: a helper without arguments.
    unsafe { bpf_get_current_task() }
}

#[inline(always)]
pub fn pid_tgid() -> u64 {
    bpf_get_current_pid_tgid()
}

/// A count that cannot be read.
pub const UNKNOWN: u64 = u64::MAX;

/// Faults that the kernel completed for the current thread, minor and major; [`UNKNOWN`] when that cannot
/// be read.
#[inline(always)]
pub fn faults_taken() -> u64 {
    if known(setting!(task_min_flt)).is_none() || known(setting!(task_maj_flt)).is_none() {
        return UNKNOWN;
    }
    if setting!(task_btf) != 0 {
        let (minor, major) = (setting!(task_min_flt), setting!(task_maj_flt));
        // SAFETY: the verifier knows the task's type and, the settings being constants to it, both offsets.
        return unsafe {
            let task = bpf_get_current_task_btf().cast::<u8>();
            let minor = core::ptr::read_volatile(task.add(minor as usize).cast::<u64>());
            minor.wrapping_add(core::ptr::read_volatile(
                task.add(major as usize).cast::<u64>(),
            ))
        };
    }
    let task = current();
    let minor = field::<u64>(task, setting!(task_min_flt)).unwrap_or(0);
    let major = field::<u64>(task, setting!(task_maj_flt)).unwrap_or(0);
    minor.wrapping_add(major)
}

/// The followed process the current task belongs to, if any.
#[inline(always)]
pub fn process(tgid: u32) -> Option<*mut Process> {
    PROCESSES.get_ptr_mut(&tgid)
}

/// Address of the current task's `mm_struct`; 0 when it has none.
#[inline(always)]
pub fn mm(task: u64) -> u64 {
    field_word(task, setting!(task_mm)).unwrap_or(0)
}

/// No user registers.
pub const NO_REGISTERS: Registers = Registers {
    ip: 0,
    sp: 0,
    bp: 0,
};

/// The current task's saved user registers, at the top of its kernel stack; [`NO_REGISTERS`] for kernel
/// threads and 32-bit code.
#[inline(always)]
pub fn user_registers() -> Registers {
    let Some(stack) = field::<u64>(current(), setting!(task_stack)) else {
        return NO_REGISTERS;
    };
    let top = stack
        .wrapping_add(setting!(thread_size) as u64)
        .wrapping_sub(setting!(stack_padding) as u64);
    registers_at(top.wrapping_sub(size_of::<PtRegs>() as u64))
}

/// A tracepoint's context: where its arguments are and how what they point to is read.
pub trait Tracepoint: EbpfContext {
    /// A word of the `pt_regs` that an argument points to.
    fn register(&self, regs: u64, offset: usize) -> u64;
}

impl Tracepoint for BtfTracePointContext {
    #[inline(always)]
    fn register(&self, regs: u64, offset: usize) -> u64 {
        // SAFETY: the verifier knows the argument's type and turns a bad address into 0; a plain load
        // costs a tenth of the helper.
        unsafe { core::ptr::read_volatile((regs as *const u8).add(offset).cast()) }
    }
}

impl Tracepoint for RawTracePointContext {
    #[inline(always)]
    fn register(&self, regs: u64, offset: usize) -> u64 {
        read_kernel(regs.wrapping_add(offset as u64)).unwrap_or(0)
    }
}

/// The user registers that a tracepoint's argument points to; [`NO_REGISTERS`] for 32-bit code.
#[inline(always)]
pub fn registers_of<C: Tracepoint>(ctx: &C, regs: u64) -> Registers {
    let user = ctx.register(regs, offset_of!(PtRegs, cs)) == USER_CS;
    let ip = ctx.register(regs, offset_of!(PtRegs, ip));
    Registers {
        ip: if user { ip } else { 0 },
        sp: ctx.register(regs, offset_of!(PtRegs, sp)),
        bp: ctx.register(regs, offset_of!(PtRegs, bp)),
    }
}

/// Registers saved at `regs`, when they are of 64-bit user code.
#[inline(always)]
fn registers_at(regs: u64) -> Registers {
    // ip, cs, flags, sp lie together; bp apart. Two small reads cost less stack than one of 168 bytes.
    let frame = read_kernel::<[u64; 4]>(regs + offset_of!(PtRegs, ip) as u64).unwrap_or([0; 4]);
    let bp = read_kernel::<u64>(regs + offset_of!(PtRegs, bp) as u64).unwrap_or(0);
    let ip = if frame[1] == USER_CS { frame[0] } else { 0 };
    Registers {
        ip,
        sp: frame[3],
        bp,
    }
}

/// Argument `n` of a tracepoint: both program types pass an array of 64-bit values.
#[inline(always)]
pub fn argument<C: EbpfContext>(ctx: &C, n: usize) -> u64 {
    // SAFETY: the verifier knows the context's size and refuses an index beyond it.
    unsafe { *ctx.as_ptr().cast::<u64>().add(n) }
}

/// A register of the user code that a uprobe interrupted.
#[inline(always)]
pub fn interrupted(ctx: &ProbeContext, offset: usize) -> u64 {
    // SAFETY: the context is pt_regs, which the verifier lets us read up to its end.
    unsafe { core::ptr::read_volatile(ctx.as_ptr().cast::<u8>().add(offset).cast()) }
}

/// `X86_EFLAGS_CF`, `X86_EFLAGS_ZF`.
const CARRY_OR_ZERO: u64 = 1 | 1 << 6;

/// A stack check's `jbe` is about to be taken: the function will begin anew.
#[inline(always)]
pub fn begins_anew(ctx: &ProbeContext) -> bool {
    interrupted(ctx, offset_of!(PtRegs, flags)) & CARRY_OR_ZERO != 0
}
