//! The only place where the live parts are wired together.

mod aggregates;
mod calls;
mod clock;
mod controls;
mod faults;
mod footer;
mod instrument;
mod limiter;
mod live;
mod members;
mod memory_facts;
mod modules;
mod names;
mod options;
mod order;
pub mod outcome;
mod pipeline;
mod processes;
mod progress;
mod recording;
pub mod settings;
mod stacks;
mod structure;
mod userfaultfd;
mod watched;

pub use live::{attach, run};
pub use outcome::{ProgramStatus, RunOutcome};
pub use settings::{AttachSettings, RunSettings};
