//! Everything privileged: BPF programs and maps (aya), perf events, kernel facts.
//!
//! aya and perf-event2 appear below this module only.

pub mod calibrate;
pub mod object;
pub mod probe_table;
pub mod ring;
pub mod totals;
