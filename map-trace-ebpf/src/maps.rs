//! The BPF maps.

use aya_ebpf::macros::map;
use aya_ebpf::maps::{Array, HashMap, LruHashMap, PerCpuArray, RingBuf};
use map_trace_common::census::{CensusCounts, CensusPlace, Goal, MAX_CENSUS_PLACES, OPERATIONS};
pub use map_trace_common::cpu::Cpu;
use map_trace_common::limits::{
    FAULT_SLOTS, MAX_AGGREGATES, MAX_GROUPS, MAX_PENDING, MAX_PROCESSES, RING_BYTES,
};
use map_trace_common::page_tables::PageTables;
use map_trace_common::place::{ARGUMENTS, Goroutines, MAX_BINARIES, MAX_PLACES, Place};
pub use map_trace_common::process::Process;
use map_trace_common::range::{MAX_RANGES, Range};
use map_trace_common::record::{Aggregate, MapOperationRecord};

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
    pub goroutine: u64,
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

/// Events counted beyond detail, by the hash of their key.
#[map]
pub static AGGREGATES: HashMap<u64, Aggregate> = HashMap::with_max_entries(MAX_AGGREGATES, 0);

/// A thread's last fault.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct FaultSlot {
    /// Whose it is; 0 once it is known to be over.
    pub pid_tgid: u64,
    pub start_ns: u64,
    /// The thread's `min_flt` + `maj_flt` when it began.
    pub taken: u64,
    /// Key of the aggregate that counts it; 0 when its event was sent.
    pub group: u64,
}

/// Last faults. Two threads that share a slot lose one: its duration, and whether it was done, is then not known.
#[map]
pub static FAULTS: Array<FaultSlot> = Array::with_max_entries(FAULT_SLOTS, 0);

/// Watched ranges.
#[map]
pub static RANGES: Array<Range> = Array::with_max_entries(MAX_RANGES, 0);

/// How to walk page tables; all zero until calibration has succeeded.
#[map]
pub static PAGE_TABLES: Array<PageTables> = Array::with_max_entries(1, 0);

/// Probed places of user code, by cookie.
#[map]
pub static PLACES: Array<Place> = Array::with_max_entries(MAX_PLACES, 0);

/// Where binaries keep their goroutines.
#[map]
pub static BINARIES: Array<Goroutines> = Array::with_max_entries(MAX_BINARIES, 0);

/// Arguments of calls under way, by process and goroutine. A call that never returns is pushed out.
#[map]
pub static OPENED: LruHashMap<u64, [u64; ARGUMENTS]> = LruHashMap::with_max_entries(8192, 0);

/// Room to put a record together in, with as much behind it as an index can reach too far.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct MapOperation {
    pub record: MapOperationRecord,
    pub beyond: [u64; 32],
}

/// One for each CPU.
#[map]
pub static MAP_OPERATION: PerCpuArray<MapOperation> = PerCpuArray::with_max_entries(1, 0);

/// Where operations on maps are counted.
#[map]
pub static CENSUS: Array<CensusPlace> = Array::with_max_entries(MAX_CENSUS_PLACES, 0);

/// How often each operation was counted.
#[map]
pub static CENSUS_COUNTS: PerCpuArray<CensusCounts> =
    PerCpuArray::with_max_entries(OPERATIONS as u32, 0);

/// The number of operations whose passing is told.
#[map]
pub static CENSUS_GOAL: Array<Goal> = Array::with_max_entries(1, 0);
