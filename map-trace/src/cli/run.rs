//! `map-trace run`: starts a program and records it to its end.
//!
//! ```text
//! $ sudo map-trace run ./app --its-own-option
//! map-trace: ./app (go1.23.9, hmap) ran 412 ms, exited 0
//! ```
//!
//! Everything from the program's name on belongs to the program, options too; `--` before it is allowed and not
//! needed. The exit status is the program's own, 128+n when signal n ended it, 125 when map-trace failed, 126
//! when the program cannot be executed, 127 when it is not found.

use std::ffi::OsString;

use clap::{Args, ValueHint};

use super::record::{RecordArgs, Results};
use crate::error::{Error, Result};
use crate::exit_code::ExitCode;
use crate::session;
use crate::session::settings::{ProgramSettings, RunSettings, User};

/// Start a program and record it and its children to the end (needs root)
#[derive(Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    pub(super) record: RecordArgs,
    #[command(flatten)]
    pub(super) program: ProgramArgs,
}

/// The program to start and who it runs as.
#[derive(Debug, Args)]
pub struct ProgramArgs {
    #[command(flatten)]
    who: WhoArgs,
    /// The program and its arguments
    #[arg(required = true, num_args = 1.., trailing_var_arg = true, value_name = "PROGRAM",
          value_hint = ValueHint::CommandWithArguments)]
    program: Vec<OsString>,
}

/// Who the program runs as.
#[derive(Debug, Args)]
pub struct WhoArgs {
    /// Run the program as this user [default: the caller of sudo, else root]
    #[arg(short, long, value_name = "NAME")]
    user: Option<String>,
    /// Keep root for the program
    #[arg(long, conflicts_with = "user")]
    as_root: bool,
}

impl ProgramArgs {
    /// Checks that there is something to start.
    pub fn resolve(self) -> Result<ProgramSettings> {
        self.who.resolve(self.program)
    }
}

impl WhoArgs {
    /// Checks that there is something to start, and somebody to start it as.
    pub fn resolve(self, program: Vec<OsString>) -> Result<ProgramSettings> {
        let mut words = program.into_iter();
        let program = words.next().unwrap_or_default();
        if program.is_empty() {
            // execve(2) knows no file without a name either; env(1) ends like this too.
            let error = Error::failed("cannot run ''", "a program needs a name");
            return Err(error.code(ExitCode::NOT_FOUND));
        }
        let user = match self.user {
            Some(name) if name.is_empty() => {
                return Err(Error::usage("--user", "a user needs a name"));
            }
            Some(name) => User::Named(name),
            None if self.as_root => User::Keep,
            None => User::Caller,
        };
        Ok(ProgramSettings {
            program,
            arguments: words.collect(),
            user,
            environment: Vec::new(),
            streams: None,
        })
    }
}

impl RunArgs {
    pub fn run(self) -> Result<ExitCode> {
        let settings = RunSettings {
            program: self.program.resolve()?,
            record: self.record.resolve()?,
        };
        let results = Results::open(&settings.record)?;
        results.deliver(&session::run(&settings)?)
    }
}
