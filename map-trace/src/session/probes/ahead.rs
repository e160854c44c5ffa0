//! A program's file, read beside other work.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Builder, JoinHandle};

use crate::binary::{Binary, BinaryFacts};
use crate::maps::structure::{self, Plan};

/// A Go program that was read, and where it is to be probed.
pub(super) type Planned = (Binary, Result<Plan, String>);

/// A program's file that was read.
pub(super) struct Known {
    pub(super) facts: BinaryFacts,
    /// None when it is not of Go.
    pub(super) planned: Option<Planned>,
}

/// Reads a program's file; none when it is no ELF file. `go` is set as soon as it is known to be of Go.
pub(super) fn read(path: &Path, go: &AtomicBool) -> Option<Known> {
    let binary = Binary::open(path).ok()?;
    let facts = binary.facts().clone();
    let planned = facts.go_version.is_some().then(|| {
        go.store(true, Ordering::Release);
        let plan = structure::plan(&binary);
        (binary, plan)
    });
    Some(Known { facts, planned })
}

pub(super) fn identity(path: &Path) -> Option<(u64, u64)> {
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// A file that is read while the kernel is still being made ready: both take tens of milliseconds.
pub struct Ahead {
    pub(super) identity: (u64, u64),
    pub(super) path: PathBuf,
    pub(super) go: Arc<AtomicBool>,
    pub(super) reading: Reading,
}

pub(super) enum Reading {
    Begun(JoinHandle<Option<Known>>),
    /// Outer none: it failed, and is to be tried again.
    Done(Box<Option<Option<Known>>>),
}

impl Reading {
    /// Waits for what was read.
    pub(super) fn done(self) -> Option<Option<Known>> {
        match self {
            Self::Begun(reading) => reading.join().ok(),
            Self::Done(read) => *read,
        }
    }
}

impl Ahead {
    /// Begins to read; none when the file is not there or no thread can be had.
    pub fn begin(path: &Path) -> Option<Self> {
        let identity = identity(path)?;
        let go = Arc::new(AtomicBool::new(false));
        let (of, found) = (path.to_owned(), Arc::clone(&go));
        let reading = Builder::new().spawn(move || read(&of, &found)).ok()?;
        Some(Self {
            identity,
            path: path.to_owned(),
            go,
            reading: Reading::Begun(reading),
        })
    }

    /// Becomes true when the file is known to be of Go.
    pub fn go(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.go)
    }
}
