//! Everything that needs privilege: BPF, perf events, kernel facts. aya and perf-event2 appear only here.

pub mod bpf_probe;
pub mod btf;
pub mod counters;
pub mod host;
pub mod offsets;
pub mod privilege;
pub mod side_band;
pub mod side_band_record;
pub mod support;
mod support_probes;
pub mod tracepoint_args;
