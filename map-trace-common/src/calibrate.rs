//! What calibration and its BPF program tell each other.

use crate::page_tables::PageTables;

/// Candidates tried in one run of the program.
pub const CANDIDATES_PER_RUN: u32 = 64;

/// Request and answer, the one element of the `CALIBRATE` map.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Calibrate {
    /// First word of the known page.
    pub cookie: u64,
    /// Its page frame number, from pagemap.
    pub frame: u64,
    /// The address whose entry is wanted.
    pub address: u64,
    /// GiB below the page-global directory to start the search at.
    pub first_candidate: u64,
    /// How to walk. A `direct_map` of 0 asks for a search; it stays 0 when none was found.
    pub tables: PageTables,
    /// Answer: virtual address of the page-global directory.
    pub pgd: u64,
    /// Answer: the entry.
    pub entry: u64,
    /// Answer: its level, 0 when it could not be read.
    pub level: u64,
}
