//! What the user asked to watch: ranges sampled on a timer, words under a hardware watchpoint.

use map_trace_common::range::{MAX_RANGES, Range};

use super::settings::{Place, Watch, WatchRange};
use crate::binary::Binary;
use crate::error::{Error, Result};
use crate::model::event::EventKind;
use crate::model::vma::VmaKind;

const PAGE: u64 = 4096;

/// A range or word as the user wrote it, and where it turned out to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    pub name: String,
    /// Address in the process.
    pub address: u64,
    pub length: u64,
}

/// Everything watched in a session.
#[derive(Clone, Debug, Default)]
pub struct Watched {
    pub ranges: Vec<Found>,
    pub words: Vec<Found>,
}

impl Watched {
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
            format!("{} has no such symbol", binary.name()),
        )),
        several => {
            let why = format!(
                "{} has {} symbols of that name",
                binary.name(),
                several.len()
            );
            Err(Error::usage(what(), why).fix("watch one by its address, --watch 0xADDRESS:LEN"))
        }
    }
}

/// Resolves what the user asked for in the program's executable, stated `bias` below where it lies.
///
/// # Errors
/// 2 for a symbol that does not exist or is not one.
pub fn resolve(
    binary: &Binary,
    bias: u64,
    ranges: &[WatchRange],
    words: &[Watch],
) -> Result<Watched> {
    let mut watched = Watched::default();
    for range in ranges {
        watched.ranges.push(match range {
            WatchRange::Addresses { start, end } => Found {
                name: format!("{start}-{end}"),
                address: start.0,
                length: end.0 - start.0,
            },
            WatchRange::Symbol { name, length } => {
                let (address, size) = symbol(binary, name, bias)?;
                Found {
                    name: name.clone(),
                    address,
                    length: length.unwrap_or(size),
                }
            }
        });
    }
    for word in words {
        watched.words.push(match &word.place {
            Place::Address(address) => Found {
                name: address.to_string(),
                address: address.0,
                length: u64::from(word.length.unwrap_or(8)),
            },
            Place::Symbol(name) => {
                let (address, size) = symbol(binary, name, bias)?;
                let fits = [8, 4, 2, 1]
                    .into_iter()
                    .find(|&n| n <= size && address % n == 0);
                let length = word.length.map_or(fits.unwrap_or(1), u64::from);
                Found {
                    name: name.clone(),
                    address,
                    length,
                }
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
