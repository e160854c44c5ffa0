//! A mapping of a process (vm_area_struct), as an event reports it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Address, FaultCode, Prot};

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

/// The page on which the kernel executes probed instructions that it does not emulate, one a process
/// (kernel/events/uprobes.c, `uprobe_xol_mapping`).
pub const STEPPING: &str = "[uprobes]";

/// A fault that the program owes to map-trace: the first instruction that a probe executes elsewhere is fetched from
/// a page that nobody has touched. What such an instruction itself reads or writes is the program's.
pub fn is_tracers_fault(code: FaultCode, vma: Option<&VmaFacts>) -> bool {
    code.instruction()
        && vma.is_some_and(|vma| {
            vma.kind == VmaKind::Special && vma.name.as_deref() == Some(STEPPING)
        })
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(value: &u64) -> bool {
    *value == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_fetches_from_the_page_of_stepped_instructions_are_map_traces() {
        let vma = |kind, name: &str| VmaFacts {
            start: Address(0x7fff_ffff_e000),
            end: Address(0x7fff_ffff_f000),
            prot: Prot::from_bits(4),
            kind,
            name: Some(name.to_owned()),
            offset: 0,
            shared: false,
            flags: Vec::new(),
        };
        let fetch = FaultCode(FaultCode::INSTRUCTION | FaultCode::USER);
        let stepping = vma(VmaKind::Special, STEPPING);
        assert!(is_tracers_fault(fetch, Some(&stepping)));
        assert!(!is_tracers_fault(
            FaultCode(FaultCode::USER),
            Some(&stepping)
        ));
        assert!(!is_tracers_fault(
            fetch,
            Some(&vma(VmaKind::Special, "[vdso]"))
        ));
        assert!(!is_tracers_fault(
            fetch,
            Some(&vma(VmaKind::File, STEPPING))
        ));
        assert!(!is_tracers_fault(fetch, None));
    }
}
