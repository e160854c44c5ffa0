//! The ordered set of disjoint mappings under a [`Space`](super::Space).

use std::collections::BTreeMap;

use super::mapping::Vma;
use super::told::Told;

/// Mappings by start address: disjoint, never empty.
#[derive(Clone, Debug, Default)]
pub(super) struct Ordered {
    pub(super) by_start: BTreeMap<u64, Vma>,
    /// What side-band records said last of stretches that nothing has touched since.
    pub(super) told: Vec<Told>,
}

impl Ordered {
    pub(super) fn len(&self) -> usize {
        self.by_start.len()
    }

    pub(super) fn iter(&self) -> impl DoubleEndedIterator<Item = &Vma> {
        self.by_start.values()
    }

    /// The mapping `address` lies in.
    pub(super) fn at(&self, address: u64) -> Option<&Vma> {
        self.below(address.saturating_add(1))
            .filter(|vma| vma.contains(address))
    }

    /// The last mapping that starts below `address`.
    pub(super) fn below(&self, address: u64) -> Option<&Vma> {
        self.by_start
            .range(..address)
            .next_back()
            .map(|(_, vma)| vma)
    }

    /// Mappings that start at or above `address`, upwards.
    pub(super) fn upwards(&self, address: u64) -> impl Iterator<Item = &Vma> {
        self.by_start.range(address..).map(|(_, vma)| vma)
    }

    /// Mappings that share a page with `start..end`, in order.
    pub(super) fn overlapping(&self, start: u64, end: u64) -> impl Iterator<Item = &Vma> {
        let first = self.at(start).map_or(start, |vma| vma.start);
        // An empty or inverted range must not reach BTreeMap::range, which panics on the latter.
        let (first, end) = if start < end { (first, end) } else { (0, 0) };
        self.by_start.range(first..end).map(|(_, vma)| vma)
    }

    /// Makes `address` a boundary between mappings.
    fn split(&mut self, address: u64) {
        let Some(vma) = self.at(address) else { return };
        if vma.start == address {
            return;
        }
        let (mut low, mut high) = (vma.clone(), vma.clone());
        low.end = address;
        high.clip(address, vma.end);
        self.by_start.insert(low.start, low);
        self.by_start.insert(high.start, high);
    }

    /// Takes `start..end` out, split at its edges, and returns the pieces in order.
    pub(super) fn take(&mut self, start: u64, end: u64) -> Vec<Vma> {
        if start >= end {
            return Vec::new();
        }
        self.settle(start, end);
        self.split(start);
        self.split(end);
        let inside: Vec<u64> = self
            .by_start
            .range(start..end)
            .map(|(key, _)| *key)
            .collect();
        inside
            .into_iter()
            .filter_map(|key| self.by_start.remove(&key))
            .collect()
    }

    /// Puts a mapping over whatever was there.
    pub(super) fn put(&mut self, vma: Vma) {
        if vma.start >= vma.end {
            return;
        }
        drop(self.take(vma.start, vma.end));
        self.by_start.insert(vma.start, vma);
    }

    /// Replaces each piece of `start..end` by what `change` makes of it (nothing: unmapped).
    pub(super) fn change(
        &mut self,
        start: u64,
        end: u64,
        mut change: impl FnMut(Vma) -> Option<Vma>,
    ) {
        for piece in self.take(start, end) {
            if let Some(vma) = change(piece) {
                self.by_start.insert(vma.start, vma);
            }
        }
    }

    /// Holes of `start..end`, in order.
    pub(super) fn holes(&self, start: u64, end: u64) -> Vec<(u64, u64)> {
        let mut holes = Vec::new();
        let mut at = start;
        for vma in self.overlapping(start, end) {
            if at < vma.start {
                holes.push((at, vma.start));
            }
            at = vma.end;
        }
        if at < end {
            holes.push((at, end));
        }
        holes
    }

    /// Joins neighbours that differ in nothing and have both been as they are since `settled_ns`.
    pub(super) fn join(&mut self, settled_ns: u64) {
        self.settle(0, u64::MAX);
        let mut joined: Vec<(u64, Vma)> = Vec::with_capacity(self.by_start.len());
        for vma in std::mem::take(&mut self.by_start).into_values() {
            match joined.last_mut() {
                Some((_, last))
                    if last.since_ns <= settled_ns
                        && vma.since_ns <= settled_ns
                        && last.continues_in(&vma) =>
                {
                    last.end = vma.end;
                    last.made_ns = last.made_ns.max(vma.made_ns);
                    last.since_ns = last.since_ns.max(vma.since_ns);
                    last.reported_ns = last.reported_ns.min(vma.reported_ns);
                }
                _ => joined.push((vma.start, vma)),
            }
        }
        self.by_start = joined.into_iter().collect();
    }
}
