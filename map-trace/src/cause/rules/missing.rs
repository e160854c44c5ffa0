//! Rules on entries that are empty or hold something else than a page.

use super::Answer;
use crate::cause::{FaultInputs, PteState};
use crate::model::Cause;
use crate::model::pte::NotPresent;
use crate::model::vma::VmaKind;

fn not_present(inputs: &FaultInputs) -> Option<NotPresent> {
    match inputs.pte.state {
        PteState::NotPresent(what) => Some(what),
        _ => None,
    }
}

/// Markers that make the kernel refuse: it answers as for unmapped memory.
pub(super) fn guard_or_poison(inputs: &FaultInputs) -> Answer {
    match not_present(inputs)? {
        NotPresent::Marker { guard: true, .. } => {
            Some((Cause::Unmapped, Some("a guard page (MADV_GUARD_INSTALL)")))
        }
        NotPresent::Marker { poisoned: true, .. } => {
            Some((Cause::Unmapped, Some("a poisoned page")))
        }
        _ => None,
    }
}

/// Missing pages of a registered mapping, and marks that a page was write-protected before it went away.
pub(super) fn userfaultfd(inputs: &FaultInputs) -> Answer {
    let vma = inputs.vma?;
    let decided = match inputs.pte.state {
        // A shared page that is in the page cache is mapped without asking, unless minor faults are asked
        // for; one that waited was asked about.
        PteState::Empty if vma.shared => {
            vma.uffd_minor || vma.uffd_missing && inputs.major != Some(false)
        }
        PteState::Empty => vma.uffd_missing,
        PteState::NotPresent(NotPresent::Marker { uffd_wp, .. }) => uffd_wp,
        _ => false,
    };
    decided.then_some((Cause::Userfaultfd, None))
}

pub(super) fn swap_entry(inputs: &FaultInputs) -> Answer {
    (not_present(inputs)? == NotPresent::Swap).then_some((Cause::SwapIn, None))
}

/// The mapping allows the access (a rule before has asked), so the entry is a hint of NUMA balancing.
pub(super) fn prot_none_entry(inputs: &FaultInputs) -> Answer {
    (not_present(inputs)? == NotPresent::ProtNone).then_some((Cause::NumaHint, None))
}

pub(super) fn other_entry(inputs: &FaultInputs) -> Answer {
    let reason = match not_present(inputs)? {
        NotPresent::Special => "the page was being moved, is damaged, or is in device memory",
        NotPresent::Unrecorded => "the entry is not empty, and what it said was not recorded",
        NotPresent::Marker { .. } => "a marker without a meaning here",
        NotPresent::ProtNone | NotPresent::Swap => return None,
    };
    Some((Cause::Unknown, Some(reason)))
}

fn anonymous(inputs: &FaultInputs) -> bool {
    inputs.vma.is_some_and(|vma| vma.private_anonymous())
}

pub(super) fn empty_anonymous(inputs: &FaultInputs) -> Answer {
    if inputs.pte.state != PteState::Empty || !anonymous(inputs) {
        return None;
    }
    if inputs.error_code.write() {
        return Some((Cause::FirstTouch, None));
    }
    if inputs.vma.is_some_and(|vma| vma.hugetlb) {
        // The pool has no zero page: a read gets a page of its own (mm/hugetlb.c, `hugetlb_no_page`).
        return Some((
            Cause::FirstTouch,
            Some("a read, but huge pages of the pool have no zero page"),
        ));
    }
    Some((Cause::ZeroPageRead, None))
}

/// A page of a file comes in: from the page cache, or from disk when the fault was major.
pub(super) fn empty_file(inputs: &FaultInputs) -> Answer {
    let vma = inputs.vma.filter(|_| inputs.pte.state == PteState::Empty)?;
    let cause = if inputs.major == Some(true) {
        Cause::FileRead
    } else {
        Cause::FileMap
    };
    let reason = match vma.kind {
        VmaKind::SharedAnon => Some("shared anonymous memory is a file of shmem"),
        VmaKind::Special => Some("a page the kernel provides"),
        _ if inputs.error_code.write() && !vma.shared => {
            Some("a write: the page was copied at once")
        }
        _ => None,
    };
    Some((cause, reason))
}
