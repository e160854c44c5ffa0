//! Arming: everything is loaded, attached and proven before the program may run its first instruction.

use std::io;

use super::Session;
use crate::claim::Setup;
use crate::error::{Error, Result};
use crate::kernel::counters::Inherit;
use crate::kernel::perf_programs::Target;
use crate::kernel::{host, perf_programs};
use crate::maps::pattern::Glob;
use crate::maps::{Tables, user};
use crate::model::Operation;
use crate::model::header::{HeaderLine, Probe, TRACE_SCHEMA};
use crate::model::watched::Looked;
use crate::session::clock::{self, now_ns};
use crate::session::controls::Controls;
use crate::session::duty::Duty;
use crate::session::instrument::{Instrument, Wishes};
use crate::session::pipeline::Pipeline;
use crate::session::probes::Ahead;
use crate::session::processes::{Events, Subject};
use crate::session::progress::Progress;
use crate::session::recording::Recording;
use crate::session::reread::Reread;
use crate::session::sampler::Sampler;
use crate::session::settings::{Detail, Level, RecordSettings};
use crate::session::stacks::Stacks;
use crate::session::structure::Structure;
use crate::session::{options, sampler, watched};
use crate::target::{stop, wait};
use crate::trace::TraceFile;

impl<'a> Session<'a> {
    /// Loads and attaches everything and registers whom to follow.
    pub(super) fn arm(settings: &'a RecordSettings, subject: Subject<'_>) -> Result<Self> {
        let rows = rows(settings)?;
        let tables = tables(settings, rows.clone())?;
        let file = settings
            .output
            .as_deref()
            .map(TraceFile::create)
            .transpose()?;
        let host = host::host();
        let detail = match settings.detail {
            Detail::Limit(limit) => limit,
            Detail::All => u64::MAX,
        };
        let wishes = Wishes {
            detail,
            follow_forks: settings.follow_forks,
            census: settings.census,
            pte: settings.pte,
            stop_at_exec: watches(settings) && subject.child().is_some(),
        };
        let controls = Controls::prepare(settings.follow_forks)?;
        let ahead = subject.program().and_then(Ahead::begin);
        let mut instrument = Instrument::prepare(wishes, &host, ahead)?;
        let inherit = if settings.follow_forks {
            Inherit::Children
        } else {
            Inherit::Threads
        };
        let mut events = Events::open(&subject, inherit, &mut instrument)?;
        let proven = controls.run(&mut instrument)?;
        // Orphans of the program come to us, so that their use can be added to the program's.
        let _without = wait::become_subreaper();
        let mut structure = Structure::default();
        subject.probe(&mut instrument, &mut structure);
        subject.mark(&settings.window.symbols(), &mut instrument, &mut structure)?;
        subject.count_entries(&settings.entries, &mut instrument);
        instrument.probes.census.running = true;
        if let Some(after) = &settings.window.after {
            let Instrument { object, probes, .. } = &mut instrument;
            let told = probes.census.tell_after(object, after);
            told.map_err(|why| Error::failed("cannot note when operations are over", why))?;
            structure.after = Some(after.clone());
        }
        let start_ns = now_ns();
        let header = HeaderLine {
            schema: TRACE_SCHEMA.to_owned(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            start_ns,
            started: clock::utc_now(),
            argv: subject.argv(),
            attached: subject.attached(),
            host,
            probes: probes(&instrument, settings),
            not_probed: instrument.probes.notes.clone(),
            calibration: instrument.calibration.clone(),
            executables: instrument.probes.executables.clone(),
            options: options::options(settings, &rows),
        };
        let claims = Setup {
            claims: settings.claims.clone(),
            regions: Vec::new(),
        };
        let recorder = Recording::begin(&header, file, claims).within(settings.window.clone());
        let ptes = instrument.ptes(settings.show_physical);
        let stacks = Stacks::new(tables, subject.program());
        let mut pipeline = Pipeline::new(start_ns, stacks, ptes, detail, recorder);
        pipeline.structure = structure;
        if subject.child().is_none() {
            // What they run began before anyone could see it.
            pipeline.executables.clone_from(&header.executables);
        }
        let blind_ns = subject.begin(&mut instrument, &mut pipeline, start_ns)?;
        events.count(&subject, inherit);
        let targets = subject.threads(inherit)?;
        let sampler = sampler(settings, &targets, &mut instrument, &mut events);
        let progress = Progress::new(settings.screen.progress);
        Ok(Self {
            settings,
            instrument,
            events,
            targets,
            sampler,
            duty: (settings.census == Level::Sample)
                .then(|| Duty::new(settings.census_budget_ppm, settings.watch.len())),
            pipeline,
            detaching: None,
            progress,
            pid: subject.child(),
            received: 0,
            start_ns,
            blind_ns,
            lost_mappings: 0,
            reread: Reread::default(),
            proven,
        })
    }
}

impl Session<'_> {
    /// The program stands at its first instruction: finds what is to be watched, arms it, lets it go on.
    pub(super) fn watch_memory(&mut self, pid: u32) -> Result<()> {
        let failed = |why: io::Error| Error::failed("cannot watch memory", why);
        if !stop::wait(pid).map_err(failed)? {
            // It ended before it could be stopped; there is nothing to watch.
            return Ok(());
        }
        match self.arm_watches(pid) {
            Ok(()) => stop::go_on(pid).map_err(failed),
            // It has not run an instruction, and is not to run without what was asked for.
            Err(why) => stop::end(pid).map_err(failed).and(Err(why)),
        }
    }

