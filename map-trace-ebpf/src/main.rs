//! map-trace's BPF programs.
//!
//! Each attach point has one file under `probe/` with one body and two programs: `tp_btf` (preferred) and
//! `raw_tracepoint`, which take the same arguments. No judgement happens here: programs read, count, emit.
//!
//! Rules that hold everywhere: bounded loops, stack below 512 bytes, helpers of kernel 5.10, offsets from
//! [`settings`] and never from a struct compiled in, every event counted before anything can fail.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod atomic;
mod emit;
mod goroutine;
mod maps;
mod pagewalk;
mod probe;
mod settings;
mod stack;
mod task;
mod userfaultfd;
mod verifier;

/// The helpers used (ring buffer, probe_read) need a GPL-compatible licence.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    // The verifier refuses a program in which this can be reached.
    loop {}
}
