//! Where the memory of maps lies, told by what became known of them in order of time. Pure: the same facts
//! give the same answers.
//!
//! A range counts until the map lets go of it, or until newer memory is known to overlap it: what the garbage
//! collector frees is not seen, and an address that is used anew is not the old map's any more.

mod facts;
#[cfg(test)]
mod tests;

pub use facts::{Fact, Header, Shape, Storage, Table};

use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Ranges known at once, of all processes.
const MAX_RANGES: usize = 1 << 17;
/// Maps known at once, of all processes.
const MAX_MAPS: usize = 1 << 16;

/// A part of a map's memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Part {
    Header,
    Buckets,
    OldBuckets,
    Overflow,
    Group,
    Table,
    Directory,
}

impl Part {
    /// The word of the trace.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Header => "header",
            Self::Buckets => "buckets",
            Self::OldBuckets => "oldbuckets",
            Self::Overflow => "overflow",
            Self::Group => "group",
            Self::Table => "table",
            Self::Directory => "directory",
        }
    }

    /// Entries are kept there: what rules call `buckets`.
    pub const fn holds_entries(self) -> bool {
        matches!(
            self,
            Self::Buckets | Self::OldBuckets | Self::Overflow | Self::Group
        )
    }

    /// What an event there is on.
    pub const fn area(self) -> &'static str {
        if self.holds_entries() {
            "buckets"
        } else {
            self.word()
        }
    }
}

/// Memory of a map.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Range {
    pub start: u64,
    pub end: u64,
    pub part: Part,
}

/// What a fact changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Change {
    pub added: Vec<Range>,
    pub removed: Vec<Range>,
}

/// Memory at an address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Located {
    pub map: u64,
    pub part: Part,
}

/// A map.
#[derive(Clone, Debug, Default)]
struct Known {
    type_address: u64,
    /// Bytes of a bucket or a group, 0 when not known.
    unit: u64,
    /// Starts of its ranges that are not a table's.
    starts: BTreeSet<u64>,
    /// Swiss: tables and the groups each has.
    tables: HashMap<u64, Vec<Range>>,
}

/// The maps of one process.
#[derive(Clone, Debug, Default)]
struct Process {
    maps: HashMap<u64, Known>,
    ranges: BTreeMap<u64, (u64, Part, u64)>,
    /// Tables made for a map that is not made yet, by goroutine.
    pending: HashMap<u64, Vec<Table>>,
}

/// The maps of all processes.
#[derive(Debug, Default)]
pub struct Registry {
    processes: HashMap<u32, Process>,
    ranges: usize,
    maps: usize,
    /// Times that something of maps became known and did not fit: what is told of addresses has holes.
    pub left_out: u64,
    /// Counts changes.
    pub changes: u64,
}

impl Registry {
    /// A process became another program or ended.
    pub fn forget(&mut self, tgid: u32) {
        self.changes += 1;
        if let Some(process) = self.processes.remove(&tgid) {
            self.ranges -= process.ranges.len();
            self.maps -= process.maps.len();
        }
    }

    /// A process was made as a copy of another.
    pub fn fork(&mut self, parent: u32, child: u32) {
        self.forget(child);
        let Some(process) = self.processes.get(&parent).cloned() else {
            return;
        };
        if self.ranges + process.ranges.len() > MAX_RANGES
            || self.maps + process.maps.len() > MAX_MAPS
        {
            self.left_out += 1;
            return;
        }
        self.ranges += process.ranges.len();
        self.maps += process.maps.len();
        self.processes.insert(child, process);
    }

    /// The type of a known map: the address of its descriptor.
    pub fn type_of(&self, tgid: u32, map: u64) -> Option<u64> {
        let known = self.processes.get(&tgid)?.maps.get(&map)?;
        (known.type_address != 0).then_some(known.type_address)
    }

    /// The map that a range of addresses touches first; entries before everything else.
    pub fn locate(&self, tgid: u32, start: u64, length: u64) -> Option<Located> {
        let process = self.processes.get(&tgid)?;
        let end = start.saturating_add(length.max(1));
        let before = process.ranges.range(..start).next_back();
        let touching = before
            .into_iter()
            .chain(process.ranges.range(start..end))
            .filter(|(_, (until, _, _))| *until > start)
            .take(1 << 12);
        let mut first = None;
        for (_, &(_, part, map)) in touching {
            let found = Located { map, part };
            if part.holds_entries() {
                return Some(found);
            }
            first = first.or(Some(found));
        }
        first
    }

