//! The only place that writes to the terminal.

use std::io::{self, Write};

use crate::error::{Error, Result};

/// One line on stderr: `map-trace: <what failed>: <why>; <fix>`.
pub fn error(error: &Error) {
    to_stderr(format!("map-trace: {error}\n").as_bytes());
}

/// Writes to stderr. Nobody is left to be told when that fails.
pub fn to_stderr(bytes: &[u8]) {
    let mut stderr = io::stderr().lock();
    let _ = stderr.write_all(bytes).and_then(|()| stderr.flush());
}

/// Writes to stdout. A reader that has closed the pipe has seen enough: that is no failure.
pub fn to_stdout(bytes: &[u8]) -> Result<()> {
    let mut stdout = io::stdout().lock();
    match stdout.write_all(bytes).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(Error::failed("cannot write to standard output", error))
        }
        _ => Ok(()),
    }
}
