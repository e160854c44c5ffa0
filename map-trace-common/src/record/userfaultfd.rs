use super::Header;

/// A successful ioctl_userfaultfd(2) that changes what is registered, or a close(2) that may end it.
/// `Header::ktime_ns` is the time of return.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct UserfaultfdRecord {
    pub header: Header,
    /// First address; 0 for a close.
    pub start: u64,
    /// Bytes; 0 for a close.
    pub length: u64,
    /// `UFFDIO_REGISTER_MODE_...` (1 missing, 2 write-protect, 4 minor); 0 unregisters.
    pub mode: u64,
    /// The descriptor; for a close the first and last of those closed.
    pub first: u32,
    pub last: u32,
}