    /// Memory that holds entries, at most `limit` ranges of a process.
    pub fn storage(&self, tgid: u32, limit: usize) -> Vec<Range> {
        let ranges = self.processes.get(&tgid).map(|process| &process.ranges);
        let all = ranges.into_iter().flatten();
        all.filter(|(_, (_, part, _))| part.holds_entries())
            .map(|(&start, &(end, part, _))| Range { start, end, part })
            .take(limit)
            .collect()
    }

    /// Memory of a process was given back: no map is there any more. True when one was thought to be.
    pub fn freed(&mut self, tgid: u32, start: u64, length: u64) -> bool {
        let Some(process) = self.processes.get_mut(&tgid) else {
            return false;
        };
        let before = process.ranges.len();
        process.clear(start, start.saturating_add(length));
        let gone = before - process.ranges.len();
        self.ranges -= gone;
        gone > 0
    }

    /// Takes what became known.
    pub fn apply(&mut self, tgid: u32, fact: &Fact) -> Change {
        if self.processes.len() >= MAX_MAPS && !self.processes.contains_key(&tgid) {
            self.left_out += 1;
            return Change::default();
        }
        self.changes += 1;
        let process = self.processes.entry(tgid).or_default();
        let (ranges, maps) = (process.ranges.len(), process.maps.len());
        let room = MAX_RANGES.saturating_sub(self.ranges) > 512 && self.maps < MAX_MAPS;
        let fits = if fact.map == 0 {
            process.pend(fact)
        } else {
            room || process.maps.contains_key(&fact.map)
        };
        self.left_out += u64::from(!fits);
        let change = if fits {
            process.apply(fact)
        } else {
            Change::default()
        };
        self.ranges = self.ranges - ranges + process.ranges.len();
        self.maps = self.maps - maps + process.maps.len();
        change
    }
}

impl Process {
    /// Keeps a table of a map that is not made yet; false when there are too many.
    fn pend(&mut self, fact: &Fact) -> bool {
        const GOROUTINES: usize = 1 << 12;
        const TABLES: usize = 1 << 13;
        let Storage::Pending(table) = fact.storage else {
            return true;
        };
        let room = self.pending.len() < GOROUTINES || self.pending.contains_key(&fact.goroutine);
        if !room {
            return false;
        }
        let tables = self.pending.entry(fact.goroutine).or_default();
        let room = tables.len() < TABLES;
        if room {
            tables.push(table);
        }
        room
    }

    fn apply(&mut self, fact: &Fact) -> Change {
        if fact.map == 0 {
            return Change::default();
        }
        let mut change = Change::default();
        if fact.fresh {
            change.removed = self.drop_map(fact.map);
            self.clear(fact.map, fact.map.saturating_add(fact.header_size.max(1)));
        }
        let known = self.maps.entry(fact.map).or_default();
        if fact.type_address != 0 {
            known.type_address = fact.type_address;
        }
        if fact.unit != 0 {
            known.unit = fact.unit;
        }
        let unit = known.unit;
        if fact.fresh && fact.header_size != 0 && !fact.header_on_stack {
            let header = Range {
                start: fact.map,
                end: fact.map.saturating_add(fact.header_size),
                part: Part::Header,
            };
            self.insert(fact.map, header);
        }
        self.store(fact, unit, &mut change);
        change
    }

    fn store(&mut self, fact: &Fact, unit: u64, change: &mut Change) {
        match &fact.storage {
            Storage::Unknown | Storage::Pending(_) => {}
            Storage::Arrays(ranges) => {
                let parts = [Part::Buckets, Part::OldBuckets, Part::Overflow, Part::Group];
                let ranges: Vec<_> = ranges.iter().map(|range| range.of_unit(unit)).collect();
                self.replace(fact, &parts, ranges, change);
            }
            Storage::NoOld => self.replace(fact, &[Part::OldBuckets], Vec::new(), change),
            Storage::Group(start) => {
                let group = (*start != 0 && unit != 0).then(|| Range {
                    start: *start,
                    end: start.saturating_add(unit),
                    part: Part::Group,
                });
                self.replace(fact, &[Part::Group], group.into_iter().collect(), change);
            }
            Storage::Tables {
                directory,
                gone,
                tables,
            } => {
                self.replace(
                    fact,
                    &[Part::Directory],
                    directory.iter().copied().collect(),
                    change,
                );
                self.leave_group(fact.map, change);
                self.drop_table(fact.map, *gone, change);
                let pending = if fact.fresh {
                    self.pending.remove(&fact.goroutine).unwrap_or_default()
                } else {
                    Vec::new()
                };
                for table in tables.iter().chain(&pending) {
                    self.add_table(fact.map, table, unit, change);
                }
            }
        }
    }

