//! The fold: lines in, verdicts out.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::io::BufRead;

use super::Claim;
use super::conclude::{self, Tally};
use super::example::Example;
use super::matching::{Doubt, EventView, Knowledge, Known, in_scope, satisfies};
use super::rule::Expect;
use super::stacks::Stacks;
use super::window::{Frame, Window};
use crate::evidence::Fold;
use crate::maps::pattern::Glob;
use crate::maps::{Tables, user};
use crate::model::event::{EventKind, ExitEvent};
use crate::model::header::HeaderLine;
use crate::model::stack::StackLine;
use crate::model::summary::{Claim as Judged, Summary};
use crate::model::{Operation, TraceLine};
use crate::trace::{ReadError, TraceReader};

/// Events kept as examples for one claim.
const EXAMPLES: usize = 5;
/// Processes whose start is followed; later ones count as running their program.
const MAX_PROCESSES: usize = 1 << 16;

/// What to judge.
#[derive(Clone, Debug, Default)]
pub struct Setup {
    pub claims: Vec<Claim>,
    /// Regions besides those the trace was recorded with.
    pub regions: Vec<user::Region>,
}

/// How far a process has come since its last exec, until code of the program itself has been seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    /// Before the exec is told: the kernel loads the program.
    Loading,
    /// The dynamic loader and the C library set themselves up; no code of the program has been seen.
    Loader,
}

/// Judges claims while the lines of a trace go by. Memory: the stacks' facts, counts and a few examples.
pub struct Judge {
    claims: Vec<Claim>,
    tallies: Vec<Tally>,
    by_kind: BTreeMap<EventKind, Vec<usize>>,
    knowledge: Knowledge,
    recorded: BTreeSet<String>,
    phases: HashMap<u32, Phase>,
    first: bool,
    launched: bool,
    /// Regions that some stack was in.
    regions_seen: BTreeSet<Operation>,
    /// Functions of each region, as the trace's footer counts them.
    regions_known: BTreeMap<String, u64>,
    frame: Frame,
    text: String,
}

impl Judge {
    /// Begins with the header of the trace.
    pub fn begin(setup: Setup, header: &HeaderLine) -> Self {
        let mut regions = regions_of(header);
        regions.extend(setup.regions);
        let recorded: BTreeSet<String> = header
            .probes
            .iter()
            .flat_map(|probe| probe.emits.iter())
            .map(|word| match word.as_str() {
                "page_fault_user" | "page_fault_kernel" => "page_fault".to_owned(),
                word => word.to_owned(),
            })
            .collect();
        let mut by_kind: BTreeMap<EventKind, Vec<usize>> = BTreeMap::new();
        for (index, claim) in setup.claims.iter().enumerate() {
            if let Some(kind) = claim.rule.event.kind() {
                by_kind.entry(kind).or_default().push(index);
            }
        }
        Self {
            tallies: setup.claims.iter().map(|_| Tally::default()).collect(),
            claims: setup.claims,
            by_kind,
            knowledge: Knowledge {
                stacks: Stacks::default(),
                tables: Tables::new(operations_of(header), &regions),
                probed: recorded.contains("map_make"),
            },
            recorded,
            phases: HashMap::new(),
            first: true,
            launched: header.attached.is_empty(),
            regions_seen: BTreeSet::new(),
            regions_known: BTreeMap::new(),
            frame: Frame::default(),
            text: String::new(),
        }
    }

    /// Judges only a part of the run.
    pub fn within(&mut self, window: Window) {
        self.frame = Frame::new(window);
    }

    /// Nothing to judge: no line needs to be shown.
    pub fn is_idle(&self) -> bool {
        self.claims.is_empty()
    }

