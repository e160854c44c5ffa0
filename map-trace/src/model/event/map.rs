//! What the maps of a program do: they are made, grow, are emptied and looped over.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Context;
use crate::model::{Address, Operation};

/// A range of a map's memory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MapRange {
    /// `buckets`, `oldbuckets`, `overflow`; with Swiss maps `group`, `table`, `directory`.
    pub part: String,
    pub start: Address,
    /// First address behind it.
    pub end: Address,
}

/// A map was made (`map_make`), got other memory (`map_grow`) or is about to be emptied (`map_clear`). The map's header is `map`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MapEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// `hmap` or `swiss`.
    pub implementation: String,
    /// `map[string]int`; null when not known.
    pub map_type: Option<String>,
    /// What was done: `make`, `clone`; `double`, `same_size`; `first_group`, `tables`, `table_grow`, `table_split`; `clear`.
    pub step: String,
    /// Entries the program asked room for.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<i64>,
    /// Entries in the map at this moment.
    pub entries: Option<u64>,
    /// Base-2 logarithm of the number of buckets (`hmap`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub b: Option<u8>,
    /// Length of the directory of tables (`swiss`); 0 for a map of one group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub directory: Option<u64>,
    /// Memory that became the map's.
    pub ranges: Vec<MapRange>,
    /// Memory that is the map's no longer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub old_ranges: Vec<MapRange>,
    /// How many more ranges there are, of both kinds: a line has up to 64 of each. They are known all the same.
    #[serde(default, skip_serializing_if = "super::is_zero")]
    pub ranges_left_out: u64,
    #[serde(flatten)]
    pub context: Context,
}

/// A moment that the recording was asked to note: the first entry into a function (`--from`, `--until`), or the
/// start of the first map operation after a number of them (`--after-ops`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct MarkEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    /// The function, as it was asked for; null for a number of operations.
    pub symbol: Option<String>,
    /// So many operations came before.
    #[serde(default)]
    pub after_operations: Option<u64>,
    /// Which were counted; null is all of them.
    #[serde(default)]
    pub operation: Option<Operation>,
}

/// A loop over a map began.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct IterationEvent {
    pub time_ns: u64,
    pub pid: u32,
    pub tid: u32,
    pub implementation: String,
    pub map_type: Option<String>,
    /// `begin`.
    pub step: String,
    /// Entries in the map at this moment; null for a nil map.
    pub entries: Option<u64>,
    #[serde(flatten)]
    pub context: Context,
}
