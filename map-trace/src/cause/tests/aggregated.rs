use map_trace_common::record::pte_class as class;

use super::super::{PteFacts, PteState, classify, kernel_class};
use super::{anon_rw, fault};
use crate::model::Cause;
use crate::model::pte::{NotPresent, PteLevel};

const LEVEL_4K: u32 = 1 << class::LEVEL_SHIFT;
const READ_ONLY: u32 = class::PRESENT | class::USER | class::NO_EXECUTE | LEVEL_4K;

fn cause(code: u64, bits: u32) -> Cause {
    let mut inputs = fault(code, PteState::Unread, Some(anon_rw()));
    inputs.pte = kernel_class(bits, true);
    classify(&inputs).cause
}

#[test]
fn events_counted_in_the_kernel_get_the_same_causes() {
    assert_eq!(cause(6, class::EMPTY | LEVEL_4K), Cause::FirstTouch);
    assert_eq!(
        cause(4, class::EMPTY | 2 << class::LEVEL_SHIFT),
        Cause::ZeroPageRead
    );
    assert_eq!(cause(7, READ_ONLY | class::ZERO_PAGE), Cause::ZeroPageCow);
    assert_eq!(cause(7, READ_ONLY), Cause::AnonCow);
    assert_eq!(cause(7, READ_ONLY | class::WRITABLE), Cause::Spurious);
    assert_eq!(cause(7, READ_ONLY | class::UFFD_WP), Cause::Userfaultfd);
    assert_eq!(cause(6, class::PROT_NONE | LEVEL_4K), Cause::NumaHint);
    assert_eq!(cause(6, class::SWAP | LEVEL_4K), Cause::SwapIn);
    assert_eq!(
        cause(6, LEVEL_4K),
        Cause::Unknown,
        "not empty, and no more is known"
    );
    assert_eq!(cause(6, class::UNREAD), Cause::Unknown);
    assert_eq!(cause(6, class::EMPTY | class::UNSTABLE), Cause::Unknown);
}

#[test]
fn every_class_is_one_entry() {
    for bits in 0..1_u32 << 15 {
        let facts: PteFacts = kernel_class(bits, bits % 3 == 0);
        let contradictory =
            (bits & (class::UNREAD | class::EMPTY | class::PRESENT)).count_ones() > 1;
        if contradictory {
            assert_eq!(facts.state, PteState::Unread, "{bits:#x}");
        }
        assert_eq!(
            facts.level,
            PteLevel::from_number(bits >> class::LEVEL_SHIFT)
        );
        assert_eq!(facts.unstable, bits & class::UNSTABLE != 0);
        if let PteState::NotPresent(what) = facts.state {
            assert!(!matches!(
                what,
                NotPresent::Marker { .. } | NotPresent::Special
            ));
        }
    }
}
