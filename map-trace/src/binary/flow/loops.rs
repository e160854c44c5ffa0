//! Which instructions of a function stand in a loop over a map.
//!
//! A window opens where the iteration starts and is closed where the iterator has no further entry (its
//! key pointer is nil), or where nothing leads to its next step any more without a new start. Iterators
//! are told apart by the stack slot they live in; loops that share a slot one after the other are kept
//! apart by their starts.

use std::collections::HashMap;

use iced_x86::{FlowControl, Mnemonic, OpKind, Register};

use super::Judged;
use super::graph::Graph;
use super::origin::{Origin, Tracer};
use super::role::Role;

/// Iterators of one function at most: the bits of a set.
const MAX_ITERATORS: usize = 64;
/// Bytes of an iterator whose overwriting makes it a new one: `reflect.MapIter` begins with the map's
/// `reflect.Value`.
const HEAD: i64 = 24;
/// Instructions between the load of a key and the test of it at most.
const BACK: usize = 12;

/// Sets of iterators at each instruction.
#[derive(Debug)]
pub(super) struct Loops {
    /// Begun on some way to here, and not known to be at its end.
    begun: Vec<u64>,
    /// Not begun, or at its end, on some way to here.
    ended: Vec<u64>,
    /// Its next step can be reached from here.
    ahead: Vec<u64>,
    /// Addresses of the steps, with their iterator.
    steps: Vec<(u64, u64)>,
    /// Likewise of the starts.
    starts: Vec<(u64, u64)>,
}

/// What happens at single instructions.
#[derive(Default)]
struct Happens {
    begins: HashMap<usize, u64>,
    steps: HashMap<usize, u64>,
    renewed: HashMap<usize, u64>,
    /// From, to: the way taken when there is no further entry.
    ends: HashMap<(usize, usize), u64>,
}

fn of<K: std::hash::Hash + Eq>(sets: &HashMap<K, u64>, key: K) -> u64 {
    sets.get(&key).copied().unwrap_or(0)
}

impl Loops {
    /// Finds the loops; none when they cannot be told apart.
    pub fn find(graph: &Graph) -> Option<Self> {
        if !graph.whole {
            return None;
        }
        let mut tracer = Tracer::new(graph);
        let mut iterators = Vec::new();
        let mut happens = Happens::default();
        let (mut steps, mut starts) = (Vec::new(), Vec::new());
        for (at, bit, role) in calls(graph, &mut tracer, &mut iterators)? {
            match role {
                Role::Start(_) => {
                    *happens.renewed.entry(at).or_default() |= bit;
                    *happens.begins.entry(at).or_default() |= bit;
                }
                Role::Next => *happens.begins.entry(at).or_default() |= bit,
                Role::Reset => *happens.renewed.entry(at).or_default() |= bit,
                _ => {}
            }
            if matches!(role, Role::Start(_) | Role::Next) {
                starts.push((bit, graph.instructions[at].ip()));
            }
            if matches!(role, Role::Step(_) | Role::Next) {
                *happens.steps.entry(at).or_default() |= bit;
                steps.push((bit, graph.instructions[at].ip()));
            }
        }
        renewals(graph, &mut tracer, &iterators, &mut happens);
        endings(graph, &mut tracer, &iterators, &mut happens);
        let (begun, ended) = forward(graph, &happens);
        let mut ahead = backward(graph, &happens);
        checks(graph, &mut ahead);
        Some(Self {
            begun,
            ended,
            ahead,
            steps,
            starts,
        })
    }

    /// Whether an instruction, or a call while it lasts, is in a loop over a map.
    pub fn at(&self, at: usize) -> Judged {
        let set = |sets: &[u64]| sets.get(at).copied().unwrap_or(0);
        let (begun, ended, ahead) = (set(&self.begun), set(&self.ended), set(&self.ahead));
        if begun & ahead != 0 {
            Judged::Yes
        } else if begun & !ended != 0 {
            // Every way here leaves a loop early: the end of its body and what follows look alike.
            Judged::Unknown
        } else {
            Judged::No
        }
    }

    /// The set of loops an instruction is in.
    pub fn inside(&self, at: usize) -> u64 {
        let set = |sets: &[u64]| sets.get(at).copied().unwrap_or(0);
        set(&self.begun) & set(&self.ahead)
    }

    /// The set of loops that every way to an instruction leaves early.
    pub fn leaving(&self, at: usize) -> u64 {
        let set = |sets: &[u64]| sets.get(at).copied().unwrap_or(0);
        set(&self.begun) & !set(&self.ended) & !set(&self.ahead)
    }

