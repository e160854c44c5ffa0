//! Which pages of maps the timer reads: all known memory of entries, a window of it at a time.

use map_trace_common::range::{LAST, Range};

use super::pipeline::Pipeline;
use super::settings::Level;
use crate::kernel::object::Object;
use crate::kernel::perf_programs::set_ranges;
use crate::maps::registry;

const PAGE: u64 = 4096;
/// Entries read at a tick, unless everything is asked for.
const AT_ONCE: u64 = 4;
/// Ranges of one process looked at.
const MAX_RANGES: usize = 1 << 16;
/// A prime: where a window is read from moves by it.
const STEP: u64 = 61;

/// How many entries a tick reads; 0: as many as it can.
pub const fn at_once(pte: Level) -> u64 {
    match pte {
        Level::Full => 0,
        Level::Sample | Level::Off => AT_ONCE,
    }
}

/// Keeps the sampler in the kernel up to date.
pub struct Sampler {
    at_once: u64,
    spans: Vec<Range>,
    /// The registry's count of changes when these were made.
    changes: u64,
    turn: u64,
}

impl Sampler {
    pub const fn new(pte: Level) -> Self {
        Self {
            at_once: at_once(pte),
            spans: Vec::new(),
            changes: 0,
            turn: 0,
        }
    }

    /// Tells the kernel what is known by now; true when there is something new to read. What the user asked to watch
    /// comes first.
    pub fn update(&mut self, object: &mut Object, pipeline: &Pipeline) -> bool {
        let registry = &pipeline.structure.registry;
        let changed = registry.changes != self.changes;
        if changed {
            self.changes = registry.changes;
            self.spans.clear();
            let mut alive: Vec<u32> = pipeline.alive().iter().copied().collect();
            alive.sort_unstable();
            for tgid in alive {
                self.spans
                    .extend(spans(tgid, &registry.storage(tgid, MAX_RANGES)));
            }
        }
        let mut told = pipeline.watched.kernel_ranges();
        let room = (LAST as usize).saturating_sub(told.len());
        let all_fit = self.spans.len() <= room;
        if (all_fit && !changed) || room == 0 {
            return false;
        }
        self.turn += 1;
        let first = if all_fit {
            0
        } else {
            usize::try_from(self.turn).unwrap_or(0).wrapping_mul(room) % self.spans.len()
        };
        let window = self
            .spans
            .iter()
            .cycle()
            .skip(first)
            .take(room.min(self.spans.len()));
        told.extend(window.map(|span| Range {
            cursor: self.turn.wrapping_mul(STEP) % span.pages.max(1),
            ..*span
        }));
        // Without it the last window is read on.
        let told = set_ranges(object, &told, self.at_once).map(|()| !told.is_empty());
        told.unwrap_or(false)
    }
}

/// The pages that ranges lie in, those that touch joined.
fn spans(tgid: u32, ranges: &[registry::Range]) -> Vec<Range> {
    let mut spans: Vec<Range> = Vec::new();
    for range in ranges {
        let start = range.start & !(PAGE - 1);
        let end = range.end.saturating_add(PAGE - 1) & !(PAGE - 1);
        match spans.last_mut() {
            Some(last) if start <= last.start + last.pages * PAGE => {
                last.pages = last.pages.max(end.saturating_sub(last.start) / PAGE);
            }
            _ => spans.push(Range {
                start,
                pages: end.saturating_sub(start) / PAGE,
                cursor: 0,
                tgid: tgid.into(),
            }),
        }
    }
    spans
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::maps::registry::Part;

    #[test]
    fn ranges_that_share_or_touch_pages_are_read_as_one() {
        let range = |start, end| registry::Range {
            start,
            end,
            part: Part::Group,
        };
        let told = spans(
            7,
            &[
                range(0x1010, 0x1f00),
                range(0x1f00, 0x2100),
                range(0x3000, 0x3010),
                range(0x9000, 0x9001),
            ],
        );
        let pages: Vec<_> = told
            .iter()
            .map(|span| (span.start, span.pages, span.tgid))
            .collect();
        assert_eq!(pages, [(0x1000, 3, 7), (0x9000, 1, 7)]);
    }
}
