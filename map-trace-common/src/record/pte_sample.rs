use super::Header;

/// A page-table entry of a watched range, read on a timer.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PteSampleRecord {
    pub header: Header,
    pub address: u64,
    pub pte: u64,
    pub pte_level: u32,
    /// The entry's facts as the kernel groups by them: `pte_class`.
    pub pte_class: u32,
    /// Index of the range in the `RANGES` map.
    pub range: u32,
    pub reserved: u32,
}
