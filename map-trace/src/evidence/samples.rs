//! Page-table samples, tallied in all and by operation.

use std::collections::HashMap;

use crate::model::Pte;
use crate::model::event::{Context, PteSampleEvent};
use crate::model::summary::{PteSummary, PteTally};
use crate::model::watched::WatchedMemory;

/// Operations told apart.
const MAX_OPERATIONS: usize = 256;
/// Pages whose last entry is kept.
const MAX_PAGES: usize = 1 << 14;
const PAGE: u64 = 4096;

/// Samples so far.
#[derive(Default)]
pub struct Samples {
    summary: PteSummary,
    /// The last entry sampled at a page.
    last: HashMap<(u32, u64), Pte>,
}

impl Samples {
    /// Counts `count` samples of one entry.
    pub fn add(&mut self, pte: &Pte, context: &Context, count: u64) {
        tally(&mut self.summary.total, pte, count);
        let operation = context.operation.word();
        let during = &mut self.summary.during;
        if during.len() < MAX_OPERATIONS || during.contains_key(operation) {
            tally(during.entry(operation.to_owned()).or_default(), pte, count);
        }
    }

    pub fn finish(self) -> PteSummary {
        self.summary
    }

    /// Keeps the entry as the last of its page.
    pub fn last(&mut self, event: &PteSampleEvent) {
        let page = (event.pid, event.address.0 / PAGE);
        if self.last.len() < MAX_PAGES || self.last.contains_key(&page) {
            self.last.insert(page, event.pte);
        }
    }

    /// Watched memory with the last entry of its first page.
    pub fn watched(&self, mut watched: Vec<WatchedMemory>) -> Vec<WatchedMemory> {
        for memory in &mut watched {
            let page = (memory.pid, memory.address.0 / PAGE);
            memory.pte = self.last.get(&page).copied();
        }
        watched
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
