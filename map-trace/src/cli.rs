//! To be written.

use crate::exit_code::ExitCode;

/// Parses the command line, runs it, prints what went wrong.
pub fn main() -> ExitCode {
    ExitCode::SUCCESS
}
