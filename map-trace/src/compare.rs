//! One program under several conditions: what differs, and whether it is more than noise.
//!
//! [`Vary`] is what a user asked to vary, [`plan`] makes conditions of it, whoever can runs the program under them
//! again and again, and [`compare`] weighs the summaries. Conditions that differ in one variable only make a
//! [`Contrast`]; a difference inside one is attributed to that variable when it is larger than what the runs of
//! one condition differ by among themselves ([`noise`]). Nothing is run here.

pub mod cells;
mod contrast;
pub mod noise;
mod plan;
mod vary;

pub use contrast::{
    ALL, COMPARISON_SCHEMA, Comparison, Contrast, Finding, Row, Run, Spread, Trials, compare,
};
pub use plan::{Condition, MAX_CONDITIONS, MAX_REPEAT, PlanError, Setting, plan};
pub use vary::{Variable, Vary, VaryError};
