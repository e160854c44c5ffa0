//! The BPF object: loaded with the session's settings, attached, detached.

use std::path::Path;
use std::sync::OnceLock;

use aya::maps::{Array, HashMap, MapData, RingBuf};
use aya::programs::{BtfTracePoint, Program, ProgramError, RawTracePoint};
use aya::{Btf, Ebpf, EbpfLoader, VerifierLogLevel};
use map_trace_common::calibrate::Calibrate;
use map_trace_common::page_tables::PageTables;
use map_trace_common::process::Process;
use map_trace_common::record::Aggregate;
use map_trace_common::settings::Settings;

use super::kfunc::Image;
use super::probe_table::{PROBES, ProbeRow};
use crate::model::header::Probe;

/// The object, built for bpfel-unknown-none by the build script.
static OBJECT: &[u8] = aya::include_bytes_aligned!(concat!(env!("OUT_DIR"), "/map-trace.bpf.o"));

/// The object as it is loaded on this kernel.
static IMAGE: OnceLock<Image> = OnceLock::new();

/// The object's bytes.
pub(super) fn bytes() -> &'static [u8] {
    IMAGE.get().map_or(OBJECT, Image::bytes)
}

/// A type of `map-trace-common` as aya wants it.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct Shared<T>(pub T);

// SAFETY: every type this is used with is repr(C) of integers, without padding that matters to the kernel.
unsafe impl<T: Copy + 'static> aya::Pod for Shared<T> {}

