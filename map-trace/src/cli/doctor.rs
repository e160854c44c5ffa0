//! `map-trace doctor`: every prerequisite, its state, and the command that fixes it. Changes nothing.
//!
//! ```text
//! $ map-trace doctor
//! $ map-trace doctor --format json | jq .ready
//! ```

use clap::{Args, ValueEnum};

use super::print;
use crate::error::Result;
use crate::exit_code::ExitCode;
use crate::kernel::support;
use crate::model::check::{Check, CheckState};
use crate::output::doctor;

/// Show what tracing needs, what is missing and what fixes it
#[derive(Debug, Args)]
#[command(
    after_help = "Ends with 0 when tracing works, with 1 when something it needs is missing."
)]
pub struct DoctorArgs {
    #[arg(long, default_value = "text", help = "How to show it")]
    format: DoctorFormat,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DoctorFormat {
    /// One line a check, its remedy below
    Text,
    /// For programs
    Json,
}

impl DoctorArgs {
    pub fn run(self) -> Result<ExitCode> {
        let checks = support::checks();
        let text = match self.format {
            DoctorFormat::Text => doctor::text(&checks),
            DoctorFormat::Json => doctor::json(&checks),
        };
        print::to_stdout(text.as_bytes())?;
        Ok(status(&checks))
    }
}

fn status(checks: &[Check]) -> ExitCode {
    if checks.iter().any(|c| c.state == CheckState::Missing) {
        ExitCode::NOT_READY
    } else {
        ExitCode::SUCCESS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_missing_thing_makes_the_status_one() {
        let check = |state| Check {
            name: "x".into(),
            state,
            found: "y".into(),
            needed_for: "z".into(),
            fix: None,
        };
        assert_eq!(status(&[check(CheckState::Ok)]), ExitCode::SUCCESS);
        assert_eq!(status(&[check(CheckState::Degraded)]), ExitCode::SUCCESS);
        let checks = [check(CheckState::Ok), check(CheckState::Missing)];
        assert_eq!(status(&checks), ExitCode(1));
    }
}
