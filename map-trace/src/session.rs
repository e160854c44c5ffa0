//! The only place where the live parts are wired together.

mod aggregates;
mod calls;
mod census;
mod clock;
pub mod compare;
mod controls;
mod entries;
mod faults;
mod footer;
mod instrument;
mod limiter;
mod live;
mod marks;
mod members;
mod memory_facts;
mod modules;
mod names;
mod options;
mod order;
pub mod outcome;
mod pipeline;
pub mod places;
mod processes;
mod progress;
mod recording;
mod sampler;
pub mod settings;
mod stacks;
mod structure;
mod userfaultfd;
mod watched;

pub use clock::utc_now;
pub use live::{attach, run, run_in};
pub use outcome::{ProgramStatus, RunOutcome};
pub use settings::{AttachSettings, RunSettings};
