//! Rules on the error code and on what the kernel answered.

use super::Answer;
use crate::cause::FaultInputs;
use crate::model::{Cause, FaultCode};

/// From here up no user mapping exists (the kernel's half of the address space).
const KERNEL_HALF: u64 = 1 << 63;
/// The legacy vsyscall page (arch/x86/include/uapi/asm/vsyscall.h): the kernel emulates calls into it.
const VSYSCALL: u64 = 0xffff_ffff_ff60_0000;

const SEGV_MAPERR: i32 = 1;
const SEGV_ACCERR: i32 = 2;
const SEGV_PKUERR: i32 = 4;
const BUS_ADRERR: i32 = 2;
const BUS_OBJERR: i32 = 3;
const BUS_MCEERR_AR: i32 = 4;

pub(super) fn reserved_bit(inputs: &FaultInputs) -> Answer {
    let reason = "the hardware found a reserved bit set in a page-table entry";
    inputs
        .error_code
        .reserved()
        .then_some((Cause::Unknown, Some(reason)))
}

/// The kernel's own verdict, where it was seen, stands above what is known of the mapping.
pub(super) fn signal(inputs: &FaultInputs) -> Answer {
    let (cause, reason) = match inputs.followed_by_signal? {
        (libc::SIGSEGV, SEGV_MAPERR) => (Cause::Unmapped, segv_maperr(inputs)),
        (libc::SIGSEGV, SEGV_ACCERR) => (Cause::Protection, segv_accerr(inputs)),
        (libc::SIGSEGV, SEGV_PKUERR) => (
            Cause::Protection,
            Some("a protection key forbids the access"),
        ),
        (libc::SIGBUS, BUS_ADRERR | BUS_OBJERR) => (Cause::Unmapped, Some(sigbus(inputs))),
        (libc::SIGBUS, BUS_MCEERR_AR) => (
            Cause::Unmapped,
            Some("the memory is damaged (machine check)"),
        ),
        // Sent by somebody, or of another exception: says nothing about this fault.
        _ => return None,
    };
    Some((cause, reason))
}

fn segv_maperr(inputs: &FaultInputs) -> Option<&'static str> {
    match inputs.vma {
        Some(_) if inputs.below_stack => Some("the stack could not grow"),
        Some(_) => Some("mapped, but the kernel answered as if nothing were there"),
        None => None,
    }
}

fn segv_accerr(inputs: &FaultInputs) -> Option<&'static str> {
    let allowed = inputs.vma.is_some_and(|vma| !inputs.forbidden_by(&vma));
    allowed.then_some("the kernel refused what the mapping, as replayed, allows")
}

fn sigbus(inputs: &FaultInputs) -> &'static str {
    match inputs.vma {
        Some(vma) if vma.uffd_missing || vma.uffd_minor => "userfaultfd answered with SIGBUS",
        Some(vma) if vma.hugetlb => "no huge page was free, or past the end of the file",
        _ => "past the end of the file, or the file could not give the page",
    }
}

pub(super) fn kernel_address(inputs: &FaultInputs) -> Answer {
    if inputs.address < KERNEL_HALF {
        return None;
    }
    if inputs.address & !0xfff == VSYSCALL && inputs.error_code.instruction() {
        return Some((
            Cause::Unknown,
            Some("a call into the legacy vsyscall page, which the kernel emulates"),
        ));
    }
    Some((Cause::Unmapped, Some("an address of the kernel")))
}

pub(super) fn protection_key(inputs: &FaultInputs) -> Answer {
    let reason = "a protection key forbids the access";
    inputs
        .error_code
        .protection_key()
        .then_some((Cause::Protection, Some(reason)))
}

/// Shadow stacks, enclaves, encrypted guests: the kernel has rules of its own for them.
pub(super) fn other_code_bits(inputs: &FaultInputs) -> Answer {
    let code = inputs.error_code;
    let reason = if code.shadow_stack() {
        "a shadow-stack access: which mappings are shadow stacks is not recorded"
    } else if code.0 & (FaultCode::SGX | FaultCode::RMP) != 0 {
        "a fault of an enclave or of an encrypted guest"
    } else if code.unknown_bits() != 0 {
        "the error code has a bit without a known meaning"
    } else {
        return None;
    };
    Some((Cause::Unknown, Some(reason)))
}
