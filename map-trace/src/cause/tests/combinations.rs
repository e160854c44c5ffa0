use std::collections::BTreeMap;

use proptest::prelude::*;

use super::super::{FaultInputs, PresentEntry, PteState, RULES, VmaView, decide};
use super::{I, P, U, W, fault, vma};
use crate::model::event::Mode;
use crate::model::pte::NotPresent;
use crate::model::vma::VmaKind;
use crate::model::{Cause, FaultCode, Prot};

fn entries() -> Vec<PteState> {
    let mut all = vec![PteState::Unread, PteState::Empty];
    let marker = |bits: u8| NotPresent::Marker {
        uffd_wp: bits & 1 != 0,
        poisoned: bits & 2 != 0,
        guard: bits & 4 != 0,
    };
    let other = [
        NotPresent::ProtNone,
        NotPresent::Swap,
        NotPresent::Special,
        NotPresent::Unrecorded,
    ];
    all.extend(
        other
            .into_iter()
            .chain((0..8).map(marker))
            .map(PteState::NotPresent),
    );
    for bits in 0..32_u8 {
        for zero_page in [None, Some(false), Some(true)] {
            all.push(PteState::Present(PresentEntry {
                writable: bits & 1 != 0,
                user: bits & 2 != 0,
                no_execute: bits & 4 != 0,
                saved_dirty: bits & 8 != 0,
                uffd_wp: bits & 16 != 0,
                zero_page,
                ..PresentEntry::default()
            }));
        }
    }
    all
}

fn mappings() -> Vec<Option<VmaView>> {
    let kinds = [
        (VmaKind::Anon, false),
        (VmaKind::Stack, false),
        (VmaKind::SharedAnon, true),
        (VmaKind::File, false),
        (VmaKind::File, true),
        (VmaKind::Special, false),
    ];
    let mut all = vec![None];
    for (kind, shared) in kinds {
        for prot in [0, 1, 2, 3, 5, 7] {
            for bits in 0..8_u8 {
                all.push(Some(VmaView {
                    uffd_missing: bits & 1 != 0,
                    uffd_wp: bits & 2 != 0,
                    hugetlb: bits & 4 != 0,
                    ..vma(kind, Prot::from_bits(prot), shared)
                }));
            }
        }
    }
    all
}

/// What must hold of every answer.
fn check(inputs: &FaultInputs, cause: Cause, reason: Option<&str>) -> Result<(), &'static str> {
    let code = inputs.error_code;
    let entry = match inputs.pte.state {
        PteState::Present(entry) => Some(entry),
        _ => None,
    };
    let forbidden = inputs.vma.is_some_and(|vma| inputs.forbidden_by(&vma));
    let writable = inputs.vma.is_some_and(|vma| vma.prot.write());
    let anonymous = inputs.vma.is_some_and(|vma| vma.private_anonymous());
    let empty = inputs.pte.state == PteState::Empty;
    let cow = code.write() && writable && entry.is_some_and(|entry| !entry.writable);
    // Only a signal that a page fault can end in counts.
    let signal = inputs
        .followed_by_signal
        .filter(|signal| matches!(signal, (libc::SIGSEGV, 1 | 2 | 4) | (libc::SIGBUS, 2..=4)));
    let holds = match cause {
        Cause::FirstTouch => {
            empty && anonymous && (code.write() || inputs.vma.is_some_and(|vma| vma.hugetlb))
        }
        Cause::ZeroPageRead => empty && anonymous && !code.write(),
        Cause::ZeroPageCow => cow && entry.is_some_and(|entry| entry.zero_page == Some(true)),
        Cause::AnonCow => {
            cow && entry.is_some_and(|entry| entry.zero_page != Some(true) || entry.written())
        }
        Cause::FileCow => {
            cow && inputs
                .vma
                .is_some_and(|vma| !vma.shared && !vma.private_anonymous())
        }
        Cause::WriteNotify => cow && inputs.vma.is_some_and(|vma| vma.shared),
        Cause::FileMap => empty && !anonymous && inputs.major != Some(true),
        Cause::FileRead => empty && !anonymous && inputs.major == Some(true),
        Cause::SwapIn => inputs.pte.state == PteState::NotPresent(NotPresent::Swap),
        Cause::NumaHint => {
            inputs.pte.state == PteState::NotPresent(NotPresent::ProtNone) && !forbidden
        }
        Cause::Userfaultfd => {
            inputs
                .vma
                .is_some_and(|vma| vma.uffd_missing || vma.uffd_minor)
                || entry.is_some_and(|entry| entry.uffd_wp)
                || matches!(
                    inputs.pte.state,
                    PteState::NotPresent(NotPresent::Marker { uffd_wp: true, .. })
                )
        }
        Cause::StackGrowth => inputs.below_stack && signal.is_none(),
        Cause::Spurious => entry.is_some_and(|entry| entry.writable || !code.write()) && !forbidden,
        Cause::Protection => {
            forbidden && !inputs.mapping_in_flight
                || matches!(signal, Some((libc::SIGSEGV, 2 | 4)))
                || code.protection_key()
        }
        Cause::Unmapped => {
            inputs.vma.is_none() && !inputs.mapping_in_flight
                || matches!(signal, Some((libc::SIGSEGV, 1) | (libc::SIGBUS, 2..=4)))
                || inputs.address >= 1 << 63
                || matches!(
                    inputs.pte.state,
                    PteState::NotPresent(NotPresent::Marker { .. })
                )
        }
        Cause::Unknown => reason.is_some(),
    };
    let refused_by_signal = signal.is_none() || cause.is_refused() || code.reserved();
    match (holds, refused_by_signal) {
        (false, _) => Err("the cause does not fit its inputs"),
        (_, false) => Err("a fault that ended in a signal must be refused"),
        _ => Ok(()),
    }
}

