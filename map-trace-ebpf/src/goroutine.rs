//! Which goroutine a thread runs: g lies in thread-local storage, its id in g, and on the scheduler's stack the
//! goroutine it works for is m's `curg` (Go's runtime/runtime2.go).

use aya_ebpf::helpers::generated::bpf_probe_read_user;
use map_trace_common::place::Goroutines;

use crate::maps::{BINARIES, Process};
use crate::settings::setting;
use crate::task;

/// Reads a word of the user's memory; 0 when it is not there.
#[inline(always)]
pub fn word(address: u64) -> u64 {
    let mut value = 0u64;
    // SAFETY: the helper writes eight bytes to a local, zeroes on failure.
    unsafe { bpf_probe_read_user((&raw mut value).cast(), 8, address as *const _) };
    value
}

/// The id of the goroutine that the current thread runs; 0 when there is none or its process keeps none.
#[inline(always)]
pub fn current(process: *const Process) -> u64 {
    // SAFETY: process is a map value.
    let binary = unsafe { (*process).goroutines };
    if binary == 0 {
        return 0;
    }
    map_trace_goroutine(binary - 1)
}

/// The body of [`current`], a global BPF function: verified once, not at each use.
#[unsafe(no_mangle)]
#[inline(never)]
pub extern "C" fn map_trace_goroutine(binary: u64) -> u64 {
    let Some(layout) = BINARIES.get(binary as u32) else {
        return 0;
    };
    // What the kernel keeps of fsbase is right for the running thread, too: threads set theirs by system calls.
    let fsbase = task::field_word(task::current(), setting!(task_fsbase)).unwrap_or(0);
    if layout.known == 0 || fsbase == 0 {
        return 0;
    }
    of(
        layout,
        word(fsbase.wrapping_add(layout.g_from_fs as i64 as u64)),
    )
}

/// The id of a goroutine, or, for the scheduler's and the signal handler's, which have none, of the one they
/// work for.
#[inline(always)]
pub fn of(layout: &Goroutines, g: u64) -> u64 {
    if layout.known == 0 || g == 0 {
        return 0;
    }
    let id = word(g.wrapping_add(layout.g_goid as u64));
    if id != 0 {
        return id;
    }
    let m = word(g.wrapping_add(layout.g_m as u64));
    if m == 0 {
        return 0;
    }
    let current = word(m.wrapping_add(layout.m_curg as u64));
    if current == 0 {
        return 0;
    }
    word(current.wrapping_add(layout.g_goid as u64))
}
