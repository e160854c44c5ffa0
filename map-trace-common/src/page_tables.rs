//! How to walk page tables: the one element of the `PAGE_TABLES` map, written after calibration.

/// All zero: entries are not read.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PageTables {
    /// Kernel virtual address of physical address 0 (`page_offset_base`).
    pub direct_map: u64,
    /// Mask of the frame bits in an entry, without an encryption bit.
    pub frame_mask: u64,
    /// Frame bits of the shared zero page, 0 when not known.
    pub zero_frame: u64,
    /// Frame bits of the huge zero page, 0 when not known.
    pub huge_zero_frame: u64,
    /// Page-table levels: 4 or 5; 0 switches the walk off.
    pub levels: u64,
}
