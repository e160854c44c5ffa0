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
    /// Put back from the words at rsp, not found by following frame pointers.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub restored: bool,
    /// Callers may be missing between this frame and the next: its function keeps no frame pointer and its return
    /// address lies beyond the words at rsp, or could not be found.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub gap: bool,
}

/// A stack, referred to by `id` from events.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct StackLine {
    pub id: u64,
    pub pid: u32,
    /// The walk stopped at its depth limit with frames left.
    pub truncated: bool,
    pub frames: Vec<Frame>,
}
