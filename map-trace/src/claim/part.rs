//! The part of a run that is judged: what comes before steady state is left out.

use std::collections::HashSet;

use super::matching::{Doubt, EventView, Known};
use crate::maps::pattern::Glob;
use crate::model::stack::StackLine;

/// Which events count, by what the trace shows. A part that says nothing is the whole run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// It begins with the first event that has a function of this name on its stack.
    pub from: Option<Glob>,
    /// Then only after so many events that happened in map operations. Operations without an event leave no line.
    pub after_ops: u64,
    /// It ends before the next event that has a function of this name on its stack.
    pub until: Option<Glob>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Before,
    /// `from` was seen; operations are left out.
    Warming,
    Inside,
    After,
}

/// A part, while the lines go by.
#[derive(Debug)]
pub struct Progress {
    part: Part,
    state: State,
    operations: u64,
    /// Stacks with the one or the other function on them.
    from: HashSet<u64>,
    until: HashSet<u64>,
}

impl Progress {
    pub fn new(part: Part) -> Self {
        Self {
            state: State::Before,
            part,
            operations: 0,
            from: HashSet::new(),
            until: HashSet::new(),
        }
    }

    /// The whole run is judged.
    fn is_whole(&self) -> bool {
        self.part == Part::default()
    }

    /// Remembers stacks with a function that is waited for.
    pub fn stack(&mut self, line: &StackLine) {
        for (glob, stacks) in [
            (&self.part.from, &mut self.from),
            (&self.part.until, &mut self.until),
        ] {
            let Some(glob) = glob else {
                continue;
            };
            let on = |name: &Option<String>| name.as_ref().is_some_and(|name| glob.matches(name));
            if line.frames.iter().any(|frame| on(&frame.function)) {
                stacks.insert(line.id);
            }
        }
    }

    /// Whether an event is in the part. Events counted in groups have no time.
    pub fn admits(&mut self, event: &EventView<'_>) -> Known {
        if self.is_whole() {
            return Known::Yes;
        }
        if event.group.is_some() {
            return Known::Unsure(Doubt::Untimed);
        }
        let stack = event.context.and_then(|context| context.stack);
        let on = |stacks: &HashSet<u64>| stack.is_some_and(|stack| stacks.contains(&stack));
        if self.state == State::Before && (self.part.from.is_none() || on(&self.from)) {
            self.state = State::Warming;
        }
        if self.state == State::Warming && self.operations >= self.part.after_ops {
            self.state = State::Inside;
        }
        if self.state == State::Warming {
            let operation = event
                .context
                .is_some_and(|context| context.operation.is_map());
            self.operations += u64::from(operation);
            return Known::No;
        }
        if self.state == State::Inside && on(&self.until) {
            self.state = State::After;
        }
        match self.state {
            State::Inside => Known::Yes,
            State::Before | State::Warming | State::After => Known::No,
        }
    }

    /// What is to be said of the part in a verdict; none: the whole run was judged.
    pub fn told(&self) -> Option<&'static str> {
        (!self.is_whole()).then_some("in the part that was judged")
    }

    /// Why nothing can be supported, if so: the part never began.
    pub fn void(&self) -> Option<String> {
        if self.is_whole() {
            return None;
        }
        match (self.state, &self.part.from) {
            (State::Before, Some(from)) => Some(format!(
                "the part to be judged never began: no event has {} on its stack",
                from.as_str()
            )),
            (State::Before | State::Warming, _) => Some(format!(
                "the part to be judged never began: {} events in map operations, {} needed",
                self.operations, self.part.after_ops
            )),
            (State::Inside | State::After, _) => None,
        }
    }
}
