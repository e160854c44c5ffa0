//! From the 64 bits of an entry to what they mean.

use super::{Pte, PteLevel};
use crate::model::Address;

/// Bits of an entry (arch/x86/include/asm/pgtable_types.h).
pub mod bit {
    pub const PRESENT: u64 = 1;
    /// Writable (R/W).
    pub const WRITABLE: u64 = 1 << 1;
    /// Accessible from user mode (U/S).
    pub const USER: u64 = 1 << 2;
    pub const ACCESSED: u64 = 1 << 5;
    pub const DIRTY: u64 = 1 << 6;
    /// A huge page, at the levels that can hold one (PS).
    pub const HUGE: u64 = 1 << 7;
    /// In an entry that is not present: PROT_NONE or a NUMA hint. In a present one: global.
    pub const PROT_NONE: u64 = 1 << 8;
    /// In an entry that is present or PROT_NONE: write-protected by userfaultfd (software bit 2).
    pub const UFFD_WP: u64 = 1 << 10;
    /// In a swap entry: write-protected by userfaultfd.
    pub const SWAP_UFFD_WP: u64 = 1 << 2;
    /// Dirty, kept aside while the entry is not writable (software bit 5).
    pub const SAVED_DIRTY: u64 = 1 << 58;
    pub const NO_EXECUTE: u64 = 1 << 63;
    /// The frame field, bits 12 to 51, whatever of it this CPU implements.
    pub const FRAME: u64 = 0x000f_ffff_ffff_f000;
}

/// Bits that some CPUs set in entries that are not in use; the kernel takes an entry with nothing else for
/// empty (`_PAGE_KNL_ERRATUM_MASK`).
const STRAY: u64 = bit::ACCESSED | bit::DIRTY;
/// The swap type of PTE markers: the last of 32 (include/linux/swap.h, `SWP_PTE_MARKER`).
const MARKER_TYPE: u64 = 31;
/// Swap types below this are swap files on every configuration; above it stand, by configuration, device
/// memory, migration and poison.
const SWAP_FILES: u64 = 23;

/// What an entry that is neither present nor empty says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum NotPresent {
    /// The page is there, the hardware is told otherwise: PROT_NONE, or a NUMA hint.
    ProtNone,
    /// The page is in a swap file.
    Swap,
    /// A note without a page (`pte_marker`): bits as the kernel numbers them.
    Marker {
        uffd_wp: bool,
        /// An access raises SIGBUS.
        poisoned: bool,
        /// An access raises SIGSEGV (MADV_GUARD_INSTALL).
        guard: bool,
    },
    /// Migration, poisoned memory or device memory: which depends on the kernel's configuration.
    Special,
    /// Known not to be PROT_NONE; more was not recorded.
    Unrecorded,
}

/// What must be known of the machine to decode an entry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PteContext {
    /// Bits of an entry that hold the physical address.
    pub frame_mask: u64,
    /// Frame number of the shared zero page, when calibration found it.
    pub zero_frame: Option<u64>,
    /// Frame number of the huge zero page, when it is known.
    pub huge_zero_frame: Option<u64>,
    /// Memory-encryption bits inside the frame field (AMD C-bit); 0 for none.
    pub encryption_mask: u64,
    /// Keep the frame bits in [`Pte::raw`].
    pub show_physical: bool,
}

impl Default for PteContext {
    fn default() -> Self {
        Self {
            frame_mask: bit::FRAME,
            zero_frame: None,
            huge_zero_frame: None,
            encryption_mask: 0,
            show_physical: false,
        }
    }
}

impl PteContext {
    /// Whether a zero page would be recognised at this level.
    pub const fn knows_zero(&self, level: PteLevel) -> bool {
        match level {
            PteLevel::Pte => self.zero_frame.is_some(),
            PteLevel::Pmd => self.huge_zero_frame.is_some(),
            // There is no zero page this large.
            _ => true,
        }
    }

    fn is_zero(&self, raw: u64, level: PteLevel) -> bool {
        let (frame, low) = match level {
            PteLevel::Pte => (self.zero_frame, 0),
            // Bit 12 of a huge entry is PAT, and the frame is that of the first of 512 pages.
            PteLevel::Pmd => (self.huge_zero_frame, 0x1f_ffff),
            _ => return false,
        };
        frame == Some((raw & self.frame_mask & !self.encryption_mask & !low) >> 12)
    }
}

/// Decodes an entry that is neither present nor empty.
///
/// Bits 9 and up hold the inverted offset, bits 59 to 63 the type of a swap entry; of a marker the offset's
/// low bits are its notes.
pub const fn not_present(raw: u64) -> NotPresent {
    if raw & bit::PROT_NONE != 0 {
        return NotPresent::ProtNone;
    }
    match raw >> 59 {
        MARKER_TYPE => {
            let notes = !raw >> 9;
            NotPresent::Marker {
                uffd_wp: notes & 1 != 0,
                poisoned: notes & 2 != 0,
                guard: notes & 4 != 0,
            }
        }
        0..SWAP_FILES => NotPresent::Swap,
        _ => NotPresent::Special,
    }
}

impl Pte {
    /// Decodes the entry at which a walk stopped: a page's entry, a huge page's, or an empty or non-present
    /// one of any level. Total: every number has a meaning or is shown as it is.
    pub fn decode(raw: u64, level: PteLevel, unstable: bool, context: &PteContext) -> Self {
        let on = |bit: u64| raw & bit != 0;
        let present = on(bit::PRESENT);
        let empty = raw & !STRAY == 0;
        let other = (!present && !empty).then(|| not_present(raw));
        let prot_none = other == Some(NotPresent::ProtNone);
        let mapped = present || prot_none;
        let uffd_wp = match other {
            None => present && on(bit::UFFD_WP),
            Some(NotPresent::ProtNone) => on(bit::UFFD_WP),
            Some(NotPresent::Marker { uffd_wp, .. }) => uffd_wp,
            Some(_) => on(bit::SWAP_UFFD_WP),
        };
        let shown = if context.show_physical {
            raw
        } else {
            raw & !bit::FRAME
        };
        Self {
            raw: Address(shown),
            level,
            present,
            // Of a swap entry these bits are something else.
            writable: mapped && on(bit::WRITABLE),
            user: mapped && on(bit::USER),
            accessed: mapped && on(bit::ACCESSED),
            dirty: mapped && on(bit::DIRTY),
            no_execute: mapped && on(bit::NO_EXECUTE),
            zero_page: present && context.is_zero(raw, level),
            saved_dirty: mapped && on(bit::SAVED_DIRTY),
            empty,
            prot_none,
            uffd_wp,
            unstable,
        }
    }

    /// What an entry that is neither present nor empty says; also of one read back from a trace, since the
    /// hidden frame bits do not matter to it.
    pub const fn not_present(&self) -> Option<NotPresent> {
        if self.present || self.empty {
            return None;
        }
        Some(not_present(self.raw.0))
    }
}
