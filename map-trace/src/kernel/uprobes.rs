//! uprobes in executables, many at once.
//!
//! One `uprobe_multi` link (Linux 6.6) takes all places of a file and lets go of them together: a perf event
//! for each costs tens of milliseconds to open and more to close. A place is named by file and offset, not by
//! process: the probes are there before the program's first instruction, and in every process it starts; the
//! program on them asks whether the process is followed.

use std::ffi::CString;
use std::fs::{File, Metadata};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;
use std::thread::{Builder, JoinHandle};

use aya::maps::{Array, HashMap};
use map_trace_common::census::{CensusPlace, MAX_CENSUS_PLACES};
use map_trace_common::place::{Goroutines, MAX_BINARIES, MAX_PLACES, Place};
use map_trace_common::process::Process;

use super::bpf_call::{self, Command, MultiLinkAttr};
use super::bpf_probe;
use super::object::{Object, ObjectError, Shared};
use super::perf_uprobe::PerfUprobe;
use super::programs::{Form, ProgramError, Programs, UPROBE_MULTI};

/// Why probes could not be put into a file.
#[derive(Debug, thiserror::Error)]
pub enum UprobeError {
    #[error("{0}")]
    Object(#[from] ObjectError),
    #[error("the uprobe program was refused: {0}")]
    Program(#[from] ProgramError),
    #[error("cannot open {name}: {source}")]
    Open { name: String, source: io::Error },
    #[error("the kernel refused {count} uprobes: {source}")]
    Attach { count: usize, source: io::Error },
    #[error("probes need Linux 5.15 (bpf_get_attach_cookie)")]
    NoCookies,
    #[error("no more than {0} can be probed")]
    Full(&'static str),
}

/// How probes of one file are held.
enum Held {
    /// Closing it detaches.
    Link { _link: OwnedFd },
    /// One perf event each, opened and closed side by side.
    Events(Vec<PerfUprobe>),
}

/// A program and its loaded forms.
struct Loaded {
    name: &'static str,
    programs: Arc<Programs>,
    /// For `uprobe_multi` links, once one is needed; never when this kernel has none.
    multi: Option<OwnedFd>,
    /// For perf events, once one is needed.
    single: Option<OwnedFd>,
}

/// All uprobes of a session.
pub struct Uprobes {
    structure: Loaded,
    /// What only counts, once it is asked for.
    census: Loaded,
    /// By the index of their first place.
    held: Vec<(u32, Held)>,
    /// Begun, and not asked for yet.
    begun: Option<Begun>,
    places: u32,
    census_places: u32,
    binaries: u32,
}

/// A place to attach: file offset and what is done there.
#[derive(Clone, Copy, Debug)]
pub struct Wanted {
    pub file_offset: u64,
    pub place: Place,
}

/// A place to count at.
#[derive(Clone, Copy, Debug)]
pub struct Counted {
    pub file_offset: u64,
    pub place: CensusPlace,
}

impl Uprobes {
    /// Loads nothing that is not loaded.
    pub fn prepare(object: &Object) -> Self {
        Self {
            structure: Loaded::of("structure", object),
            census: Loaded::of("census", object),
            held: Vec::new(),
            begun: None,
            places: 0,
            census_places: 0,
            binaries: 0,
        }
    }

    /// Tells the programs of a binary; its index.
    ///
    /// # Errors
    /// There are too many.
    pub fn binary(&mut self, object: &mut Object, layout: Goroutines) -> Result<u32, UprobeError> {
        if self.binaries >= MAX_BINARIES {
            return Err(UprobeError::Full("64 binaries"));
        }
        let index = self.binaries;
        set(object, "BINARIES", index, layout)?;
        self.binaries += 1;
        Ok(index)
    }

    /// Begins to put probes into a file, which the kernel takes ten milliseconds for. [`Self::attach`] to the same
    /// places is then soon done; until then a hit does nothing, as long as nobody who runs the file is followed.
    pub fn begin(&mut self, file: &Path, offsets: Vec<u64>) {
        self.begun = self.structure.begin(file, offsets, self.places);
    }

    /// Puts probes into a file; the index of the first place, the others follow.
    ///
    /// # Errors
    /// The kernel refuses; then none of them is there.
    pub fn attach(
        &mut self,
        object: &mut Object,
        file: &Path,
        wanted: &[Wanted],
    ) -> Result<u32, UprobeError> {
        let first = self.places;
        let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        if first.checked_add(count).is_none_or(|end| end > MAX_PLACES) {
            return Err(UprobeError::Full("1,024 places"));
        }
        for (index, one) in (first..).zip(wanted) {
            set(object, "PLACES", index, one.place)?;
        }
        let offsets: Vec<u64> = wanted.iter().map(|one| one.file_offset).collect();
        let begun = self.begun.take_if(|begun| begun.is(file, &offsets, first));
        let held = match begun.and_then(Begun::end) {
            Some(held) => held,
            None => self.structure.attach(file, &offsets, first)?,
        };
        self.held.push((first, held));
        self.places += count;
        Ok(first)
    }

    /// Puts probes that count into a file.
    ///
    /// # Errors
    /// The kernel refuses; then none of them is there.
    pub fn count(
        &mut self,
        object: &mut Object,
        file: &Path,
        wanted: &[Counted],
    ) -> Result<(), UprobeError> {
        let first = self.census_places;
        let count = u32::try_from(wanted.len()).unwrap_or(u32::MAX);
        if first
            .checked_add(count)
            .is_none_or(|end| end > MAX_CENSUS_PLACES)
        {
            return Err(UprobeError::Full("1,024 places"));
        }
        for (index, one) in (first..).zip(wanted) {
            set(object, "CENSUS", index, one.place)?;
        }
        let offsets: Vec<u64> = wanted.iter().map(|one| one.file_offset).collect();
        // No place of [`Self::release`] is one of these.
        self.held
            .push((u32::MAX, self.census.attach(file, &offsets, first)?));
        self.census_places += count;
        Ok(())
    }

    /// Detaches what was attached together with this first place.
    pub fn release(&mut self, first: u32) {
        self.held.retain(|(place, _)| *place != first);
    }

    /// The word for how probes are attached.
    pub fn means(&self) -> &'static str {
        match self.held.last() {
            Some((_, Held::Events(_))) => "perf_event",
            _ => "uprobe_multi",
        }
    }
}

impl Loaded {
    fn of(name: &'static str, object: &Object) -> Self {
        Self {
            name,
            programs: Arc::clone(object.programs()),
            multi: object.loaded(name),
            single: None,
        }
    }

    /// Attaches to places of a file; their cookies count from `first`.
    fn attach(&mut self, file: &Path, offsets: &[u64], first: u32) -> Result<Held, UprobeError> {
        let opened = File::open(file).map_err(|source| UprobeError::Open {
            name: file.display().to_string(),
            source,
        })?;
        // Whatever is at the path by now: the probes go into the file that was opened.
        let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
        match self.link(&path, offsets, first) {
            Ok(link) => Ok(Held::Link { _link: link }),
            Err(
                UprobeError::Attach { source, .. }
                | UprobeError::Program(ProgramError::Refused { why: source, .. }),
            ) if lacks_multi(&source) => Ok(Held::Events(self.events(&path, offsets, first)?)),
            Err(why) => Err(why),
        }
    }

    fn link(&mut self, path: &str, offsets: &[u64], first: u32) -> Result<OwnedFd, UprobeError> {
        if self.multi.is_none() {
            self.multi = Some(self.programs.load(self.name, Form::UprobeMulti)?);
        }
        let program = self.multi.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        link(program, path, offsets, first).map_err(|source| UprobeError::Attach {
            count: offsets.len(),
            source,
        })
    }

    /// Links in a thread of its own; none when that cannot be done.
    fn begin(&mut self, file: &Path, offsets: Vec<u64>, first: u32) -> Option<Begun> {
        let program = self.multi.as_ref()?.try_clone().ok()?;
        let opened = File::open(file).ok()?;
        let of = identity(&opened.metadata().ok()?);
        let wanted = offsets.clone();
        let linking = Builder::new().spawn(move || {
            let path = format!("/proc/self/fd/{}", opened.as_raw_fd());
            link(program.as_raw_fd(), &path, &wanted, first)
        });
        Some(Begun {
            of,
            offsets,
            first,
            linking: linking.ok()?,
        })
    }

    fn events(
        &mut self,
        path: &str,
        offsets: &[u64],
        first: u32,
    ) -> Result<Vec<PerfUprobe>, UprobeError> {
        if self.single.is_none() {
            let loaded = self.programs.load(self.name, Form::Uprobe);
            if loaded.is_err() && bpf_probe::cookie().is_err() {
                return Err(UprobeError::NoCookies);
            }
            self.single = Some(loaded?);
        }
        let program = self.single.as_ref().map_or(-1, AsRawFd::as_raw_fd);
        let places: Vec<(u64, u64)> = offsets.iter().copied().zip(u64::from(first)..).collect();
        PerfUprobe::open_all(path, &places, program).map_err(|source| UprobeError::Attach {
            count: offsets.len(),
            source,
        })
    }
}

/// A link that is being made.
struct Begun {
    /// Device and inode of the file.
    of: (u64, u64),
    offsets: Vec<u64>,
    first: u32,
    linking: JoinHandle<io::Result<OwnedFd>>,
}

impl Begun {
    /// It is to these places of this file.
    fn is(&self, file: &Path, offsets: &[u64], first: u32) -> bool {
        let same = std::fs::metadata(file).is_ok_and(|found| identity(&found) == self.of);
        same && self.first == first && self.offsets == offsets
    }

    /// Waits for it; none when the kernel refused, which it will say again.
    fn end(self) -> Option<Held> {
        let link = self.linking.join().ok()?.ok()?;
        Some(Held::Link { _link: link })
    }
}

fn identity(found: &Metadata) -> (u64, u64) {
    (found.dev(), found.ino())
}

/// One `uprobe_multi` link to all places of a file; their cookies count from `first`.
fn link(program: RawFd, path: &str, offsets: &[u64], first: u32) -> io::Result<OwnedFd> {
    let path = CString::new(path).unwrap_or_default();
    let cookies: Vec<u64> = (u64::from(first)..).take(offsets.len()).collect();
    let attr = MultiLinkAttr {
        program: program.cast_unsigned(),
        attach_type: UPROBE_MULTI,
        path: path.as_ptr() as u64,
        offsets: offsets.as_ptr() as u64,
        cookies: cookies.as_ptr() as u64,
        count: offsets.len() as u32,
        ..MultiLinkAttr::default()
    };
    // SAFETY: path, offsets and cookies live until the end of this function and have `count` entries.
    unsafe { bpf_call::descriptor(Command::LinkCreate, &attr) }
}

/// Detaches everything.
impl Drop for Uprobes {
    fn drop(&mut self) {
        std::thread::scope(|scope| {
            for (_, held) in self.held.drain(..) {
                match held {
                    Held::Link { .. } => drop(held),
                    Held::Events(events) => {
                        for event in events {
                            scope.spawn(move || drop(event));
                        }
                    }
                }
            }
        });
    }
}

/// `EINVAL` or `EOPNOTSUPP`: a kernel before 6.6 does not know the attach type.
fn lacks_multi(why: &io::Error) -> bool {
    matches!(
        why.raw_os_error(),
        Some(libc::EINVAL | libc::EOPNOTSUPP | libc::E2BIG)
    )
}

/// Marks a process that runs already as one of a binary: no place of its start will be hit.
///
/// # Errors
/// The map could not be written.
pub fn mark(object: &mut Object, tgid: u32, binary: u32) -> Result<(), ObjectError> {
    let name = "PROCESSES";
    let access = |why| ObjectError::MapAccess { name, why };
    let mut processes: HashMap<_, u32, Shared<Process>> =
        HashMap::try_from(object.map_mut(name)?).map_err(access)?;
    let Ok(Shared(process)) = processes.get(&tgid, 0) else {
        return Ok(());
    };
    let process = Process {
        goroutines: u64::from(binary) + 1,
        ..process
    };
    processes.insert(tgid, Shared(process), 0).map_err(access)
}

fn set<T: Copy + 'static>(
    object: &mut Object,
    name: &'static str,
    index: u32,
    value: T,
) -> Result<(), ObjectError> {
    let access = |why| ObjectError::MapAccess { name, why };
    let mut map: Array<_, Shared<T>> = Array::try_from(object.map_mut(name)?).map_err(access)?;
    map.set(index, Shared(value), 0).map_err(access)
}

#[cfg(test)]
mod tests;
