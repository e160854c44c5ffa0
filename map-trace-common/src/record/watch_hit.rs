use super::Header;

/// A hardware watchpoint was hit; the access is done.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct WatchHitRecord {
    pub header: Header,
    /// The watched address.
    pub address: u64,
    /// The instruction after the access.
    pub ip: u64,
}
