//! Known answers for every cause, and what must hold over all combinations of inputs.

mod aggregated;
mod combinations;
mod docs;
mod known;

use super::{FaultInputs, PresentEntry, PteFacts, PteState, VmaView};
use crate::model::event::Mode;
use crate::model::pte::PteLevel;
use crate::model::vma::VmaKind;
use crate::model::{FaultCode, Prot};

const P: u64 = FaultCode::PRESENT;
const W: u64 = FaultCode::WRITE;
const U: u64 = FaultCode::USER;
const I: u64 = FaultCode::INSTRUCTION;

fn entry(state: PteState) -> PteFacts {
    PteFacts {
        state,
        level: Some(PteLevel::Pte),
        unstable: false,
    }
}

/// Readable, not writable, not the zero page.
fn read_only() -> PresentEntry {
    PresentEntry {
        user: true,
        no_execute: true,
        accessed: true,
        zero_page: Some(false),
        ..PresentEntry::default()
    }
}

fn zero_page() -> PresentEntry {
    PresentEntry {
        zero_page: Some(true),
        ..read_only()
    }
}

fn vma(kind: VmaKind, prot: Prot, shared: bool) -> VmaView {
    VmaView {
        prot,
        kind,
        shared,
        uffd_missing: false,
        uffd_wp: false,
        uffd_minor: false,
        hugetlb: false,
        grows_down: kind == VmaKind::Stack,
    }
}

fn anon_rw() -> VmaView {
    vma(VmaKind::Anon, Prot::RW, false)
}

/// A user-mode fault in certain memory.
fn fault(code: u64, state: PteState, vma: Option<VmaView>) -> FaultInputs {
    FaultInputs {
        error_code: FaultCode(code),
        mode: if code & U == 0 {
            Mode::Kernel
        } else {
            Mode::User
        },
        address: 0xc0_0040_2000,
        pte: entry(state),
        vma,
        below_stack: false,
        mapping_in_flight: false,
        followed_by_signal: None,
        major: None,
        vma_certain: true,
    }
}
