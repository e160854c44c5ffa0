//! BPF programs that run on perf events: ends of faults, timer samples, hardware watchpoints.
//!
//! The events belong to the suspended child, count from its exec on and are inherited by its threads and
//! children, so that nothing else on the machine pays for them.

use std::io;

use aya::maps::Array;
use map_trace_common::range::{LAST, Range};
use perf_event::events::{Breakpoint, Event, Software};
use perf_event::{Builder, Counter};

use super::counters::Inherit;
use super::object::{Object, ObjectError, Shared};
use super::programs::Form;

/// One minor fault in this many is measured: a prime, so that no pattern of a loop stays in step with it.
pub const MINOR_PERIOD: u64 = 61;

/// Why such an event could not be had.
#[derive(Debug, thiserror::Error)]
pub enum PerfProgramError {
    #[error("{0}")]
    Object(#[from] ObjectError),
    #[error("opening the event for {what} failed: {source}")]
    Open {
        what: &'static str,
        source: io::Error,
    },
    #[error("attaching the program for {what} failed: {source}")]
    Attach {
        what: &'static str,
        source: io::Error,
    },
}

/// Whose events.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    pub pid: u32,
    pub inherit: Inherit,
    /// Start with the program's exec; else at once.
    pub at_exec: bool,
}

/// The kernel's switch for perf events of tasks, on for as long as this lives.
pub struct Awake(#[expect(dead_code, reason = "held open")] Counter);

/// Switches perf events of tasks on, for which the first to open one waits ten milliseconds (kernel/events/core.c,
/// `account_event`). None when it cannot be done: the next to open one will say why.
pub fn wake() -> Option<Awake> {
    let mut builder = Builder::new(Software::DUMMY);
    builder.observe_self().any_cpu();
    builder.build().ok().map(Awake)
}

/// Open events; closing them detaches the programs.
#[derive(Default)]
pub struct PerfPrograms {
    running: Vec<Counter>,
    /// Timers that do not tick yet.
    waiting: Vec<Counter>,
}

impl PerfPrograms {
    /// Measures how long faults take: every major one, one in [`MINOR_PERIOD`] of the minor ones.
    ///
    /// # Errors
    /// The events or the program were refused: stalls are then not known.
    pub fn fault_ends(
        &mut self,
        object: &mut Object,
        target: Target,
    ) -> Result<(), PerfProgramError> {
        let what = "the ends of faults";
        for (name, event, period) in [
            ("fault_end", Software::PAGE_FAULTS_MIN, MINOR_PERIOD),
            ("fault_end_major", Software::PAGE_FAULTS_MAJ, 1),
        ] {
            let program = object.descriptor(name, Form::PerfEvent)?;
            let mut builder = builder(event, target, what)?;
            builder.sample_period(period);
            self.running.push(open(&builder, program, what)?);
        }
        Ok(())
    }

    /// Prepares to sample the ranges of the `RANGES` map `hertz` times a second of CPU time of each thread, from
    /// [`Self::start_samples`] on: a tick costs the program the same when there is nothing to read, in a virtual
    /// machine 15 us and more.
    ///
    /// # Errors
    /// The event or the program was refused.
    pub fn samples(
        &mut self,
        object: &mut Object,
        target: Target,
        hertz: u32,
    ) -> Result<(), PerfProgramError> {
        let what = "timer samples";
        let program = object.descriptor("sample", Form::PerfEvent)?;
        let mut builder = builder(Software::CPU_CLOCK, target, what)?;
        // cpu-clock counts nanoseconds.
        builder.sample_period(1_000_000_000 / u64::from(hertz.max(1)));
        builder.enable_on_exec(false).enabled(false);
        self.waiting.push(open(&builder, program, what)?);
        Ok(())
    }

    /// Lets the timers tick, those that threads and children have inherited, too. Does nothing when they do.
    ///
    /// # Errors
    /// What the kernel answered.
    pub fn start_samples(&mut self) -> io::Result<()> {
        for mut timer in self.waiting.drain(..) {
            timer.enable()?;
            self.running.push(timer);
        }
        Ok(())
    }

    /// Watches writes to `length` (1, 2, 4 or 8) bytes at `address`.
    ///
    /// # Errors
    /// No debug register is free or there are none, or the program was refused.
    pub fn watch(
        &mut self,
        object: &mut Object,
        target: Target,
        address: u64,
        length: u64,
    ) -> Result<(), PerfProgramError> {
        let what = "a watchpoint";
        let program = object.descriptor("watch", Form::PerfEvent)?;
        let mut builder = builder(Breakpoint::write(address, length), target, what)?;
        builder
            .sample_period(1)
            .exclude_kernel(false)
            .sample(perf_event::SampleFlag::ADDR);
        self.running.push(open(&builder, program, what)?);
        Ok(())
    }
}

fn open(
    builder: &Builder<'_>,
    program: i32,
    what: &'static str,
) -> Result<Counter, PerfProgramError> {
    let mut counter = builder
        .build()
        .map_err(|source| PerfProgramError::Open { what, source })?;
    counter
        .set_bpf(program)
        .map_err(|source| PerfProgramError::Attach { what, source })?;
    Ok(counter)
}

fn builder<'a>(
    event: impl Event + 'a,
    target: Target,
    what: &'static str,
) -> Result<Builder<'a>, PerfProgramError> {
    let pid = libc::pid_t::try_from(target.pid).map_err(|_| PerfProgramError::Open {
        what,
        source: io::ErrorKind::InvalidInput.into(),
    })?;
    let mut builder = Builder::new(event);
    builder
        .observe_pid(pid)
        .any_cpu()
        .include_kernel()
        .include_hv()
        .inherit(true)
        .inherit_thread(target.inherit == Inherit::Threads)
        .enable_on_exec(target.at_exec)
        .enabled(!target.at_exec);
    Ok(builder)
}

/// Tells the sampler which ranges to read, and how many entries at a tick (0: as many as it can).
///
/// # Errors
/// The map could not be written.
pub fn set_ranges(object: &mut Object, ranges: &[Range], at_once: u64) -> Result<(), ObjectError> {
    let name = "RANGES";
    let access = |why| ObjectError::MapAccess { name, why };
    let mut map: Array<_, Shared<Range>> =
        Array::try_from(object.map_mut(name)?).map_err(access)?;
    let end = Range {
        start: at_once,
        ..Range::default()
    };
    map.set(LAST, Shared(end), 0).map_err(access)?;
    // An empty slot ends the list. Filled from the back, so that no half list is read.
    let used = u32::try_from(ranges.len()).unwrap_or(LAST).min(LAST);
    if used < LAST {
        map.set(used, Shared(Range::default()), 0).map_err(access)?;
    }
    for (index, range) in (0..used).zip(ranges).rev() {
        map.set(index, Shared(*range), 0).map_err(access)?;
    }
    Ok(())
}
