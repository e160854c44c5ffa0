//! What a place in a Go function says about maps, by the function's control flow alone: whether it
//! stands in a loop over a map, and whether it stores the value of an assign.
//!
//! Between the steps of `for k, v := range m` no map function is on the stack, yet the iteration is open.
//! And `m[k] = v` is stored by the caller, after `runtime.mapassign` has given back the place. Both are
//! decided from machine code: every function that calls an iterator's step or an assign is decoded once,
//! its control flow graph built, and the answer read from it. What the code does not decide is
//! [`Judged::Unknown`], never a guess.

mod graph;
mod loops;
mod origin;
mod role;
mod stores;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use graph::Graph;
use loops::Loops;
use role::Role;

use super::Binary;

/// Functions remembered for one binary; beyond it the memory starts anew.
const MAX_FUNCTIONS: usize = 16_384;
/// Instructions of remembered graphs.
const MAX_INSTRUCTIONS: usize = 400_000;

/// Calls of one loop looked at for their line.
const MAX_CALLS: usize = 256;

/// An answer of three values.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Judged {
    Yes,
    No,
    #[default]
    Unknown,
}

/// Whether a frame stores the value of an assign.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Stores {
    Yes,
    No,
    /// A copying function's: yes if its caller's call is. Not `sure`: the instruction also reads, and
    /// that may be what faulted.
    OfCaller {
        sure: bool,
    },
    #[default]
    Unknown,
}

/// What the code at one place says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CodeFlow {
    /// It stands in a loop over a map.
    pub in_loop: Judged,
    /// The loop's function, counted inward from the function that is not inlined (0).
    pub depth: usize,
    pub stores: Stores,
}

impl CodeFlow {
    /// Code that knows nothing of Go's maps.
    pub const APART: Self = Self {
        in_loop: Judged::No,
        depth: 0,
        stores: Stores::No,
    };
}

/// A line of a function.
struct Line {
    function: String,
    file: String,
    line: u32,
}

impl Line {
    fn is_before(&self, other: &Self) -> bool {
        self.function == other.function && self.file == other.file && self.line < other.line
    }
}

/// A function that tells something.
#[derive(Debug)]
struct Flow {
    graph: Graph,
    loops: Option<Loops>,
}

/// Functions of one binary, each looked at once.
#[derive(Debug, Default)]
pub(super) struct Flows(Mutex<Known>);

#[derive(Debug, Default)]
struct Known {
    /// By first address; none for the many that tell nothing.
    flows: HashMap<u64, Option<Arc<Flow>>>,
    roles: HashMap<u64, Role>,
    instructions: usize,
}

impl Binary {
    /// What the code at an address says. `exact`: the instruction there is the one that was executed;
    /// otherwise the address is inside the call that has not come back, one before its return address.
    pub fn code_flow(&self, svma: u64, exact: bool) -> CodeFlow {
        let Some((start, end)) = self.go_bounds(svma) else {
            return CodeFlow::default();
        };
        let own = self.role_at(start);
        let flow = self.flow(start, end);
        if let Role::Copy { .. } = own {
            return CodeFlow {
                stores: self.copying(start, end, svma, exact),
                ..CodeFlow::APART
            };
        }
        let Some(flow) = flow else {
            return CodeFlow::APART;
        };
        let Some((at, is_call)) = position(&flow.graph, svma, exact) else {
            return CodeFlow::default();
        };
        let (in_loop, depth) = match &flow.loops {
            // Iterating is what it is for: its name says so.
            _ if own.iterates() => (Judged::No, 0),
            Some(loops) => self.in_loop(&flow.graph, loops, at),
            None => (Judged::Unknown, 0),
        };
        CodeFlow {
            in_loop,
            depth,
            stores: if is_call {
                stores::at_call(&flow.graph, at)
            } else if exact {
                stores::at_instruction(&flow.graph, at)
            } else {
                Stores::No
            },
        }
    }

    /// Whether an instruction is in a loop over a map, and how deep the loop's function is inlined.
    fn in_loop(&self, graph: &Graph, loops: &Loops, at: usize) -> (Judged, usize) {
        let judged = loops.at(at);
        let set = match judged {
            Judged::Yes => loops.inside(at),
            Judged::Unknown if self.is_between(graph, loops, at) => loops.leaving(at),
            other => return (other, 0),
        };
        let depths = loops.steps(set).map(|svma| self.inlined(svma));
        (Judged::Yes, depths.min().unwrap_or(0))
    }

