//! The kernel entered by the `syscall` instruction, for what runs between a fork and its exec or end.
//!
//! The child of a process with threads may make async-signal-safe calls only (signal-safety(7)). These touch
//! nothing of the C library, not even errno, and no memory but the stack they stand on.

use std::arch::asm;

/// Ends the process without running destructors or exit handlers.
///
/// # Safety
/// Only in the child of a fork.
pub unsafe fn exit(status: usize) -> ! {
    loop {
        // SAFETY: exit_group does not return.
        unsafe { syscall(libc::SYS_exit_group, [status, 0, 0, 0, 0, 0]) };
    }
}

/// A system call, answering the result or the negated errno.
///
/// # Safety
/// The arguments must be what the call `number` asks for.
#[inline(always)]
pub unsafe fn syscall(number: libc::c_long, arguments: [usize; 6]) -> isize {
    let [a, b, c, d, e, f] = arguments;
    let result: isize;
    // SAFETY: the x86-64 convention (syscall(2)): number in rax, arguments in these registers, rcx and
    // r11 destroyed; memory the call reads or writes is the caller's responsibility.
    unsafe {
        asm!(
            "syscall",
            inlateout("rax") number as isize => result,
            in("rdi") a,
            in("rsi") b,
            in("rdx") c,
            in("r10") d,
            in("r8") e,
            in("r9") f,
            lateout("rcx") _,
            lateout("r11") _,
            options(nostack),
        );
    }
    result
}
