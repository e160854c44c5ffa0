//! Which Go programs are probed: each file once, whatever number of processes runs it.

mod ahead;

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::{Builder, JoinHandle};

use map_trace_common::place::Goroutines;
use map_trace_common::record::kind;

pub use self::ahead::Ahead;
use self::ahead::{Known, Planned, Reading, identity, read};
use super::census::Census;
use super::entries::Entries;
use super::structure::Structure;
use crate::binary::Binary;
use crate::kernel::object::Object;
use crate::kernel::totals::kind_word;
use crate::kernel::uprobes::{self, UprobeError, Uprobes, Wanted};
use crate::maps::registry::Shape;
use crate::maps::structure::Plan;
use crate::model::header::Probe;
use crate::model::summary::Executable;

/// Files looked at: beyond it new ones are not probed.
const MAX_FILES: usize = 256;

/// A file that was looked at.
struct Looked {
    identity: (u64, u64),
    /// Its index for the programs in the kernel, when it is probed.
    binary: Option<u32>,
}

/// Probes that are being taken off.
#[derive(Debug, Default)]
pub struct Detaching(Option<JoinHandle<()>>);

/// Waits until the last of them is off.
impl Drop for Detaching {
    fn drop(&mut self) {
        if let Some(detaching) = self.0.take() {
            let _panicked = detaching.join();
        }
    }
}

/// The kernel's half.
pub struct Probes {
    uprobes: Option<Uprobes>,
    /// The program, read ahead.
    ahead: Option<Ahead>,
    looked: Vec<Looked>,
    /// What the files that were looked at are.
    pub executables: Vec<Executable>,
    /// What was attached.
    pub told: Vec<Probe>,
    /// What is not known, and why.
    pub notes: Vec<String>,
    pub census: Census,
    pub entries: Entries,
}

impl Probes {
    /// Ready to probe; nothing is attached.
    pub fn prepare(object: &Object, census: Census) -> Self {
        Self {
            uprobes: Some(Uprobes::prepare(object)),
            ahead: None,
            looked: Vec::new(),
            executables: Vec::new(),
            told: Vec::new(),
            notes: Vec::new(),
            census,
            entries: Entries::default(),
        }
    }

    /// Probes a file, once; its index, when it is a Go program that can be probed.
    pub fn file(
        &mut self,
        object: &mut Object,
        path: &Path,
        structure: &mut Structure,
    ) -> Option<u32> {
        let identity = identity(path)?;
        if let Some(known) = self.looked.iter().find(|known| known.identity == identity) {
            return known.binary;
        }
        if self.looked.len() >= MAX_FILES {
            return None;
        }
        // As it is mapped. A file that is gone has its name in the link in /proc only.
        let name = fs::canonicalize(path).or_else(|_| fs::read_link(path));
        let name = name.unwrap_or_else(|_| PathBuf::from(path));
        let binary = match self.try_file(object, (path, identity), &name, structure) {
            Ok(binary) => binary,
            Err(why) => {
                self.notes.push(format!("{}: {why}", name.display()));
                None
            }
        };
        self.looked.push(Looked { identity, binary });
        binary
    }

    fn try_file(
        &mut self,
        object: &mut Object,
        (path, identity): (&Path, (u64, u64)),
        name: &Path,
        structure: &mut Structure,
    ) -> Result<Option<u32>, String> {
        let Some((binary, plan)) = self.read(path, name) else {
            return Ok(None);
        };
        let plan = plan?;
        let shape = Shape::of(plan.implementation, &plan.layouts)
            .ok_or("the layout of its maps is not known in full")?;
        let index = self
            .attach(object, path, &plan)
            .map_err(|why| why.to_string())?;
        self.tell(name, &plan);
        if let Some(uprobes) = &mut self.uprobes {
            let of = (&binary, &plan.layouts);
            let counted = self.census.file(uprobes, object, path, name, of);
            self.told.extend(counted);
        }
        structure.bounds.program(&binary);
        let roles = plan.places.iter().map(|planned| planned.role);
        structure.add(identity, binary, shape, roles);
        Ok(Some(index))
    }

    /// What was read ahead, if it is this very file; else reads it. Notes what it is.
    fn read(&mut self, path: &Path, name: &Path) -> Option<Planned> {
        let same = |ahead: &mut Ahead| Some(ahead.identity) == identity(path);
        let ahead = self.ahead.take_if(same);
        let known = match ahead.and_then(|ahead| ahead.reading.done()) {
            Some(known) => known,
            None => read(path, &AtomicBool::new(false)),
        };
        let Known { facts, planned } = known?;
        self.executables
            .push(facts.executable(&name.to_string_lossy()));
        planned
    }

    /// Begins to probe the program that was read ahead, which [`Self::file`] then ends.
    pub fn begin(&mut self, ahead: Option<Ahead>) {
        let Some(ahead) = ahead else {
            return;
        };
        let read = ahead.reading.done();
        let planned = read
            .iter()
            .flatten()
            .find_map(|known| known.planned.as_ref());
        if let (Some((_, Ok(plan))), Some(uprobes)) = (planned, &mut self.uprobes) {
            let offsets = plan.places.iter().map(|planned| planned.file_offset);
            uprobes.begin(&ahead.path, offsets.collect());
        }
        self.ahead = Some(Ahead {
            reading: Reading::Done(Box::new(read)),
            ..ahead
        });
    }

