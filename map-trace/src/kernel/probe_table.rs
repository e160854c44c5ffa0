//! Every probe of the recorder, one row each.

use map_trace_common::record::kind;

/// A place to attach and the programs for it.
#[derive(Debug)]
pub struct ProbeRow {
    /// Tracepoint, as in tracefs without its group.
    pub tracepoint: &'static str,
    /// Program of type `tp_btf` (kernel 5.5 with BTF), preferred.
    pub btf_program: &'static str,
    /// Program of type `raw_tracepoint` (kernel 4.17), when the first is refused.
    pub raw_program: &'static str,
    /// Records it emits; empty for one that only keeps state.
    pub emits: &'static [u32],
}

/// The probes, in the order they are attached: lifecycle first, so that no fork is missed once faults count.
pub const PROBES: [ProbeRow; 9] = [
    ProbeRow {
        tracepoint: "sched_process_fork",
        btf_program: "process_fork",
        raw_program: "process_fork_raw",
        emits: &[kind::FORK],
    },
    ProbeRow {
        tracepoint: "sched_process_exec",
        btf_program: "process_exec",
        raw_program: "process_exec_raw",
        emits: &[kind::EXEC],
    },
    ProbeRow {
        tracepoint: "sched_process_exit",
        btf_program: "process_exit",
        raw_program: "process_exit_raw",
        emits: &[kind::EXIT],
    },
    ProbeRow {
        tracepoint: "sys_exit",
        btf_program: "sys_exit",
        raw_program: "sys_exit_raw",
        emits: &[
            kind::MPROTECT,
            kind::PKEY_MPROTECT,
            kind::MMAP,
            kind::MUNMAP,
            kind::MREMAP,
            kind::BRK,
            kind::MADVISE,
        ],
    },
    ProbeRow {
        tracepoint: "sys_enter",
        btf_program: "sys_enter",
        raw_program: "sys_enter_raw",
        emits: &[],
    },
    ProbeRow {
        tracepoint: "signal_generate",
        btf_program: "signal_generate",
        raw_program: "signal_generate_raw",
        emits: &[kind::SIGNAL],
    },
    ProbeRow {
        tracepoint: "signal_deliver",
        btf_program: "signal_deliver",
        raw_program: "signal_deliver_raw",
        emits: &[kind::SIGNAL],
    },
    ProbeRow {
        tracepoint: "page_fault_user",
        btf_program: "page_fault_user",
        raw_program: "page_fault_user_raw",
        emits: &[kind::PAGE_FAULT_USER],
    },
    ProbeRow {
        tracepoint: "page_fault_kernel",
        btf_program: "page_fault_kernel",
        raw_program: "page_fault_kernel_raw",
        emits: &[kind::PAGE_FAULT_KERNEL],
    },
];

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_probe_has_its_own_name() {
        let names: BTreeSet<_> = PROBES
            .iter()
            .flat_map(|row| [row.btf_program, row.raw_program])
            .collect();
        assert_eq!(names.len(), PROBES.len() * 2);
    }

    #[test]
    fn every_record_kind_of_tier_zero_has_a_probe() {
        let emitted: BTreeSet<_> = PROBES
            .iter()
            .flat_map(|row| row.emits.iter().copied())
            .collect();
        let wanted = (kind::PAGE_FAULT_USER..=kind::EXIT).collect();
        assert_eq!(emitted, wanted);
    }
}
