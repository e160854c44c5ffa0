//! Atomic addition, which `core` does not offer on this target.

/// Adds to a 64-bit word that other CPUs change too.
///
/// # Safety
/// `target` is an aligned word of a map value.
#[inline(always)]
pub unsafe fn add(target: *mut u64, value: u64) {
    // SAFETY: the instruction touches the eight bytes at `target` only (BPF_ATOMIC | BPF_ADD, every kernel).
    unsafe {
        core::arch::asm!("lock *(u64 *)({0} + 0) += {1}", in(reg) target, in(reg) value);
    }
}

/// Adds one to a 64-bit word that other CPUs change too, and gives what it was before: the only one of all
/// that count gets this value.
///
/// # Safety
/// `target` is an aligned word of a map value.
#[inline(always)]
pub unsafe fn count(target: *mut u64) -> u64 {
    let mut value = 1u64;
    // SAFETY: the instruction touches the eight bytes at `target` only (BPF_ATOMIC | BPF_ADD | BPF_FETCH, Linux
    // 5.12; cookies of uprobes are younger).
    unsafe {
        core::arch::asm!(
            "{0} = atomic_fetch_add((u64 *)({1} + 0), {0})",
            inout(reg) value,
            in(reg) target
        );
    }
    value
}