    fn attach(
        &mut self,
        object: &mut Object,
        path: &Path,
        plan: &Plan,
    ) -> Result<u32, UprobeError> {
        let Some(uprobes) = &mut self.uprobes else {
            return Err(UprobeError::Full("none of the files"));
        };
        let binary = uprobes.binary(object, plan.goroutines)?;
        let wanted: Vec<Wanted> = plan
            .places
            .iter()
            .map(|planned| {
                let mut place = planned.place;
                place.binary = binary;
                Wanted {
                    file_offset: planned.file_offset,
                    place,
                }
            })
            .collect();
        uprobes.attach(object, path, &wanted)?;
        Ok(binary)
    }

    /// Notes what was attached, for the header.
    fn tell(&mut self, name: &Path, plan: &Plan) {
        let means = self.uprobes.as_ref().map_or("uprobe", Uprobes::means);
        for planned in &plan.places {
            let counted = planned.place.kind != kind::MAP_STATE;
            let class = if planned.at.class.is_emulated() {
                "emulated"
            } else {
                "single-stepped"
            };
            self.told.push(Probe {
                name: Probe::STRUCTURE.to_owned(),
                attach_point: format!("{means}:{}:{} ({class})", name.display(), planned.name),
                emits: counted
                    .then(|| kind_word(planned.place.kind).to_owned())
                    .into_iter()
                    .collect(),
            });
        }
        self.notes.extend(
            plan.notes
                .iter()
                .map(|note| format!("{}: {note}", name.display())),
        );
    }

    /// Probes what a running process runs, once; its index as with [`Self::file`]. This is the very file, also when it
    /// was deleted, replaced, or is of another mount namespace; and held open, since the process may be gone before
    /// the file was read, and another one may run it for longer.
    pub fn program_of(
        &mut self,
        object: &mut Object,
        tgid: u32,
        structure: &mut Structure,
    ) -> Option<u32> {
        let opened = File::open(format!("/proc/{tgid}/exe")).ok()?;
        let path = PathBuf::from(format!("/proc/self/fd/{}", opened.as_raw_fd()));
        self.file(object, &path, structure)
    }

    /// Probes what a running process runs and marks it.
    pub fn process(&mut self, object: &mut Object, tgid: u32, structure: &mut Structure) {
        if let Some(binary) = self.program_of(object, tgid, structure)
            && let Err(why) = uprobes::mark(object, tgid, binary)
        {
            self.notes.push(why.to_string());
        }
    }

    /// Code of Go that was seen on stacks and is not probed, such as plugins and libraries for C programs: each has
    /// map functions of its own.
    pub fn look_for_others(&mut self, seen: &[Arc<Binary>]) {
        for binary in seen {
            let probed = |looked: &Looked| {
                looked.binary.is_some() && Some(looked.identity) == binary.identity()
            };
            let facts = binary.facts();
            // Plugins of Go 1.19 do not say their version.
            let of_go = facts.go_version.is_some() || facts.go_functions;
            if of_go && !self.looked.iter().any(probed) {
                self.census.other(binary.name());
            }
        }
    }

    /// Some program is probed.
    pub fn any(&self) -> bool {
        !self.told.is_empty()
    }

    /// A binary that is no Go program; its index.
    ///
    /// # Errors
    /// There are too many, or no probe can be had at all.
    pub fn stranger(&mut self, object: &mut Object, none: Goroutines) -> Result<u32, String> {
        let uprobes = self.uprobes.as_mut().ok_or_else(|| self.notes.join("; "))?;
        uprobes.binary(object, none).map_err(|why| why.to_string())
    }

    /// Probes one place; its index.
    ///
    /// # Errors
    /// The kernel refuses.
    pub fn one(&mut self, object: &mut Object, path: &Path, wanted: Wanted) -> Result<u32, String> {
        let uprobes = self.uprobes.as_mut().ok_or_else(|| self.notes.join("; "))?;
        uprobes
            .attach(object, path, &[wanted])
            .map_err(|why| why.to_string())
    }

    /// Counts entries into the functions of a program that match these globs; what cannot be is noted.
    pub fn count_entries(&mut self, object: &mut Object, path: &Path, globs: &[String]) {
        let Some(uprobes) = &mut self.uprobes else {
            return;
        };
        if let Err(why) = self.entries.attach(object, uprobes, path, globs) {
            self.notes.push(format!("entries are not counted: {why}"));
        }
    }

    /// Takes off what was attached from this place on.
    pub fn release(&mut self, place: u32) {
        if let Some(uprobes) = &mut self.uprobes {
            uprobes.release(place);
        }
    }

    /// Detaches everything, beside whatever is done meanwhile: the kernel waits for its processors.
    pub fn detach(&mut self) -> Detaching {
        let uprobes = self.uprobes.take();
        // Without a thread they are dropped with the closure, here.
        Detaching(Builder::new().spawn(move || drop(uprobes)).ok())
    }
}
