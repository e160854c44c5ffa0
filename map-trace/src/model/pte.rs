//! An x86-64 page-table entry, decoded.
//!
//! Bits: Intel SDM vol. 3, 4.5, and arch/x86/include/asm/pgtable_types.h. Entries that are not present:
//! arch/x86/include/asm/pgtable_64.h (swap), pgtable-invert.h (PROT_NONE), include/linux/swapops.h (markers).

mod entry;
#[cfg(test)]
mod tests;

pub use entry::{NotPresent, PteContext, bit, not_present};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Address;

/// The level at which a walk stopped.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
pub enum PteLevel {
    #[serde(rename = "4K")]
    Pte,
    #[serde(rename = "2M")]
    Pmd,
    #[serde(rename = "1G")]
    Pud,
    #[serde(rename = "P4D")]
    P4d,
    #[serde(rename = "PGD")]
    Pgd,
}

impl PteLevel {
    /// From a record's level field: 1 PTE to 5 PGD.
    pub const fn from_number(level: u32) -> Option<Self> {
        match level {
            1 => Some(Self::Pte),
            2 => Some(Self::Pmd),
            3 => Some(Self::Pud),
            4 => Some(Self::P4d),
            5 => Some(Self::Pgd),
            _ => None,
        }
    }
}

/// A page-table entry as an event reports it. `raw` has its frame bits zeroed unless `--show-physical`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub struct Pte {
    pub raw: Address,
    pub level: PteLevel,
    pub present: bool,
    pub writable: bool,
    pub user: bool,
    pub accessed: bool,
    pub dirty: bool,
    pub no_execute: bool,
    /// The frame is the shared zero page (or the huge zero page).
    pub zero_page: bool,
    /// The software bit the kernel moves Dirty to when it write-protects a dirty page (bit 58).
    #[serde(default)]
    pub saved_dirty: bool,
    /// No bit is set at all: nothing was ever put here.
    #[serde(default)]
    pub empty: bool,
    /// Not present but decodes as PROT_NONE or NUMA hint (_PAGE_PROTNONE, inverted frame).
    #[serde(default)]
    pub prot_none: bool,
    /// Write-protected by userfaultfd (software bit 10).
    #[serde(default)]
    pub uffd_wp: bool,
    /// Read twice with two values: another CPU was changing it.
    #[serde(default)]
    pub unstable: bool,
}
