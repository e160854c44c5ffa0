//! Reads the hardware page-table entry of a user address.
//!
//! Levels: 5 PGD, 4 P4D, 3 PUD, 2 PMD, 1 PTE. The walk stops at the first entry that is not present or that is
//! a leaf. Entries are read through the direct map, whose base user space found by calibration.

use map_trace_common::record::{flag, pte_class};

use crate::settings::setting;
use crate::task::{current, field, mm, read_kernel};

const PRESENT: u64 = 1;
const WRITABLE: u64 = 1 << 1;
const USER: u64 = 1 << 2;
/// `_PAGE_PSE`: a leaf above the last level.
const HUGE: u64 = 1 << 7;
/// `_PAGE_PROTNONE` of an entry that is not present.
const PROT_NONE: u64 = 1 << 8;
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

const UNREAD: Entry = Entry { raw: 0, level: 0, flags: flag::PTE_UNREAD };

/// Walks the current address space.
#[inline(always)]
pub fn walk(address: u64) -> Entry {
    let levels = setting!(levels);
    if levels == 0 {
        return UNREAD;
    }
    let Some(pgd) = field::<u64>(mm(current()), setting!(mm_pgd)) else {
        return UNREAD;
    };
    descend(pgd, address, levels, setting!(direct_map), setting!(frame_mask))
}

/// Walks from `pgd` (a kernel virtual address).
#[inline(always)]
pub fn descend(pgd: u64, address: u64, levels: u32, direct_map: u64, frame_mask: u64) -> Entry {
    let mut table = pgd;
    let mut level = 5u32;
    let mut shift = if levels == 5 { 48 } else { 39 };
    // At most five levels; a plain bounded loop for the verifier.
    for _ in 0..5 {
        let slot = table + ((address >> shift) & 511) * 8;
        let Some(raw) = read_kernel::<u64>(slot) else {
            return UNREAD;
        };
        let leaf = level == 1 || raw & PRESENT == 0 || ((level == 2 || level == 3) && raw & HUGE != 0);
        if leaf {
            let again = read_kernel::<u64>(slot).unwrap_or(!raw);
            let flags = if again == raw { 0 } else { flag::PTE_UNSTABLE };
            return Entry { raw, level, flags };
        }
        table = direct_map.wrapping_add(raw & frame_mask);
        // With four levels the P4D is folded into the PGD.
        level = if level == 5 && levels == 4 { 3 } else { level - 1 };
        shift -= 9;
    }
    UNREAD
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
        return if raw & PROT_NONE != 0 { class | pte_class::PROT_NONE } else { class };
    }
    class |= pte_class::PRESENT;
    if raw & WRITABLE != 0 {
        class |= pte_class::WRITABLE;
    }
    if raw & USER != 0 {
        class |= pte_class::USER;
    }
    if raw & NO_EXECUTE != 0 {
        class |= pte_class::NO_EXECUTE;
    }
    let frame = raw & setting!(frame_mask);
    let zero = if entry.level == 1 { setting!(zero_frame) } else { setting!(huge_zero_frame) };
    if zero != 0 && frame & !0xfff == zero {
        class |= pte_class::ZERO_PAGE;
    }
    class
}
