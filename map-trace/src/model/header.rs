//! First and last line of a trace.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::loss::Loss;
use super::summary::{
    CensusRow, CensusSample, Claim, Control, Count, Executable, Status, Witnesses,
};

/// Schema of the trace file.
pub const TRACE_SCHEMA: &str = "map-trace/trace/1";

/// The machine the trace was taken on.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Host {
    pub hostname: String,
    /// `uname -r`
    pub kernel: String,
    pub machine: String,
    pub cpu: String,
    pub cpus: u32,
    /// From CPUID leaf 0x40000000; null on bare metal.
    pub hypervisor: Option<String>,
    /// `/sys/kernel/mm/transparent_hugepage/enabled`'s chosen word.
    pub transparent_hugepages: Option<String>,
}

/// One probe that was attached.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Probe {
    /// Name of the BPF program.
    pub name: String,
    /// `tp_btf:page_fault_user`, `raw_tp:page_fault_user`, `uprobe:/path:symbol+0x10`.
    pub attach_point: String,
    /// Event words it emits.
    pub emits: Vec<String>,
}

impl Probe {
    /// The program on the functions of maps, by its name.
    pub const STRUCTURE: &'static str = "structure";

    /// It tells of maps.
    pub fn is_structure(&self) -> bool {
        self.name == Self::STRUCTURE
    }
}

/// How page-table entries were made readable, and what to keep in mind about them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Calibration {
    /// Entries could be read and agreed with pagemap.
    pub usable: bool,
    /// Why not.
    pub reason: Option<String>,
    pub levels: u32,
    /// The shared zero page's frame was identified.
    pub zero_page: bool,
    /// Page-table isolation is on: the kernel's copy carries NX at the top level.
    pub page_table_isolation: bool,
    /// An encryption bit lies inside the frame field (AMD SME/SEV).
    pub memory_encryption: bool,
    /// Under a hypervisor these are the guest's entries.
    pub guest: bool,
    pub duration_ns: u64,
    /// Only in the footer: the check was repeated after the run and agreed.
    pub rechecked: Option<bool>,
}

/// First line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HeaderLine {
    pub schema: String,
    /// Version of map-trace.
    pub version: String,
    /// CLOCK_MONOTONIC at the start, nanoseconds; event times count from here.
    pub start_ns: u64,
    /// CLOCK_REALTIME at the start, RFC 3339 UTC.
    pub started: String,
    pub argv: Vec<String>,
    /// pids given to `attach`, else empty.
    pub attached: Vec<u32>,
    pub host: Host,
    pub probes: Vec<Probe>,
    /// What will not be known of maps, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_probed: Vec<String>,
    pub calibration: Calibration,
    pub executables: Vec<Executable>,
    /// Options of the session, as given or defaulted.
    pub options: BTreeMap<String, serde_json::Value>,
}

/// Last line: a file without it was cut short.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct FooterLine {
    pub duration_ns: u64,
    pub status: Status,
    pub witnesses: Witnesses,
    pub loss: Loss,
    /// Kernel totals per record kind.
    pub totals: BTreeMap<String, u64>,
    /// Faults by mode and error code, exact: `{"user": {"6": 12}}`.
    pub fault_codes: BTreeMap<String, BTreeMap<String, u64>>,
    pub executables: Vec<Executable>,
    pub controls: Vec<Control>,
    /// How long the controls took, before the program started (nanoseconds).
    pub controls_ns: u64,
    pub calibration: Calibration,
    pub claims: Vec<Claim>,
    /// How often each operation ran, by the operation's word, where it was counted.
    pub counts: BTreeMap<String, Count>,
    /// What counting saw of the maps, by the operation's word.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub census: BTreeMap<String, CensusRow>,
    /// How often functions were entered whose entries were to be counted, by the glob they match. One that no
    /// function matches is not here.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<String, u64>,
    /// What counting by duty cycle came to, where it did.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub census_sample: Option<CensusSample>,
    /// Write barrier buffers that Go's runtime emptied, where operations were counted in full.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub write_barrier_flushes: Option<u64>,
    /// What was not counted, and why.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub not_counted: Vec<String>,
    /// Functions, by their names, known to be in each `--region`: in the program and in libraries that were on some stack.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub regions: BTreeMap<String, u64>,
    /// What `--watch` and `--watch-range` asked for.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub watched: Vec<super::watched::WatchedMemory>,
    /// Stopped by `--duration`, `--max-events` or a signal before the program ended.
    pub stopped_early: Option<String>,
    /// What map-trace's own BPF programs took of the followed processes' time (nanoseconds), from one run in 64; what
    /// it takes the kernel to come to them is not in it. Unknown with fewer runs.
    pub probe_ns: Option<u64>,
}
