//! What the user asked to watch: ranges sampled on a timer, words under a hardware watchpoint.

use map_trace_common::range::{MAX_RANGES, Range};

use super::memory_facts;
use super::settings::{Place, Watch, WatchRange};
use crate::binary::Binary;
use crate::error::{Error, Result};
use crate::model::Address;
use crate::model::event::EventKind;
use crate::model::vma::VmaKind;
use crate::model::watched::{Looked, MemoryFacts, WatchedMemory};

const PAGE: u64 = 4096;

/// A range or word as the user wrote it, and where it turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Address in the process.
    pub address: u64,
    pub length: u64,
    /// What the kernel said of it.
    pub seen: Vec<MemoryFacts>,
    /// When the program unmapped a page of it, time since the start.
    pub unmapped_ns: Option<u64>,
}

impl Found {
    const fn new(name: String, address: u64, length: u64) -> Self {
        Self {
            name,
            address,
            length,
            seen: Vec::new(),
            unmapped_ns: None,
        }
    }

    /// It was looked at and nothing was mapped there.
    fn is_unseen(&self) -> bool {
        !self.seen.is_empty() && self.seen.iter().all(|facts| facts.mapping.is_none())
    }

    fn into_memory(self, pid: u32) -> WatchedMemory {
        WatchedMemory {
            name: self.name,
            pid,
            address: Address(self.address),
            length: self.length,
            seen: self.seen,
            unmapped_ns: self.unmapped_ns,
            pte: None,
        }
    }
}

/// Everything watched in a session.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    /// The process whose memory the names and addresses were found in.
    pub pid: u32,
    pub ranges: Vec<Found>,
    pub words: Vec<Found>,
    /// Memory that was not mapped when watching began was looked at again.
    looked_again: bool,
}

impl Watched {
    /// Asks the kernel about everything that is watched.
    pub fn look(&mut self, when: Looked) {
        let addresses: Vec<u64> = self.all().map(|found| found.address).collect();
        if addresses.is_empty() {
            return;
        }
        let facts = memory_facts::read(self.pid, &addresses, when).unwrap_or_default();
        for (found, facts) in self.all().zip(facts) {
            if when != Looked::FirstEvent || found.is_unseen() {
                found.seen.push(facts);
            }
        }
    }

    /// At the first event of watched memory: once more, if some was not mapped before.
    pub fn look_again(&mut self) {
        if !self.looked_again && self.all().any(|found| found.is_unseen()) {
            self.look(Looked::FirstEvent);
        }
        self.looked_again = true;
    }

    /// Pages were unmapped, from `start` on, up to `end`.
    pub fn unmap(&mut self, pid: u32, (start, end): (u64, u64), time_ns: u64) {
        if pid != self.pid {
            return;
        }
        for found in self.all() {
            let last = found.address.saturating_add(found.length.max(1) - 1);
            if found.address < end && start <= last {
                found.unmapped_ns.get_or_insert(time_ns);
            }
        }
    }

    fn all(&mut self) -> impl Iterator<Item = &mut Found> {
        self.words.iter_mut().chain(&mut self.ranges)
    }

    /// For the footer.
    pub fn into_memory(self) -> Vec<WatchedMemory> {
        let pid = self.pid;
        let all = self.words.into_iter().chain(self.ranges);
        all.map(|found| found.into_memory(pid)).collect()
    }

    /// The name of what an event of this kind with this code (a range's index) concerns.
    pub fn name(&self, kind: EventKind, code: u64) -> Option<String> {
        let index = usize::try_from(code).ok()?;
        match kind {
            EventKind::PteSample => self.ranges.get(index).map(|found| found.name.clone()),
            _ => None,
        }
    }

    /// The name of the watchpoint at an address.
    pub fn word(&self, address: u64) -> Option<String> {
        let at = |found: &&Found| address.wrapping_sub(found.address) < found.length.max(1);
        self.words.iter().find(at).map(|found| found.name.clone())
    }