    /// Whether code that leads out of a loop is in the loop's body all the same: it stands, by its line, behind
    /// the loop's start and before a call that is inside. What follows a loop follows all of it.
    fn is_between(&self, graph: &Graph, loops: &Loops, at: usize) -> bool {
        let set = loops.leaving(at);
        // With two loops left at once, one of them may be over already.
        if set.count_ones() != 1 {
            return false;
        }
        let Some(start) = loops.starts(set).next() else {
            return false;
        };
        let depth = self.inlined(start);
        let (Some(start), Some(here)) = (
            self.line(start, depth),
            self.line(graph.instructions[at].ip(), depth),
        ) else {
            return false;
        };
        let inside = (0..graph.instructions.len())
            .filter(|&call| graph.is_call(call) && loops.inside(call) & set != 0)
            .take(MAX_CALLS);
        start.is_before(&here)
            && inside
                .filter_map(|call| self.line(graph.instructions[call].ip(), depth))
                .any(|call| here.is_before(&call))
    }

    /// The line an address belongs to in the function that many functions are inlined around.
    fn line(&self, svma: u64, depth: usize) -> Option<Line> {
        let mut frames = Vec::new();
        self.frames(svma, &mut frames);
        let at = frames.len().checked_sub(depth + 1)?;
        let frame = frames.swap_remove(at);
        Some(Line {
            function: frame.function,
            file: frame.file?,
            line: frame.line?,
        })
    }

    /// Functions inlined around an address.
    fn inlined(&self, svma: u64) -> usize {
        let mut frames = Vec::new();
        self.frames(svma, &mut frames);
        frames.len().saturating_sub(1)
    }

    /// The instruction of a copying function, or a call of one to another.
    fn copying(&self, start: u64, end: u64, svma: u64, exact: bool) -> Stores {
        if !exact {
            return Stores::OfCaller { sure: true };
        }
        let code = self.code(start, end);
        let instruction = code.as_ref().and_then(|code| {
            let at = code.at(svma)?;
            code.instructions.get(at)
        });
        instruction.map_or(Stores::Unknown, stores::in_copy)
    }

    fn flow(&self, start: u64, end: u64) -> Option<Arc<Flow>> {
        if let Some(known) = self.flows.lock().flows.get(&start) {
            return known.clone();
        }
        let flow = self.code(start, end).and_then(|code| {
            let graph = Graph::build(code, &mut |to| self.role_at(to), &|svma| self.pointer(svma))?;
            let loops = Loops::find(&graph);
            Some(Arc::new(Flow { graph, loops }))
        });
        self.flows.lock().keep(start, flow.clone());
        flow
    }

    /// What the function at an address means to its callers.
    fn role_at(&self, svma: u64) -> Role {
        if let Some(role) = self.flows.lock().roles.get(&svma) {
            return *role;
        }
        let role = self
            .function_at(svma)
            .map_or(Role::Other, |function| Role::of(function.name.as_str()));
        let mut known = self.flows.lock();
        if known.roles.len() >= MAX_FUNCTIONS {
            known.roles.clear();
        }
        known.roles.insert(svma, role);
        role
    }
}

impl Flows {
    fn lock(&self) -> std::sync::MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn keep(&mut self, start: u64, flow: Option<Arc<Flow>>) {
        let size = flow
            .as_ref()
            .map_or(0, |flow| flow.graph.instructions.len());
        if self.flows.len() >= MAX_FUNCTIONS || self.instructions + size > MAX_INSTRUCTIONS {
            self.flows.clear();
            self.instructions = 0;
        }
        self.instructions += size;
        self.flows.insert(start, flow);
    }
}

/// The instruction a frame stands at, and whether it is a call that has not come back. A frame that a
/// signal interrupted has no call before its address: it stands at the next instruction.
fn position(graph: &Graph, svma: u64, exact: bool) -> Option<(usize, bool)> {
    let at = graph.holding(svma)?;
    if exact {
        return Some((at, false));
    }
    let last = graph.instructions[at].next_ip() == svma.checked_add(1)?;
    if last && graph.is_call(at) {
        return Some((at, true));
    }
    let next = graph.holding(svma + 1)?;
    Some((next, false))
}
