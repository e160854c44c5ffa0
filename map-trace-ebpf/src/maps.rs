//! The BPF maps.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{HashMap, LruHashMap, PerCpuArray, RingBuf};
use map_trace_common::counters::Counters;
use map_trace_common::limits::{
    MAX_AGGREGATES, MAX_GROUPS, MAX_PENDING, MAX_PROCESSES, RING_BYTES,
};
use map_trace_common::record::{AggregateKey, AggregateValue, StackRecord};

/// A followed process, by tgid.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Process {
    /// 0: registered, its program has not started yet. 1: its events count.
    pub counting: u32,
    /// Execs so far.
    pub generation: u32,
    /// Mapping calls between entry and return.
    pub in_flight: u64,
    /// Bounds of the main executable's text, 0 when unknown.
    pub start_code: u64,
    pub end_code: u64,
    /// `mm_struct` of the launcher, while `counting` is 0.
    pub launcher_mm: u64,
    pub min_flt_before: u64,
    pub maj_flt_before: u64,
    /// 1 when the last thread has ended.
    pub exited: u64,
}

/// A memory syscall between entry and return.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PendingCall {
    pub enter_ns: u64,
    pub number: u64,
    pub args: [u64; 6],
    pub stack: u64,
    pub ip: u64,
    pub pte_before: u64,
    pub level_before: u32,
    pub flags: u32,
}

/// A signal between generation and delivery.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct PendingSignal {
    pub generate_ns: u64,
    pub address: u64,
    pub code: i32,
    pub result: i32,
    pub tgid: u32,
    pub reserved: u32,
}

/// What one CPU owns.
#[repr(C)]
pub struct Cpu {
    /// `pid_tgid + 1` of the task whose program runs here, 0 when none: a fault that one of our own reads
    /// raises is not the program's.
    pub busy: u64,
    pub counters: Counters,
    pub stack: StackRecord,
}

#[map]
pub static EVENTS: RingBuf = RingBuf::with_byte_size(RING_BYTES, 0);

#[map]
pub static CPU: PerCpuArray<Cpu> = PerCpuArray::with_max_entries(1, 0);

#[map]
pub static PROCESSES: HashMap<u32, Process> = HashMap::with_max_entries(MAX_PROCESSES, 0);

/// Memory syscalls under way, by `pid_tgid`.
#[map]
pub static CALLS: HashMap<u64, PendingCall> = HashMap::with_max_entries(MAX_PENDING, 0);

/// Signals under way, by thread (or process) and number.
#[map]
pub static SIGNALS: HashMap<u64, PendingSignal> = HashMap::with_max_entries(MAX_PENDING, 0);

/// Stacks already sent.
#[map]
pub static STACKS: LruHashMap<u64, u32> = LruHashMap::with_max_entries(65_536, 0);

/// Events seen of each detail group.
#[map]
pub static GROUPS: HashMap<u64, u64> = HashMap::with_max_entries(MAX_GROUPS, 0);

/// Events counted beyond detail.
#[map]
pub static AGGREGATES: HashMap<AggregateKey, AggregateValue> =
    HashMap::with_max_entries(MAX_AGGREGATES, 0);
