//! Where the memory of maps lies, told by what became known of them in order of time. Pure: the same facts
//! give the same answers.
//!
//! A range counts until the map lets go of it, or until newer memory is known to overlap it: what the garbage
//! collector frees is not seen, and an address that is used anew is not the old map's any more.

mod array;
mod facts;
mod process;
#[cfg(test)]
mod tests;

pub use facts::{Fact, Header, Shape, Storage, Table};

use std::collections::HashMap;

use process::Process;

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
