//! What the BPF programs and user space share: record layouts, counters, settings, limits.
//!
//! Everything here is plain integers in `repr(C)`, no logic, no `bool`, no `Option`, no enum: bytes that
//! come out of the ring are data from outside and are decoded with checks in `map-trace/src/decode`.
#![no_std]

pub mod calibrate;
pub mod census;
pub mod counters;
pub mod cpu;
pub mod kfunc;
pub mod limits;
pub mod page_tables;
pub mod place;
pub mod process;
pub mod range;
pub mod record;
pub mod settings;
