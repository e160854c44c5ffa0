//! State of a followed process, value of the `PROCESSES` map.

/// A followed process, by tgid.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct Process {
    /// 0: registered, its program has not started yet. 1: its events count.
    pub counting: u32,
    /// Execs so far.
    pub generation: u32,
    /// Mapping calls between entry and return.
    pub in_flight: u64,
    /// Bounds of the main executable's text, 0 when unknown.
    pub start_code: u64,
    pub end_code: u64,
    /// `mm_struct` of the launcher, while `counting` is 0.
    pub launcher_mm: u64,
    pub min_flt_before: u64,
    pub maj_flt_before: u64,
    /// Page-global directory (kernel virtual address); 0: look it up.
    pub pgd: u64,
    /// 1 when the last thread has ended.
    pub exited: u64,
    /// 1 once it has registered memory with userfaultfd.
    pub userfaultfd: u64,
    /// Index plus 1 of the binary that says where its goroutines are; 0 when not known.
    pub goroutines: u64,
}
