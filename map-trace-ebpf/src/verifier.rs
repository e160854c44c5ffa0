//! What the verifier is made to see, or to forget. It follows every path with the values that it knows on it; a value
//! of which it knows something else on each of two paths keeps it from seeing that they go on alike.

/// The same value, about which the compiler knows nothing: it then keeps the bounds check that the verifier
/// wants to see.
#[inline(always)]
pub fn unseen(value: u64) -> u64 {
    let mut value = value;
    // An instruction without effect: none at all would leave two lines of source at one place, which the
    // verifier refuses.
    // SAFETY: the instruction touches its register only.
    unsafe { core::arch::asm!("{0} += 0", inout(reg) value, options(nomem, nostack)) };
    value
}

/// The same value, about which the verifier knows nothing any more: one of the constants that a chain of comparisons
/// chose between, say, with which it would follow all that comes behind once each. `any` is a value that it knows
/// nothing about.
#[inline(always)]
pub fn forgotten(value: u64, any: u64) -> u64 {
    let mut value = value;
    // SAFETY: the instructions touch their register only, and the second undoes what the first did.
    unsafe {
        core::arch::asm!(
            "{0} ^= {1}",
            "{0} ^= {1}",
            inout(reg) value,
            in(reg) any,
            options(nomem, nostack, pure)
        );
    }
    value
}
