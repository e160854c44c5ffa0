//! What a recording leaves for the command line to print.

use super::probes::Detaching;
use crate::error::Error;
use crate::exit_code::ExitCode;
use crate::model::summary::Summary;
use crate::trace::SavedTrace;

/// A recording that came to its end, by whatever way.
#[derive(Debug)]
pub struct RunOutcome {
    pub status: ProgramStatus,
    /// The program, when it is our child and still runs.
    pub running: Option<u32>,
    pub summary: Summary,
    /// The trace, when one was asked for and is whole.
    pub saved: Option<SavedTrace>,
    /// Something failed on the way that the recording survived, such as a full disk; the exit status is its
    /// code, not the program's.
    pub problem: Option<Error>,
    /// The last probes that are being taken off: who drops it waits for them. Until then there is time to print.
    pub detaching: Detaching,
}

/// How the program ended, as wait(2) or its own exit record tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProgramStatus {
    /// The exit code; only its low eight bits mean something.
    Exited(i32),
    /// The signal's number.
    Signaled(i32),
    /// Still running when the recording stopped, or its end was not seen.
    Running,
}

impl ProgramStatus {
    /// The status map-trace exits with in the program's stead: its own, or 128+n for signal n, as a shell does.
    pub fn exit_code(self) -> ExitCode {
        match self {
            Self::Exited(code) => ExitCode(u8::try_from(code & 0xff).unwrap_or(u8::MAX)),
            Self::Signaled(signal) => {
                ExitCode(u8::try_from(signal.saturating_add(128)).unwrap_or(u8::MAX))
            }
            Self::Running => ExitCode::SUCCESS,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_the_program_is_passed_on() {
        for (status, code) in [
            (ProgramStatus::Exited(0), 0),
            (ProgramStatus::Exited(3), 3),
            (ProgramStatus::Exited(255), 255),
            (ProgramStatus::Exited(256), 0),
            (ProgramStatus::Exited(-1), 255),
            (ProgramStatus::Signaled(11), 139),
            (ProgramStatus::Signaled(64), 192),
            (ProgramStatus::Signaled(i32::MAX), 255),
            (ProgramStatus::Running, 0),
        ] {
            assert_eq!(status.exit_code(), ExitCode(code), "{status:?}");
        }
    }
}
