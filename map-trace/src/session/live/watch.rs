//! Watching: ring and side band are read until the program has ended or somebody wants an end.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::time::{MissedTickBehavior, interval};

use super::Session;
use crate::error::{Error, Result};
use crate::kernel::side_band::SideBand;
use crate::kernel::side_band_record::SideBandRecord;
use crate::session::clock::now_ns;
use crate::session::instrument::Instrument;
use crate::session::order::SLACK_NS;
use crate::target::launch::Running;
use crate::target::wait::Waited;

/// Telling what was read took so long that the program is elsewhere by now.
const LATE_NS: u64 = 100_000_000;
/// How often the side band is read and the ring looked at: beyond [`PUMP_BYTES`] it holds what seven CPUs
/// can fault in this time.
const TICK: Duration = Duration::from_millis(10);
/// Fill at which the ring is read. The reading and what follows take CPU time from the program, so they wait
/// until there is something to do; a short program is told after its end.
const PUMP_BYTES: usize = 2 << 20;
/// Age at which the ring is read however little is in it.
const PUMP_AFTER: Duration = Duration::from_millis(250);
/// The same once the program has ended and only its children run: the last one's end is to be seen soon.
const PUMP_SOON: Duration = Duration::from_millis(50);
/// How long an interrupted program gets to end, since Ctrl-C reaches it too.
const GRACE: Duration = Duration::from_millis(300);
/// How often processes thought alive are looked for.
const ROLL_CALL: Duration = Duration::from_secs(1);

/// Why a recording stopped.
pub(super) enum End {
    /// The program and all its children ended.
    Program(Option<Waited>),
    /// Somebody stopped the recording; the program may have ended meanwhile.
    Stopped(String, Option<Waited>),
}

/// The signals that end a recording, caught.
pub(super) struct Stops {
    interrupt: Signal,
    terminate: Signal,
}

impl Stops {
    pub(super) fn catch() -> Result<Self> {
        let failed = |why: io::Error| Error::failed("cannot watch for signals", why);
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(failed)?,
            terminate: signal(SignalKind::terminate()).map_err(failed)?,
        })
    }
}

