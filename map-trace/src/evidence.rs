//! Evidence: a trace folded, line by line, into the facts of a summary.
//!
//! The live session and `report` feed the same [`Fold`] with the same lines, so a summary made while the
//! program ran and one made from the saved trace are equal. No event is kept: memory depends on how many
//! operations and signal names there are (both bounded), not on how many events.

mod fold;
mod histogram;
mod recorder;
mod rows;
mod samples;
#[cfg(test)]
mod tests;
pub mod witness;

pub use fold::Fold;
pub use histogram::Histogram;
pub use recorder::{Recorded, Recorder};
pub use rows::OTHER;

use std::io::BufRead;

use crate::model::summary::Summary;
use crate::trace::{ReadError, TraceReader};

/// Folds a whole trace.
///
/// What the reader could not use is in the summary: `cut_short`, `loss.undecodable`.
pub fn summarize<R: BufRead>(reader: &mut TraceReader<R>) -> Result<Summary, ReadError> {
    let mut fold = Fold::default();
    for line in reader.by_ref() {
        fold.line(&line?);
    }
    fold.undecodable(reader.tally().undecodable);
    Ok(fold.finish())
}
