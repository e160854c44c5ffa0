//! What was lost. Loss is a fact of the trace.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where every event went. `counted == delivered + aggregated + dropped`, or the run is void.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Loss {
    /// Events the kernel counted.
    pub counted: u64,
    /// Events that reached user space one by one.
    pub delivered: u64,
    /// Events counted by group in the kernel, not delivered one by one.
    pub aggregated: u64,
    /// Events counted but neither delivered nor aggregated.
    pub dropped: u64,
    /// Records that could not be decoded.
    pub undecodable: u64,
    /// Events whose stack or address space is not known, so that their operation is not known.
    pub unattributed: u64,
    /// Time during which the target ran before the probes were armed.
    pub blind_ns: u64,
    /// Stacks that could not be sent.
    pub stacks: u64,
    /// Mapping records the kernel's side band lost.
    pub mappings: u64,
    /// Times that a process's mappings were read from /proc, since changes of them were lost. Stacks of events before
    /// are named by what lay there then, which may be something else.
    #[serde(skip_serializing_if = "is_zero")]
    pub mappings_read_again: u64,
    /// Memory syscalls through the 32-bit entry, seen and not decoded.
    pub compat_calls: u64,
    /// Calls that may do what madvise does without being it: process_madvise, and io_uring_setup, since a ring
    /// takes it as an order. Rules about `madvise` depend on it, no others.
    #[serde(skip_serializing_if = "is_zero")]
    pub unseen_madvise: u64,
    /// Times a bounded table in the kernel was full: a process not followed, a call without its entry.
    pub table_full: u64,
    /// Times that something about Go maps was not kept, since too many maps are known already: memory of theirs
    /// is not told apart from other memory. No event is lost by it.
    #[serde(skip_serializing_if = "is_zero")]
    pub maps: u64,
}

const fn is_zero(count: &u64) -> bool {
    *count == 0
}

impl Loss {
    /// Every event is accounted for.
    ///
    /// The numbers may come from a file somebody else wrote: a sum that overflows is not a sum.
    pub fn sums(&self) -> bool {
        self.delivered
            .checked_add(self.aggregated)
            .and_then(|sum| sum.checked_add(self.dropped))
            == Some(self.counted)
    }

    /// Nothing was lost: absence of an event may be concluded.
    pub fn complete(&self) -> bool {
        self.sums()
            && self.dropped == 0
            && self.undecodable == 0
            && self.blind_ns == 0
            && self.mappings == 0
            && self.compat_calls == 0
            && self.table_full == 0
    }
}
