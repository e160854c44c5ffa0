//! Everything privileged: BPF programs and maps (aya), perf events, kernel facts.
//!
//! aya and perf-event2 appear below this module only.

mod bpf_call;
pub mod bpf_probe;
pub mod breakpoints;
pub mod btf;
pub mod calibrate;
pub mod census;
pub mod counters;
pub mod host;
pub mod kfunc;
pub mod object;
pub mod offsets;
pub mod perf_programs;
mod perf_uprobe;
pub mod privilege;
pub mod probe_table;
pub mod programs;
pub mod ring;
pub mod side_band;
pub mod side_band_record;
pub mod support;
mod support_probes;
pub mod totals;
pub mod tracepoint_args;
pub mod uprobes;
