//! Folds the lines of a trace into a summary.

mod totals;

use std::collections::BTreeMap;

use totals::{code_names, count_name, kernel_total, totals};

use super::rows::{OTHER, Rows, Seen};
use super::samples::Samples;
use super::witness;
use crate::model::event::{
    AggregateLine, Context, EventKind, ExecEvent, MemoryCallEvent, Mode, PageFaultEvent,
    PteSampleEvent, SignalEvent,
};
use crate::model::header::{FooterLine, HeaderLine, Probe};
use crate::model::loss::Loss;
use crate::model::runtime::{FatalErrorEvent, RuntimeSummary};
use crate::model::summary::{Executable, Program, SUMMARY_SCHEMA, Summary};
use crate::model::vma::is_tracers_fault;
use crate::model::{FaultCode, Operation, TraceLine};

/// Names (of signals, of modes and codes) told apart; the rest are counted together as [`OTHER`].
const MAX_NAMES: usize = 256;
/// Executables taken from `exec` lines when the trace has no footer to list them.
const MAX_EXECUTABLES: usize = 256;

/// Fatal errors kept: a process has one, and a child of it may have one, too.
const MAX_FATAL: usize = 16;

/// The facts of the lines so far.
#[derive(Default)]
pub struct Fold {
    header: Option<HeaderLine>,
    footer: Option<FooterLine>,
    rows: Rows,
    signals: BTreeMap<String, u64>,
    /// By mode (user, kernel, not known) and code.
    fault_codes: [BTreeMap<u64, u64>; 3],
    refused: u64,
    own: u64,
    unattributed: u64,
    undecodable: u64,
    delivered: u64,
    aggregated: u64,
    last_ns: u64,
    executables: Vec<Executable>,
    samples: Samples,
    runtime: RuntimeSummary,
    fatal_errors: Vec<FatalErrorEvent>,
}

impl Fold {
    /// Takes one line into account.
    pub fn line(&mut self, line: &TraceLine) {
        match line {
            TraceLine::Header(header) => self.header(header),
            TraceLine::Footer(footer) => self.footer(footer),
            TraceLine::String(_) | TraceLine::Stack(_) | TraceLine::Mark(_) => {}
            TraceLine::PageFault(event) => self.page_fault(event),
            TraceLine::Mprotect(event) => self.call(EventKind::Mprotect, event),
            TraceLine::PkeyMprotect(event) => self.call(EventKind::PkeyMprotect, event),
            TraceLine::Mmap(event) => self.call(EventKind::Mmap, event),
            TraceLine::Munmap(event) => self.call(EventKind::Munmap, event),
            TraceLine::Mremap(event) => self.call(EventKind::Mremap, event),
            TraceLine::Brk(event) => self.call(EventKind::Brk, event),
            TraceLine::Madvise(event) => self.call(EventKind::Madvise, event),
            TraceLine::Signal(event) => self.signal(event),
            TraceLine::Fork(event) => self.lifecycle(EventKind::Fork, event.time_ns),
            TraceLine::Exec(event) => self.exec(event),
            TraceLine::Exit(event) => self.lifecycle(EventKind::Exit, event.time_ns),
            TraceLine::PteSample(event) => self.pte_sample(event),
            TraceLine::WatchHit(event) => {
                self.moment(EventKind::WatchHit, &event.context, event.time_ns);
            }
            TraceLine::MapMake(event) => {
                self.moment(EventKind::MapMake, &event.context, event.time_ns);
            }
            TraceLine::MapGrow(event) => {
                self.moment(EventKind::MapGrow, &event.context, event.time_ns);
            }
            TraceLine::MapClear(event) => {
                self.moment(EventKind::MapClear, &event.context, event.time_ns);
            }
            TraceLine::Iteration(event) => {
                self.moment(EventKind::Iteration, &event.context, event.time_ns);
            }
            TraceLine::Runtime(event) => {
                self.moment(EventKind::Runtime, &event.context, event.time_ns);
                self.runtime.add(event);
            }
            TraceLine::FatalError(event) => {
                self.moment(EventKind::FatalError, &event.context, event.time_ns);
                if self.fatal_errors.len() < MAX_FATAL {
                    self.fatal_errors.push((**event).clone());
                }
            }
            TraceLine::Aggregate(group) => self.aggregate(group),
        }
    }

    /// Takes the first line into account.
    pub fn header(&mut self, header: &HeaderLine) {
        self.header = Some(header.clone());
    }

    /// Takes the last line into account.
    pub fn footer(&mut self, footer: &FooterLine) {
        self.footer = Some(footer.clone());
    }

