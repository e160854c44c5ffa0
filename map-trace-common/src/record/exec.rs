use super::Header;

/// `sched:sched_process_exec`: the new program's image is in place.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ExecRecord {
    pub header: Header,
    /// Bounds of the main executable's text (`mm_struct`), 0 when unknown.
    pub start_code: u64,
    pub end_code: u64,
    /// Initial stack pointer (`mm_struct.start_stack`).
    pub start_stack: u64,
    /// Initial program break.
    pub start_brk: u64,
    /// RLIMIT_STACK (soft), 0 when unknown: how far the stack may grow.
    pub stack_limit: u64,
    /// Minor and major faults of the thread up to its execve call: the launcher's, not the program's.
    pub min_flt_before: u64,
    pub maj_flt_before: u64,
    /// Thread id before the exec (differs when another thread than the leader called it).
    pub old_tid: u32,
    /// Number of execs of this process, from 1.
    pub generation: u32,
    /// New command name, NUL padded.
    pub comm: [u8; 16],
}
