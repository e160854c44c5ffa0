//! The session's settings: one read-only global that user space fills before loading.

use map_trace_common::settings::{NO_OFFSET, Settings};

#[unsafe(no_mangle)]
static SETTINGS: Settings = Settings {
    detail: 10_000,
    follow_forks: 1,
    task_btf: 0,
    stop_at_exec: 0,
    thread_size: 16_384,
    stack_padding: 0,
    task_mm: NO_OFFSET,
    task_tgid: NO_OFFSET,
    task_pid: NO_OFFSET,
    task_stack: NO_OFFSET,
    task_min_flt: NO_OFFSET,
    task_maj_flt: NO_OFFSET,
    task_exit_code: NO_OFFSET,
    task_pagefault_disabled: NO_OFFSET,
    task_signal: NO_OFFSET,
    signal_live: NO_OFFSET,
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

/// Reads one field; volatile, since the value compiled in is not the value at run time.
macro_rules! setting {
    ($field:ident) => {
        // SAFETY: a static of this program, always readable.
        unsafe { core::ptr::read_volatile(&raw const (*$crate::settings::settings()).$field) }
    };
}
pub(crate) use setting;

#[inline(always)]
pub fn settings() -> *const Settings {
    &raw const SETTINGS
}

/// An offset, or `None` when the running kernel does not have the field.
#[inline(always)]
pub fn known(offset: u32) -> Option<u64> {
    (offset != NO_OFFSET).then_some(offset as u64)
}
