use super::super::{FaultInputs, PresentEntry, PteFacts, PteState, RULES, VmaView, classify};
use super::{I, P, U, W, anon_rw, fault, read_only, vma, zero_page};
use crate::model::pte::{NotPresent, PteContext, PteLevel};
use crate::model::vma::VmaKind;
use crate::model::{Cause, FaultCode, Prot, Pte};

const EMPTY: PteState = PteState::Empty;
const SEGV: i32 = libc::SIGSEGV;

fn page(entry: PresentEntry) -> PteState {
    PteState::Present(entry)
}

fn cause(inputs: &FaultInputs) -> Cause {
    classify(inputs).cause
}

fn anon(code: u64, state: PteState) -> Cause {
    cause(&fault(code, state, Some(anon_rw())))
}

/// The trap this tool exists for: Go 1.23 makes about 18,500 of these while a map grows, and not one
/// mprotect. The entry is as it was read from such a page.
#[test]
fn a_write_to_the_zero_page_with_code_7_is_zero_page_cow_and_not_protection() {
    let zero_frame = 0x2e5c;
    let context = PteContext {
        zero_frame: Some(zero_frame),
        ..PteContext::default()
    };
    let raw = 0x8000_0000_0000_0225 | zero_frame << 12;
    let pte = Pte::decode(raw, PteLevel::Pte, false, &context);
    let mut inputs = fault(7, EMPTY, Some(anon_rw()));
    inputs.pte = PteFacts::from_pte(&pte, context.knows_zero(PteLevel::Pte));
    let classified = classify(&inputs);
    assert_eq!(classified.cause, Cause::ZeroPageCow);
    assert_eq!(classified.rule, "zero-page-write");
}

#[test]
fn anonymous_memory_is_touched_first_by_a_write_and_reads_zeroes_before() {
    assert_eq!(anon(U | W, EMPTY), Cause::FirstTouch);
    assert_eq!(anon(W, EMPTY), Cause::FirstTouch, "kernel mode");
    assert_eq!(anon(U, EMPTY), Cause::ZeroPageRead);
    assert_eq!(
        anon(U | I, EMPTY),
        Cause::ZeroPageRead,
        "the fetch is refused on its second try"
    );
    for kind in [VmaKind::Heap, VmaKind::Stack] {
        assert_eq!(
            cause(&fault(U | W, EMPTY, Some(vma(kind, Prot::RW, false)))),
            Cause::FirstTouch
        );
    }
}

#[test]
fn huge_pages_of_the_pool_have_no_zero_page() {
    let pool = VmaView {
        hugetlb: true,
        ..anon_rw()
    };
    assert_eq!(cause(&fault(U, EMPTY, Some(pool))), Cause::FirstTouch);
    let unknown = PresentEntry {
        zero_page: None,
        ..read_only()
    };
    assert_eq!(
        cause(&fault(U | P | W, page(unknown), Some(pool))),
        Cause::AnonCow
    );
}

#[test]
fn the_level_of_an_empty_entry_does_not_matter() {
    for level in [
        PteLevel::Pte,
        PteLevel::Pmd,
        PteLevel::Pud,
        PteLevel::P4d,
        PteLevel::Pgd,
    ] {
        let mut inputs = fault(U | W, EMPTY, Some(anon_rw()));
        inputs.pte.level = Some(level);
        assert_eq!(cause(&inputs), Cause::FirstTouch, "{level:?}");
    }
}

#[test]
fn a_write_to_a_shared_frame_of_anonymous_memory_is_anon_cow() {
    assert_eq!(anon(U | P | W, page(read_only())), Cause::AnonCow);
    let unknown = PresentEntry {
        zero_page: None,
        ..read_only()
    };
    assert_eq!(
        anon(U | P | W, page(unknown)),
        Cause::Unknown,
        "it may be the zero page"
    );
    let written = PresentEntry {
        saved_dirty: true,
        ..unknown
    };
    assert_eq!(
        anon(U | P | W, page(written)),
        Cause::AnonCow,
        "nobody writes to the zero page"
    );
}

