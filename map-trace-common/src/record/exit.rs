use super::Header;

/// `sched:sched_process_exit`: a thread ends.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct ExitRecord {
    pub header: Header,
    /// `task_struct.exit_code` as wait(2) encodes it.
    pub exit_code: i32,
    pub reserved: u32,
}
