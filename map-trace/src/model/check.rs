//! A prerequisite and its state, as `map-trace doctor` reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How a prerequisite stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum CheckState {
    Ok,
    /// Tracing works with less: what `needed_for` names.
    Degraded,
    /// Tracing does not work without it.
    Missing,
}

/// One row of `map-trace doctor`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Check {
    /// Unique and stable.
    pub name: String,
    pub state: CheckState,
    /// What was found, in words.
    pub found: String,
    /// What it is needed for.
    pub needed_for: String,
    /// The command or change that fixes it; null when nothing is to be fixed or nothing can be.
    pub fix: Option<String>,
}
