//! What user space tells the programs before they load, as one read-only global.

/// Value of an offset that the running kernel's BTF does not have.
pub const NO_OFFSET: u32 = u32::MAX;

/// `THREAD_SIZE` on x86-64: twice as much with KASAN (arch/x86/include/asm/page_64_types.h).
pub const USUAL_THREAD_SIZE: u32 = 16 << 10;

/// Settings of a session. Offsets are bytes, [`NO_OFFSET`] where unknown.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Settings {
    /// Events delivered in full per group; `u64::MAX` for `--detail all`.
    pub detail: u64,
    /// 1: children are followed.
    pub follow_forks: u32,
    /// 1: the kernel has the helper `bpf_get_current_task_btf` (Linux 5.11).
    pub task_btf: u32,
    /// BTF id of `struct pt_regs`, whose first member is a word, where the kernel has `bpf_rdonly_cast` (Linux
    /// 6.2): the programs then read the kernel's memory by plain loads. 0: they do not.
    pub word_type: u32,
    /// BTF id of that function, which user space puts into the programs.
    pub word_function: u32,
    /// 1: the first exec stops the process (SIGSTOP) before its first instruction.
    pub stop_at_exec: u32,
    /// `sizeof` of a kernel stack (`THREAD_SIZE`).
    pub thread_size: u32,
    /// `TOP_OF_KERNEL_STACK_PADDING`.
    pub stack_padding: u32,
    pub task_mm: u32,
    pub task_tgid: u32,
    pub task_pid: u32,
    pub task_stack: u32,
    pub task_min_flt: u32,
    pub task_maj_flt: u32,
    pub task_exit_code: u32,
    /// `thread_info.status`, which says by which entry a call came.
    pub task_status: u32,
    pub task_fsbase: u32,
    pub task_pagefault_disabled: u32,
    pub task_signal: u32,
    pub signal_live: u32,
    pub signal_rlim: u32,
    pub mm_pgd: u32,
    pub mm_start_code: u32,
    pub mm_end_code: u32,
    pub mm_start_stack: u32,
    pub mm_start_brk: u32,
    pub mm_brk: u32,
    pub siginfo_code: u32,
    pub siginfo_addr: u32,
    pub sigaction_handler: u32,
}

impl Settings {
    /// Every offset unknown and everything switched off: what the programs are built with.
    pub const UNKNOWN: Self = Self {
        detail: 0,
        follow_forks: 0,
        task_btf: 0,
        word_type: 0,
        word_function: 0,
        stop_at_exec: 0,
        thread_size: USUAL_THREAD_SIZE,
        stack_padding: 0,
        task_mm: NO_OFFSET,
        task_tgid: NO_OFFSET,
        task_pid: NO_OFFSET,
        task_stack: NO_OFFSET,
        task_min_flt: NO_OFFSET,
        task_maj_flt: NO_OFFSET,
        task_exit_code: NO_OFFSET,
        task_status: NO_OFFSET,
        task_fsbase: NO_OFFSET,
        task_pagefault_disabled: NO_OFFSET,
        task_signal: NO_OFFSET,
        signal_live: NO_OFFSET,
        signal_rlim: NO_OFFSET,
        mm_pgd: NO_OFFSET,
        mm_start_code: NO_OFFSET,
        mm_end_code: NO_OFFSET,
        mm_start_stack: NO_OFFSET,
        mm_start_brk: NO_OFFSET,
        mm_brk: NO_OFFSET,
        siginfo_code: NO_OFFSET,
        siginfo_addr: NO_OFFSET,
        sigaction_handler: NO_OFFSET,
    };
}
