//! Exact totals and aggregates, read from the BPF maps.

use std::collections::BTreeMap;

use aya::maps::{HashMap, PerCpuArray};
use map_trace_common::counters::{FAULT_CODES, KindCounters};
use map_trace_common::cpu::Cpu;
use map_trace_common::record::{Aggregate, AggregateKey, AggregateValue, kind};

use super::object::{Object, ObjectError, Shared};

/// The contract's word for a record kind.
pub const fn kind_word(kind: u32) -> &'static str {
    match kind {
        kind::PAGE_FAULT_USER => "page_fault_user",
        kind::PAGE_FAULT_KERNEL => "page_fault_kernel",
        kind::MPROTECT => "mprotect",
        kind::PKEY_MPROTECT => "pkey_mprotect",
        kind::MMAP => "mmap",
        kind::MUNMAP => "munmap",
        kind::MREMAP => "mremap",
        kind::BRK => "brk",
        kind::MADVISE => "madvise",
        kind::SIGNAL => "signal",
        kind::FORK => "fork",
        kind::EXEC => "exec",
        kind::EXIT => "exit",
        kind::STACK => "stack",
        kind::PTE_SAMPLE => "pte_sample",
        kind::WATCH_HIT => "watch_hit",
        kind::MAP_MAKE => "map_make",
        kind::MAP_GROW => "map_grow",
        kind::ITERATION => "iteration",
        kind::MAP_CLEAR => "map_clear",
        kind::RUNTIME => "runtime",
        kind::FATAL => "fatal_error",
        _ => "unknown",
    }
}

/// All CPUs' counters, summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Totals {
    pub kinds: [KindTotals; kind::COUNT],
    /// Faults by mode (0 user, 1 kernel) and error code.
    pub fault_codes: [[u64; FAULT_CODES]; 2],
    pub faults_at_kernel_address: u64,
    pub faults_disabled: u64,
    pub faults_before_exec: u64,
    pub stacks_dropped: u64,
    pub compat_calls: u64,
    pub unseen_madvise: u64,
    pub table_full: u64,
    pub nested: u64,
    pub walks: u64,
    pub walks_unstable: u64,
    /// Runs of programs for followed processes, those of them that were timed, and how long these took.
    pub runs: u64,
    pub runs_timed: u64,
    pub timed_ns: u64,
}

/// One kind's totals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct KindTotals {
    pub counted: u64,
    pub delivered: u64,
    pub aggregated: u64,
    pub dropped: u64,
}

impl Default for Totals {
    fn default() -> Self {
        Self {
            kinds: [KindTotals::default(); kind::COUNT],
            fault_codes: [[0; FAULT_CODES]; 2],
            faults_at_kernel_address: 0,
            faults_disabled: 0,
            faults_before_exec: 0,
            stacks_dropped: 0,
            compat_calls: 0,
            unseen_madvise: 0,
            table_full: 0,
            nested: 0,
            walks: 0,
            walks_unstable: 0,
            runs: 0,
            runs_timed: 0,
            timed_ns: 0,
        }
    }
}

impl Totals {
    /// Reads and sums the counters of every CPU.
    pub fn read(object: &Object) -> Result<Self, ObjectError> {
        let name = "CPU";
        let access = |why| ObjectError::MapAccess { name, why };
        let map: PerCpuArray<_, Shared<Cpu>> =
            PerCpuArray::try_from(object.map(name)?).map_err(access)?;
        let mut totals = Self::default();
        for cpu in map.get(&0, 0).map_err(access)?.iter() {
            totals.add(&cpu.0);
        }
        Ok(totals)
    }