    /// Lines of the trace that a reader could not decode.
    pub fn undecodable(&mut self, lines: u64) {
        self.undecodable = self.undecodable.saturating_add(lines);
    }

    fn page_fault(&mut self, event: &PageFaultEvent) {
        let context = &event.context;
        self.add(
            &Seen {
                kind: EventKind::PageFault,
                count: 1,
                operation: &context.operation,
                sub_operation: context.sub_operation.as_ref(),
                cause: Some(event.cause),
                duration_ns: event.stall_ns,
                group_ns: None,
            },
            event.time_ns,
            context.stack.is_some(),
        );
        self.code(Some(event.mode), event.error_code, 1);
        if event.interrupted || witness::is_refused(event.cause, event.address) {
            self.refused = self.refused.saturating_add(1);
        }
        if is_tracers_fault(event.error_code, event.vma.as_ref()) {
            self.own = self.own.saturating_add(1);
        }
    }

    fn call(&mut self, kind: EventKind, event: &MemoryCallEvent) {
        let context = &event.context;
        self.add(
            &Seen {
                kind,
                count: 1,
                operation: &context.operation,
                sub_operation: context.sub_operation.as_ref(),
                cause: None,
                duration_ns: event.duration_ns,
                group_ns: None,
            },
            event.time_ns,
            context.stack.is_some(),
        );
    }

    fn signal(&mut self, event: &SignalEvent) {
        self.moment(EventKind::Signal, &event.context, event.time_ns);
        count_name(&mut self.signals, &event.signal, 1);
    }

    fn pte_sample(&mut self, event: &PteSampleEvent) {
        self.moment(EventKind::PteSample, &event.context, event.time_ns);
        if event.mapped != Some(false) {
            self.samples.add(&event.pte, &event.context, 1);
            self.samples.last(event);
        }
    }

    /// An event without a duration.
    fn moment(&mut self, kind: EventKind, context: &Context, time_ns: u64) {
        let seen = Seen {
            kind,
            count: 1,
            operation: &context.operation,
            sub_operation: context.sub_operation.as_ref(),
            cause: None,
            duration_ns: None,
            group_ns: None,
        };
        self.add(&seen, time_ns, context.stack.is_some());
    }

    fn exec(&mut self, event: &ExecEvent) {
        self.lifecycle(EventKind::Exec, event.time_ns);
        let Some(path) = &event.executable else {
            return;
        };
        let known = |executable: &Executable| {
            executable.path == *path && executable.build_id == event.build_id
        };
        if self.executables.len() < MAX_EXECUTABLES && !self.executables.iter().any(known) {
            self.executables.push(Executable {
                path: path.clone(),
                build_id: event.build_id.clone(),
                ..Executable::default()
            });
        }
    }

    /// fork, exec and exit have no stack and belong to no operation.
    fn lifecycle(&mut self, kind: EventKind, time_ns: u64) {
        let seen = Seen {
            kind,
            count: 1,
            operation: &Operation::None,
            sub_operation: None,
            cause: None,
            duration_ns: None,
            group_ns: None,
        };
        self.add(&seen, time_ns, true);
    }

    fn aggregate(&mut self, group: &AggregateLine) {
        let context = &group.context;
        let lifecycle = matches!(
            group.event,
            EventKind::Fork | EventKind::Exec | EventKind::Exit
        );
        // Counted below by the group's size, not as one event.
        self.rows.add(&Seen {
            kind: group.event,
            count: group.count,
            operation: &context.operation,
            sub_operation: context.sub_operation.as_ref(),
            cause: group.cause,
            duration_ns: None,
            group_ns: (group.durations > 0).then_some(group.duration_ns),
        });
        self.last_ns = self.last_ns.max(group.last_ns);
        let total = if group.in_kernel {
            &mut self.aggregated
        } else {
            &mut self.delivered
        };
        *total = total.saturating_add(group.count);
        if context.stack.is_none() && context.operation == Operation::None && !lifecycle {
            self.unattributed = self.unattributed.saturating_add(group.count);
        }
        match group.event {
            EventKind::PageFault => {
                if let Some(code) = group.error_code {
                    self.code(group.mode, code, group.count);
                    if is_tracers_fault(code, group.vma.as_ref()) {
                        self.own = self.own.saturating_add(group.count);
                    }
                }
                let refused = |cause| witness::is_refused(cause, group.address_min);
                let undone = if group.cause.is_some_and(refused) {
                    group.count
                } else {
                    group.undone
                };
                self.refused = self.refused.saturating_add(undone);
            }
            EventKind::PteSample if group.mapped == Some(false) => {}
            EventKind::PteSample => {
                if let Some(pte) = &group.pte {
                    self.samples.add(pte, context, group.count);
                }
            }
            EventKind::Runtime => self.runtime.not_told(group.count),
            EventKind::Signal => {
                let name = group.signal.as_deref().unwrap_or(OTHER);
                count_name(&mut self.signals, name, group.count);
            }
            _ => {}
        }
    }

