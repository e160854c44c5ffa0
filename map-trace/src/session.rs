//! The only place where the live parts are wired together.

pub mod outcome;
pub mod settings;

pub use outcome::{ProgramStatus, RunOutcome};
pub use settings::{AttachSettings, RunSettings};

use crate::error::{Error, Result};

/// Runs a program under observation to its end.
pub fn run(_settings: &RunSettings) -> Result<RunOutcome> {
    Err(Error::failed("cannot record", "this build has no recorder"))
}

/// Observes running processes.
pub fn attach(_settings: &AttachSettings) -> Result<RunOutcome> {
    Err(Error::failed("cannot record", "this build has no recorder"))
}
