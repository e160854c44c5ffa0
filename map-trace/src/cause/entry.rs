//! The page-table entry as the rules see it, from a decoded entry or from the kernel's summary of one.

use map_trace_common::record::pte_class;

use crate::model::Pte;
use crate::model::pte::{NotPresent, PteLevel};

/// The entry at the faulting address before the kernel handled the fault.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct PteFacts {
    pub state: PteState,
    /// Where the walk stopped; an empty entry of an upper level is an empty entry of the page.
    pub level: Option<PteLevel>,
    /// Read twice with two values.
    pub unstable: bool,
}

/// What the entry said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PteState {
    /// It was not read.
    Unread,
    Empty,
    NotPresent(NotPresent),
    Present(PresentEntry),
}

/// A present entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct PresentEntry {
    pub writable: bool,
    pub user: bool,
    pub no_execute: bool,
    pub accessed: bool,
    pub dirty: bool,
    pub saved_dirty: bool,
    pub uffd_wp: bool,
    /// The frame is the shared zero page; `None` when calibration does not know that page.
    pub zero_page: Option<bool>,
}

impl PresentEntry {
    /// The page was written through this entry at some time: it is no page of the file's cache and not the
    /// zero page.
    pub const fn written(&self) -> bool {
        self.dirty || self.saved_dirty
    }
}

impl PteFacts {
    /// The entry was not read, or could not be.
    pub const UNREAD: Self = Self {
        state: PteState::Unread,
        level: None,
        unstable: false,
    };

    /// From a decoded entry; `knows_zero` tells whether the zero page of its level is known
    /// ([`PteContext::knows_zero`](crate::model::pte::PteContext::knows_zero)).
    pub const fn from_pte(pte: &Pte, knows_zero: bool) -> Self {
        let state = match pte.not_present() {
            _ if pte.empty => PteState::Empty,
            Some(other) => PteState::NotPresent(other),
            None => PteState::Present(PresentEntry {
                writable: pte.writable,
                user: pte.user,
                no_execute: pte.no_execute,
                accessed: pte.accessed,
                dirty: pte.dirty,
                saved_dirty: pte.saved_dirty,
                uffd_wp: pte.uffd_wp,
                zero_page: if knows_zero {
                    Some(pte.zero_page)
                } else {
                    None
                },
            }),
        };
        Self {
            state,
            level: Some(pte.level),
            unstable: pte.unstable,
        }
    }
}

/// The entry of events that were counted in the kernel, from the bits of
/// [`AggregateKey::pte_class`](map_trace_common::record::AggregateKey). Total: contradictory bits make an
/// entry that was not read.
pub const fn kernel_class(class: u32, knows_zero: bool) -> PteFacts {
    const fn on(class: u32, bit: u32) -> bool {
        class & bit != 0
    }
    let kinds = class & (pte_class::UNREAD | pte_class::EMPTY | pte_class::PRESENT);
    let prot_none = on(class, pte_class::PROT_NONE);
    let state = match kinds {
        pte_class::EMPTY => PteState::Empty,
        pte_class::PRESENT => PteState::Present(PresentEntry {
            writable: on(class, pte_class::WRITABLE),
            user: on(class, pte_class::USER),
            no_execute: on(class, pte_class::NO_EXECUTE),
            accessed: false,
            dirty: on(class, pte_class::DIRTY),
            saved_dirty: false,
            uffd_wp: on(class, pte_class::UFFD_WP),
            zero_page: match (on(class, pte_class::ZERO_PAGE), knows_zero) {
                (true, _) => Some(true),
                (false, true) => Some(false),
                (false, false) => None,
            },
        }),
        0 if prot_none => PteState::NotPresent(NotPresent::ProtNone),
        0 if on(class, pte_class::SWAP) => PteState::NotPresent(NotPresent::Swap),
        0 => PteState::NotPresent(NotPresent::Unrecorded),
        _ => PteState::Unread,
    };
    PteFacts {
        state,
        level: PteLevel::from_number(class >> pte_class::LEVEL_SHIFT),
        unstable: on(class, pte_class::UNSTABLE),
    }
}
