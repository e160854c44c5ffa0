//! What side-band records said last of stretches of many mappings, kept apart from the mappings.
//!
//! The kernel joins neighbours as they come and reports the whole each time, so that memory which grows in n steps is
//! reported n times, by n pieces of the replay on average n / 2. Pieces that a record finds as the record before left
//! them differ in [`Vma::reported_ns`] alone. That stands here once for all of them, until one is touched.

use super::mapping::Vma;
use super::ordered::Ordered;

/// Stretches kept: regions that grow at the same time.
const KEPT: usize = 8;

/// Each mapping in the stretch is as this one, which was reported at its `reported_ns`; they themselves may say that
/// they were reported earlier. The flags are the record's own.
#[derive(Clone, Debug)]
pub(super) struct Told(Vma);

impl Told {
    /// A later record of the whole says nothing new of this.
    fn is_within(&self, vma: &Vma) -> bool {
        vma.start <= self.0.start
            && self.0.end <= vma.end
            && self.0.reported_ns <= vma.reported_ns
            && self.0.prot == vma.prot
            && self.0.flags == vma.flags
            && self.0.kind == vma.kind
            && self.0.shared == vma.shared
            && self.0.backing == vma.backing
            && self.0.offset == vma.offset_at(self.0.start)
    }
}

impl Ordered {
    /// The stretch of a reported mapping that is known to be as the report says, and the flags there.
    pub(super) fn told_within(&self, vma: &Vma) -> Option<(u64, u64, u32)> {
        let told = self.told.iter().rev().find(|told| told.is_within(vma))?;
        let flags = self.at(told.0.start)?.flags;
        Some((told.0.start, told.0.end, flags))
    }

    /// Every mapping in the range of this one is now as it says.
    pub(super) fn tell(&mut self, vma: Vma) {
        self.told
            .retain(|told| told.0.start < vma.start || told.0.end > vma.end);
        self.told.push(Told(vma));
        if self.told.len() > KEPT {
            let oldest = self.told.remove(0);
            self.report(oldest.0.start, oldest.0.end, oldest.0.reported_ns);
        }
    }

    /// Mappings in `start..end` are about to be looked at or changed: they get what was told of them, and the larger
    /// part beside them stays told.
    pub(super) fn settle(&mut self, start: u64, end: u64) {
        for mut told in std::mem::take(&mut self.told) {
            let (from, to) = (told.0.start, told.0.end);
            if to <= start || end <= from {
                self.told.push(told);
                continue;
            }
            let (below, above) = (start.max(from), end.min(to));
            let (keep_from, keep_to) = if below - from >= to - above {
                (from, below)
            } else {
                (above, to)
            };
            self.report(from, keep_from, told.0.reported_ns);
            self.report(keep_to, to, told.0.reported_ns);
            if keep_from < keep_to {
                told.0.clip(keep_from, keep_to);
                self.told.push(told);
            }
        }
    }

    /// Mappings that share a page with `start..end` were reported.
    fn report(&mut self, start: u64, end: u64, reported_ns: u64) {
        if start >= end {
            return;
        }
        let first = self.at(start).map_or(start, |vma| vma.start);
        for vma in self.by_start.range_mut(first..end).map(|(_, vma)| vma) {
            vma.reported_ns = vma.reported_ns.max(reported_ns);
        }
    }
}