    /// The ranges as the programs take them: whole pages.
    pub fn kernel_ranges(&self) -> Vec<Range> {
        let range = |found: &Found| {
            let start = found.address & !(PAGE - 1);
            let end = found
                .address
                .saturating_add(found.length.max(1))
                .div_ceil(PAGE)
                * PAGE;
            Range {
                start,
                pages: end.saturating_sub(start) / PAGE,
                cursor: 0,
                tgid: 0,
            }
        };
        self.ranges
            .iter()
            .map(range)
            .take(MAX_RANGES as usize - 1)
            .collect()
    }
}

/// A symbol's place in a process whose executable is loaded `bias` above what it states.
fn symbol(binary: &Binary, name: &str, bias: u64) -> Result<(u64, u64)> {
    let found = binary.symbol(name);
    let what = || format!("cannot watch {name}");
    match found.as_slice() {
        [one] => Ok((one.svma.wrapping_add(bias), one.size)),
        [] => Err(Error::usage(
            what(),
            "the program has no such symbol".to_owned(),
        )),
        several => {
            let why = format!("the program has {} symbols of that name", several.len());
            Err(Error::usage(what(), why).fix("watch one by its address, --watch 0xADDRESS:LEN"))
        }
    }
}

/// Resolves what the user asked for in the program's executable, stated `bias` below where it lies.
///
/// # Errors
/// 2 for a symbol that does not exist or is not one.
pub fn resolve(
    pid: u32,
    (binary, bias): (&Binary, u64),
    ranges: &[WatchRange],
    words: &[Watch],
) -> Result<Watched> {
    let mut watched = Watched {
        pid,
        ..Watched::default()
    };
    for range in ranges {
        watched.ranges.push(match range {
            WatchRange::Addresses { start, end } => {
                Found::new(format!("{start}-{end}"), start.0, end.0 - start.0)
            }
            WatchRange::Symbol { name, length } => {
                let (address, size) = symbol(binary, name, bias)?;
                Found::new(name.clone(), address, length.unwrap_or(size))
            }
        });
    }
    for word in words {
        watched.words.push(match &word.place {
            Place::Address(address) => {
                let length = u64::from(word.length.unwrap_or(8));
                Found::new(address.to_string(), address.0, length)
            }
            Place::Symbol(name) => {
                let (address, size) = symbol(binary, name, bias)?;
                let fits = [8, 4, 2, 1]
                    .into_iter()
                    .find(|&n| n <= size && address % n == 0);
                let length = word.length.map_or(fits.unwrap_or(1), u64::from);
                Found::new(name.clone(), address, length)
            }
        });
    }
    Ok(watched)
}

/// The executable of a stopped process, and how far above its own statement it was loaded.
///
/// # Errors
/// 125 when its files in /proc cannot be read.
pub fn executable(tgid: u32) -> Result<(Binary, u64)> {
    let failed = |why: String| Error::failed("cannot find the program's memory", why);
    let path = format!("/proc/{tgid}/exe");
    let binary = Binary::open(path.as_ref()).map_err(|why| failed(why.to_string()))?;
    let maps = std::fs::read_to_string(format!("/proc/{tgid}/maps"))
        .map_err(|why| failed(why.to_string()))?;
    let vmas = crate::space::parse_maps(&maps).map_err(|why| failed(why.to_string()))?;
    let file = std::fs::read_link(&path).map_err(|why| failed(why.to_string()))?;
    let own = vmas
        .iter()
        .find(|vma| {
            vma.kind == VmaKind::File && vma.name().is_some_and(|name| file.as_os_str() == name)
        })
        .ok_or_else(|| failed(format!("{} is not mapped", file.display())))?;
    let stated = binary.svma_of_file_offset(own.offset).ok_or_else(|| {
        failed(format!(
            "{} has no segment at {:#x}",
            file.display(),
            own.offset
        ))
    })?;
    Ok((binary, own.start.wrapping_sub(stated)))
}
