//! Which system calls a Go function can reach, by its code.
//!
//! The graph holds every function that can be reached from the roots by direct calls and jumps, and by
//! references: code that takes the address of a function or of a closure may have it called
//! (`systemstack(func() {...})`). Go's runtime makes system calls itself, by `syscall` instructions with
//! a constant in rax, or through one shared `Syscall6` whose callers put the constant there.
//!
//! What is left out is said: indirect calls (a key's hash and equality functions, interface methods) are
//! counted and not followed; what a function sets going elsewhere (goroutines, threads, signal handlers)
//! is not its own doing. A way is told with the least that must happen for it: ordinary work, then
//! write barriers (a collection is running), then growth of the stack, then a panic or fatal error.

mod gate;
mod node;
mod search;
mod system_call;
#[cfg(test)]
mod tests;

use std::collections::{HashMap, HashSet, VecDeque};

use serde::Serialize;

use super::{Binary, Function as Named};
use gate::GATES;
use node::{Raw, Rax};

pub use gate::Gate;
pub use search::{Reach, Verdict};
pub use system_call::{SystemCall, UnknownCall};

/// Functions looked at, at most. A Go program's runtime has some 3,000.
const MAX_FUNCTIONS: usize = 30_000;

/// What must happen for a call to be made; each includes those before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Through {
    /// Ordinary work.
    Work,
    /// A write barrier that has to be flushed: a collection is marking.
    WriteBarrier,
    /// The stack has to grow, or the goroutine is preempted, at a function's start.
    StackGrowth,
    /// A panic or a fatal error.
    Panic,
}

impl Through {
    pub const ALL: [Self; 4] = [
        Self::Work,
        Self::WriteBarrier,
        Self::StackGrowth,
        Self::Panic,
    ];

    /// In words.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Work => "ordinary work",
            Self::WriteBarrier => "write barriers",
            Self::StackGrowth => "stack growth",
            Self::Panic => "panics",
        }
    }
}

/// A place where a system call is made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Site {
    /// The function that fixes the number.
    pub function: String,
    /// The `syscall` instruction, or the call that carries the number to it.
    #[serde(serialize_with = "crate::binary::hex")]
    pub address: u64,
    /// None: whatever the program asks for.
    pub number: Option<u32>,
}

/// A function of the graph.
#[derive(Debug)]
struct Function {
    name: String,
    /// Positions of the functions it can have called, with what must happen for it.
    edges: Vec<(usize, Through)>,
    sites: Vec<Site>,
    indirect_calls: u32,
}

/// Everything the roots can reach.
#[derive(Debug)]
pub struct CallGraph {
    functions: Vec<Function>,
    by_start: HashMap<u64, usize>,
    /// Why "not reached" proves nothing, if so.
    incomplete: Option<String>,
}

impl CallGraph {
    /// Decodes what can be reached from functions that begin at these addresses.
    pub fn build(binary: &Binary, roots: &[u64]) -> Self {
        let mut raw: Vec<Raw> = Vec::new();
        let mut by_start = HashMap::new();
        let mut queue: VecDeque<u64> = roots.iter().copied().collect();
        let mut missed = None;
        let mut starts = Starts::new(binary);
        while let Some(start) = queue.pop_front() {
            if by_start.contains_key(&start) {
                continue;
            }
            if raw.len() >= MAX_FUNCTIONS {
                missed = Some(format!(
                    "more than {MAX_FUNCTIONS} functions can be reached"
                ));
                break;
            }
            let found = Raw::read(binary, start, &mut starts);
            if let (None, Some(why)) = (&missed, &found.missed) {
                missed = Some(why.clone());
            }
            queue.extend(found.targets());
            by_start.insert(start, raw.len());
            raw.push(found);
        }
        Self::assemble(raw, by_start, missed)
    }

    fn assemble(raw: Vec<Raw>, by_start: HashMap<u64, usize>, missed: Option<String>) -> Self {
        let carriers = carriers(&raw, &by_start);
        let functions = raw
            .iter()
            .map(|function| Function {
                name: function.name.clone(),
                edges: function
                    .targets()
                    .filter_map(|to| by_start.get(&to))
                    .map(|&to| (to, gate::through(&raw[to].name)))
                    .collect::<HashSet<_>>()
                    .into_iter()
                    .collect(),
                sites: sites(function, &by_start, &carriers),
                indirect_calls: function.indirect_calls,
            })
            .collect();
        let mut graph = Self {
            functions,
            by_start,
            incomplete: missed,
        };
        // In the order of discovery, so that results do not depend on hashing.
        for function in &mut graph.functions {
            function.edges.sort_unstable();
        }
        graph
    }

