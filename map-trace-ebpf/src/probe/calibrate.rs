//! Finds the base of the kernel's direct map and reads entries on request.
//!
//! Never attached: user space runs it in its own context with `BPF_PROG_TEST_RUN` (kernel 5.10). It knows a
//! page of its own by address, frame (pagemap) and content (a random cookie); the base at which the frame's
//! first word is the cookie is the direct map's.

use aya_ebpf::macros::{map, raw_tracepoint};
use aya_ebpf::maps::Array;
use aya_ebpf::programs::RawTracePointContext;
use map_trace_common::calibrate::{CANDIDATES_PER_RUN, Calibrate};

use crate::pagewalk;
use crate::task;

const GIB: u64 = 1 << 30;

/// Request and answer.
#[map]
pub static CALIBRATE: Array<Calibrate> = Array::with_max_entries(1, 0);

#[raw_tracepoint(tracepoint = "sys_enter")]
pub fn calibrate(_ctx: RawTracePointContext) -> i32 {
    if let Some(request) = CALIBRATE.get_ptr_mut(0) {
        answer(request);
    }
    0
}

#[inline(always)]
fn answer(request: *mut Calibrate) {
    let pgd = pagewalk::pgd_of(task::mm(task::current()));
    // SAFETY: a map value; user space does not touch it while the program runs.
    unsafe {
        (*request).pgd = pgd;
        if (*request).tables.direct_map == 0 {
            (*request).tables.direct_map = search(pgd, &*request);
        }
        if (*request).tables.direct_map != 0 {
            let tables = (*request).tables;
            let entry = pagewalk::descend(pgd, (*request).address, &tables);
            (*request).entry = entry.raw;
            (*request).level = entry.level as u64;
        }
    }
}

/// Tries the candidates below the page-global directory, 1 GiB apart: the direct map is aligned to that
/// (arch/x86/mm/kaslr.c), and the directory lies in it.
#[inline(always)]
fn search(pgd: u64, request: &Calibrate) -> u64 {
    let top = (pgd & !(GIB - 1)).wrapping_sub(request.first_candidate * GIB);
    for index in 0..CANDIDATES_PER_RUN as u64 {
        let base = top.wrapping_sub(index * GIB);
        if task::read_kernel::<u64>(base.wrapping_add(request.frame << 12)) == Some(request.cookie)
        {
            return base;
        }
    }
    0
}
