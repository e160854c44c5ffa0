//! The one error that reaches a user: what failed, why, and the command that fixes it, in one line.

use std::fmt;

use crate::exit_code::ExitCode;

/// A failure with its exit status and, where one exists, its remedy.
#[derive(Debug)]
pub struct Error {
    /// What failed.
    pub what: String,
    /// Why: the value seen.
    pub why: String,
    /// A command that fixes it.
    pub remedy: Option<String>,
    pub code: ExitCode,
}

pub type Result<T, E = Error> = std::result::Result<T, E>;

impl Error {
    /// map-trace itself failed (125).
    pub fn failed(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            what: what.into(),
            why: without_number(why.to_string()),
            remedy: None,
            code: ExitCode::FAILED,
        }
    }

    /// The caller asked for something that makes no sense (2).
    pub fn usage(what: impl Into<String>, why: impl fmt::Display) -> Self {
        Self {
            code: ExitCode::USAGE,
            ..Self::failed(what, why)
        }
    }

    /// Adds the command that fixes it.
    #[must_use]
    pub fn fix(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Changes the exit status.
    #[must_use]
    pub const fn code(mut self, code: ExitCode) -> Self {
        self.code = code;
        self
    }
}

/// Takes the ` (os error 2)` off that std puts behind a system error's own words.
fn without_number(mut why: String) -> String {
    if let Some((words, number)) = why.rsplit_once(" (os error ")
        && number.ends_with(')')
    {
        why.truncate(words.len());
    }
    why
}

impl fmt::Display for Error {
    /// `<what failed>: <why>; <fix>` without line breaks or control characters.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut line = format!("{}: {}", self.what, self.why);
        if let Some(remedy) = &self.remedy {
            line.push_str("; ");
            line.push_str(remedy);
        }
        let clean: String = line
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        f.write_str(clean.trim_end())
    }
}

impl std::error::Error for Error {}