    /// Why "not reached" proves nothing, if so.
    pub fn incomplete(&self) -> Option<&str> {
        self.incomplete.as_deref()
    }

    /// Functions looked at.
    pub fn len(&self) -> usize {
        self.functions.len()
    }

    pub fn is_empty(&self) -> bool {
        self.functions.is_empty()
    }

    /// Every place where a system call with this number is made; none: with a number of the program's
    /// choosing.
    pub fn sites(&self, number: Option<u32>) -> impl Iterator<Item = &Site> {
        self.functions
            .iter()
            .flat_map(|f| &f.sites)
            .filter(move |site| site.number == number)
    }

    /// The gates whose functions are linked in.
    pub fn gates(&self) -> Vec<&'static Gate> {
        GATES
            .iter()
            .filter(|gate| self.functions.iter().any(|f| f.name == gate.function))
            .collect()
    }
}

/// The functions that make a system call with the number their caller passes in rax.
fn carriers(raw: &[Raw], by_start: &HashMap<u64, usize>) -> HashSet<usize> {
    let mut carriers: HashSet<usize> = (0..raw.len())
        .filter(|&n| raw[n].syscalls.iter().any(|&(_, rax)| rax == Rax::Callers))
        .collect();
    loop {
        let before = carriers.len();
        for (n, function) in raw.iter().enumerate() {
            let passes_on = function.calls.iter().any(|&(_, to, rax)| {
                rax == Rax::Callers && by_start.get(&to).is_some_and(|to| carriers.contains(to))
            });
            if passes_on {
                carriers.insert(n);
            }
        }
        if carriers.len() == before {
            return carriers;
        }
    }
}

/// The system calls whose number this function fixes or leaves open.
fn sites(raw: &Raw, by_start: &HashMap<u64, usize>, carriers: &HashSet<usize>) -> Vec<Site> {
    let site = |address, rax| {
        let number = match rax {
            Rax::Number(number) => Some(number),
            Rax::Unknown => None,
            Rax::Callers => return None,
        };
        Some(Site {
            function: raw.name.clone(),
            address,
            number,
        })
    };
    let carries = |to: &u64| by_start.get(to).is_some_and(|to| carriers.contains(to));
    let own = raw.syscalls.iter().filter_map(|&(at, rax)| site(at, rax));
    let carried = raw
        .calls
        .iter()
        .filter(|(_, to, _)| carries(to))
        .filter_map(|&(at, _, rax)| site(at, rax));
    // Whoever calls it later passes a number nobody can tell.
    let referred = raw
        .references
        .iter()
        .filter(|(_, to)| carries(to))
        .filter_map(|&(at, _)| site(at, Rax::Unknown));
    let foreign = raw.foreign.iter().filter_map(|&at| site(at, Rax::Unknown));
    own.chain(carried).chain(referred).chain(foreign).collect()
}

/// Which function an address belongs to, remembered.
struct Starts<'a> {
    binary: &'a Binary,
    /// First addresses by any address.
    starts: HashMap<u64, Option<u64>>,
    /// Functions by first address.
    functions: HashMap<u64, Option<Named>>,
    /// The program has C code, which may do anything.
    cgo: bool,
}

impl<'a> Starts<'a> {
    fn new(binary: &'a Binary) -> Self {
        let mut cgo = false;
        // Its own function that C calls back through, and the package's Go functions.
        binary
            .go_names(&mut |name| cgo |= name == "crosscall2" || name.starts_with("runtime/cgo."));
        Self {
            binary,
            starts: HashMap::new(),
            functions: HashMap::new(),
            cgo,
        }
    }

    /// The first address of the Go function an address lies in.
    fn of(&mut self, svma: u64) -> Option<u64> {
        let binary = self.binary;
        *self
            .starts
            .entry(svma)
            .or_insert_with(|| binary.go_start(svma))
    }

    /// The function that begins at an address.
    fn function(&mut self, start: u64) -> Option<Named> {
        let binary = self.binary;
        let found = self.functions.entry(start);
        found.or_insert_with(|| binary.function_at(start)).clone()
    }

    fn name_is(&mut self, start: u64, wanted: impl Fn(&str) -> bool) -> bool {
        self.function(start)
            .is_some_and(|function| wanted(&function.name))
    }
}
