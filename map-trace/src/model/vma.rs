//! A mapping of a process (vm_area_struct), as an event reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, Prot};

/// What stands behind a mapping.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum VmaKind {
    /// Private anonymous memory.
    Anon,
    /// A file, private or shared.
    File,
    /// Shared anonymous memory (shmem).
    SharedAnon,
    /// The main thread's growing stack.
    Stack,
    /// The program break.
    Heap,
    /// vdso, vvar and the like, made by the kernel.
    Special,
}

/// The mapping an event's address lies in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct VmaFacts {
    pub start: Address,
    pub end: Address,
    pub prot: Prot,
    pub kind: VmaKind,
    /// Path of the file, or the kernel's bracketed name; null for nameless memory.
    pub name: Option<String>,
    /// Offset of `start` in the file, bytes.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub offset: u64,
    /// Shared between processes (MAP_SHARED).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub shared: bool,
    /// Registered with userfaultfd, backed by huge pages and such: words of /proc/PID/smaps VmFlags.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}