    /// Addresses of the steps of a set of loops.
    pub fn steps(&self, loops: u64) -> impl std::iter::Iterator<Item = u64> + '_ {
        let steps = self.steps.iter().filter(move |(bit, _)| bit & loops != 0);
        steps.map(|&(_, svma)| svma)
    }

    /// Addresses of their starts.
    pub fn starts(&self, loops: u64) -> impl std::iter::Iterator<Item = u64> + '_ {
        let starts = self.starts.iter().filter(move |(bit, _)| bit & loops != 0);
        starts.map(|&(_, svma)| svma)
    }
}

/// The calls that begin or go on with an iteration this function begins, each with its iterator.
fn calls(
    graph: &Graph,
    tracer: &mut Tracer<'_>,
    iterators: &mut Vec<Origin>,
) -> Option<Vec<(usize, u64, Role)>> {
    let roles = graph.roles();
    let begins = |role: &Role| matches!(role, Role::Start(_) | Role::Next);
    if !roles.iter().any(|(_, role)| begins(role)) {
        return Some(Vec::new());
    }
    let mut found = Vec::new();
    for (at, role) in roles {
        let register = match role {
            Role::Start(register) | Role::Step(register) => register,
            Role::Next | Role::Reset => Register::RAX,
            _ => continue,
        };
        let iterator = tracer.origin(at, register);
        if matches!(iterator, Origin::Other | Origin::Unknown) {
            return None;
        }
        let bit = iterators.iter().position(|known| *known == iterator);
        let bit = bit.unwrap_or_else(|| {
            iterators.push(iterator);
            iterators.len() - 1
        });
        if bit >= MAX_ITERATORS {
            return None;
        }
        found.push((at, 1 << bit, role));
    }
    Some(found)
}

/// Where an iterator's memory is written by the function itself, or allocated.
fn renewals(graph: &Graph, tracer: &mut Tracer<'_>, iterators: &[Origin], happens: &mut Happens) {
    for (n, iterator) in iterators.iter().enumerate() {
        let mut renewed = |at: usize| *happens.renewed.entry(at).or_default() |= 1 << n;
        match *iterator {
            Origin::Result(call, _) => renewed(call),
            Origin::Address(slot) => {
                for (at, i) in graph.instructions.iter().enumerate() {
                    if i.memory_base() == Register::RSP && tracer.stores(at, slot, HEAD) {
                        renewed(at);
                    }
                }
            }
            _ => {}
        }
    }
}

/// The branches taken when there is no further entry: the key pointer, an iterator's first word, is nil
/// (`cmd/compile/internal/walk/range.go`), or `Next` says so.
fn endings(graph: &Graph, tracer: &mut Tracer<'_>, iterators: &[Origin], happens: &mut Happens) {
    if iterators.is_empty() {
        return;
    }
    for (at, i) in graph.instructions.iter().enumerate() {
        if i.flow_control() != FlowControl::ConditionalBranch {
            continue;
        }
        let ended = match i.mnemonic() {
            Mnemonic::Je => position(graph, i.near_branch_target()),
            Mnemonic::Jne => Some(at + 1),
            _ => None,
        };
        let set = tested(graph, tracer, at, iterators, happens);
        if let Some(to) = ended.filter(|_| set != 0) {
            happens.ends.insert((at, to), set);
        }
    }
}

fn position(graph: &Graph, svma: u64) -> Option<usize> {
    let found = graph.instructions.binary_search_by_key(&svma, |i| i.ip());
    found.ok()
}

