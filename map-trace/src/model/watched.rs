//! Memory that the user asked about, as the kernel described it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, Pte};

/// A watched word or range.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct WatchedMemory {
    /// As it was asked for: a symbol, an address, a range.
    pub name: String,
    pub pid: u32,
    pub address: Address,
    /// Bytes.
    pub length: u64,
    /// What was read of it, in order of time; empty when the process was gone each time.
    pub seen: Vec<MemoryFacts>,
    /// When the program unmapped a page of it. What is at the address from then on is other memory or none:
    /// samples and hits after this are no evidence about what was asked for.
    pub unmapped_ns: Option<u64>,
    /// Its last sampled page-table entry; null when none was sampled.
    pub pte: Option<Pte>,
}

/// When memory was looked at.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Looked {
    /// When watching began: for a program that is run, before its first instruction.
    #[default]
    Armed,
    /// At the first sample or hit, of memory that was not mapped when watching began.
    FirstEvent,
    /// When the recording ended, of a process that still ran.
    End,
}

/// What /proc/PID/smaps and /proc/PID/pagemap say of an address (fs/proc/task_mmu.c).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct MemoryFacts {
    pub when: Looked,
    /// The mapping's line as in /proc/PID/maps; null when nothing was mapped there.
    pub mapping: Option<String>,
    /// Words of `VmFlags` in smaps.
    pub vm_flags: Vec<String>,
    /// `KernelPageSize`, bytes.
    pub page_bytes: Option<u64>,
    pub page: Option<PageFacts>,
}

/// The page's word in /proc/PID/pagemap (Documentation/admin-guide/mm/pagemap.rst), without its frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PageFacts {
    /// Bit 63.
    pub present: bool,
    /// Bit 62.
    pub swapped: bool,
    /// A page of a file or of shared anonymous memory (bit 61); else anonymous.
    pub file_or_shared: bool,
    /// Mapped by nobody else (bit 56).
    pub exclusive: bool,
    /// Written since the last time soft-dirty bits were cleared (bit 55).
    pub soft_dirty: bool,
}
