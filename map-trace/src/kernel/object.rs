//! The BPF object: loaded with the session's settings, attached, detached.

use std::collections::{BTreeMap, HashMap as Table};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use aya::maps::{Array, HashMap, Map, MapData, RingBuf};
use map_trace_common::calibrate::Calibrate;
use map_trace_common::page_tables::PageTables;
use map_trace_common::process::Process;
use map_trace_common::record::Aggregate;
use map_trace_common::settings::Settings;

use super::bpf_call::{self, Command};
use super::probe_table::{PROBES, ProbeRow};
use super::programs::{Form, Job, Loaded, ProgramError, Programs};
use crate::model::header::Probe;

mod unloaded;

pub use unloaded::{TracepointTypes, Unloaded, tracepoint_types};

/// The object, built for bpfel-unknown-none by the build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/map-trace.bpf.o"));

/// Programs of perf events that every session has.
const PERF_EVENTS: [&str; 2] = ["fault_end", "fault_end_major"];

/// A type of `map-trace-common` as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Shared<T>(pub T);

// SAFETY: every type this is used with is repr(C) of integers, without padding that matters to the kernel.
unsafe impl<T: Copy + 'static> aya::Pod for Shared<T> {}

/// Why the programs could not be made to run.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("the BPF object does not hold together: {0}")]
    Load(String),
    #[error("program {name} was refused: {why}")]
    Program {
        name: &'static str,
        why: ProgramError,
    },
    #[error("program {name} cannot be attached: {why}")]
    Attach { name: &'static str, why: io::Error },
    #[error("BPF map {name} cannot be made: {why}")]
    Create { name: String, why: String },
    #[error("BPF map {0} is missing or of another type than expected")]
    Map(&'static str),
    #[error("BPF map {name}: {why}")]
    MapAccess {
        name: &'static str,
        why: aya::maps::MapError,
    },
}

/// The object in the kernel.
pub struct Object {
    maps: BTreeMap<String, Map>,
    programs: Arc<Programs>,
    loaded: Table<&'static str, OwnedFd>,
    links: Vec<OwnedFd>,
    attached: Vec<Probe>,
}

impl Object {
    /// Reads the object and creates its maps with the settings in place; no program is loaded yet.
    ///
    /// # Errors
    /// The object does not hold together, or the kernel refuses a map.
    pub fn load(settings: &Settings) -> Result<Self, ObjectError> {
        Unloaded::read()?.create(settings)
    }

    /// The programs, to load what is not of the table.
    pub(super) fn programs(&self) -> &Arc<Programs> {
        &self.programs
    }

    /// Loads every program of the table on every processor, while this thread does something else first: the
    /// verifier takes most of the start. Programs in `perhaps` are loaded, too, if they are wanted by then; what
    /// comes of them shows when they are used.
    ///
    /// # Errors
    /// The kernel refuses a program of the table in both its forms.
    pub fn load_programs<T>(
        &mut self,
        types: &TracepointTypes,
        (perhaps, wanted): (Vec<Job>, &AtomicBool),
        meanwhile: impl FnOnce(&mut Self) -> T,
    ) -> Result<T, ObjectError> {
        let programs = Arc::clone(&self.programs);
        let mut jobs: Vec<Job> = PERF_EVENTS
            .iter()
            .map(|name| (*name, Form::PerfEvent))
            .collect();
        for row in &PROBES {
            if let Some(id) = types.get(row.tracepoint) {
                jobs.push((row.btf_program, Form::TracepointBtf(*id)));
            }
        }
        let workers = std::thread::available_parallelism().map_or(1, usize::from);
        let queue = programs.queue(jobs, perhaps, wanted);
        let (answer, loaded) = std::thread::scope(|scope| {
            let workers: Vec<_> = (1..workers.min(PROBES.len()))
                .map(|_| scope.spawn(|| programs.work(&queue)))
                .collect();
            let answer = meanwhile(self);
            let mut loaded = programs.work(&queue);
            for worker in workers {
                loaded.extend(worker.join().unwrap_or_default());
            }
            (answer, loaded)
        });
        self.keep(loaded)?;
        Ok(answer)
    }

    /// Keeps what was loaded. A program of the table that was not is loaded in its other form.
    fn keep(&mut self, loaded: Vec<Loaded>) -> Result<(), ObjectError> {
        for (name, loaded) in loaded {
            if let Ok(program) = loaded {
                self.loaded.insert(name, program);
            }
        }
        for row in &PROBES {
            if !self.loaded.contains_key(row.btf_program) {
                self.descriptor(row.raw_program, Form::RawTracepoint)?;
            }
        }
        Ok(())
    }

    /// The descriptor of a program, which is loaded if it is not yet.
    ///
    /// # Errors
    /// The kernel refuses the program.
    pub(super) fn descriptor(
        &mut self,
        name: &'static str,
        form: Form,
    ) -> Result<RawFd, ObjectError> {
        if let Some(known) = self.loaded.get(name) {
            return Ok(known.as_raw_fd());
        }
        let loaded = self.programs.load(name, form);
        let loaded = loaded.map_err(|why| ObjectError::Program { name, why })?;
        let descriptor = loaded.as_raw_fd();
        self.loaded.insert(name, loaded);
        Ok(descriptor)
    }

    /// A descriptor of a program that is loaded already.
    pub(super) fn loaded(&self, name: &str) -> Option<OwnedFd> {
        self.loaded.get(name)?.try_clone().ok()
    }

    /// Attaches every probe of the table, in its order.
    ///
    /// # Errors
    /// The kernel refuses one.
    pub fn attach(&mut self) -> Result<(), ObjectError> {
        for row in &PROBES {
            let kind = self.attach_row(row)?;
            self.attached.push(Probe {
                name: row.btf_program.to_owned(),
                attach_point: format!("{kind}:{}", row.tracepoint),
                emits: row
                    .emits
                    .iter()
                    .map(|&kind| super::totals::kind_word(kind).to_owned())
                    .collect(),
            });
        }
        Ok(())
    }

    fn attach_row(&mut self, row: &'static ProbeRow) -> Result<&'static str, ObjectError> {
        let (kind, name) = if self.loaded.contains_key(row.btf_program) {
            ("tp_btf", row.btf_program)
        } else {
            ("raw_tp", row.raw_program)
        };
        let program = self.descriptor(name, Form::RawTracepoint)?;
        let tracepoint = CString::new(row.tracepoint).unwrap_or_default();
        let attr = bpf_call::RawTracepointAttr {
            name: if name == row.btf_program {
                0
            } else {
                tracepoint.as_ptr() as u64
            },
            program: program.unsigned_abs(),
            reserved: 0,
        };
        // SAFETY: the name lives until the end of this function.
        let link = unsafe { bpf_call::descriptor(Command::RawTracepointOpen, &attr) }
            .map_err(|why| ObjectError::Attach { name, why })?;
        self.links.push(link);
        Ok(kind)
    }

    /// Detaches every probe. The maps and their counts stay.
    pub fn detach(&mut self) {
        self.links.clear();
    }

    /// What was attached, for the trace's header.
    pub fn probes(&self) -> &[Probe] {
        &self.attached
    }

    /// The event ring; taken once.
    pub fn take_ring(&mut self) -> Result<RingBuf<MapData>, ObjectError> {
        let map = self
            .maps
            .remove("EVENTS")
            .ok_or(ObjectError::Map("EVENTS"))?;
        RingBuf::try_from(map).map_err(|why| ObjectError::MapAccess {
            name: "EVENTS",
            why,
        })
    }

    /// Registers a process; its events count from its next exec on, or at once when `counting`.
    pub fn register(&mut self, tgid: u32, counting: bool) -> Result<(), ObjectError> {
        let process = Process {
            counting: u32::from(counting),
            ..Process::default()
        };
        self.insert(tgid, process)
    }

    /// Registers a process that runs already; its events count at once.
    ///
    /// # Errors
    /// The map is full.
    pub fn register_running(
        &mut self,
        tgid: u32,
        text: &std::ops::Range<u64>,
    ) -> Result<(), ObjectError> {
        let process = Process {
            counting: 1,
            start_code: text.start,
            end_code: text.end,
            ..Process::default()
        };
        self.insert(tgid, process)
    }

    fn insert(&mut self, tgid: u32, process: Process) -> Result<(), ObjectError> {
        let name = "PROCESSES";
        let access = |why| ObjectError::MapAccess { name, why };
        let mut processes: HashMap<_, u32, Shared<Process>> =
            HashMap::try_from(self.map_mut(name)?).map_err(access)?;
        processes.insert(tgid, Shared(process), 0).map_err(access)
    }

    /// Whether every process that is followed has ended: nothing is counted any more. False when in doubt.
    pub fn all_ended(&self) -> bool {
        /// Of more, those who look for them one by one tell.
        const FEW: usize = 64;
        let Some(Ok(processes)) = self.maps.get("PROCESSES").map(HashMap::try_from) else {
            return false;
        };
        let processes: HashMap<_, u32, Shared<Process>> = processes;
        let mut left = FEW;
        processes.iter().all(|entry| {
            left = left.saturating_sub(1);
            left > 0 && entry.is_ok_and(|(_, process)| process.0.exited != 0)
        })
    }

    /// Forgets processes that have ended and everything that was told apart by group or stack so far: what
    /// comes next is as if nothing had been recorded. The counters stay.
    pub fn forget(&mut self, processes: &[u32]) -> Result<(), ObjectError> {
        let access = |name| move |why| ObjectError::MapAccess { name, why };
        let name = "PROCESSES";
        let map = self.maps.get_mut(name).ok_or(ObjectError::Map(name))?;
        let mut known: HashMap<_, u32, Shared<Process>> =
            HashMap::try_from(map).map_err(access(name))?;
        for tgid in processes {
            let _not_there = known.remove(tgid);
        }
        self.clear::<Shared<Aggregate>>("AGGREGATES")?;
        self.clear::<u64>("GROUPS")?;
        self.clear::<u32>("STACKS")
    }

    /// Empties a map with 64-bit keys.
    fn clear<V: aya::Pod>(&mut self, name: &'static str) -> Result<(), ObjectError> {
        let access = |why| ObjectError::MapAccess { name, why };
        let map = self.maps.get_mut(name).ok_or(ObjectError::Map(name))?;
        let mut map: HashMap<_, u64, V> = HashMap::try_from(map).map_err(access)?;
        let keys: Vec<_> = map.keys().collect::<Result<_, _>>().map_err(access)?;
        for key in keys {
            // An LRU map may have dropped it meanwhile.
            let _not_there = map.remove(&key);
        }
        Ok(())
    }

    /// Switches page-table walks on.
    pub fn set_page_tables(&mut self, tables: &PageTables) -> Result<(), ObjectError> {
        let name = "PAGE_TABLES";
        let access = |why| ObjectError::MapAccess { name, why };
        let map = self.maps.get_mut(name).ok_or(ObjectError::Map(name))?;
        let mut array: Array<_, Shared<PageTables>> = Array::try_from(map).map_err(access)?;
        array.set(0, Shared(*tables), 0).map_err(access)
    }

    pub(super) fn map_mut(&mut self, name: &'static str) -> Result<&mut Map, ObjectError> {
        self.maps.get_mut(name).ok_or(ObjectError::Map(name))
    }

    pub(super) fn map(&self, name: &'static str) -> Result<&Map, ObjectError> {
        self.maps.get(name).ok_or(ObjectError::Map(name))
    }

    pub(super) fn calibration_map(
        &mut self,
    ) -> Result<Array<&mut MapData, Shared<Calibrate>>, ObjectError> {
        let name = "CALIBRATE";
        let map = self.maps.get_mut(name).ok_or(ObjectError::Map(name))?;
        Array::try_from(map).map_err(|why| ObjectError::MapAccess { name, why })
    }
}

/// Whether the kernel's type information is there at all.
pub fn has_btf() -> bool {
    Path::new("/sys/kernel/btf/vmlinux").exists()
}

/// Bounds of a running process's main text (proc_pid_stat(5), startcode and endcode); empty when unknown.
pub fn text_bounds(tgid: u32) -> std::ops::Range<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{tgid}/stat")).unwrap_or_default();
    // The command name, in parentheses, may hold anything; fields are counted behind it.
    let after = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let mut words = after.split_whitespace().skip(23);
    let mut next = || words.next().and_then(|word| word.parse().ok()).unwrap_or(0);
    let start = next();
    start..next()
}

#[cfg(test)]
mod tests;
