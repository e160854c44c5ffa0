//! The census: how often each operation ran.
//!
//! With `--census full` each operation passes a probe and is counted. By default nothing on the program's way
//! costs anything: what structure probes tell bounds the counts from below. A map that was seen with n entries
//! was assigned to at least n times, a loop that began made a step.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use map_trace_common::census::{CensusCounts, Goal};
use map_trace_common::record::kind;

use super::settings::Level;
use crate::binary::layout::Layouts;
use crate::binary::{Binary, MapImplementation};
use crate::claim::AfterOperations;
use crate::kernel::census;
use crate::kernel::object::{Object, ObjectError};
use crate::kernel::totals::Totals;
use crate::kernel::uprobes::{Counted, Uprobes};
use crate::maps::census::{COUNTED, FLUSHES, HMAP_FLAGS, Plan, SWISS_FLAGS, plan};
use crate::model::Operation;
use crate::model::header::Probe;
use crate::model::summary::{CensusRow, CensusSample, Count, CountKind, PteTally};

/// Maps whose entries are remembered; of more, less is known.
const MAX_MAPS: usize = 1 << 16;

/// How many assigns there must have been.
#[derive(Debug, Default)]
pub struct Bounds {
    /// By address of the map: the most entries it was seen with.
    entries: HashMap<u64, u64>,
    /// Of maps that are no more.
    before: u64,
    /// A program can copy maps: entries say nothing about assigns.
    copies: bool,
}

impl Bounds {
    /// The binary has a function that fills a map without assigning to it.
    pub fn program(&mut self, binary: &Binary) {
        const COPIES: [&str; 2] = ["runtime.mapclone2", "internal/runtime/maps.(*Map).Clone"];
        self.copies |= COPIES.iter().any(|name| !binary.symbol(name).is_empty());
    }

    /// A map was made at an address: what was there is gone.
    pub fn made(&mut self, map: u64) {
        self.before = self
            .before
            .saturating_add(self.entries.remove(&map).unwrap_or(0));
    }

    /// A map was seen with so many entries.
    pub fn seen(&mut self, map: u64, entries: u64) {
        let room = self.entries.len() < MAX_MAPS;
        match self.entries.get_mut(&map) {
            Some(known) => *known = entries.max(*known),
            None if room && map != 0 => {
                self.entries.insert(map, entries);
            }
            None => {}
        }
    }

    /// The least number of assigns there can have been.
    fn assigns(&self) -> u64 {
        if self.copies {
            return 0;
        }
        let now = self
            .entries
            .values()
            .fold(0_u64, |sum, entries| sum.saturating_add(*entries));
        self.before.saturating_add(now)
    }
}

/// What is counted and how well.
#[derive(Debug, Default)]
pub struct Census {
    level: Level,
    /// Entries of the maps' storage, too.
    entries: bool,
    /// Operations some of which are not counted, and why.
    missed: Vec<(Option<Operation>, String)>,
    /// Flag names differ between implementations.
    implementation: Option<MapImplementation>,
    /// Something is counted.
    counts: bool,
    /// Flushes of the write barrier's buffers are.
    flushes: bool,
    /// The program runs: what is probed from now on has done something uncounted before.
    pub running: bool,
}

impl Census {
    pub fn new(level: Level, pte: Level) -> Self {
        Self {
            level,
            entries: pte == Level::Full,
            ..Self::default()
        }
    }

    /// Counts in a program, from its start on; what was attached.
    pub fn file(
        &mut self,
        uprobes: &mut Uprobes,
        object: &mut Object,
        path: &Path,
        name: &Path,
        (binary, layouts): (&Binary, &Layouts),
    ) -> Vec<Probe> {
        if self.level != Level::Full {
            return Vec::new();
        }
        let plan = plan(binary, layouts, self.entries);
        let flushes = plan
            .flushes
            .map(|(file_offset, place)| Counted { file_offset, place });
        let wanted: Vec<Counted> = plan
            .places
            .iter()
            .map(|planned| Counted {
                file_offset: planned.file_offset,
                place: planned.place,
            })
            .chain(flushes)
            .collect();
        self.flushes |= flushes.is_some();
        if let Err(why) = uprobes.count(object, path, &wanted) {
            self.missed(None, format!("{}: {why}", name.display()));
            return Vec::new();
        }
        self.counts = true;
        self.implementation = binary.facts().map_implementation;
        if self.running {
            let why = format!("{} was running before it was counted in", name.display());
            self.missed(None, why);
        }
        self.take(plan, uprobes.means(), name)
    }

    /// Has the start of the next operation told once so many are over; only what is counted can be.
    ///
    /// # Errors
    /// The kernel's map could not be written.
    pub fn tell_after(
        &self,
        object: &mut Object,
        after: &AfterOperations,
    ) -> Result<(), ObjectError> {
        if self.level != Level::Full {
            return Ok(());
        }
        let bits = (0u32..).zip(&COUNTED);
        let wanted = bits.filter(|(_, operation)| after.operations().any(|one| one == *operation));
        let goal = Goal {
            operations: wanted.fold(0, |mask, (bit, _)| mask | 1 << bit),
            after: after.count,
            seen: 0,
        };
        census::tell_after(object, goal)
    }

    fn take(&mut self, plan: Plan, means: &str, name: &Path) -> Vec<Probe> {
        for (operation, why) in plan.missed {
            self.missed(Some(operation), why);
        }
        let probe = |place: crate::maps::census::Planned| Probe {
            name: "census".to_owned(),
            attach_point: format!(
                "{means}:{}:{} ({})",
                name.display(),
                place.name,
                place.at.class.word()
            ),
            emits: Vec::new(),
        };
        plan.places.into_iter().map(probe).collect()
    }