    /// Takes one line; `number` is its place in the file, from 1.
    pub fn line(&mut self, number: u64, line: &TraceLine) {
        if self.is_idle() {
            return;
        }
        match line {
            TraceLine::Stack(stack) => return self.stack(stack),
            TraceLine::Mark(mark) => return self.frame.mark(mark),
            TraceLine::Footer(footer) => self.regions_known.clone_from(&footer.regions),
            _ => {}
        }
        let Some(mut event) = EventView::of(line) else {
            return;
        };
        if std::mem::take(&mut self.first) && self.launched {
            self.phases.insert(event.pid, Phase::Loading);
        }
        let phase = self.phases.get(&event.pid).copied();
        place(&mut event, &self.knowledge.stacks, phase);
        let inside = self.frame.holds(line);
        if let Some(claims) = self
            .by_kind
            .get(&event.kind)
            .filter(|_| inside != Known::No)
        {
            for &index in claims {
                let (claim, tally) = (&self.claims[index], &mut self.tallies[index]);
                weigh(
                    claim,
                    tally,
                    (&event, inside),
                    number,
                    &self.knowledge,
                    &mut self.text,
                );
            }
        }
        let program = event.stack.is_some_and(|stack| stack.modules.other);
        let pid = event.pid;
        if program && !self.phases.is_empty() {
            self.phases.remove(&pid);
        }
        self.follow(line);
    }

    /// The footer of a live session, which is no line yet.
    pub fn regions(&mut self, functions: &BTreeMap<String, u64>) {
        self.regions_known.clone_from(functions);
    }

    /// The verdicts, in the order of the claims. `summary` is that of the same lines.
    pub fn finish(self, summary: &Summary) -> Vec<Judged> {
        let trace = conclude::Trace {
            summary,
            recorded: &self.recorded,
            regions_seen: &self.regions_seen,
            regions_known: &self.regions_known,
            open: self.frame.open(summary),
            part: self.frame.is_part(),
        };
        let judged = self.claims.iter().zip(self.tallies);
        judged
            .map(|(claim, tally)| conclude::conclude(claim, tally, &trace))
            .collect()
    }

    fn stack(&mut self, line: &StackLine) {
        self.knowledge.stacks.keep(line, &self.knowledge.tables);
        if let Some(facts) = self.knowledge.stacks.get(Some(line.id)) {
            for operation in &facts.operations {
                if matches!(operation, Operation::Region(_))
                    && !self.regions_seen.contains(operation)
                {
                    self.regions_seen.insert(operation.clone());
                }
            }
        }
    }

    /// Keeps the phases of processes.
    fn follow(&mut self, line: &TraceLine) {
        match line {
            TraceLine::Exec(exec) => self.enter(exec.pid, Some(Phase::Loader)),
            TraceLine::Fork(fork) if !fork.thread => {
                self.enter(fork.child_pid, self.phases.get(&fork.pid).copied());
            }
            TraceLine::Exit(ExitEvent {
                process: true, pid, ..
            }) => self.enter(*pid, None),
            _ => {}
        }
    }

    fn enter(&mut self, pid: u32, phase: Option<Phase>) {
        match phase {
            Some(phase) if self.phases.len() < MAX_PROCESSES || self.phases.contains_key(&pid) => {
                self.phases.insert(pid, phase);
            }
            _ => {
                self.phases.remove(&pid);
            }
        }
    }
}

/// Says of an event whether it came before the program's own code, and whether its stack tells everything.
fn place<'a>(event: &mut EventView<'a>, stacks: &'a Stacks, phase: Option<Phase>) {
    event.stack = event.context.and_then(|context| stacks.get(context.stack));
    let Some(stack) = event.stack else {
        return;
    };
    let modules = stack.modules;
    event.startup = match phase {
        Some(Phase::Loading) => modules.none && !modules.loader && !modules.other,
        Some(Phase::Loader) => modules.loader && !modules.other,
        None => false,
    };
    event.whole = event.startup || stack.lack.is_none();
}

