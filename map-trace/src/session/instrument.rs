//! The kernel half of a session: programs loaded with the running kernel's offsets, calibrated, attached.

use std::thread::Builder;

use map_trace_common::page_tables::PageTables;
use map_trace_common::settings::{NO_OFFSET, Settings};

use super::census::Census;
use super::probes::{Ahead, Probes};
use super::settings::Level;
use crate::error::{Error, Result};
use crate::kernel::btf::Btf;
use crate::kernel::object::{self, Object, ObjectError, TracepointTypes, Unloaded};
use crate::kernel::perf_programs::{self, Awake};
use crate::kernel::programs::Form;
use crate::kernel::ring::Ring;
use crate::kernel::totals::Totals;
use crate::kernel::{calibrate, kfunc, offsets, tracepoint_args};
use crate::model::header::{Calibration, Host};
use crate::model::pte::PteContext;

const FIX_BTF: &str =
    "boot a kernel built with CONFIG_DEBUG_INFO_BTF=y (every Debian, Ubuntu and Fedora kernel is)";

/// Loaded and attached programs.
pub struct Instrument {
    pub object: Object,
    pub ring: Ring,
    /// Probes in the programs' own code.
    pub probes: Probes,
    pub calibration: Calibration,
    tables: Option<PageTables>,
    _awake: Option<Awake>,
}

/// What of a session the programs must know.
#[derive(Clone, Copy, Debug)]
pub struct Wishes {
    pub detail: u64,
    pub follow_forks: bool,
    pub census: Level,
    pub pte: Level,
    /// Stop the program at its first exec, so that what it watches can be found.
    pub stop_at_exec: bool,
}

impl Instrument {
    /// Loads, calibrates and attaches everything.
    ///
    /// # Errors
    /// 125 with what the kernel lacks.
    pub fn prepare(wishes: Wishes, host: &Host, ahead: Option<Ahead>) -> Result<Self> {
        if !object::has_btf() {
            let why = "this kernel has no type information (/sys/kernel/btf/vmlinux is missing)";
            return Err(Error::failed("cannot trace", why).fix(FIX_BTF));
        }
        let awake = Builder::new().spawn(perf_programs::wake);
        let (unloaded, known) = std::thread::scope(|scope| {
            let known = scope.spawn(|| kernel(wishes));
            (Unloaded::read(), known.join())
        });
        let Ok(known) = known else {
            return Err(Error::failed("cannot trace", "reading kernel types failed"));
        };
        let (mut settings, types) = known?;
        let mut perhaps = vec![("structure", Form::UprobeMulti)];
        if wishes.pte != Level::Off {
            perhaps.push(("sample", Form::PerfEvent));
        }
        let go = ahead.as_ref().map(Ahead::go).unwrap_or_default();
        let (mut object, (calibration, tables)) = unloaded
            .and_then(|unloaded| {
                loaded(unloaded, &mut settings, |object| {
                    object.load_programs(&types, (perhaps.clone(), &go), |object| {
                        calibrated(object, host)
                    })
                })
            })
            .map_err(|why| refused(&why))?;
        object.attach().map_err(|why| refused(&why))?;
        let mut probes = Probes::prepare(&object, Census::new(wishes.census, wishes.pte));
        probes.begin(ahead);
        let ring = Ring::new(object.take_ring().map_err(|why| refused(&why))?);
        Ok(Self {
            object,
            ring,
            probes,
            calibration,
            tables,
            _awake: awake.ok().and_then(|awake| awake.join().ok()).flatten(),
        })
    }

    /// How to read entries that the programs sent.
    pub fn ptes(&self, show_physical: bool) -> PteContext {
        let frame = |bits: u64| (bits != 0).then_some(bits >> 12);
        match &self.tables {
            Some(tables) => PteContext {
                frame_mask: tables.frame_mask,
                zero_frame: frame(tables.zero_frame),
                huge_zero_frame: frame(tables.huge_zero_frame),
                show_physical,
                ..PteContext::default()
            },
            None => PteContext {
                show_physical,
                ..PteContext::default()
            },
        }
    }

    /// Registers a process; see [`Object::register`].
    pub fn register(&mut self, tgid: u32, counting: bool) -> Result<()> {
        self.object
            .register(tgid, counting)
            .map_err(|why| refused(&why))
    }

    /// The counters as they are now.
    pub fn totals(&self) -> Result<Totals> {
        Totals::read(&self.object).map_err(|why| Error::failed("cannot read the totals", why))
    }

