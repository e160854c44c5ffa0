//! One file an attach point, each with one body and its two programs.

mod calibrate;
mod census;
mod exec;
mod exit;
mod fault_end;
mod fork;
mod page_fault;
mod sample;
mod signal;
mod structure;
mod syscall;
mod watch;

/// Defines the `tp_btf` and the `raw_tracepoint` program of one body. Both get the tracepoint's arguments
/// as an array of 64-bit values.
macro_rules! programs {
    ($tracepoint:literal, $btf:ident, $raw:ident, $body:path) => {
        #[aya_ebpf::macros::btf_tracepoint(function = $tracepoint)]
        pub fn $btf(ctx: aya_ebpf::programs::BtfTracePointContext) -> i32 {
            $body(&ctx);
            0
        }

        #[aya_ebpf::macros::raw_tracepoint(tracepoint = $tracepoint)]
        pub fn $raw(ctx: aya_ebpf::programs::RawTracePointContext) -> i32 {
            $body(&ctx);
            0
        }
    };
}
pub(crate) use programs;