/// Folds and judges a whole trace.
///
/// # Errors
/// The trace cannot be read on. Damage is no error: it is in the summary, and in the verdicts.
pub fn judge_trace<R: BufRead>(
    reader: &mut TraceReader<R>,
    setup: Setup,
) -> Result<Summary, ReadError> {
    judge_trace_within(reader, setup, Window::default())
}

/// The same, judging only a part of the run.
///
/// # Errors
/// As for [`judge_trace`].
pub fn judge_trace_within<R: BufRead>(
    reader: &mut TraceReader<R>,
    setup: Setup,
    window: Window,
) -> Result<Summary, ReadError> {
    let mut judge = Judge::begin(setup, reader.header());
    judge.within(window);
    let mut fold = Fold::default();
    while let Some(line) = reader.next() {
        let line = line?;
        fold.line(&line);
        judge.line(reader.tally().lines, &line);
    }
    fold.undecodable(reader.tally().undecodable);
    let mut summary = fold.finish();
    summary.claims = judge.finish(&summary);
    Ok(summary)
}

/// Adds an event to what a claim has seen.
fn weigh(
    claim: &Claim,
    tally: &mut Tally,
    (event, inside): (&EventView<'_>, Known),
    number: u64,
    knowledge: &Knowledge,
    text: &mut String,
) {
    let rule = &claim.rule;
    let scope = in_scope(rule, event, knowledge).and(|| inside);
    if scope == Known::No {
        return;
    }
    let fits = satisfies(rule, event, text);
    match (scope, fits) {
        (Known::Yes, Known::Yes) => tally.matched = tally.matched.saturating_add(event.count),
        (Known::Yes, Known::No) => tally.others = tally.others.saturating_add(event.count),
        (Known::Unsure(doubt), fits) => {
            // It may lie outside the rule altogether; inside, it would count as what it is.
            let counts = match rule.expect {
                Expect::All => fits != Known::Yes,
                Expect::Count(..) => fits != Known::No,
            };
            if counts {
                tally.doubt(doubt, event.count, number);
            }
        }
        (_, Known::Unsure(doubt)) => tally.doubt(doubt, event.count, number),
        (Known::No, _) => {}
    }
    let telling = match rule.expect {
        Expect::All => scope == Known::Yes && fits == Known::No,
        Expect::Count(..) => scope == Known::Yes && fits == Known::Yes,
    };
    if telling && tally.examples.len() < EXAMPLES {
        let stack = event.context.and_then(|context| context.stack);
        let frames = knowledge.stacks.frames(stack);
        tally.examples.push(Example::new(
            number,
            event,
            frames,
            rule.during.as_ref(),
            knowledge,
        ));
    }
}

/// A doubt about many events at once.
impl Tally {
    fn doubt(&mut self, doubt: Doubt, count: u64, number: u64) {
        let seen = self.doubts.entry(doubt).or_insert((0, number));
        seen.0 = seen.0.saturating_add(count);
    }
}

/// The regions a trace was recorded with, `NAME=PATTERN` each; what is none is left out.
pub fn regions_of(header: &HeaderLine) -> Vec<user::Region> {
    let regions = header
        .options
        .get("regions")
        .and_then(|regions| regions.as_array());
    let texts = regions
        .into_iter()
        .flatten()
        .filter_map(|region| region.as_str());
    texts
        .filter_map(|text| user::Region::parse(text).ok())
        .collect()
}

/// The user's rows a trace was recorded with, `PATTERN=OPERATION` each.
fn operations_of(header: &HeaderLine) -> Vec<(Glob, Operation)> {
    let rows = header
        .options
        .get("operations")
        .and_then(|rows| rows.as_array());
    let texts = rows.into_iter().flatten().filter_map(|row| row.as_str());
    let row = |text: &str| {
        let (pattern, operation) = text.rsplit_once('=')?;
        Some((Glob::new(pattern), Operation::from_word(operation)))
    };
    texts.filter_map(row).collect()
}
