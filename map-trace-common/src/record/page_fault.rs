use super::Header;

/// A page fault, before the kernel handles it (arch/x86/mm/fault.c, `trace_page_fault_entries`).
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct PageFaultRecord {
    pub header: Header,
    /// The faulting address (CR2).
    pub address: u64,
    /// The user instruction pointer; for a kernel-mode fault that of the interrupted user code.
    pub ip: u64,
    /// The hardware error code (`enum x86_pf_error_code`).
    pub error_code: u64,
    /// The page-table entry as it was, raw; the entry at the level where the walk stopped.
    pub pte: u64,
    /// Level where the walk stopped: 1 PTE (4K), 2 PMD (2M), 3 PUD (1G), 4 P4D, 5 PGD; 0 not walked.
    pub pte_level: u32,
    /// The entry's facts as the kernel groups by them: `pte_class`.
    pub pte_class: u32,
}