/// The iterator whose key, or whose answer, a conditional branch tests for zero.
fn tested(
    graph: &Graph,
    tracer: &mut Tracer<'_>,
    branch: usize,
    iterators: &[Origin],
    happens: &Happens,
) -> u64 {
    let key_at = |displacement: u64| {
        let is = |iterator: &Origin| *iterator == Origin::Address(displacement as i64);
        iterators.iter().position(is).map_or(0, |n| 1 << n)
    };
    let Some(test) = only_before(graph, branch).and_then(|at| skip_nops(graph, at)) else {
        return 0;
    };
    let i = &graph.instructions[test];
    let on_stack = i.memory_base() == Register::RSP && i.memory_index() == Register::None;
    match (i.mnemonic(), i.op0_kind(), i.op1_kind()) {
        (Mnemonic::Cmp, OpKind::Memory, OpKind::Immediate8to64 | OpKind::Immediate32to64)
            if on_stack && i.immediate(1) == 0 =>
        {
            key_at(i.memory_displacement64())
        }
        (Mnemonic::Test, OpKind::Register, OpKind::Register)
            if i.op0_register() == i.op1_register() =>
        {
            let register = i.op0_register();
            let mut at = test;
            for _ in 0..BACK {
                let Some(before) = only_before(graph, at) else {
                    return 0;
                };
                at = before;
                if graph.is_call(at) {
                    let says = graph.role(at) == Role::Next && register == Register::AL;
                    return if says { of(&happens.steps, at) } else { 0 };
                }
                if !tracer.writes(&graph.instructions[at], register.full_register()) {
                    continue;
                }
                let load = &graph.instructions[at];
                let is_key = load.mnemonic() == Mnemonic::Mov
                    && load.op0_register() == register
                    && register.is_gpr64()
                    && load.op1_kind() == OpKind::Memory
                    && load.memory_base() == Register::RSP
                    && load.memory_index() == Register::None;
                return if is_key {
                    key_at(load.memory_displacement64())
                } else {
                    0
                };
            }
            0
        }
        _ => 0,
    }
}

/// The instruction before, when control comes from nowhere else.
fn only_before(graph: &Graph, at: usize) -> Option<usize> {
    let mut before = graph.before(at);
    let one = before.next()?;
    (before.next().is_none() && one + 1 == at).then_some(one)
}

fn skip_nops(graph: &Graph, mut at: usize) -> Option<usize> {
    let is_nop = |at: usize| {
        let i = &graph.instructions[at];
        i.mnemonic() == Mnemonic::Nop
            || (i.mnemonic() == Mnemonic::Xchg && i.op0_register() == i.op1_register())
    };
    while is_nop(at) {
        at = only_before(graph, at)?;
    }
    Some(at)
}

/// The sets begun and ended before each instruction.
fn forward(graph: &Graph, happens: &Happens) -> (Vec<u64>, Vec<u64>) {
    let count = graph.instructions.len();
    let (mut begun, mut ended) = (vec![0; count], vec![0; count]);
    let mut reached = vec![false; count];
    let mut open = Vec::new();
    if count > 0 {
        ended[0] = u64::MAX;
        reached[0] = true;
        open.push(0);
    }
    while let Some(at) = open.pop() {
        let (renewed, begins) = (of(&happens.renewed, at), of(&happens.begins, at));
        let now = (begun[at] & !renewed) | begins;
        let over = (ended[at] | renewed) & !begins;
        for to in graph.after(at) {
            let ends = of(&happens.ends, (at, to));
            let (begun_to, ended_to) = (now & !ends, over | ends);
            let new = begun_to & !begun[to] != 0 || ended_to & !ended[to] != 0;
            if new || !reached[to] {
                begun[to] |= begun_to;
                ended[to] |= ended_to;
                reached[to] = true;
                open.push(to);
            }
        }
    }
    (begun, ended)
}

/// The sets whose next step can be reached from each instruction, itself included.
fn backward(graph: &Graph, happens: &Happens) -> Vec<u64> {
    let mut ahead = vec![0; graph.instructions.len()];
    let mut open: Vec<usize> = Vec::new();
    for (&at, &bit) in &happens.steps {
        ahead[at] |= bit;
        open.push(at);
    }
    while let Some(at) = open.pop() {
        for from in graph.before(at) {
            let passing = ahead[at] & !of(&happens.ends, (from, at)) & !of(&happens.renewed, from);
            if passing & !ahead[from] != 0 {
                ahead[from] |= passing;
                open.push(from);
            }
        }
    }
    ahead
}

/// A failed check (an index out of bounds) leads nowhere, but belongs where it was made: nothing more is ahead
/// of it than of all branches that lead to it.
fn checks(graph: &Graph, ahead: &mut [u64]) {
    for (call, role) in graph.roles() {
        if role != Role::FailedCheck {
            continue;
        }
        let mut block = vec![call];
        let mut first = call;
        while let Some(before) = only_before(graph, first).filter(|&at| !is_branch(graph, at)) {
            block.push(before);
            first = before;
        }
        let branches = || graph.before(first);
        if branches().next().is_some() && branches().all(|at| is_branch(graph, at)) {
            let common = branches().fold(u64::MAX, |set, at| set & ahead[at]);
            for at in block {
                ahead[at] |= common;
            }
        }
    }
}

fn is_branch(graph: &Graph, at: usize) -> bool {
    graph.instructions[at].flow_control() == FlowControl::ConditionalBranch
}