#[test]
fn files_are_mapped_read_copied_and_notified() {
    let private = vma(VmaKind::File, Prot::RW, false);
    let shared = vma(VmaKind::File, Prot::RW, true);
    for file in [private, shared] {
        for code in [U, U | W, U | I] {
            let mut inputs = fault(code, EMPTY, Some(file));
            assert_eq!(cause(&inputs), Cause::FileMap);
            inputs.major = Some(false);
            assert_eq!(cause(&inputs), Cause::FileMap);
            inputs.major = Some(true);
            assert_eq!(cause(&inputs), Cause::FileRead);
        }
    }
    let write = |file| cause(&fault(U | P | W, page(read_only()), Some(file)));
    assert_eq!(write(private), Cause::FileCow);
    assert_eq!(write(shared), Cause::WriteNotify);
    let copied = PresentEntry {
        saved_dirty: true,
        ..read_only()
    };
    assert_eq!(
        cause(&fault(U | P | W, page(copied), Some(private))),
        Cause::AnonCow
    );
}

#[test]
fn shared_anonymous_memory_is_a_file() {
    let shared = vma(VmaKind::SharedAnon, Prot::RW, true);
    let classified = classify(&fault(U | W, EMPTY, Some(shared)));
    assert_eq!(classified.cause, Cause::FileMap);
    assert!(classified.reason.is_some());
}

#[test]
fn entries_without_a_page_say_what_they_are() {
    let other = |what| anon(U | W, PteState::NotPresent(what));
    assert_eq!(other(NotPresent::Swap), Cause::SwapIn);
    assert_eq!(other(NotPresent::ProtNone), Cause::NumaHint);
    assert_eq!(other(NotPresent::Special), Cause::Unknown);
    assert_eq!(other(NotPresent::Unrecorded), Cause::Unknown);
    let marker = |uffd_wp, poisoned, guard| {
        other(NotPresent::Marker {
            uffd_wp,
            poisoned,
            guard,
        })
    };
    assert_eq!(marker(true, false, false), Cause::Userfaultfd);
    assert_eq!(marker(false, true, false), Cause::Unmapped);
    assert_eq!(marker(false, false, true), Cause::Unmapped);
}

#[test]
fn prot_none_memory_is_protection_and_no_numa_hint() {
    let none = vma(VmaKind::Anon, Prot::NONE, false);
    let hint = PteState::NotPresent(NotPresent::ProtNone);
    assert_eq!(cause(&fault(U, hint, Some(none))), Cause::Protection);
    assert_eq!(cause(&fault(U, EMPTY, Some(none))), Cause::Protection);
}

#[test]
fn userfaultfd_answers_missing_and_write_protected_pages() {
    let missing = VmaView {
        uffd_missing: true,
        ..anon_rw()
    };
    assert_eq!(
        cause(&fault(U | W, EMPTY, Some(missing))),
        Cause::Userfaultfd
    );
    let protected = page(PresentEntry {
        uffd_wp: true,
        ..read_only()
    });
    assert_eq!(
        anon(U | P | W, protected),
        Cause::Userfaultfd,
        "the entry's own bit is enough"
    );
    let shared = VmaView {
        uffd_missing: true,
        ..vma(VmaKind::SharedAnon, Prot::RW, true)
    };
    let mut inputs = fault(U, EMPTY, Some(shared));
    assert_eq!(cause(&inputs), Cause::Userfaultfd);
    inputs.major = Some(false);
    assert_eq!(cause(&inputs), Cause::FileMap, "it was in the page cache");
}

#[test]
fn stacks_grow_unless_the_kernel_says_no() {
    let stack = vma(VmaKind::Stack, Prot::RW, false);
    for known in [None, Some(stack)] {
        let mut inputs = fault(U | W, EMPTY, known);
        inputs.below_stack = true;
        assert_eq!(cause(&inputs), Cause::StackGrowth);
        inputs.followed_by_signal = Some((SEGV, 1));
        assert_eq!(cause(&inputs), Cause::Unmapped);
    }
}

#[test]
fn an_entry_that_allows_the_access_makes_it_spurious() {
    let open = PresentEntry {
        writable: true,
        ..read_only()
    };
    assert_eq!(anon(U | P | W, page(open)), Cause::Spurious);
    assert_eq!(anon(P | W, page(open)), Cause::Spurious, "kernel mode");
    assert_eq!(
        anon(U | W, page(open)),
        Cause::Spurious,
        "another thread was first"
    );
    assert_eq!(anon(U, page(read_only())), Cause::Spurious);
    assert_eq!(
        anon(U | W, page(zero_page())),
        Cause::ZeroPageCow,
        "read in between: a copy is still due"
    );
}

