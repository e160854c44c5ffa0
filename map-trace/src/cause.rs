//! Why a page fault happened: from error code, page-table entry, mapping and outcome to one word.
//!
//! An error code alone misleads: a write to the shared zero page and a write to a page made read-only by
//! mprotect both say "present, write". [`classify`] asks the rules of [`RULES`] in order and the first that
//! knows answers; it is pure and total. The order follows the kernel's own (arch/x86/mm/fault.c,
//! `do_user_addr_fault`, then mm/memory.c, `handle_pte_fault`): what the hardware alone decides, the outcome
//! where it was seen, whether the mapping allows the access, and only then the entry.
//!
//! Two things decide that a fault was refused: a mapping that forbids the access, or the signal the kernel
//! answered with. An entry alone never does. docs/causes.md has a section for each cause and each rule.

mod entry;
mod rules;
#[cfg(test)]
mod tests;

pub use entry::{PresentEntry, PteFacts, PteState, kernel_class};
pub use rules::{RULES, Rule};

use crate::model::event::Mode;
use crate::model::vma::VmaKind;
use crate::model::{Cause, FaultCode, Prot};
use crate::space::{Place, Vma, flag};

/// Everything a cause is decided from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultInputs {
    pub error_code: FaultCode,
    pub mode: Mode,
    pub address: u64,
    /// The entry before the kernel handled the fault.
    pub pte: PteFacts,
    /// The mapping the address lies in; with `below_stack` the stack that would grow.
    pub vma: Option<VmaView>,
    /// The address is below a growing stack and within its reach.
    pub below_stack: bool,
    /// A memory syscall of the process, on a range that concerns this address, was between entry and
    /// return: what the replay says of the mapping may have changed already or not yet.
    pub mapping_in_flight: bool,
    /// The signal this very fault ended in, with its `si_code`: of the same thread and address, with no
    /// other fault of the thread between. `None` when it ended in none.
    pub followed_by_signal: Option<(i32, i32)>,
    /// The fault waited for a disk; `None` when not known.
    pub major: Option<bool>,
    /// The replay vouches for `vma`.
    pub vma_certain: bool,
}

/// What of a mapping matters to a cause.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct VmaView {
    pub prot: Prot,
    pub kind: VmaKind,
    pub shared: bool,
    pub uffd_missing: bool,
    pub uffd_wp: bool,
    pub uffd_minor: bool,
    pub hugetlb: bool,
    pub grows_down: bool,
}

impl From<&Vma> for VmaView {
    fn from(vma: &Vma) -> Self {
        Self {
            prot: vma.prot,
            kind: vma.kind,
            shared: vma.shared,
            uffd_missing: vma.has(flag::UFFD_MISSING),
            uffd_wp: vma.has(flag::UFFD_WP),
            uffd_minor: vma.has(flag::UFFD_MINOR),
            hugetlb: vma.has(flag::HUGETLB),
            grows_down: vma.has(flag::GROWS_DOWN),
        }
    }
}

impl VmaView {
    /// Private memory that begins as zeroes and has no file to come from.
    pub const fn private_anonymous(&self) -> bool {
        !self.shared && matches!(self.kind, VmaKind::Anon | VmaKind::Stack | VmaKind::Heap)
    }
}

impl FaultInputs {
    /// Inputs of a fault at an address the replay was asked about; the rest is filled in by the caller.
    pub fn new(
        error_code: FaultCode,
        mode: Mode,
        address: u64,
        pte: PteFacts,
        place: &Place,
    ) -> Self {
        Self {
            error_code,
            mode,
            address,
            pte,
            vma: place.vma.as_ref().map(VmaView::from),
            below_stack: place.below_stack,
            mapping_in_flight: false,
            followed_by_signal: None,
            major: None,
            vma_certain: place.certain,
        }
    }

    /// The mapping refuses the access, by the kernel's rule (`access_error`): a write needs a writable
    /// mapping; a read or fetch of a page that is not there needs only some right (so a fetch from
    /// non-executable memory first brings the page in, and the hardware refuses the second try); a fetch
    /// of a present page needs an executable mapping.
    pub(crate) fn forbidden_by(&self, vma: &VmaView) -> bool {
        if self.error_code.write() {
            return !vma.prot.write();
        }
        let fetch = self.error_code.instruction() && self.error_code.present();
        vma.prot == Prot::NONE || fetch && !vma.prot.execute()
    }
}

/// A cause, and how it was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Classified {
    pub cause: Cause,
    /// Name of the rule that decided.
    pub rule: &'static str,
    /// What else there is to say; always there for `unknown`.
    pub reason: Option<String>,
}

/// The cause of a fault.
pub fn classify(inputs: &FaultInputs) -> Classified {
    let (cause, rule, reason) = decide(inputs);
    Classified {
        cause,
        rule,
        reason: reason.map(str::to_owned),
    }
}

fn decide(inputs: &FaultInputs) -> (Cause, &'static str, Option<&'static str>) {
    for rule in RULES {
        if let Some((cause, reason)) = (rule.decide)(inputs) {
            return (cause, rule.name, reason);
        }
    }
    let reason = "no rule covers this combination";
    (Cause::Unknown, rules::NO_RULE, Some(reason))
}