impl Session<'_> {
    /// Pumps until the program and its children have ended or somebody stops the recording.
    pub(super) async fn watch(
        &mut self,
        mut running: Option<&mut Running>,
        stops: &mut Stops,
    ) -> Result<End> {
        let failed = |why: io::Error| Error::failed("cannot wait for the program", why);
        // Whoever attaches has to know from when on something is recorded.
        if running.is_none() && !self.settings.screen.quiet {
            eprintln!("map-trace: recording; Ctrl-C ends the recording");
        }
        let pidfd = running.as_deref().map(pidfd).transpose().map_err(failed)?;
        let mut ticks = interval(TICK);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let deadline = self
            .settings
            .limits
            .duration
            .map(|duration| Instant::now() + duration);
        let mut roll_call = Instant::now();
        let mut pumped = Instant::now();
        let mut ended: Option<Waited> = None;
        loop {
            let mut now = false;
            tokio::select! {
                _ = ticks.tick() => {}
                ready = readable(pidfd.as_ref()), if ended.is_none() && pidfd.is_some() => {
                    ready.map_err(failed)?;
                    ended = try_wait(&mut running)?;
                    now = ended.is_some();
                    if let (Some(pid), Some(_)) = (self.pid, &ended) {
                        self.pipeline.bury(pid);
                    }
                    // It takes the kernel longer than telling what is left.
                    if now && self.instrument.object.all_ended() {
                        self.detaching = Some(self.instrument.probes.detach());
                    }
                }
                _ = stops.interrupt.recv() => return self.stopped("SIGINT", running, ended).await,
                _ = stops.terminate.recv() => return self.stopped("SIGTERM", running, ended).await,
            }
            now |= self.drain_side_band();
            let side_band = self.events.side_band.as_mut();
            if side_band.is_some_and(SideBand::take_overflowed) {
                self.notice_loss(false);
            }
            if let Some(duty) = &mut self.duty {
                duty.tick(self.pipeline.alive(), &self.pipeline.structure);
            }
            let patience = if ended.is_some() {
                PUMP_SOON
            } else {
                PUMP_AFTER
            };
            now |= deadline.is_some_and(|deadline| Instant::now() >= deadline);
            if !(now || pumped.elapsed() >= patience || self.presses()) {
                continue;
            }
            self.pump();
            pumped = Instant::now();
            if roll_call.elapsed() >= ROLL_CALL {
                self.call_roll();
                roll_call = Instant::now();
            }
            if self.pipeline.alive().is_empty() && (ended.is_some() || pidfd.is_none()) {
                return Ok(End::Program(ended));
            }
            if deadline.is_some_and(|deadline| Instant::now() >= deadline) {
                return Ok(End::Stopped("duration".to_owned(), ended));
            }
            if self
                .settings
                .limits
                .max_events
                .is_some_and(|max| self.pipeline.events() >= max)
            {
                return Ok(End::Stopped("max-events".to_owned(), ended));
            }
        }
    }

    /// Somebody wants an end: a program that got the same signal is given a moment, so that its status is
    /// known; a second signal is not caught any more.
    async fn stopped(
        &mut self,
        by: &str,
        mut running: Option<&mut Running>,
        mut ended: Option<Waited>,
    ) -> Result<End> {
        default_signals();
        let start = Instant::now();
        while ended.is_none() && running.is_some() && start.elapsed() < GRACE {
            self.pump();
            tokio::time::sleep(TICK).await;
            ended = try_wait(&mut running)?;
        }
        Ok(End::Stopped(by.to_owned(), ended))
    }

    /// Reads ring and side band and tells what is certain to be in order.
    fn pump(&mut self) {
        let now = now_ns();
        self.drain();
        self.probe_new();
        self.pipeline.release(now.saturating_sub(SLACK_NS));
        for place in self.pipeline.structure.take_hits() {
            self.instrument.probes.release(place);
        }
        // What was true long ago is not worth looking at.
        let late = now_ns().saturating_sub(now) > LATE_NS;
        if let Some(sampler) = self.sampler.as_mut().filter(|_| !late) {
            let anything = sampler.update(&mut self.instrument.object, &self.pipeline);
            // Timers that do not tick are told of in the trace: nothing was sampled.
            if anything && self.events.programs.start_samples().is_err() {
                self.sampler = None;
            }
        }
        let undecodable = self.pipeline.trouble().undecodable;
        self.progress.update(self.pipeline.events(), undecodable);
    }

    /// Probes what processes have become since.
    fn probe_new(&mut self) {
        let Instrument { object, probes, .. } = &mut self.instrument;
        for tgid in std::mem::take(&mut self.pipeline.executed) {
            let _not_go = probes.program_of(object, tgid, &mut self.pipeline.structure);
        }
    }

    pub(super) fn drain(&mut self) {
        let Self {
            instrument,
            pipeline,
            received,
            ..
        } = self;
        instrument
            .ring
            .drain(|bytes| *received += u64::from(pipeline.accept(bytes)));
        self.drain_side_band();
        self.notice_loss(false);
    }

    /// Looks whether changes of mappings were lost; then those of the living are read from /proc.
    pub(super) fn notice_loss(&mut self, at_end: bool) {
        if let Some(side_band) = &mut self.events.side_band {
            let lost = side_band.lost().unwrap_or(u64::MAX);
            if lost > self.lost_mappings {
                self.lost_mappings = lost;
                self.pipeline.lose_mappings(now_ns());
                self.reread.want();
            }
        }
        self.reread.serve(&mut self.pipeline, at_end);
    }

    /// Takes what the side band holds; true when a process is another program now, which has to be probed soon.
    fn drain_side_band(&mut self) -> bool {
        let mut executed = false;
        if let Some(side_band) = &mut self.events.side_band {
            for record in side_band.drain().records {
                executed |= matches!(record, SideBandRecord::Exec(_));
                self.pipeline.accept_side_band(record);
            }
        }
        executed
    }

    /// Whether the ring has to be read now.
    fn presses(&self) -> bool {
        self.settings.limits.max_events.is_some()
            || self
                .instrument
                .ring
                .fill()
                .is_none_or(|bytes| bytes >= PUMP_BYTES)
    }

    /// Forgets processes whose end was not seen, so that the recording can end.
    fn call_roll(&mut self) {
        let gone = |tgid: &u32| !std::path::Path::new(&format!("/proc/{tgid}")).exists();
        let buried: Vec<u32> = self.pipeline.alive().iter().copied().filter(gone).collect();
        for tgid in buried {
            self.pipeline.bury(tgid);
        }
    }
}

/// A descriptor that is readable once the program has ended.
fn pidfd(running: &Running) -> io::Result<AsyncFd<OwnedFd>> {
    let descriptor = running.as_fd().try_clone_to_owned()?;
    // SAFETY: the AsyncFd owns the descriptor, which stays open and the same for its lifetime.
    unsafe { AsyncFd::register(descriptor) }.map_err(io::Error::from)
}

async fn readable(pidfd: Option<&AsyncFd<OwnedFd>>) -> io::Result<()> {
    match pidfd {
        Some(pidfd) => pidfd.readable().await.map(|mut ready| ready.clear_ready()),
        None => Ok(()),
    }
}

fn try_wait(running: &mut Option<&mut Running>) -> Result<Option<Waited>> {
    match running {
        Some(running) => running.try_wait(),
        None => Ok(None),
    }
}

/// A second Ctrl-C ends map-trace at once.
fn default_signals() {
    for number in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: sets the default action; no handler of ours runs afterwards.
        unsafe { libc::signal(number, libc::SIG_DFL) };
    }
}
