//! The three witnesses of the page faults, and whether they agree.
//!
//! - The tracepoints `exceptions:page_fault_user` and `exceptions:page_fault_kernel` fire for every fault.
//! - perf's `PERF_COUNT_SW_PAGE_FAULTS` counts those that reach `do_user_addr_fault` (arch/x86/mm/fault.c), and
//!   `..._MIN` and `..._MAJ` those the kernel resolved (`mm_account_fault` in mm/memory.c).
//! - getrusage(2) has the kernel's own `min_flt` and `maj_flt`, which also count pages that get_user_pages
//!   brought in without a fault (docs/limitations.md).

use crate::model::summary::{PerfWitness, Witnesses};
use crate::model::{Address, Cause};

/// Start and end of the vsyscall page, the one part of the upper half that is treated as the user's.
const VSYSCALL: std::ops::Range<u64> = 0xffff_ffff_ff60_0000..0xffff_ffff_ff60_1000;

/// A fault at an address in the kernel's half ends before perf counts it (`do_kern_addr_fault`).
pub fn at_kernel_address(address: Address) -> bool {
    address.0 >> 63 == 1 && !VSYSCALL.contains(&address.0)
}

/// A fault that perf counts as a page fault and nobody counts as minor or major: the kernel refused it.
pub fn is_refused(cause: Cause, address: Address) -> bool {
    cause.is_refused() && !at_kernel_address(address)
}

/// Fills in `refused`, `own`, `residue` and `balanced` of the counts a footer carries.
///
/// Balanced: user + kernel faults of the tracepoints == perf's page-faults == minor + major + `refused`.
/// Without perf's counters there is nothing to balance against, which is not balanced.
pub fn balance(counts: &Witnesses, refused: u64, own: u64) -> Witnesses {
    let tracepoints = counts
        .tracepoint
        .page_fault_user
        .checked_add(counts.tracepoint.page_fault_kernel);
    let balanced = counts.perf.is_some_and(|perf| {
        let resolved = perf.minor_faults.checked_add(perf.major_faults);
        tracepoints == Some(perf.page_faults)
            && resolved.and_then(|resolved| resolved.checked_add(refused)) == Some(perf.page_faults)
    });
    Witnesses {
        refused,
        own,
        residue: counts.perf.and_then(|perf| residue(counts, &perf)),
        balanced,
        ..counts.clone()
    }
}

/// rusage's faults minus perf's.
fn residue(counts: &Witnesses, perf: &PerfWitness) -> Option<i64> {
    let rusage = counts.rusage?;
    let theirs = i128::from(rusage.minor_faults) + i128::from(rusage.major_faults);
    let ours = i128::from(perf.minor_faults) + i128::from(perf.major_faults);
    i64::try_from(theirs - ours).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::summary::{RusageWitness, TracepointWitness};

    fn seen(user: u64, kernel: u64, perf: Option<[u64; 3]>) -> Witnesses {
        Witnesses {
            tracepoint: TracepointWitness {
                page_fault_user: user,
                page_fault_kernel: kernel,
                kernel_address: 0,
            },
            perf: perf.map(|[page_faults, minor_faults, major_faults]| PerfWitness {
                page_faults,
                minor_faults,
                major_faults,
            }),
            rusage: Some(RusageWitness {
                minor_faults: 6700,
                major_faults: 0,
            }),
            ..Witnesses::default()
        }
    }

    #[test]
    fn the_counts_of_a_real_run_balance() {
        let balanced = balance(&seen(6687, 5, Some([6692, 6690, 1])), 1, 0);
        assert!(balanced.balanced);
        assert_eq!(balanced.refused, 1);
        assert_eq!(balanced.residue, Some(9));
    }

    #[test]
    fn one_fault_too_many_or_too_few_anywhere_unbalances() {
        let counts = |user, faults, minor| seen(user, 5, Some([faults, minor, 1]));
        for (counts, refused) in [
            (counts(6688, 6692, 6690), 1),
            (counts(6687, 6691, 6690), 1),
            (counts(6687, 6692, 6691), 1),
            (counts(6687, 6692, 6690), 0),
            (counts(6687, 6692, 6690), 2),
        ] {
            assert!(
                !balance(&counts, refused, 0).balanced,
                "{counts:?} {refused}"
            );
        }
    }

    #[test]
    fn without_perf_nothing_is_balanced() {
        let alone = balance(&seen(0, 0, None), 0, 0);
        assert_eq!((alone.balanced, alone.residue), (false, None));
    }

    #[test]
    fn numbers_that_overflow_do_not_balance() {
        let counts = seen(u64::MAX, 2, Some([1, u64::MAX, 2]));
        assert!(!balance(&counts, u64::MAX, 0).balanced);
    }

    #[test]
    fn a_fault_at_a_kernel_address_is_no_refused_one() {
        assert!(is_refused(Cause::Protection, Address(0x1000)));
        assert!(is_refused(Cause::Unmapped, Address(0xffff_ffff_ff60_0000)));
        assert!(!is_refused(Cause::Unmapped, Address(0xffff_ffff_8100_0000)));
        assert!(!is_refused(Cause::FirstTouch, Address(0x1000)));
    }
}