    fn add(&mut self, seen: &Seen<'_>, time_ns: u64, has_stack: bool) {
        self.rows.add(seen);
        self.last_ns = self.last_ns.max(time_ns);
        self.delivered = self.delivered.saturating_add(1);
        if !has_stack && *seen.operation == Operation::None {
            self.unattributed = self.unattributed.saturating_add(1);
        }
    }

    fn code(&mut self, mode: Option<Mode>, code: FaultCode, count: u64) {
        let [user, kernel, other] = &mut self.fault_codes;
        let codes = match mode {
            Some(Mode::User) => user,
            Some(Mode::Kernel) => kernel,
            None => other,
        };
        let fits = codes.len() < MAX_NAMES || codes.contains_key(&code.0);
        let total = codes
            .entry(if fits { code.0 } else { u64::MAX })
            .or_default();
        *total = total.saturating_add(count);
    }

    /// What all lines come to.
    pub fn finish(self) -> Summary {
        let cut_short = self.footer.is_none();
        let loss = self.loss();
        let header = self.header.unwrap_or_default();
        let footer = self.footer.unwrap_or_default();
        let executables = [footer.executables, header.executables, self.executables];
        let events = totals(&self.rows, self.signals);
        Summary {
            schema: SUMMARY_SCHEMA.to_owned(),
            program: Program {
                argv: header.argv,
                status: footer.status,
                executables: executables
                    .into_iter()
                    .find(|list| !list.is_empty())
                    .unwrap_or_default(),
            },
            duration_ns: if cut_short {
                self.last_ns
            } else {
                footer.duration_ns
            },
            witnesses: witness::balance(&footer.witnesses, self.refused, self.own),
            loss,
            events,
            causes: self.rows.total.causes(),
            cause_stalls: self.rows.stalls(),
            operations: self.rows.finish(&footer.counts),
            watched: self.samples.watched(footer.watched),
            pte: self.samples.finish(),
            controls: footer.controls,
            census: footer.census,
            census_sample: footer.census_sample,
            runtime: RuntimeSummary {
                write_barrier_flushes: footer.write_barrier_flushes,
                ..self.runtime
            }
            .known(),
            fatal_errors: self.fatal_errors,
            not_probed: if header.probes.iter().any(Probe::is_structure) {
                Vec::new()
            } else {
                header.not_probed
            },
            not_counted: footer.not_counted,
            entries: footer.entries,
            claims: footer.claims,
            cut_short,
            stopped_early: footer.stopped_early,
            calibration: if cut_short {
                header.calibration
            } else {
                footer.calibration
            },
            fault_codes: code_names(self.fault_codes),
            probe_ns: footer.probe_ns,
            started: header.started,
            host: header.host,
        }
    }

    /// The footer's account of loss, corrected by what the lines themselves show.
    ///
    /// Without a footer nothing is known of the kernel's totals: `counted` stays 0, so that the sums do not
    /// come out and no absence is concluded.
    fn loss(&self) -> Loss {
        let Some(footer) = &self.footer else {
            return Loss {
                delivered: self.delivered,
                aggregated: self.aggregated,
                undecodable: self.undecodable,
                unattributed: self.unattributed,
                ..Loss::default()
            };
        };
        let mut loss = footer.loss;
        loss.undecodable = loss.undecodable.saturating_add(self.undecodable);
        loss.unattributed = loss.unattributed.max(self.unattributed);
        let gone = self
            .missing(footer)
            .saturating_sub(loss.undecodable)
            .min(loss.delivered);
        loss.delivered -= gone;
        loss.dropped = loss.dropped.saturating_add(gone);
        loss
    }

    /// Events that the kernel counted and did not drop, by the footer's totals, and that no line holds:
    /// somebody took lines out of the trace, or the recording forgot to write them.
    fn missing(&self, footer: &FooterLine) -> u64 {
        let counted = EventKind::ALL
            .into_iter()
            .map(|kind| kernel_total(&footer.totals, kind));
        let counted = counted.fold(0, u64::saturating_add);
        let here = EventKind::ALL
            .into_iter()
            .map(|kind| self.rows.total.kind(kind));
        let here = here.fold(0, u64::saturating_add);
        counted
            .saturating_sub(here)
            .saturating_sub(footer.loss.dropped)
    }
}
