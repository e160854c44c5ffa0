//! The summary: what a run comes to.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::loss::Loss;
use super::{Cause, Operation};

/// Schema of the summary.
pub const SUMMARY_SCHEMA: &str = "map-trace/summary/1";

/// How the program ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Exit code.
    Exited(i32),
    /// Signal name.
    Signaled(String),
    /// Still running when the recording stopped.
    Running,
    /// Not known (the trace was cut short).
    #[default]
    Unknown,
}

/// An executable of the trace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Executable {
    pub path: String,
    pub build_id: Option<String>,
    /// `go`, `rust`, `c++`, `c`; null when not known.
    pub language: Option<String>,
    /// `go1.23.9`
    pub go_version: Option<String>,
    /// `hmap` or `swiss`; null when the program has no Go maps.
    pub map_implementation: Option<String>,
    /// No symbol table (Go's function table survives stripping).
    pub stripped: Option<bool>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Program {
    pub argv: Vec<String>,
    pub status: Status,
    pub executables: Vec<Executable>,
}

/// What the tracepoints counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TracepointWitness {
    pub page_fault_user: u64,
    pub page_fault_kernel: u64,
    /// User-mode accesses to kernel addresses: refused, and not counted by perf. Not in the two above.
    pub kernel_address: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PerfWitness {
    pub page_faults: u64,
    pub minor_faults: u64,
    pub major_faults: u64,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct RusageWitness {
    pub minor_faults: u64,
    pub major_faults: u64,
}

/// Three independent counts of the same faults.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Witnesses {
    pub tracepoint: TracepointWitness,
    /// Null when perf counters could not be opened.
    pub perf: Option<PerfWitness>,
    /// Null when the program is not our child.
    pub rusage: Option<RusageWitness>,
    /// Faults that ended in a signal or EFAULT: neither minor nor major.
    pub refused: u64,
    /// Faults among the tracepoints' that map-trace caused: the first probed instruction that a process executes out of
    /// its place. They are no operation's, and no rule counts them.
    #[serde(skip_serializing_if = "is_zero")]
    pub own: u64,
    /// rusage minus perf: work the kernel did in the program's name without a fault (get_user_pages).
    pub residue: Option<i64>,
    /// tracepoints == perf page-faults == minor + major + refused.
    pub balanced: bool,
}

/// How a count was made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CountKind {
    Exact,
    LowerBound,
    #[default]
    None,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Count {
    pub value: u64,
    pub kind: CountKind,
}

/// What the census saw of the maps that an operation worked on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CensusRow {
    /// Operations at whose beginning the map had each flag: `iterator`, `old_iterator`, `hash_writing`,
    /// `same_size_grow` of classic maps, `writing` of Swiss maps.
    pub flags: BTreeMap<String, u64>,
    /// Operations by the map's size: `B` of classic maps, depth of the directory of Swiss maps.
    pub sizes: BTreeMap<String, u64>,
    /// Operations on a nil map, or on one whose header was not in memory.
    pub no_header: u64,
    /// Page-table entries of the page in which the map's storage begins, with `--pte full`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pte: Option<PteTally>,
}

/// What counting by duty cycle came to (`--census sample`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct CensusSample {
    /// Share of the programs' CPU time that counting may cost.
    pub budget: f64,
    /// CPU time of the programs while it was recorded (nanoseconds).
    pub cpu_ns: u64,
    /// What counting cost: hits, and map-trace's own work for it (nanoseconds).
    pub spent_ns: u64,
    /// Cost of a hit, measured before the first (nanoseconds); 0 when it came to none.
    pub hit_ns: u64,
    /// How often breakpoints were set.
    pub bursts: u64,
    /// Operations counted, by word; `count` is not below it.
    pub hits: BTreeMap<String, u64>,
    /// Why counting ended before the program did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped: Option<String>,
}

/// One row of the operations table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct OperationRow {
    pub operation: Operation,
    pub count: Count,
    /// Events by kind; `signal` is the sum over signals here.
    pub events: BTreeMap<String, u64>,
    pub causes: BTreeMap<Cause, u64>,
    /// Total time of faults and memory calls where measured, nanoseconds; null when none was.
    pub stall_ns: Option<u64>,
    #[serde(default)]
    pub stall_p50_ns: Option<u64>,
    #[serde(default)]
    pub stall_p99_ns: Option<u64>,
    /// Durations the two percentiles were taken from: those of events stored one by one. Events
    /// counted in groups add to `stall_ns` only.
    #[serde(default)]
    pub stall_events: u64,
    /// Events by innermost operation, where it differs from this row's.
    #[serde(default)]
    pub sub_operations: Vec<SubOperationRow>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct SubOperationRow {
    pub operation: Operation,
    pub events: BTreeMap<String, u64>,
    pub causes: BTreeMap<Cause, u64>,
}

