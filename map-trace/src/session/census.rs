//! The census: how often each operation ran.

use std::collections::BTreeMap;
use std::path::Path;

use map_trace_common::census::CensusCounts;

use super::settings::Level;
use crate::binary::layout::Layouts;
use crate::binary::{Binary, MapImplementation};
use crate::kernel::census;
use crate::kernel::object::Object;
use crate::kernel::uprobes::{Counted, Uprobes};
use crate::maps::census::{COUNTED, HMAP_FLAGS, Plan, SWISS_FLAGS, plan};
use crate::model::Operation;
use crate::model::header::Probe;
use crate::model::summary::{CensusRow, Count, CountKind, PteTally};

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
        let wanted: Vec<Counted> = plan
            .places
            .iter()
            .map(|planned| Counted {
                file_offset: planned.file_offset,
                place: planned.place,
            })
            .collect();
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

    /// Why some operations were not counted.
    pub fn notes(&self) -> Vec<String> {
        self.missed.iter().map(|(_, why)| why.clone()).collect()
    }

    /// The counts at the end; nothing when nothing was counted.
    pub fn result(
        &mut self,
        object: &Object,
    ) -> (BTreeMap<String, Count>, BTreeMap<String, CensusRow>) {
        let mut counts = BTreeMap::new();
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
