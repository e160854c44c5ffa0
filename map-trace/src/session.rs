//! The only place where the live parts are wired together.

mod aggregates;
mod calls;
mod faults;
mod footer;
mod limiter;
mod live;
mod modules;
mod names;
mod order;
pub mod outcome;
mod pipeline;
pub mod settings;
mod stacks;

pub use live::{attach, run};
pub use outcome::{ProgramStatus, RunOutcome};
pub use settings::{AttachSettings, RunSettings};