#[test]
fn every_combination_has_one_cause_that_fits_it() {
    let (entries, mappings) = (entries(), mappings());
    let signals = [
        None,
        Some((libc::SIGSEGV, 1)),
        Some((libc::SIGSEGV, 2)),
        Some((libc::SIGBUS, 2)),
    ];
    let mut seen: BTreeMap<Cause, u64> = BTreeMap::new();
    let mut rules: BTreeMap<&str, u64> = BTreeMap::new();
    for code in [
        0,
        P,
        W,
        P | W,
        I,
        P | I,
        P | W | I,
        U,
        U | P,
        U | W,
        U | P | W,
        U | I,
        U | P | I,
    ] {
        for state in &entries {
            for mapping in &mappings {
                for signal in signals {
                    for bits in 0..8_u8 {
                        let mut inputs = fault(code, *state, *mapping);
                        inputs.followed_by_signal = signal;
                        inputs.mapping_in_flight = bits & 1 != 0;
                        inputs.major = [None, Some(true)][usize::from(bits >> 1 & 1)];
                        inputs.below_stack =
                            bits & 4 != 0 && mapping.is_none_or(|vma| vma.grows_down);
                        let (cause, rule, reason) = decide(&inputs);
                        *seen.entry(cause).or_default() += 1;
                        *rules.entry(rule).or_default() += 1;
                        if let Err(what) = check(&inputs, cause, reason) {
                            panic!("{what}: {cause:?} by {rule} for {inputs:?}");
                        }
                    }
                }
            }
        }
    }
    for cause in Cause::ALL {
        assert!(seen.contains_key(&cause), "{cause:?} never came out");
    }
    for rule in RULES {
        let elsewhere = [
            "reserved-bit",
            "kernel-address",
            "protection-key",
            "other-code-bits",
            "mapping-uncertain",
        ];
        assert!(
            rules.contains_key(rule.name) || elsewhere.contains(&rule.name),
            "{rule:?} never decided"
        );
    }
}

fn inputs() -> impl Strategy<Value = FaultInputs> {
    let codes = prop_oneof![3 => 0..128_u64, 1 => any::<u64>()];
    let signal = prop::option::of((prop::sample::select(vec![4, 5, 7, 11]), -6..6_i32));
    let address = prop_oneof![4 => 0..1_u64 << 47, 1 => any::<u64>()];
    let bits = prop::array::uniform5(any::<bool>());
    (
        codes,
        prop::sample::select(entries()),
        prop::sample::select(mappings()),
        (signal, address, prop::option::of(any::<bool>()), bits),
    )
        .prop_map(
            |(
                code,
                state,
                mapping,
                (signal, address, major, [flight, certain, unstable, below, minor]),
            )| {
                let mut inputs = fault(code, state, mapping);
                inputs.followed_by_signal = signal;
                inputs.address = address;
                inputs.major = major;
                inputs.mapping_in_flight = flight;
                inputs.vma_certain = certain;
                inputs.pte.unstable = unstable;
                inputs.below_stack = below && mapping.is_none_or(|vma| vma.grows_down);
                if let Some(vma) = &mut inputs.vma {
                    vma.uffd_minor = minor;
                }
                inputs
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8_000))]

    #[test]
    fn anything_at_all_has_a_cause_that_fits_it(inputs in inputs()) {
        let (cause, rule, reason) = decide(&inputs);
        if let Err(what) = check(&inputs, cause, reason) {
            prop_assert!(false, "{}: {:?} by {}", what, cause, rule);
        }
        // Uncertain mappings leave only what hardware and signal say.
        if !inputs.vma_certain && inputs.followed_by_signal.is_none() && inputs.address < 1 << 63 && !inputs.error_code.protection_key() {
            prop_assert_eq!(cause, Cause::Unknown);
        }
    }

    #[test]
    fn inputs_that_do_not_matter_do_not_matter(inputs in inputs(), offset in 0..4096_u64) {
        let (cause, rule, _) = decide(&inputs);
        let same = |other: &FaultInputs| decide(other).0 == cause && decide(other).1 == rule;

        let mut other = inputs;
        other.address = inputs.address & !0xfff | offset;
        prop_assert!(same(&other), "offset in the page");

        let mut other = inputs;
        other.pte.level = None;
        prop_assert!(same(&other), "level");

        if let PteState::Present(entry) = inputs.pte.state {
            let mut other = inputs;
            other.pte.state = PteState::Present(PresentEntry { accessed: !entry.accessed, ..entry });
            prop_assert!(same(&other), "accessed");
            // Dirty and SavedDirty are one fact.
            other.pte.state = PteState::Present(PresentEntry { dirty: entry.saved_dirty, saved_dirty: entry.dirty, ..entry });
            prop_assert!(same(&other), "which dirty");
        }
        if inputs.pte.state != PteState::Empty {
            let mut other = inputs;
            other.major = inputs.major.map(|major| !major);
            prop_assert!(same(&other), "major, of an entry that is not empty");
        }
        if inputs.error_code.write() {
            let mut other = inputs;
            other.mode = if inputs.mode == Mode::User { Mode::Kernel } else { Mode::User };
            other.error_code = FaultCode(inputs.error_code.0 ^ U);
            prop_assert!(same(&other), "mode of a write");
        }
        if matches!(inputs.followed_by_signal, Some((_, code)) if code <= 0) {
            let mut other = inputs;
            other.followed_by_signal = None;
            prop_assert!(same(&other), "a signal somebody sent");
        }
    }
}
