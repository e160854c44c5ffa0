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
