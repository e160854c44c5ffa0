//! What can go wrong with a trace file.

use std::io;
use std::path::PathBuf;

use crate::error::Error;
use crate::model::header::TRACE_SCHEMA;

/// A trace that cannot be read at all. Damage after the header is no error: see `ReadTally`.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("{0}")]
    Io(#[from] io::Error),
    #[error("the file is empty")]
    Empty,
    #[error("not a trace: {0}")]
    NotATrace(String),
    #[error("cut short inside its first line, nothing in it can be used")]
    CutInHeader,
    #[error("its schema is {found:?}, this map-trace reads {TRACE_SCHEMA:?}")]
    Schema { found: String },
}

impl ReadError {
    /// The user's one line: which file, why, and what to do.
    pub fn into_error(self, file: &str) -> Error {
        let remedy = match &self {
            Self::Io(_) => None,
            Self::Schema { .. } => Some("read it with the map-trace that wrote it"),
            Self::Empty | Self::NotATrace(_) | Self::CutInHeader => {
                Some("map-trace run -o FILE PROGRAM makes one")
            }
        };
        let error = Error::failed(format!("cannot read the trace {file}"), self);
        match remedy {
            Some(remedy) => error.fix(remedy),
            None => error,
        }
    }
}

/// A trace or another result that cannot be saved.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    #[error("{source}")]
    Create { path: PathBuf, source: io::Error },
    /// The path names a program; overwriting it is hardly what was meant.
    #[error("it is a program, which would be overwritten")]
    IsProgram { path: PathBuf },
    #[error("{source}")]
    Write { path: PathBuf, source: io::Error },
    #[error("a line of {length} bytes is longer than a reader accepts")]
    LineTooLong { path: PathBuf, length: usize },
    #[error("a header or footer inside the trace")]
    Misplaced { path: PathBuf },
}

impl From<WriteError> for Error {
    fn from(error: WriteError) -> Self {
        let (WriteError::Create { path, .. }
        | WriteError::IsProgram { path }
        | WriteError::Write { path, .. }
        | WriteError::LineTooLong { path, .. }
        | WriteError::Misplaced { path }) = &error;
        let what = match &error {
            WriteError::Create { .. } | WriteError::IsProgram { .. } => "cannot create",
            _ => "cannot write all of",
        };
        let what = format!("{what} {}", path.display());
        let remedy = match &error {
            WriteError::Create { source, .. } | WriteError::Write { source, .. } => fix_of(source),
            WriteError::IsProgram { .. } => Some("name another file, or remove this one first"),
            _ => None,
        };
        let error = Self::failed(what, error);
        match remedy {
            Some(remedy) => error.fix(remedy),
            None => error,
        }
    }
}

fn fix_of(source: &io::Error) -> Option<&'static str> {
    match source.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            Some("free some space or name a file elsewhere")
        }
        io::ErrorKind::NotFound => Some("make its directory first"),
        io::ErrorKind::PermissionDenied
        | io::ErrorKind::ReadOnlyFilesystem
        | io::ErrorKind::IsADirectory => Some("name another file"),
        _ => None,
    }
}
