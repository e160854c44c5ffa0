//! The maps of one process, and the order in which what is known of them gives way.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::{Change, Fact, Part, Range, Storage, Table};

/// A map.
#[derive(Clone, Debug, Default)]
pub struct Known {
    pub type_address: u64,
    /// Bytes of a bucket or a group, 0 when not known.
    unit: u64,
    /// Starts of its ranges that are not a table's.
    starts: BTreeSet<u64>,
    /// Swiss: tables and the groups each has.
    tables: HashMap<u64, Vec<Range>>,
}

/// The maps of one process.
#[derive(Clone, Debug, Default)]
pub struct Process {
    pub maps: HashMap<u64, Known>,
    pub ranges: BTreeMap<u64, (u64, Part, u64)>,
    /// Tables made for a map that is not made yet, by goroutine.
    pub pending: HashMap<u64, Vec<Table>>,
}

impl Process {
    /// Keeps a table of a map that is not made yet; false when there are too many.
    pub fn pend(&mut self, fact: &Fact) -> bool {
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

    pub fn apply(&mut self, fact: &Fact) -> Change {
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
    pub fn clear(&mut self, start: u64, end: u64) {
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
