//! The traced program as a process: started suspended, released, waited for, and read through /proc.
//!
//! Order of a launch, and why:
//! 1. [`launch::prepare`] finds the program and refuses what cannot run, before anything is armed.
//! 2. `Prepared::spawn` forks. The child gives back what map-trace changed (signal mask and
//!    dispositions, resource limits), becomes the user and blocks reading a pipe.
//! 3. The caller arms every probe on the child's id.
//! 4. `Suspended::release` writes the go byte; the child calls execve(2) and its error, if any, comes
//!    back through a second pipe that a successful exec closes.
//!
//! When map-trace dies before step 4 the child reads end-of-file and exits without running the
//! program. When it dies later nothing happens to the program: there is no ptrace and no parent-death
//! signal. The child stays in map-trace's process group and session, so that Ctrl-C and Ctrl-Z reach it
//! as they would without map-trace.

mod child;
mod executable;
pub mod identity;
pub mod launch;
pub mod limits;
mod lookup;
pub mod procfs;
mod signals;
pub mod stop;
pub mod surroundings;
pub mod syscall;
pub mod toolchains;
pub mod wait;

pub use identity::UserChoice;
pub use launch::{Command, Prepared, Running, Suspended, prepare};
pub use surroundings::Surroundings;
pub use wait::{Usage, Waited};
