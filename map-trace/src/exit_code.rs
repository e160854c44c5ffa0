//! Exit statuses of the contract (docs/exit-codes.md).

/// A status map-trace ends with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ExitCode(pub u8);

impl ExitCode {
    pub const SUCCESS: Self = Self(0);
    /// `check`, `prove`: a claim did not come out as expected.
    pub const CLAIM_FAILED: Self = Self(1);
    /// `doctor`: something that tracing needs is missing.
    pub const NOT_READY: Self = Self(1);
    /// Wrong usage.
    pub const USAGE: Self = Self(2);
    /// `check`, `prove`: none failed, one is inconclusive.
    pub const INCONCLUSIVE: Self = Self(3);
    /// `check`, `prove`: the program itself failed.
    pub const PROGRAM_FAILED: Self = Self(4);
    /// map-trace itself failed.
    pub const FAILED: Self = Self(125);
    /// The program cannot be executed.
    pub const CANNOT_EXECUTE: Self = Self(126);
    /// The program was not found.
    pub const NOT_FOUND: Self = Self(127);
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        Self::from(code.0)
    }
}
