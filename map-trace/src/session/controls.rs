//! The instrument proves itself: before the program starts, a child of ours does a known number of known
//! things, and each must be seen, exactly. Absence of an event proves something only then.
//!
//! The child is a fork that was made early, while map-trace is small, and waits. With every probe attached
//! it is registered, let go, and watched to its end through the same ring, decoder, address-space replay
//! and classifier as the program. What it did is then forgotten: totals count from after it, and what was
//! grouped of it in the kernel is removed.

mod arena;
mod child;
mod judge;
mod observe;
mod process;
#[cfg(test)]
mod tests;

use std::io;

use self::arena::Arena;
use self::child::TIMES;
use self::observe::{Observation, Sightings};
use self::process::{Ended, Process};
use super::clock::now_ns;
use super::instrument::Instrument;
use crate::error::{Error, Result};
use crate::kernel::totals::Totals;
use crate::model::summary::Control;

/// A control child that waits for its probes.
pub struct Controls {
    arena: Arena,
    /// Why there is none: every control then fails.
    process: io::Result<Process>,
    follow_forks: bool,
}

/// What the controls came to.
pub struct Proven {
    pub controls: Vec<Control>,
    /// The kernel's totals after them: those of the program count from here.
    pub before: Totals,
    /// How long they took, nanoseconds.
    pub duration_ns: u64,
}

impl Controls {
    /// Forks the child. Cheapest before anything large is loaded.
    ///
    /// # Errors
    /// 125 when there is no memory for its pages.
    pub fn prepare(follow_forks: bool) -> Result<Self> {
        let arena =
            Arena::map().map_err(|why| Error::failed("cannot prepare the controls", why))?;
        let process = Process::fork(arena, follow_forks);
        // The child has its own copy of the mapping.
        arena.unmap();
        Ok(Self {
            arena,
            process,
            follow_forks,
        })
    }

    /// Lets the child do its work with every probe attached, and judges what was seen.
    ///
    /// # Errors
    /// 125 when the totals cannot be read or the child's traces not be removed.
    pub fn run(self, instrument: &mut Instrument) -> Result<Proven> {
        let start = now_ns();
        let entries = instrument.calibration.usable;
        let follow_forks = self.follow_forks;
        let sightings = self.watch(instrument).unwrap_or_default();
        let controls = judge::judge(&sightings, entries, follow_forks);
        instrument
            .object
            .forget(&sightings.processes)
            .map_err(|why| Error::failed("cannot end the controls", why))?;
        // What a child of a child that was given up did meanwhile is not the program's.
        instrument.ring.drain(|_| {});
        Ok(Proven {
            controls,
            before: instrument.totals()?,
            duration_ns: now_ns().saturating_sub(start),
        })
    }

    /// Everything that was seen of the child; nothing when it could not be run to its end.
    fn watch(self, instrument: &mut Instrument) -> io::Result<Sightings> {
        let mut process = self.process?;
        let pid = process.pid();
        instrument.register(pid, true).map_err(io::Error::other)?;
        let maps = std::fs::read_to_string(format!("/proc/{pid}/maps"))?;
        let ptes = instrument.ptes(false);
        let mut observation =
            Observation::begin(pid, &maps, now_ns(), self.arena, ptes).map_err(io::Error::other)?;
        process.release(TIMES)?;
        let ended = process.wait();
        instrument.ring.drain(|bytes| observation.accept(bytes));
        let sightings = observation.finish();
        // What it tried and could not do is not seen, and fails its own control only.
        Ok(if matches!(ended, Ok(Ended::Done | Ended::Partly)) {
            sightings
        } else {
            sightings.incomplete()
        })
    }
}