    pub(super) fn arm_watches(&mut self, pid: u32) -> Result<()> {
        let what = "cannot watch memory";
        let (binary, bias) = watched::executable(pid)?;
        let settings = self.settings;
        let place = (&binary, bias);
        let mut watched = watched::resolve(pid, place, &settings.watch_ranges, &settings.watch)?;
        watched.look(Looked::Armed);
        let object = &mut self.instrument.object;
        let programs = &mut self.events.programs;
        perf_programs::set_ranges(
            object,
            &watched.kernel_ranges(),
            sampler::at_once(settings.pte),
        )
        .map_err(|why| Error::failed(what, why))?;
        for target in &self.targets {
            let sampled = self.sampler.is_some();
            if !watched.ranges.is_empty() && settings.pte != Level::Off && !sampled {
                programs
                    .samples(object, *target, settings.sample_hz)
                    .map_err(|why| Error::failed(what, why))?;
            }
            for word in &watched.words {
                let armed = programs.watch(object, *target, word.address, word.length);
                armed.map_err(|why| {
                    Error::failed(format!("cannot watch {}", word.name), why)
                        .fix("map-trace doctor shows whether this machine has debug registers")
                })?;
            }
        }
        if !watched.ranges.is_empty() {
            let started = programs.start_samples();
            started.map_err(|why| Error::failed(what, why))?;
        }
        self.pipeline.watched = watched;
        Ok(())
    }
}

/// Samples the memory of maps, when a program of Go is probed. Without it the trace only says less.
fn sampler(
    settings: &RecordSettings,
    targets: &[Target],
    instrument: &mut Instrument,
    events: &mut Events,
) -> Option<Sampler> {
    if settings.pte == Level::Off || !instrument.probes.any() {
        return None;
    }
    for target in targets {
        let object = &mut instrument.object;
        let opened = events.programs.samples(object, *target, settings.sample_hz);
        if let Err(why) = opened {
            instrument.probes.notes.push(why.to_string());
            return None;
        }
    }
    Some(Sampler::new(settings.pte))
}

/// The user's rows of the operation tables.
fn rows(settings: &RecordSettings) -> Result<Vec<(Glob, Operation)>> {
    let Some(path) = &settings.operations else {
        return Ok(Vec::new());
    };
    let name = path.display().to_string();
    let what = || format!("cannot use operations {name}");
    let text = std::fs::read_to_string(path).map_err(|why| Error::usage(what(), why))?;
    user::parse_operations(&name, &text).map_err(|why| Error::usage(what(), why))
}

/// Operation tables with the user's rows and regions.
fn tables(settings: &RecordSettings, rows: Vec<(Glob, Operation)>) -> Result<Tables> {
    let regions = settings.regions.iter().map(|region| {
        user::Region::parse(&format!("{}={}", region.name, region.pattern))
            .map_err(|why| Error::usage("--region", why))
    });
    Ok(Tables::new(rows, &regions.collect::<Result<Vec<_>>>()?))
}

/// Every probe of the session; those on watched memory are armed once the program can be looked at.
fn probes(instrument: &Instrument, settings: &RecordSettings) -> Vec<Probe> {
    let mut probes = instrument.object.probes().to_vec();
    probes.extend(instrument.probes.told.iter().cloned());
    let mut add = |name: &str, event: &str, emits: &str| {
        probes.push(Probe {
            name: name.to_owned(),
            attach_point: format!("perf_event:{event}"),
            emits: vec![emits.to_owned()],
        });
    };
    let maps = instrument.probes.any();
    if (maps || !settings.watch_ranges.is_empty()) && settings.pte != Level::Off {
        add("sample", "cpu-clock", "pte_sample");
    }
    if !settings.watch.is_empty() {
        add("watch", "breakpoint", "watch_hit");
    }
    probes
}

/// Whether memory is to be watched, for which the program must be stopped at its start.
pub(super) fn watches(settings: &RecordSettings) -> bool {
    !settings.watch.is_empty() || !settings.watch_ranges.is_empty()
}
