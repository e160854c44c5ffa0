//! Why a page fault happened. What decides each is in docs/causes.md.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The cause of a page fault; the words of the contract.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    FirstTouch,
    ZeroPageRead,
    ZeroPageCow,
    AnonCow,
    FileMap,
    FileRead,
    FileCow,
    WriteNotify,
    SwapIn,
    NumaHint,
    Userfaultfd,
    StackGrowth,
    Spurious,
    Protection,
    Unmapped,
    Unknown,
}

impl Cause {
    /// Every cause, in the order of the documentation.
    pub const ALL: [Self; 16] = [
        Self::FirstTouch,
        Self::ZeroPageRead,
        Self::ZeroPageCow,
        Self::AnonCow,
        Self::FileMap,
        Self::FileRead,
        Self::FileCow,
        Self::WriteNotify,
        Self::SwapIn,
        Self::NumaHint,
        Self::Userfaultfd,
        Self::StackGrowth,
        Self::Spurious,
        Self::Protection,
        Self::Unmapped,
        Self::Unknown,
    ];

    /// The contract's word.
    pub const fn word(self) -> &'static str {
        match self {
            Self::FirstTouch => "first_touch",
            Self::ZeroPageRead => "zero_page_read",
            Self::ZeroPageCow => "zero_page_cow",
            Self::AnonCow => "anon_cow",
            Self::FileMap => "file_map",
            Self::FileRead => "file_read",
            Self::FileCow => "file_cow",
            Self::WriteNotify => "write_notify",
            Self::SwapIn => "swap_in",
            Self::NumaHint => "numa_hint",
            Self::Userfaultfd => "userfaultfd",
            Self::StackGrowth => "stack_growth",
            Self::Spurious => "spurious",
            Self::Protection => "protection",
            Self::Unmapped => "unmapped",
            Self::Unknown => "unknown",
        }
    }

    /// Faults the kernel refuses: they end in a signal or EFAULT and are neither minor nor major.
    pub const fn is_refused(self) -> bool {
        matches!(self, Self::Protection | Self::Unmapped)
    }
}