    fn missed(&mut self, operation: Option<Operation>, why: String) {
        const MOST: usize = 256;
        if self.missed.len() < MOST {
            self.missed.push((operation, why));
        }
    }

    /// There is code of Go that is not counted in.
    pub fn other(&mut self, name: &str) {
        if self.level != Level::Off {
            self.missed(None, format!("{name} has Go code that is not probed"));
        }
    }

    /// Why some operations were not counted.
    pub fn notes(&self) -> Vec<String> {
        self.missed.iter().map(|(_, why)| why.clone()).collect()
    }

    /// The counts at the end; nothing when nothing was counted.
    pub fn result(
        &mut self,
        object: &Object,
        totals: &Totals,
        bounds: &Bounds,
        sample: Option<&CensusSample>,
    ) -> (BTreeMap<String, Count>, BTreeMap<String, CensusRow>) {
        let mut counts = self.bounds(totals, bounds);
        self.sampled(sample, &mut counts);
        let mut rows = BTreeMap::new();
        let sums = match census::counts(object) {
            Ok(sums) if self.counts => sums,
            Ok(_) => return (counts, rows),
            // Whoever wanted counts finds none, and the reason where the rest of them is.
            Err(why) => {
                self.missed(None, why.to_string());
                return (counts, rows);
            }
        };
        for (operation, sum) in COUNTED.iter().zip(&sums) {
            let count = Count {
                value: sum.count,
                kind: self.kind(operation),
            };
            counts.insert(operation.word().to_owned(), count);
            if sum.count != 0 {
                rows.insert(operation.word().to_owned(), self.row(sum));
            }
        }
        (counts, rows)
    }

    /// How often the write barrier's buffers were emptied, where that was counted.
    pub fn flushes(&self, object: &Object) -> Option<u64> {
        let sums = census::counts(object).ok().filter(|_| self.flushes)?;
        sums.get(FLUSHES as usize).map(|sum| sum.count)
    }

    /// What is known without counting.
    fn bounds(&self, totals: &Totals, bounds: &Bounds) -> BTreeMap<String, Count> {
        if self.level == Level::Off {
            return BTreeMap::new();
        }
        let counted = |kind: u32| totals.kinds.get(kind as usize).map_or(0, |of| of.counted);
        let least = [
            (Operation::Assign, bounds.assigns()),
            (Operation::Make, counted(kind::MAP_MAKE)),
            (Operation::Grow, counted(kind::MAP_GROW)),
            (Operation::Iterate, counted(kind::ITERATION)),
            (Operation::Clear, counted(kind::MAP_CLEAR)),
        ];
        let least = least.into_iter().filter(|(_, value)| *value != 0);
        least
            .map(|(operation, value)| {
                let kind = CountKind::LowerBound;
                (operation.word().to_owned(), Count { value, kind })
            })
            .collect()
    }

    /// What was counted by duty cycle raises the bounds.
    fn sampled(&mut self, sample: Option<&CensusSample>, counts: &mut BTreeMap<String, Count>) {
        for (word, &hits) in sample.into_iter().flat_map(|sample| &sample.hits) {
            let count = counts.entry(word.clone()).or_default();
            count.value = count.value.max(hits);
            count.kind = CountKind::LowerBound;
        }
        if let Some(why) = sample.and_then(|sample| sample.stopped.clone()) {
            self.missed(None, format!("counting by duty cycle: {why}"));
        }
    }

    fn kind(&self, operation: &Operation) -> CountKind {
        let of = |missed: &(Option<Operation>, String)| {
            missed.0.as_ref().is_none_or(|missed| missed == operation)
        };
        if self.missed.iter().any(of) {
            CountKind::LowerBound
        } else {
            CountKind::Exact
        }
    }

    fn row(&self, sum: &CensusCounts) -> CensusRow {
        let names: &[&str] = match self.implementation {
            Some(MapImplementation::Hmap) => &HMAP_FLAGS,
            Some(MapImplementation::Swiss) => &SWISS_FLAGS,
            None => &[],
        };
        let with = |bit: usize| {
            let flags = sum.flags.iter().enumerate();
            flags
                .filter(|(value, _)| value >> bit & 1 == 1)
                .map(|(_, count)| count)
                .sum()
        };
        let entries = &sum.entries;
        CensusRow {
            flags: names
                .iter()
                .enumerate()
                .map(|(bit, name)| ((*name).to_owned(), with(bit)))
                .collect(),
            sizes: (0u32..)
                .zip(sum.sizes)
                .filter(|(_, count)| *count != 0)
                .map(|(size, count)| (size.to_string(), count))
                .collect(),
            no_header: sum.no_header,
            pte: self.entries.then_some(PteTally {
                samples: entries.samples,
                present: entries.present,
                writable: entries.writable,
                read_only: entries.read_only,
                not_present: entries.not_present,
                no_execute: entries.no_execute,
                unstable: entries.unstable,
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_map_was_assigned_to_at_least_as_often_as_it_ever_had_entries() {
        let mut bounds = Bounds::default();
        bounds.seen(0x1000, 8);
        bounds.seen(0x1000, 100);
        bounds.seen(0x1000, 3);
        bounds.seen(0x2000, 5);
        assert_eq!(bounds.assigns(), 105);
    }

    #[test]
    fn a_new_map_in_the_place_of_another_begins_anew() {
        let mut bounds = Bounds::default();
        bounds.seen(0x1000, 100);
        bounds.made(0x1000);
        bounds.seen(0x1000, 7);
        assert_eq!(bounds.assigns(), 107);
    }

    #[test]
    fn entries_say_nothing_where_maps_can_be_copied() {
        let mut bounds = Bounds {
            copies: true,
            ..Bounds::default()
        };
        bounds.seen(0x1000, 100);
        assert_eq!(bounds.assigns(), 0);
    }
}
