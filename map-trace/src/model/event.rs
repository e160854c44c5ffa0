//! The lines of a trace: header, events, interned stacks, aggregates, footer.

mod map;

pub use map::{IterationEvent, MapEvent, MapRange, MarkEvent};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::header::{FooterLine, HeaderLine};
use super::runtime::{FatalErrorEvent, RuntimeEvent};
use super::stack::StackLine;
use super::vma::VmaFacts;
use super::{Address, Cause, FaultCode, Operation, Prot, Pte};

/// One line of a trace file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum TraceLine {
    Header(Box<HeaderLine>),
    String(StringLine),
    Stack(StackLine),
    PageFault(Box<PageFaultEvent>),
    Mprotect(Box<MemoryCallEvent>),
    PkeyMprotect(Box<MemoryCallEvent>),
    Mmap(Box<MemoryCallEvent>),
    Munmap(Box<MemoryCallEvent>),
    Mremap(Box<MemoryCallEvent>),
    Brk(Box<MemoryCallEvent>),
    Madvise(Box<MemoryCallEvent>),
    Signal(Box<SignalEvent>),
    Fork(ForkEvent),
    Exec(Box<ExecEvent>),
    Exit(ExitEvent),
    PteSample(Box<PteSampleEvent>),
    WatchHit(Box<WatchHitEvent>),
    MapMake(Box<MapEvent>),
    MapGrow(Box<MapEvent>),
    Iteration(Box<IterationEvent>),
    MapClear(Box<MapEvent>),
    Runtime(Box<RuntimeEvent>),
    FatalError(Box<FatalErrorEvent>),
    Mark(MarkEvent),
    Aggregate(Box<AggregateLine>),
    Footer(Box<FooterLine>),
}

/// The kinds of event that are counted, in the contract's words.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum EventKind {
    PageFault,
    Mprotect,
    PkeyMprotect,
    Mmap,
    Munmap,
    Mremap,
    Brk,
    Madvise,
    Signal,
    Exec,
    Fork,
    Exit,
    PteSample,
    WatchHit,
    MapMake,
    MapGrow,
    Iteration,
    MapClear,
    Runtime,
    FatalError,
}

impl EventKind {
    pub const ALL: [Self; 20] = [
        Self::PageFault,
        Self::Mprotect,
        Self::PkeyMprotect,
        Self::Mmap,
        Self::Munmap,
        Self::Mremap,
        Self::Brk,
        Self::Madvise,
        Self::Signal,
        Self::Exec,
        Self::Fork,
        Self::Exit,
        Self::PteSample,
        Self::WatchHit,
        Self::MapMake,
        Self::MapGrow,
        Self::Iteration,
        Self::MapClear,
        Self::Runtime,
        Self::FatalError,
    ];

    pub const fn word(self) -> &'static str {
        match self {
            Self::PageFault => "page_fault",
            Self::Mprotect => "mprotect",
            Self::PkeyMprotect => "pkey_mprotect",
            Self::Mmap => "mmap",
            Self::Munmap => "munmap",
            Self::Mremap => "mremap",
            Self::Brk => "brk",
            Self::Madvise => "madvise",
            Self::Signal => "signal",
            Self::Exec => "exec",
            Self::Fork => "fork",
            Self::Exit => "exit",
            Self::PteSample => "pte_sample",
            Self::WatchHit => "watch_hit",
            Self::MapMake => "map_make",
            Self::MapGrow => "map_grow",
            Self::Iteration => "iteration",
            Self::MapClear => "map_clear",
            Self::Runtime => "runtime",
            Self::FatalError => "fatal_error",
        }
    }
}

/// Where an access that faulted came from.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Mode {
    User,
    Kernel,
}

/// A string that other lines refer to by id.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StringLine {
    pub id: u64,
    pub value: String,
}

/// What every event of a thread carries.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Context {
    pub operation: Operation,
    pub sub_operation: Option<Operation>,
    /// Address of the map's header, where known.
    #[serde(default)]
    pub map: Option<Address>,
    /// Go goroutine id, where known.
    #[serde(default)]
    pub goroutine: Option<u64>,
    /// Id of a `stack` line; null when no stack could be taken.
    pub stack: Option<u64>,
}

/// A page fault on a user address.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PageFaultEvent {
    /// Nanoseconds since the header's `start_ns`.
    pub time_ns: u64,
    /// Process id (kernel: tgid).
    pub pid: u32,
    /// Thread id (kernel: pid).
    pub tid: u32,
    pub mode: Mode,
    pub address: Address,
    pub ip: Address,
    pub error_code: FaultCode,
    /// The entry before the kernel handled the fault; null when it was not read.
    pub pte: Option<Pte>,
    /// The mapping at that moment; null when there was none.
    pub vma: Option<VmaFacts>,
    pub cause: Cause,
    /// Part of a map's memory the address is in: `buckets`, ...; null when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Which rule decided, or why none could.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_reason: Option<String>,
    /// A signal interrupted the kernel at it: the thread went on without the fault having been completed. Such
    /// a fault is neither minor nor major.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub interrupted: bool,
    #[serde(flatten)]
    pub context: Context,
    /// How long the kernel took to handle it; null when not measured.
    pub stall_ns: Option<u64>,
}

