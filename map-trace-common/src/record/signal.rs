use super::Header;

/// A signal: generated, then delivered (include/trace/events/signal.h), folded into one record.
#[repr(C)]
#[derive(Clone, Copy, Default)]
pub struct SignalRecord {
    pub header: Header,
    pub generate_ns: u64,
    /// `si_addr` of a fault signal; 0 for others.
    pub address: u64,
    /// `sa_handler` at delivery: 0 SIG_DFL, 1 SIG_IGN, else a handler's address.
    pub handler: u64,
    pub ip: u64,
    pub signal: i32,
    /// `si_code`; `SI_USER` 0, `SI_KERNEL` 0x80, positive fault codes.
    pub code: i32,
    /// `enum` of signal_generate's result (0 delivered, 1 ignored, 2 already pending, ...); -1 unseen.
    pub generate_result: i32,
    pub reserved: u32,
}
