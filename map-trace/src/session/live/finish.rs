//! Finishing: everything is detached, the last records read, and the footer says what the run was worth.

use super::Session;
use super::watch::End;
use crate::error::{Error, Result};
use crate::kernel::totals;
use crate::model::summary::{RusageWitness, Status};
use crate::model::watched::Looked;
use crate::session::clock::now_ns;
use crate::session::duty::Duty;
use crate::session::footer::{self, Ending};
use crate::session::{ProgramStatus, RunOutcome, aggregates, ends};
use crate::target::launch::Running;
use crate::target::wait;

impl Session<'_> {
    pub(super) fn finish(mut self, end: End, running: Option<&Running>) -> Result<RunOutcome> {
        let (stopped_early, waited) = match end {
            End::Program(waited) => (None, waited),
            End::Stopped(by, waited) => (Some(by), waited),
        };
        let census_sample = self.duty.as_mut().and_then(Duty::finish);
        // Detached first: what a program that still runs does now is no longer counted by anyone.
        let begun = self.detaching.take();
        let mut detaching = begun.unwrap_or_else(|| self.instrument.probes.detach());
        if stopped_early.is_some() {
            drop(std::mem::take(&mut detaching));
        }
        self.instrument.object.detach();
        drop(std::mem::take(&mut self.events.programs));
        let perf = self.events.read();
        let duration_ns = now_ns().saturating_sub(self.start_ns);
        let orphans =
            wait::reap_orphans(&self.pid.into_iter().collect::<Vec<_>>()).unwrap_or_default();
        let totals = self.instrument.totals()?.since(&self.proven.before);
        self.drain();
        self.notice_loss(true);
        self.progress.finish();
        let mappings = match self.events.side_band {
            Some(_) => self.lost_mappings,
            None => u64::MAX,
        };
        let raw = waited.as_ref().map(|waited| waited.raw);
        let (ended, passed_on) = self.status(raw);
        if waited.is_none() {
            self.pipeline.watched.look(Looked::End);
        }
        let mut finished = self.pipeline.finish();
        let groups = totals::aggregates(&self.instrument.object)
            .map_err(|why| Error::failed("cannot read the aggregates", why))?;
        let held_back = aggregates::tell(&mut finished, &groups);
        let rusage = waited.as_ref().zip(running).map(|(waited, running)| {
            let mut usage = waited.usage;
            usage.add(&orphans.usage);
            let before = running.before_exec();
            RusageWitness {
                minor_faults: usage.minor_faults.saturating_sub(before.minor_faults),
                major_faults: usage.major_faults.saturating_sub(before.major_faults),
            }
        });
        let code = finished.stacks.symbolizer().binaries();
        self.instrument.probes.look_for_others(&code);
        let (counts, census) = self.instrument.probes.census.result(
            &self.instrument.object,
            &totals,
            &finished.bounds,
            census_sample.as_ref(),
        );
        let footer = footer::footer(Ending {
            counts,
            census,
            entries: self
                .instrument
                .probes
                .entries
                .result(&self.instrument.object),
            census_sample,
            write_barrier_flushes: self
                .instrument
                .probes
                .census
                .flushes(&self.instrument.object),
            not_counted: self.instrument.probes.census.notes(),
            duration_ns,
            status: ended,
            totals,
            perf,
            rusage,
            executables: finished.executables,
            calibration: self.instrument.recheck(),
            controls: self.proven.controls,
            controls_ns: self.proven.duration_ns,
            regions: finished.stacks.region_sizes(),
            watched: finished.watched.into_memory(),
            stopped_early,
            undecodable: finished.trouble.undecodable,
            unattributed: finished.trouble.unattributed + held_back,
            blind_ns: self.blind_ns,
            mappings,
            mappings_read_again: self.reread.files,
            maps: finished.maps_left_out,
            received: self.received,
        });
        let recorded = finished.recorder.finish(footer);
        let (saved, problem) = match recorded.saved {
            None => (None, None),
            Some(Ok(saved)) => (Some(saved), None),
            Some(Err(why)) => (None, Some(why.into())),
        };
        Ok(RunOutcome {
            status: passed_on,
            running: self.pid.filter(|_| waited.is_none()),
            summary: recorded.summary,
            saved,
            problem,
            detaching,
        })
    }

    /// How the program ended, and what of that is passed on: a child's as it was waited for, attached processes'
    /// by the last of them.
    fn status(&self, waited: Option<i32>) -> (Status, ProgramStatus) {
        let attached = || match self.pipeline.ends.end(self.pipeline.alive()) {
            _ if self.pid.is_some() => Err(Status::Running),
            ends::End::Known(raw) => Ok(raw),
            ends::End::Running => Err(Status::Running),
            ends::End::Unseen => Err(Status::Unknown),
        };
        match waited.map_or_else(attached, Ok) {
            Ok(raw) if libc::WIFSIGNALED(raw) => (
                wait::status(raw),
                ProgramStatus::Signaled(libc::WTERMSIG(raw)),
            ),
            Ok(raw) => (
                wait::status(raw),
                ProgramStatus::Exited(libc::WEXITSTATUS(raw)),
            ),
            Err(status) => (status, ProgramStatus::Running),
        }
    }
}