    /// Whether the walk still agrees with pagemap; the header's calibration with the answer in it.
    pub fn recheck(&mut self) -> Calibration {
        let mut calibration = self.calibration.clone();
        if let Some(tables) = self.tables {
            let agrees = calibrate::recheck(&mut self.object, &tables);
            calibration.rechecked = Some(matches!(agrees, Ok(true)));
            if calibration.rechecked == Some(false) {
                calibration.usable = false;
                calibration.reason = Some(match agrees {
                    Err(why) => format!("the check after the run failed: {why}"),
                    Ok(_) => "the check after the run disagreed with pagemap".to_owned(),
                });
            }
        }
        calibration
    }
}

/// The object with its programs, and what came of loading them. Programs that the kernel refuses are given to it
/// once more without its own function in them: it may take that in a trial and not here.
fn loaded<T>(
    unloaded: Unloaded,
    settings: &mut Settings,
    load: impl Fn(&mut Object) -> Result<T, ObjectError>,
) -> Result<(Object, T), ObjectError> {
    let once = |unloaded: Unloaded, settings: &Settings| {
        let mut object = unloaded.create(settings)?;
        load(&mut object).map(|answer| (object, answer))
    };
    match once(unloaded, settings) {
        Err(_) if settings.word_function != 0 => {
            settings.word_function = 0;
            once(Unloaded::read()?, settings)
        }
        done => done,
    }
}

/// Settings with every offset of the running kernel, and what programs attach to; refuses a kernel whose
/// structures are not as the programs assume.
fn kernel(wishes: Wishes) -> Result<(Settings, TracepointTypes)> {
    let btf = Btf::running()
        .map_err(|why| Error::failed("cannot read the kernel's types", why).fix(FIX_BTF))?;
    let mut settings = Settings::UNKNOWN;
    let problems = offsets::fill(&btf, &mut settings);
    kfunc::find(&btf, &mut settings);
    if settings.task_mm == NO_OFFSET
        || settings.task_tgid == NO_OFFSET
        || settings.task_pid == NO_OFFSET
    {
        let why = problems
            .first()
            .map_or_else(String::new, ToString::to_string);
        return Err(Error::failed("cannot trace on this kernel", why).fix("map-trace doctor"));
    }
    offsets::check_registers(&btf)
        .map_err(|why| Error::failed("cannot trace on this kernel", why).fix("map-trace doctor"))?;
    if let Some(mismatch) = tracepoint_args::mismatches(&btf).first() {
        return Err(Error::failed("cannot trace on this kernel", mismatch).fix("map-trace doctor"));
    }
    // At least one event of each group is delivered, so that a cause can be decided for the rest.
    settings.detail = wishes.detail.max(1);
    settings.follow_forks = u32::from(wishes.follow_forks);
    settings.stop_at_exec = u32::from(wishes.stop_at_exec);
    Ok((settings, object::tracepoint_types(&btf)))
}

/// Calibrates and switches the walk on; without success everything else still works.
fn calibrated(object: &mut Object, host: &Host) -> (Calibration, Option<PageTables>) {
    let (mut calibration, found) = calibrate::calibrate(object);
    calibration.guest = host.hypervisor.is_some();
    let tables = found
        .ok()
        .filter(|tables| match object.set_page_tables(tables) {
            Ok(()) => true,
            Err(why) => {
                calibration.usable = false;
                calibration.reason = Some(why.to_string());
                false
            }
        });
    (calibration, tables)
}

/// The kernel's refusal with what usually is behind it.
pub fn refused(why: &ObjectError) -> Error {
    let lockdown = std::fs::read_to_string("/sys/kernel/security/lockdown").unwrap_or_default();
    let error = Error::failed("cannot trace", why);
    if lockdown.contains("[confidentiality]") {
        return error
            .fix("boot without lockdown=confidentiality, which forbids BPF to read the kernel");
    }
    error.fix("map-trace doctor")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicBool;

    use super::*;
    use crate::kernel::btf::Kind;

    #[test]
    fn programs_are_loaded_without_a_function_that_the_kernel_does_not_let_them_call() {
        let btf = Btf::running().expect("the kernel's types");
        let mut settings = Settings::UNKNOWN;
        offsets::fill(&btf, &mut settings);
        kfunc::find(&btf, &mut settings);
        // A function that the kernel has and lets no program call.
        let found = btf.find(&[(Kind::Function, "handle_mm_fault")]);
        settings.word_function = found[0][0];
        settings.word_type = settings.word_type.max(1);
        let types = object::tracepoint_types(&btf);
        let load = |object: &mut Object| {
            object.load_programs(&types, (Vec::new(), &AtomicBool::new(false)), |_| ())
        };
        let refused = Unloaded::read()
            .and_then(|unloaded| unloaded.create(&settings))
            .and_then(|mut object| load(&mut object));
        assert!(refused.is_err());
        let unloaded = Unloaded::read().expect("the object");
        let (mut object, ()) = loaded(unloaded, &mut settings, load).expect("it is loaded");
        assert_eq!(settings.word_function, 0);
        object.attach().expect("it is attached");
    }
}