    /// A map with tables has no group of its own: what is known as such is from before.
    fn leave_group(&mut self, map: u64, change: &mut Change) {
        let starts = self.maps.get(&map).map(|known| known.starts.clone());
        for start in starts.into_iter().flatten() {
            let part = self.ranges.get(&start).map(|(_, part, _)| *part);
            if part == Some(Part::Group) {
                self.remove(start, change);
            }
        }
    }

    /// The ranges of these parts are now these.
    fn replace(&mut self, fact: &Fact, parts: &[Part], ranges: Vec<Range>, change: &mut Change) {
        let starts = self
            .maps
            .get(&fact.map)
            .map(|known| known.starts.clone())
            .unwrap_or_default();
        for start in starts {
            let Some(&(end, part, _)) = self.ranges.get(&start) else {
                continue;
            };
            let stays = ranges.contains(&Range { start, end, part });
            if parts.contains(&part) && !stays {
                self.remove(start, change);
            }
        }
        for range in ranges {
            let there = self.ranges.get(&range.start);
            if range.start >= range.end || there == Some(&(range.end, range.part, fact.map)) {
                continue;
            }
            self.insert(fact.map, range);
            change.added.push(range);
        }
    }

    fn add_table(&mut self, map: u64, table: &Table, unit: u64, change: &mut Change) {
        if table.address == 0 || table.groups == 0 {
            return;
        }
        let mut ranges = vec![Range {
            start: table.address,
            end: table.address.saturating_add(Table::SIZE),
            part: Part::Table,
        }];
        if let Some(length) = table.count.checked_mul(unit).filter(|&length| length != 0) {
            ranges.push(Range {
                start: table.groups,
                end: table.groups.saturating_add(length),
                part: Part::Group,
            });
        }
        let known = self.maps.entry(map).or_default();
        if known.tables.get(&table.address) == Some(&ranges) {
            return;
        }
        self.drop_table(map, table.address, change);
        for range in &ranges {
            self.put(map, *range);
            change.added.push(*range);
        }
        if let Some(known) = self.maps.get_mut(&map) {
            known.tables.insert(table.address, ranges);
        }
    }

    fn drop_table(&mut self, map: u64, table: u64, change: &mut Change) {
        let ranges = self
            .maps
            .get_mut(&map)
            .and_then(|known| known.tables.remove(&table));
        for range in ranges.into_iter().flatten() {
            if self.ranges.get(&range.start) == Some(&(range.end, range.part, map)) {
                self.remove(range.start, change);
            }
        }
    }

    fn drop_map(&mut self, map: u64) -> Vec<Range> {
        let mut change = Change::default();
        let starts = self
            .maps
            .get(&map)
            .map(|known| known.starts.clone())
            .unwrap_or_default();
        for start in starts {
            self.remove(start, &mut change);
        }
        let tables = self
            .maps
            .get(&map)
            .map(|known| known.tables.keys().copied().collect());
        let tables: Vec<u64> = tables.unwrap_or_default();
        for table in tables {
            self.drop_table(map, table, &mut change);
        }
        self.maps.remove(&map);
        change.removed.retain(|range| range.part != Part::Header);
        change.removed
    }

    fn remove(&mut self, start: u64, change: &mut Change) {
        if let Some((end, part, map)) = self.ranges.remove(&start) {
            change.removed.push(Range { start, end, part });
            if let Some(known) = self.maps.get_mut(&map) {
                known.starts.remove(&start);
            }
        }
    }

    fn insert(&mut self, map: u64, range: Range) {
        if self.put(map, range) {
            self.maps.entry(map).or_default().starts.insert(range.start);
        }
    }

    /// Makes a range known; false for an empty one.
    fn put(&mut self, map: u64, range: Range) -> bool {
        if range.start >= range.end {
            return false;
        }
        self.clear(range.start, range.end);
        self.ranges
            .insert(range.start, (range.end, range.part, map));
        true
    }

    /// Nothing known from before lies between these addresses any more.
    fn clear(&mut self, start: u64, end: u64) {
        let before = self.ranges.range(..start).next_back();
        let touching: Vec<u64> = before
            .into_iter()
            .chain(self.ranges.range(start..end))
            .filter(|(_, (until, _, _))| *until > start)
            .map(|(start, _)| *start)
            .collect();
        for start in touching {
            self.remove(start, &mut Change::default());
        }
    }
}
