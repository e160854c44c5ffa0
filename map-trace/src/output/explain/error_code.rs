//! The error code of a page fault, bit by bit.

use crate::model::FaultCode;

pub(super) const INTRODUCTION: &str = "The CPU hands the kernel a number whose bits say what kind of access failed: 1 the page was present,
2 a write, 4 from user mode, 8 a reserved bit was set, 16 a fetch of an instruction, 32 a protection key,
64 a shadow stack. It does not say why: 7 is a write to protected memory as well as the routine copy of a
shared page. `map-trace explain error-code 7` takes one apart.";

/// Bit, meaning when set, meaning when clear (if that says something).
const BITS: &[(u64, &str, Option<&str>)] = &[
    (
        FaultCode::PRESENT,
        "the page was present: a right was missing, not the page",
        Some("no page was present"),
    ),
    (FaultCode::WRITE, "the access was a write", None),
    (
        FaultCode::USER,
        "made by the program's own instructions (user mode)",
        Some("made by the kernel for the program (kernel mode)"),
    ),
    (
        FaultCode::RESERVED,
        "a reserved bit was set in a page-table entry: the table is corrupt",
        None,
    ),
    (
        FaultCode::INSTRUCTION,
        "the access was the fetch of an instruction",
        None,
    ),
    (
        FaultCode::PROTECTION_KEY,
        "the thread's protection-key register forbids the access",
        None,
    ),
    (
        FaultCode::SHADOW_STACK,
        "the access was to a shadow stack",
        None,
    ),
    (FaultCode::SGX, "an enclave's rule was broken (SGX)", None),
    (
        FaultCode::RMP,
        "the reverse map of an encrypted guest forbids the access (SEV-SNP)",
        None,
    ),
];

/// Any number, in words.
pub(super) fn explain(number: u64) -> String {
    let code = FaultCode(number);
    let mut text = format!("error-code {number} ({number:#x}): {}\n\n", summary(code));
    for (bit, set, clear) in BITS {
        let line = if number & bit != 0 {
            Some(*set)
        } else {
            *clear
        };
        if let Some(line) = line {
            let value = if number & bit != 0 { *bit } else { 0 };
            text.push_str(&format!("  {value:>4}  {line}\n"));
        }
    }
    if !code.write() && !code.instruction() {
        text.push_str("     0  the access was a read\n");
    }
    if code.unknown_bits() != 0 {
        let bits = code.unknown_bits();
        text.push_str(&format!("  {bits:#x}  bits without a known meaning\n"));
    }
    text.push('\n');
    text.push_str(&super::wrapped(causes(code)));
    text.push('\n');
    text
}

fn summary(code: FaultCode) -> String {
    let access = match (code.instruction(), code.write()) {
        (true, _) => "fetch",
        (false, true) => "write",
        (false, false) => "read",
    };
    let page = if code.present() {
        "a present page"
    } else {
        "a page that is not present"
    };
    let mode = if code.user() {
        "user mode"
    } else {
        "kernel mode"
    };
    format!("{access} of {page}, in {mode}").replace("write of", "write to")
}

/// What such a fault can be: the code narrows it down, entry and mapping decide.
fn causes(code: FaultCode) -> &'static str {
    if code.reserved() || code.unknown_bits() != 0 {
        return "Its cause is unknown.";
    }
    if code.protection_key() {
        return "Its cause is protection.";
    }
    match (code.present(), code.write()) {
        (true, true) => {
            "Its cause may be zero_page_cow, anon_cow, file_cow, write_notify, userfaultfd, spurious or
protection. The code alone does not tell a routine copy from memory somebody made read-only; the
page-table entry and the mapping do."
        }
        (true, false) => "Its cause is protection as a rule: what is present may be read, unless the mapping forbids it.",
        (false, true) => {
            "Its cause may be first_touch, file_map, file_read, swap_in, numa_hint, userfaultfd, stack_growth,
spurious, protection or unmapped."
        }
        (false, false) => {
            "Its cause may be zero_page_read, file_map, file_read, swap_in, numa_hint, userfaultfd,
stack_growth, spurious, protection or unmapped."
        }
    }
}
