use proptest::prelude::*;

use super::{NotPresent, Pte, PteContext, PteLevel, bit};

const ZERO: u64 = 0x1234;

fn context() -> PteContext {
    PteContext {
        zero_frame: Some(ZERO),
        huge_zero_frame: Some(0x20_0000 >> 12),
        ..PteContext::default()
    }
}

fn decode(raw: u64) -> Pte {
    Pte::decode(raw, PteLevel::Pte, false, &context())
}

#[test]
fn the_zero_page_is_known_by_its_frame() {
    let raw = 0x8000_0000_0000_0225 | ZERO << 12;
    let pte = decode(raw);
    assert!(pte.present && pte.user && pte.accessed && pte.no_execute && pte.zero_page);
    assert!(!pte.writable && !pte.dirty && !pte.empty);
    assert_eq!(pte.raw.0, 0x8000_0000_0000_0225);
    assert!(!decode(raw + 0x1000).zero_page);
}

#[test]
fn the_encryption_bit_does_not_hide_the_zero_page() {
    let c_bit = 1 << 51;
    let raw = 0x8000_0000_0000_0225 | ZERO << 12 | c_bit;
    let sme = PteContext {
        encryption_mask: c_bit,
        ..context()
    };
    assert!(!decode(raw).zero_page);
    assert!(Pte::decode(raw, PteLevel::Pte, false, &sme).zero_page);
}

#[test]
fn the_huge_zero_page_is_known_at_its_own_level_only() {
    let raw = 0x8000_0000_0020_00a5;
    let at = |level| Pte::decode(raw, level, false, &context()).zero_page;
    assert!(at(PteLevel::Pmd));
    assert!(!at(PteLevel::Pte) && !at(PteLevel::Pud));
    // PAT of a huge entry is bit 12.
    assert!(Pte::decode(raw | 1 << 12, PteLevel::Pmd, false, &context()).zero_page);
}

/// Entries seen in a test program after mprotect(PROT_READ) and mprotect(PROT_NONE) of a written page.
#[test]
fn protection_changes_show_as_the_kernel_makes_them() {
    let read_only = decode(0x8400_0000_0567_8025);
    assert!(read_only.present && !read_only.writable && !read_only.dirty && read_only.saved_dirty);
    let inverted = !0x0567_8000 & bit::FRAME;
    let none = decode(0x8400_0000_0000_0120 | inverted);
    assert!(none.prot_none && !none.present && !none.empty && none.saved_dirty);
    assert_eq!(none.not_present(), Some(NotPresent::ProtNone));
}

#[test]
fn an_empty_entry_is_nothing_but_empty() {
    // Accessed and Dirty alone are an erratum of some CPUs.
    for raw in [0, 0x20, 0x40, 0x60] {
        let pte = decode(raw);
        assert!(pte.empty && !pte.present && !pte.prot_none && !pte.dirty);
        assert_eq!(pte.not_present(), None);
    }
}

/// Type in bits 59-63, offset inverted from bit 9 (`__swp_entry`, arch/x86/include/asm/pgtable_64.h).
fn swap_entry(kind: u64, offset: u64) -> u64 {
    (!offset << 14 >> 5) & !(0x1f << 59) | kind << 59
}

#[test]
fn swap_entries_are_told_from_markers() {
    for kind in 0..23 {
        assert_eq!(
            decode(swap_entry(kind, 77)).not_present(),
            Some(NotPresent::Swap),
            "type {kind}"
        );
    }
    for kind in 23..31 {
        assert_eq!(
            decode(swap_entry(kind, 77)).not_present(),
            Some(NotPresent::Special),
            "type {kind}"
        );
    }
    for notes in 0..8 {
        let expected = NotPresent::Marker {
            uffd_wp: notes & 1 != 0,
            poisoned: notes & 2 != 0,
            guard: notes & 4 != 0,
        };
        let pte = decode(swap_entry(31, notes));
        assert_eq!(pte.not_present(), Some(expected), "notes {notes}");
        assert_eq!(pte.uffd_wp, notes & 1 != 0);
    }
}

#[test]
fn bits_of_a_swap_entry_are_not_read_as_those_of_a_page() {
    let pte = decode(swap_entry(3, 5) | bit::SWAP_UFFD_WP);
    assert!(pte.uffd_wp);
    assert!(!pte.user && !pte.writable && !pte.no_execute && !pte.accessed && !pte.dirty);
}

fn level() -> impl Strategy<Value = PteLevel> {
    (1..=5_u32).prop_map(|number| PteLevel::from_number(number).expect("1 to 5 are levels"))
}

proptest! {
    #[test]
    fn every_number_decodes_to_one_kind_of_entry(raw: u64, level in level(), unstable: bool) {
        let pte = Pte::decode(raw, level, unstable, &context());
        let kinds = [pte.present, pte.empty, pte.not_present().is_some()];
        prop_assert_eq!(kinds.iter().filter(|kind| **kind).count(), 1);
        prop_assert_eq!(pte.present, raw & 1 != 0);
        prop_assert_eq!(pte.empty, raw & !0x60 == 0);
        prop_assert_eq!(pte.unstable, unstable);
        prop_assert!(!pte.prot_none || !pte.present);
        prop_assert!(!pte.zero_page || pte.present);
        if pte.present {
            prop_assert_eq!(pte.writable, raw >> 1 & 1 == 1);
            prop_assert_eq!(pte.user, raw >> 2 & 1 == 1);
            prop_assert_eq!(pte.accessed, raw >> 5 & 1 == 1);
            prop_assert_eq!(pte.dirty, raw >> 6 & 1 == 1);
            prop_assert_eq!(pte.uffd_wp, raw >> 10 & 1 == 1);
            prop_assert_eq!(pte.saved_dirty, raw >> 58 & 1 == 1);
            prop_assert_eq!(pte.no_execute, raw >> 63 == 1);
        }
    }

    #[test]
    fn frame_bits_stay_inside_unless_asked_for(raw: u64, level in level()) {
        let hidden = Pte::decode(raw, level, false, &context());
        prop_assert_eq!(hidden.raw.0 & bit::FRAME, 0);
        prop_assert_eq!(hidden.raw.0, raw & !bit::FRAME);
        let shown = Pte::decode(raw, level, false, &PteContext { show_physical: true, ..context() });
        prop_assert_eq!(shown.raw.0, raw);
        prop_assert_eq!(shown.not_present(), hidden.not_present());
    }

    #[test]
    fn a_trace_gives_the_entry_back(raw: u64, level in level()) {
        let pte = Pte::decode(raw, level, false, &context());
        let json = serde_json::to_string(&pte).expect("an entry serialises");
        prop_assert_eq!(serde_json::from_str::<Pte>(&json).expect("and back"), pte);
    }
}