/// mprotect, pkey_mprotect, mmap, munmap, mremap, brk or madvise: arguments, result, duration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MemoryCallEvent {
    /// Time of entry.
    pub time_ns: u64,
    /// From entry to return; null when the return was not seen.
    pub duration_ns: Option<u64>,
    pub pid: u32,
    pub tid: u32,
    /// The address argument; for a successful mmap the address it returned; for brk the requested break.
    pub address: Address,
    pub length: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prot: Option<Prot>,
    /// Protection of the first page of the range before the call; null when nothing was mapped there, or it is not
    /// known.
    #[serde(default)]
    pub old_prot: Option<Prot>,
    /// mmap and mremap flags by name, `MAP_PRIVATE|MAP_ANONYMOUS`; unknown bits in hex.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flags: Option<String>,
    /// madvise's advice by name, `MADV_DONTNEED`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub advice: Option<String>,
    /// mremap's new address and length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_address: Option<Address>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_length: Option<u64>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pkey: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fd: Option<i32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub offset: Option<u64>,
    /// 0 or a negative errno; null when the return was not seen. Addresses returned by mmap, mremap
    /// and brk are in `address`, `new_address`, `new_break`, and `result` is 0.
    pub result: Option<i64>,
    /// `EINVAL`, when the call failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// brk's resulting break.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub new_break: Option<Address>,
    /// The first page's entry before and after the call, where read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pte_before: Option<Pte>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pte_after: Option<Pte>,
    /// Part of a map's memory the range touches: `buckets`, ...; null when none is known.
    #[serde(default)]
    pub on: Option<String>,
    #[serde(flatten)]
    pub context: Context,
}

/// SIGSEGV, SIGBUS, SIGTRAP or SIGILL.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SignalEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// `SIGSEGV`
    pub signal: String,
    /// `SEGV_ACCERR`
    pub code: String,
    /// The faulting address of a hardware fault; null for a signal somebody sent.
    pub address: Option<Address>,
    pub ip: Address,
    /// A handler ran; false when the default action did; null when it was never delivered.
    pub handled: Option<bool>,
    /// Part of a map's memory the address is in: `buckets`, ...; null when none is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    #[serde(flatten)]
    pub context: Context,
}

/// A new thread or process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ForkEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub child_pid: u32,
    pub child_tid: u32,
    /// A thread of the same process.
    pub thread: bool,
    /// The child's events are recorded.
    pub followed: bool,
}

/// A new program image.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub executable: Option<String>,
    pub build_id: Option<String>,
    pub comm: String,
}

/// The end of a thread; `process` when it was the last one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExitEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub process: bool,
    /// Exit code, when it exited.
    pub exited: Option<i32>,
    /// `SIGSEGV`, when a signal ended it.
    pub signaled: Option<String>,
}

/// A page-table entry of watched memory, read on a timer while the program ran.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PteSampleEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub address: Address,
    /// The watched range, as it was asked for.
    pub on: Option<String>,
    /// False: nothing was mapped there at that moment, and the entry is evidence of nothing. Left out when it is
    /// not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<bool>,
    /// The entry; its fields stand beside the others.
    #[serde(flatten)]
    pub pte: Pte,
    #[serde(flatten)]
    pub context: Context,
}

/// A hardware watchpoint was hit by a write.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct WatchHitEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// The watched address.
    pub address: Address,
    /// The instruction after the write.
    pub ip: Address,
    /// The watchpoint, as it was asked for.
    pub on: Option<String>,
    #[serde(flatten)]
    pub context: Context,
}

/// Events counted but not stored one by one: all of one kind, operation, cause, code and stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AggregateLine {
    pub event: EventKind,
    pub count: u64,
    pub pid: u32,
    pub first_ns: u64,
    pub last_ns: u64,
    pub address_min: Address,
    pub address_max: Address,
    /// True when the kernel counted them; false when user space held them back over the detail limit.
    pub in_kernel: bool,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mode: Option<Mode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error_code: Option<FaultCode>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause: Option<Cause>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cause_reason: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub signal: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vma: Option<VmaFacts>,
    /// What the entries of these page-table samples have in common; `raw` is 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pte: Option<Pte>,
    /// Of page-table samples: whether anything is mapped there, as in `pte_sample`; for those that the kernel counted,
    /// as the address space was last known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mapped: Option<bool>,
    /// The watched range or watchpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// Sum of the durations of the events that had one, and how many had.
    #[serde(default)]
    pub duration_ns: u64,
    #[serde(default)]
    pub durations: u64,
    /// Page faults among them that a signal interrupted, or that the kernel refused: neither minor nor major.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub undone: u64,
    #[serde(flatten)]
    pub context: Context,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde calls it with a reference"
)]
const fn is_zero(count: &u64) -> bool {
    *count == 0
}
