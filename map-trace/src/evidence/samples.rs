//! Page-table samples, tallied in all and by operation.

use crate::model::Pte;
use crate::model::event::Context;
use crate::model::summary::{PteSummary, PteTally};

/// Operations told apart.
const MAX_OPERATIONS: usize = 256;

/// Samples so far.
#[derive(Default)]
pub struct Samples(PteSummary);

impl Samples {
    /// Counts `count` samples of one entry.
    pub fn add(&mut self, pte: &Pte, context: &Context, count: u64) {
        tally(&mut self.0.total, pte, count);
        let operation = context.operation.word();
        let during = &mut self.0.during;
        if during.len() < MAX_OPERATIONS || during.contains_key(operation) {
            tally(during.entry(operation.to_owned()).or_default(), pte, count);
        }
    }

    pub fn finish(self) -> PteSummary {
        self.0
    }
}

fn tally(sum: &mut PteTally, pte: &Pte, count: u64) {
    let when = |on: bool| if on { count } else { 0 };
    for (total, on) in [
        (&mut sum.samples, true),
        (&mut sum.present, pte.present),
        (&mut sum.writable, pte.present && pte.writable),
        (&mut sum.read_only, pte.present && !pte.writable),
        (&mut sum.not_present, !pte.present),
        (&mut sum.no_execute, pte.present && pte.no_execute),
        (&mut sum.unstable, pte.unstable),
    ] {
        *total = total.saturating_add(when(on));
    }
}
