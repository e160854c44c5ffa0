//! Rules on entries with a page.

use super::Answer;
use crate::cause::{FaultInputs, PresentEntry, PteState, VmaView};
use crate::model::Cause;
use crate::model::event::Mode;

fn present(inputs: &FaultInputs) -> Option<PresentEntry> {
    match inputs.pte.state {
        PteState::Present(entry) => Some(entry),
        _ => None,
    }
}

/// The hardware found no page, the walk a moment later did: another thread's fault brought it in. For a
/// write that is only so when the entry is writable; else the kernel goes on as for any write-protected page.
pub(super) fn mapped_meanwhile(inputs: &FaultInputs) -> Answer {
    let entry = present(inputs)?;
    let reason = "the page came in between the fault and the look at its entry";
    (!inputs.error_code.present() && (!inputs.error_code.write() || entry.writable))
        .then_some((Cause::Spurious, Some(reason)))
}

/// The entry allows what was refused: it changed a moment ago, or the CPU had an older copy of it.
pub(super) fn entry_allows(inputs: &FaultInputs) -> Answer {
    let entry = present(inputs)?;
    let code = inputs.error_code;
    if code.write() {
        return (entry.writable && entry.user).then_some((Cause::Spurious, None));
    }
    // The kernel refuses every read of a present page that the hardware refused (`access_error`). In user
    // mode that ends in a signal, and none was seen; in kernel mode nobody can tell.
    let allowed = entry.user && !(code.instruction() && entry.no_execute);
    match (allowed, inputs.mode) {
        (true, Mode::User) => Some((Cause::Spurious, None)),
        (true, Mode::Kernel) => Some((
            Cause::Unknown,
            Some("a read of a present page in kernel mode, which entry and mapping allow"),
        )),
        (false, _) => Some((
            Cause::Unknown,
            Some("the entry forbids what the mapping allows, and no signal was seen"),
        )),
    }
}

/// A write, and the entry is not writable: with the mapping that goes with it.
fn protected_write(inputs: &FaultInputs) -> Option<(PresentEntry, VmaView)> {
    let entry = present(inputs)?;
    (inputs.error_code.write() && !entry.writable).then_some((entry, inputs.vma?))
}

/// Only userfaultfd (and PAGEMAP_SCAN through it) sets that bit.
pub(super) fn userfaultfd(inputs: &FaultInputs) -> Answer {
    let (entry, _) = protected_write(inputs)?;
    entry.uffd_wp.then_some((Cause::Userfaultfd, None))
}

pub(super) fn shared_write(inputs: &FaultInputs) -> Answer {
    let (_, vma) = protected_write(inputs)?;
    vma.shared.then_some((Cause::WriteNotify, None))
}

pub(super) fn zero_page_write(inputs: &FaultInputs) -> Answer {
    let (entry, _) = protected_write(inputs)?;
    (entry.zero_page == Some(true)).then_some((Cause::ZeroPageCow, None))
}

/// Dirty (or dirty before it was write-protected): an anonymous page, also in a private file mapping, where
/// pages of the cache never become dirty.
pub(super) fn written_before(inputs: &FaultInputs) -> Answer {
    let (entry, vma) = protected_write(inputs)?;
    let reason =
        (!vma.private_anonymous()).then_some("a page of its own, copied from the file before");
    entry.written().then_some((Cause::AnonCow, reason))
}

pub(super) fn private_file_write(inputs: &FaultInputs) -> Answer {
    let (_, vma) = protected_write(inputs)?;
    (!vma.private_anonymous()).then_some((Cause::FileCow, None))
}

pub(super) fn anonymous_write(inputs: &FaultInputs) -> Answer {
    let (entry, vma) = protected_write(inputs)?;
    match entry.zero_page {
        // Huge pages of the pool are never the zero page.
        _ if vma.hugetlb => Some((Cause::AnonCow, None)),
        Some(_) => Some((Cause::AnonCow, None)),
        None => Some((Cause::Unknown, Some("the zero page's frame is not known"))),
    }
}
