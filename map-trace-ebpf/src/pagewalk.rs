//! Reads the hardware page-table entry of a user address.
//!
//! Levels: 5 PGD, 4 P4D, 3 PUD, 2 PMD, 1 PTE. The walk stops at the first entry that is not present or that is
//! a leaf. Entries are read through the direct map, whose base user space found by calibration.

use map_trace_common::page_tables::PageTables;
use map_trace_common::record::{flag, pte_class};

use crate::maps::{PAGE_TABLES, Process};
use crate::settings::setting;
use crate::task::{current, field_word, known_or, load, mm, read_kernel};
use crate::verifier::forgotten;

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// `_PAGE_PSE`: a leaf above the last level.
const HUGE: u64 = 1 << 7;
/// `_PAGE_PROTNONE` of an entry that is not present.
const PROT_NONE: u64 = 1 << 8;
const DIRTY: u64 = 1 << 6;
/// `_PAGE_UFFD_WP`, software bit 2, of an entry that is present or PROT_NONE.
const UFFD_WP: u64 = 1 << 10;
/// `_PAGE_SWP_UFFD_WP` of a swap entry.
const SWAP_UFFD_WP: u64 = 1 << 2;
/// The swap type is in the top five bits (arch/x86/include/asm/pgtable_64.h); types below
/// [`SWAP_FILES`] are swap files on every configuration.
const SWAP_TYPE_SHIFT: u32 = 59;
const SWAP_FILES: u64 = 23;
/// `_PAGE_SAVED_DIRTY`, software bit 5.
const SAVED_DIRTY: u64 = 1 << 58;
const NO_EXECUTE: u64 = 1 << 63;

/// A page-table entry and where it stands.
#[derive(Clone, Copy, Default)]
pub struct Entry {
    pub raw: u64,
    /// 0: not read.
    pub level: u32,
    /// `flag::PTE_UNSTABLE` or `flag::PTE_UNREAD`.
    pub flags: u32,
}

const UNREAD: Entry = Entry {
    raw: 0,
    level: 0,
    flags: flag::PTE_UNREAD,
};

/// Walks the address space of a process that is running.
#[inline(always)]
pub fn walk_in(process: *const Process, address: u64) -> Entry {
    let Some(tables) = PAGE_TABLES.get(0) else {
        return UNREAD;
    };
    if tables.levels == 0 {
        return UNREAD;
    }
    // SAFETY: process is a map value.
    let known = unsafe { (*process).pgd };
    let pgd = if known != 0 {
        known
    } else {
        pgd_of(mm(current()))
    };
    if pgd == 0 {
        return UNREAD;
    }
    let entry = descend(pgd, address, tables);
    Entry {
        raw: entry.raw,
        level: forgotten(entry.level as u64, address) as u32,
        flags: forgotten(entry.flags as u64, address) as u32,
    }
}

/// Kernel virtual address of an address space's page-global directory; 0 when it cannot be read.
#[inline(always)]
pub fn pgd_of(mm: u64) -> u64 {
    field_word(mm, setting!(mm_pgd)).unwrap_or(0)
}

/// Walks from `pgd` (a kernel virtual address).
#[inline(always)]
pub fn descend(pgd: u64, address: u64, tables: &PageTables) -> Entry {
    let mut table = pgd;
    let mut level = 5u32;
    // Not 0 once an entry was another at a second read; no branch, which the verifier would follow at every level.
    let mut changed = 0u64;
    let mut shift = if tables.levels == 5 { 48 } else { 39 };
    // At most five levels; a plain bounded loop for the verifier.
    for _ in 0..5 {
        let slot = table + ((address >> shift) & 511) * 8;
        let first = load(slot);
        let mut raw = first;
        // A load that fails gives 0. Below the first table none does: the kernel itself reaches its tables through
        // the direct map, and an entry that is present led there.
        if level == 5 || setting!(word_type) == 0 {
            let Some(known) = known_or(first, slot) else {
                return UNREAD;
            };
            raw = known;
            // What came into the place of a 0 meanwhile is a change like any other.
            if setting!(word_type) != 0 {
                changed |= first ^ raw;
            }
        }
        let leaf =
            level == 1 || raw & PRESENT == 0 || ((level == 2 || level == 3) && raw & HUGE != 0);
        if leaf {
            changed |= again(slot, raw) ^ raw;
            let unstable = (changed | changed.wrapping_neg()) >> 63;
            let flags = unstable as u32 * flag::PTE_UNSTABLE;
            return Entry { raw, level, flags };
        }
        table = tables.direct_map.wrapping_add(raw & tables.frame_mask);
        // With four levels the P4D is folded into the PGD.
        level = if level == 5 && tables.levels == 4 {
            3
        } else {
            level - 1
        };
        shift -= 9;
    }
    UNREAD
}

/// Reads an entry once more.
#[inline(always)]
fn again(slot: u64, raw: u64) -> u64 {
    if setting!(word_type) != 0 {
        return load(slot);
    }
    read_kernel(slot).unwrap_or(!raw)
}

/// What an entry that is neither present nor empty is: PROT_NONE, a swap entry, or something rarer.
#[inline(always)]
fn absent(raw: u64) -> u32 {
    if raw & PROT_NONE != 0 {
        return pte_class::PROT_NONE
            | if raw & UFFD_WP != 0 {
                pte_class::UFFD_WP
            } else {
                0
            };
    }
    let uffd_wp = if raw & SWAP_UFFD_WP != 0 {
        pte_class::UFFD_WP
    } else {
        0
    };
    if raw >> SWAP_TYPE_SHIFT < SWAP_FILES {
        uffd_wp | pte_class::SWAP
    } else {
        uffd_wp
    }
}

/// The facts of an entry that decide a fault's cause.
#[inline(always)]
pub fn class(entry: &Entry) -> u32 {
    if entry.level == 0 {
        return pte_class::UNREAD;
    }
    let raw = entry.raw;
    let mut class = entry.level << pte_class::LEVEL_SHIFT;
    if entry.flags & flag::PTE_UNSTABLE != 0 {
        class |= pte_class::UNSTABLE;
    }
    if raw == 0 {
        return class | pte_class::EMPTY;
    }
    if raw & PRESENT == 0 {
        return class | absent(raw);
    }
    class |= pte_class::PRESENT;
    if raw & (DIRTY | SAVED_DIRTY) != 0 {
        class |= pte_class::DIRTY;
    }
    if raw & UFFD_WP != 0 {
        class |= pte_class::UFFD_WP;
    }
    if raw & WRITABLE != 0 {
        class |= pte_class::WRITABLE;
    }
    if raw & USER != 0 {
        class |= pte_class::USER;
    }
    if raw & NO_EXECUTE != 0 {
        class |= pte_class::NO_EXECUTE;
    }
    let Some(tables) = PAGE_TABLES.get(0) else {
        return class;
    };
    let zero = if entry.level == 1 {
        tables.zero_frame
    } else {
        tables.huge_zero_frame
    };
    // Bit 12 of a huge leaf is its PAT bit, not part of the frame.
    let frame_mask = if entry.level == 1 {
        tables.frame_mask
    } else {
        tables.frame_mask & !0x1000
    };
    if zero != 0 && raw & frame_mask == zero {
        class |= pte_class::ZERO_PAGE;
    }
    class
}