/// Why the programs could not be made to run.
#[derive(Debug, thiserror::Error)]
pub enum ObjectError {
    #[error("kernel type information cannot be read from /sys/kernel/btf/vmlinux: {0}")]
    Btf(#[from] aya::BtfError),
    #[error("the BPF object was refused: {0}")]
    Load(#[from] Box<aya::EbpfError>),
    #[error("program {name} was refused: {why}")]
    Program { name: &'static str, why: String },
    #[error("BPF map {0} is missing or of another type than expected")]
    Map(&'static str),
    #[error("BPF map {name}: {why}")]
    MapAccess {
        name: &'static str,
        why: aya::maps::MapError,
    },
}

/// Kernel type information in aya's form, needed to load `tp_btf` programs.
pub fn kernel_btf() -> Result<Btf, ObjectError> {
    Ok(Btf::from_sys_fs()?)
}

/// The loaded object.
pub struct Object {
    ebpf: Ebpf,
    attached: Vec<Probe>,
}

impl Object {
    /// Creates the maps with the settings in place; no program is loaded yet.
    pub fn load(settings: &Settings) -> Result<Self, ObjectError> {
        let image = IMAGE.get_or_init(|| Image::new(OBJECT, settings.word_function));
        let mut settings = *settings;
        if !image.read_only_cast {
            settings.word_type = 0;
        }
        let ebpf = EbpfLoader::new()
            .btf(None)
            .verifier_log_level(VerifierLogLevel::DISABLE)
            .override_global("SETTINGS", &Shared(settings), true)
            .load(image.bytes())
            .map_err(Box::new)?;
        Ok(Self {
            ebpf,
            attached: Vec::new(),
        })
    }

    /// Loads every program of the table, two threads at a time: the verifier takes most of the start.
    pub fn load_programs(&mut self, btf: &Btf) -> Result<(), ObjectError> {
        let mut programs: Vec<(&'static ProbeRow, &mut Program)> = Vec::new();
        for (name, program) in self.ebpf.programs_mut() {
            if let Some(row) = PROBES.iter().find(|row| row.btf_program == name) {
                programs.push((row, program));
            }
        }
        let mut refused: Vec<&'static ProbeRow> = Vec::new();
        std::thread::scope(|scope| {
            let workers: Vec<_> = programs
                .into_iter()
                .map(|(row, program)| (row, scope.spawn(move || load_btf(row, program, btf))))
                .collect();
            for (row, worker) in workers {
                if !matches!(worker.join(), Ok(Ok(()))) {
                    refused.push(row);
                }
            }
        });
        refused.into_iter().try_for_each(|row| self.load_raw(row))
    }

    /// The fallback: the same body as a raw tracepoint.
    fn load_raw(&mut self, row: &'static ProbeRow) -> Result<(), ObjectError> {
        let program: &mut RawTracePoint = self.program(row.raw_program)?;
        program.load().map_err(|why| refused(row.raw_program, &why))
    }

    /// Attaches every probe of the table, in its order.
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
        let program: &mut BtfTracePoint = self.program(row.btf_program)?;
        if program.fd().is_ok() {
            program
                .attach()
                .map_err(|why| refused(row.btf_program, &why))?;
            return Ok("tp_btf");
        }
        let program: &mut RawTracePoint = self.program(row.raw_program)?;
        program
            .attach(row.tracepoint)
            .map_err(|why| refused(row.raw_program, &why))?;
        Ok("raw_tp")
    }

    /// Detaches every probe. The maps and their counts stay.
    pub fn detach(&mut self) {
        for row in &PROBES {
            if let Ok(program) = self.program::<BtfTracePoint>(row.btf_program) {
                let _not_loaded = program.unload();
            }
            if let Ok(program) = self.program::<RawTracePoint>(row.raw_program) {
                let _not_loaded = program.unload();
            }
        }
    }

    /// A program by name and type.
    pub(super) fn program<'a, P>(&'a mut self, name: &'static str) -> Result<&'a mut P, ObjectError>
    where
        &'a mut P: TryFrom<&'a mut Program, Error = ProgramError>,
    {
        let missing = || ObjectError::Program {
            name,
            why: "not in the object".into(),
        };
        let program = self.ebpf.program_mut(name).ok_or_else(missing)?;
        program.try_into().map_err(|why| refused(name, &why))
    }

    /// Nanoseconds and runs of every program, when kernel.bpf_stats_enabled is on.
    pub fn run_times(&self) -> Vec<(String, u64, u64)> {
        self.ebpf
            .programs()
            .filter_map(|(name, program)| {
                let info = program.info().ok()?;
                let nanoseconds = u64::try_from(info.run_time().as_nanos()).ok()?;
                Some((name.to_owned(), nanoseconds, info.run_count()))
            })
            .collect()
    }

    /// What was attached, for the trace's header.
    pub fn probes(&self) -> &[Probe] {
        &self.attached
    }

    /// The maps by name; the ring is gone once taken.
    pub(super) fn maps(&self) -> impl Iterator<Item = (&str, &aya::maps::Map)> {
        self.ebpf.maps()
    }

    /// The event ring; taken once.
    pub fn take_ring(&mut self) -> Result<RingBuf<MapData>, ObjectError> {
        let map = self
            .ebpf
            .take_map("EVENTS")
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

    /// Forgets processes that have ended and everything that was told apart by group or stack so far: what
    /// comes next is as if nothing had been recorded. The counters stay.
    pub fn forget(&mut self, processes: &[u32]) -> Result<(), ObjectError> {
        let access = |name| move |why| ObjectError::MapAccess { name, why };
        let name = "PROCESSES";
        let map = self.ebpf.map_mut(name).ok_or(ObjectError::Map(name))?;
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
        let map = self.ebpf.map_mut(name).ok_or(ObjectError::Map(name))?;
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
        let map = self.ebpf.map_mut(name).ok_or(ObjectError::Map(name))?;
        let mut array: Array<_, Shared<PageTables>> = Array::try_from(map).map_err(access)?;
        array.set(0, Shared(*tables), 0).map_err(access)
    }

    pub(super) fn map_mut(
        &mut self,
        name: &'static str,
    ) -> Result<&mut aya::maps::Map, ObjectError> {
        self.ebpf.map_mut(name).ok_or(ObjectError::Map(name))
    }

    pub(super) fn map(&self, name: &'static str) -> Result<&aya::maps::Map, ObjectError> {
        self.ebpf.map(name).ok_or(ObjectError::Map(name))
    }

    pub(super) fn calibration_map(
        &mut self,
    ) -> Result<Array<&mut MapData, Shared<Calibrate>>, ObjectError> {
        let name = "CALIBRATE";
        let map = self.ebpf.map_mut(name).ok_or(ObjectError::Map(name))?;
        Array::try_from(map).map_err(|why| ObjectError::MapAccess { name, why })
    }
}

fn load_btf(row: &ProbeRow, program: &mut Program, btf: &Btf) -> Result<(), ProgramError> {
    let program: &mut BtfTracePoint = program.try_into()?;
    program.load(row.tracepoint, btf)
}

/// The last line of the verifier's log says why; the whole log would hide it.
fn refused(name: &'static str, why: &ProgramError) -> ObjectError {
    let why = match why {
        ProgramError::LoadError {
            io_error,
            verifier_log,
        } => {
            let log = verifier_log.to_string();
            let last = log
                .lines()
                .rev()
                .find(|line| !line.trim().is_empty())
                .unwrap_or("")
                .to_owned();
            format!("{io_error} {last}")
        }
        other => other.to_string(),
    };
    ObjectError::Program { name, why }
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