#[test]
fn protection_is_what_the_mapping_forbids() {
    for kind in [VmaKind::Anon, VmaKind::File] {
        let read = vma(kind, Prot::R, false);
        for state in [
            page(read_only()),
            page(zero_page()),
            EMPTY,
            PteState::Unread,
        ] {
            assert_eq!(
                cause(&fault(U | P | W, state, Some(read))),
                Cause::Protection
            );
            assert_eq!(cause(&fault(U | W, state, Some(read))), Cause::Protection);
            assert_eq!(
                cause(&fault(P | W, state, Some(read))),
                Cause::Protection,
                "EFAULT"
            );
        }
    }
    assert_eq!(
        anon(U | P | I, page(read_only())),
        Cause::Protection,
        "fetch from rw-"
    );
    let code = vma(VmaKind::File, Prot::RX, false);
    assert_eq!(
        cause(&fault(U | P | W, page(read_only()), Some(code))),
        Cause::Protection
    );
}

#[test]
fn nothing_mapped_is_unmapped() {
    assert_eq!(cause(&fault(U | W, EMPTY, None)), Cause::Unmapped);
    assert_eq!(cause(&fault(W, PteState::Unread, None)), Cause::Unmapped);
    let mut kernel = fault(U | P, EMPTY, None);
    kernel.address = 0xffff_8880_0000_0000;
    assert_eq!(cause(&kernel), Cause::Unmapped);
    kernel.address = 0xffff_ffff_ff60_0400;
    kernel.error_code = FaultCode(U | I);
    assert_eq!(cause(&kernel), Cause::Unknown, "emulated");
}

#[test]
fn the_signal_decides_where_mapping_and_entry_do_not() {
    let mut inputs = fault(U, EMPTY, Some(vma(VmaKind::File, Prot::RW, true)));
    inputs.followed_by_signal = Some((libc::SIGBUS, 2));
    let classified = classify(&inputs);
    assert_eq!(classified.cause, Cause::Unmapped);
    assert!(
        classified
            .reason
            .expect("says why")
            .contains("end of the file")
    );

    let mut stale = fault(U | P | W, page(read_only()), Some(anon_rw()));
    stale.vma_certain = false;
    assert_eq!(cause(&stale), Cause::Unknown);
    stale.followed_by_signal = Some((SEGV, 2));
    assert_eq!(cause(&stale), Cause::Protection);
    stale.followed_by_signal = Some((SEGV, 1));
    assert_eq!(cause(&stale), Cause::Unmapped);
    stale.followed_by_signal = Some((SEGV, 0));
    assert_eq!(
        cause(&stale),
        Cause::Unknown,
        "kill(2) says nothing of the fault"
    );
}

#[test]
fn a_protection_key_is_protection() {
    let key = U | P | W | FaultCode::PROTECTION_KEY;
    assert_eq!(
        anon(
            key,
            page(PresentEntry {
                writable: true,
                ..read_only()
            })
        ),
        Cause::Protection
    );
}

#[test]
fn what_cannot_be_known_is_unknown_and_says_why() {
    let mut cases = vec![
        fault(U | W, PteState::Unread, Some(anon_rw())),
        fault(
            U | P | W | FaultCode::RESERVED,
            page(read_only()),
            Some(anon_rw()),
        ),
        fault(
            U | P | W | FaultCode::SHADOW_STACK,
            page(read_only()),
            Some(anon_rw()),
        ),
        fault(U | FaultCode::SGX, EMPTY, Some(anon_rw())),
        fault(U | 1 << 40, EMPTY, Some(anon_rw())),
    ];
    let mut unstable = fault(U | W, EMPTY, Some(anon_rw()));
    unstable.pte.unstable = true;
    let mut unmapped = fault(U | W, EMPTY, None);
    unmapped.mapping_in_flight = true;
    let mut flipping = fault(
        U | P | W,
        page(read_only()),
        Some(vma(VmaKind::Anon, Prot::R, false)),
    );
    flipping.mapping_in_flight = true;
    cases.extend([unstable, unmapped, flipping]);
    for inputs in cases {
        let classified = classify(&inputs);
        assert_eq!(classified.cause, Cause::Unknown, "{inputs:?}");
        assert!(classified.reason.is_some(), "{inputs:?}");
    }
}

#[test]
fn rules_have_names_of_their_own() {
    let mut names: Vec<_> = RULES.iter().map(|rule| rule.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), RULES.len());
}
