use super::Header;

/// `sched:sched_process_fork`: a new thread or process. The header names the parent.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ForkRecord {
    pub header: Header,
    pub child_tgid: u32,
    pub child_tid: u32,
}