/// Page-table samples of one phase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PteTally {
    pub samples: u64,
    pub present: u64,
    pub writable: u64,
    pub read_only: u64,
    pub not_present: u64,
    pub no_execute: u64,
    pub unstable: u64,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PteSummary {
    #[serde(flatten)]
    pub total: PteTally,
    pub during: BTreeMap<String, PteTally>,
}

/// A self-test of the session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Control {
    pub name: String,
    pub expected: u64,
    pub seen: u64,
    pub passed: bool,
    /// What a failure makes unusable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalidates: Option<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VerdictWord {
    Supported,
    Refuted,
    #[default]
    Inconclusive,
}

/// A judged claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Claim {
    pub id: String,
    pub statement: String,
    pub verdict: VerdictWord,
    pub expected: VerdictWord,
    pub reason: String,
    pub evidence: Vec<serde_json::Value>,
}

/// What a run comes to; the document of `--summary` and `report --format json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Summary {
    pub schema: String,
    pub program: Program,
    pub duration_ns: u64,
    pub witnesses: Witnesses,
    pub loss: Loss,
    pub events: EventTotals,
    pub causes: BTreeMap<Cause, u64>,
    /// Durations of the faults of each cause, where some were measured.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub cause_stalls: BTreeMap<Cause, Stalls>,
    pub operations: Vec<OperationRow>,
    pub pte: PteSummary,
    /// Memory that the user asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<super::watched::WatchedMemory>,
    /// What counting operations saw of the maps, by the operation's word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub census: BTreeMap<String, CensusRow>,
    /// How often functions were entered whose entries were to be counted, by the glob they match. One that no
    /// function matches is not here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, u64>,
    /// What counting by duty cycle came to, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub census_sample: Option<CensusSample>,
    /// What Go's runtime did of its own; null when nothing was seen of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub runtime: Option<super::runtime::RuntimeSummary>,
    /// Fatal errors and panics that ended Go programs; the first 16.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub fatal_errors: Vec<super::runtime::FatalErrorEvent>,
    /// Why no program could be probed, so that maps are known by stacks only; empty when one was, or none has maps.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_probed: Vec<String>,
    /// Operations that were not counted, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_counted: Vec<String>,
    pub controls: Vec<Control>,
    pub claims: Vec<Claim>,
    /// The trace this was made from had no footer: it was cut short.
    pub cut_short: bool,
    /// Stopped before the program ended, and by what.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stopped_early: Option<String>,
    pub calibration: super::header::Calibration,
    /// Faults by mode (`user`, `kernel`) and error code (decimal): `{"user": {"6": 12}}`.
    pub fault_codes: BTreeMap<String, BTreeMap<String, u64>>,
    /// What map-trace's own BPF programs took of the followed processes' time (nanoseconds), from one run in 64; what
    /// it takes the kernel to come to them is not in it. Unknown with fewer runs.
    pub probe_ns: Option<u64>,
    /// When the recording started, RFC 3339 UTC; empty when not known.
    pub started: String,
    pub host: super::header::Host,
}

impl Summary {
    /// Whether the absence of an event in this run may be concluded: nothing was lost, the trace is
    /// whole and the witnesses agree.
    pub fn complete(&self) -> bool {
        !self.cut_short && self.loss.complete() && self.witnesses.balanced
    }
}

/// Durations of some events, nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Stalls {
    pub p50_ns: u64,
    pub p99_ns: u64,
    /// Events measured.
    pub events: u64,
}

/// Events by kind; signals by name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EventTotals {
    pub page_fault: u64,
    pub mprotect: u64,
    pub pkey_mprotect: u64,
    pub mmap: u64,
    pub munmap: u64,
    pub mremap: u64,
    pub brk: u64,
    pub madvise: u64,
    pub signal: BTreeMap<String, u64>,
    pub exec: u64,
    pub fork: u64,
    pub exit: u64,
    pub pte_sample: u64,
    pub watch_hit: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub map_make: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub map_grow: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub iteration: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub map_clear: u64,
    pub runtime: u64,
    #[serde(skip_serializing_if = "is_zero")]
    pub fatal_error: u64,
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}