    fn add(&mut self, cpu: &Cpu) {
        let from = &cpu.counters;
        for (
            sum,
            KindCounters {
                counted,
                delivered,
                aggregated,
                dropped,
            },
        ) in self.kinds.iter_mut().zip(from.kinds)
        {
            sum.counted += counted;
            sum.delivered += delivered;
            sum.aggregated += aggregated;
            sum.dropped += dropped;
        }
        for (sums, codes) in self.fault_codes.iter_mut().zip(from.fault_codes) {
            for (sum, count) in sums.iter_mut().zip(codes) {
                *sum += count;
            }
        }
        self.faults_at_kernel_address += from.faults_at_kernel_address;
        self.faults_disabled += from.faults_disabled;
        self.faults_before_exec += from.faults_before_exec;
        self.stacks_dropped += from.stacks_dropped;
        self.compat_calls += from.compat_calls;
        self.unseen_madvise += from.unseen_madvise;
        self.table_full += from.table_full;
        self.nested += from.nested;
        self.walks += from.walks;
        self.walks_unstable += from.walks_unstable;
        self.runs += from.runs;
        self.runs_timed += from.runs_timed;
        self.timed_ns += from.timed_ns;
    }

    /// What was counted since an earlier reading.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let mut difference = self.clone();
        for (now, then) in difference.kinds.iter_mut().zip(&earlier.kinds) {
            now.counted -= then.counted;
            now.delivered -= then.delivered;
            now.aggregated -= then.aggregated;
            now.dropped -= then.dropped;
        }
        for (now, then) in difference
            .fault_codes
            .iter_mut()
            .flatten()
            .zip(earlier.fault_codes.iter().flatten())
        {
            *now -= then;
        }
        difference.faults_at_kernel_address -= earlier.faults_at_kernel_address;
        difference.faults_disabled -= earlier.faults_disabled;
        difference.faults_before_exec -= earlier.faults_before_exec;
        difference.stacks_dropped -= earlier.stacks_dropped;
        difference.compat_calls -= earlier.compat_calls;
        difference.unseen_madvise -= earlier.unseen_madvise;
        difference.table_full -= earlier.table_full;
        difference.nested -= earlier.nested;
        difference.walks -= earlier.walks;
        difference.walks_unstable -= earlier.walks_unstable;
        difference.runs -= earlier.runs;
        difference.runs_timed -= earlier.runs_timed;
        difference.timed_ns -= earlier.timed_ns;
        difference
    }

    /// What the programs took of the processors, by those runs that were timed; none when none was.
    pub fn probe_ns(&self) -> Option<u64> {
        let all = u128::from(self.timed_ns) * u128::from(self.runs);
        let ns = all.checked_div(u128::from(self.runs_timed))?;
        u64::try_from(ns).ok()
    }

    /// Faults by mode and error code, zeroes left out, for the footer.
    pub fn fault_codes_by_word(&self) -> BTreeMap<String, BTreeMap<String, u64>> {
        ["user", "kernel"]
            .into_iter()
            .zip(&self.fault_codes)
            .map(|(mode, codes)| {
                let codes = codes.iter().enumerate().filter(|(_, count)| **count != 0);
                (
                    mode.to_owned(),
                    codes
                        .map(|(code, count)| (code.to_string(), *count))
                        .collect(),
                )
            })
            .collect()
    }
}

/// Everything counted by group, with the per-CPU parts of a group joined.
pub fn aggregates(
    object: &Object,
) -> Result<std::collections::HashMap<AggregateKey, AggregateValue>, ObjectError> {
    let name = "AGGREGATES";
    let access = |why| ObjectError::MapAccess { name, why };
    let map: HashMap<_, u64, Shared<Aggregate>> =
        HashMap::try_from(object.map(name)?).map_err(access)?;
    let mut groups = std::collections::HashMap::new();
    for entry in map.iter() {
        let (_, Shared(Aggregate { key, value })) = entry.map_err(access)?;
        let key = AggregateKey { cpu: 0, ..key };
        groups
            .entry(key)
            .and_modify(|sum: &mut AggregateValue| join(sum, &value))
            .or_insert(value);
    }
    Ok(groups)
}

fn join(sum: &mut AggregateValue, other: &AggregateValue) {
    sum.count += other.count;
    sum.first_ns = sum.first_ns.min(other.first_ns);
    sum.last_ns = sum.last_ns.max(other.last_ns);
    sum.address_min = sum.address_min.min(other.address_min);
    sum.address_max = sum.address_max.max(other.address_max);
    sum.duration_ns += other.duration_ns;
    sum.undone += other.undone;
}
