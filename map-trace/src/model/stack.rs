//! Interned stacks.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;

/// One symbolised frame. Innermost first in a stack; an inlined function stands before its host.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Frame {
    /// Instruction pointer (innermost) or return address.
    pub ip: Address,
    /// Demangled function name; null when honestly unknown.
    pub function: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<u32>,
    /// File the code comes from: path, `[vdso]`, `[jit]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub module: Option<String>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub inlined: bool,
    /// Put back, not found by following frame pointers: from the words at rsp, or since the next frame's call names it
    /// and it ended with a jump to the frame before; then `ip` is its start.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// Callers may be missing between this frame and the next: its function keeps no frame pointer and its return
    /// address lies beyond the words at rsp, or could not be found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
    /// It stands in the body of a loop over a map, by its function's control flow. Of functions inlined into
    /// one another the one whose loop it is has the mark.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub in_loop: bool,
    /// It reads or writes the value of an assign, through the place `runtime.mapassign` gave back to it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub value_store: bool,
}

/// A stack, referred to by `id` from events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StackLine {
    pub id: u64,
    pub pid: u32,
    /// The walk stopped at its depth limit with frames left.
    pub truncated: bool,
    /// Every frame's code was judged: one without `in_loop` is in no loop over a map.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub loops_known: bool,
    /// The code was judged: without a `value_store` it stores no value of an assign.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stores_known: bool,
    pub frames: Vec<Frame>,
}
