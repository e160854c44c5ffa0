//! Which system calls a function can make.

use std::fmt;

use super::{Ruling, matching, no_function};
use crate::binary::Binary;
use crate::binary::reach::{CallGraph, Reach as Found, SystemCall, Through, Verdict};

#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ReachExpect {
    /// No way at all, calls through pointers aside.
    Never,
    /// Only through a gate, or not at all.
    Gated,
    /// Some way without a gate.
    Yes,
}

/// Functions can or cannot make a system call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    pub function: String,
    pub call: SystemCall,
    pub expect: ReachExpect,
    /// Only ways on which no more than this happens.
    pub through: Through,
}

impl Reach {
    pub fn judge(&self, binary: &Binary) -> Ruling {
        let functions = matching(binary, &self.function);
        if functions.is_empty() {
            return no_function(&self.function);
        }
        if !binary.facts().go_functions {
            return Ruling::open("ways to system calls are told of Go programs only");
        }
        let roots: Vec<u64> = functions.iter().map(|function| function.start).collect();
        let graph = CallGraph::build(binary, &roots);
        let rulings = functions.iter().map(|function| {
            let found = graph.reach(function.start, self.call.number);
            self.rule(&function.name, function.start, &found, &graph)
        });
        self.together(rulings.collect())
    }

    /// `never` and `gated` hold of all functions, `yes` of one.
    fn together(&self, rulings: Vec<Ruling>) -> Ruling {
        use crate::model::summary::VerdictWord::{Inconclusive, Refuted, Supported};
        let first = |verdict| rulings.iter().find(|one| one.verdict == verdict).cloned();
        let found = match self.expect {
            ReachExpect::Yes => first(Supported).or_else(|| first(Inconclusive)),
            _ => first(Refuted).or_else(|| first(Inconclusive)),
        };
        found
            .or_else(|| rulings.first().cloned())
            .unwrap_or_else(|| no_function(&self.function))
    }

    fn rule(&self, function: &str, root: u64, found: &Found, graph: &CallGraph) -> Ruling {
        let call = &self.call.name;
        let near = found.through.is_some_and(|least| least <= self.through);
        if found.verdict == Verdict::Unknown || (!near && graph.incomplete().is_some()) {
            let why = graph.incomplete().unwrap_or("its code is not known");
            return Ruling::open(format!("{function}: {why}"));
        }
        if !near {
            let (functions, indirect) = graph.extent(root, self.through);
            return Ruling::of(
                self.expect != ReachExpect::Yes,
                format!(
                    "no way from {function} to {call} through {functions} functions ({}; {indirect} calls through pointers not followed)",
                    self.through.word()
                ),
            );
        }
        let way = shorten(&found.path);
        if found.verdict == Verdict::Gated {
            let gates: Vec<String> = found
                .gates
                .iter()
                .map(|gate| format!("{} ({})", gate.function, gate.only))
                .collect();
            return Ruling::of(
                self.expect == ReachExpect::Gated,
                format!(
                    "{function} reaches {call} only through {}",
                    gates.join(", ")
                ),
            );
        }
        Ruling::of(
            self.expect == ReachExpect::Yes,
            format!("{way} makes {call}"),
        )
    }
}

/// First, second and last functions of a way.
fn shorten(path: &[String]) -> String {
    match path {
        [first, second, .., last] if path.len() > 4 => {
            format!("{first} -> {second} -> ... -> {last}")
        }
        path => path.join(" -> "),
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let expect = match self.expect {
            ReachExpect::Never => "never reaches",
            ReachExpect::Gated => "reaches at most through a gate",
            ReachExpect::Yes => "reaches",
        };
        write!(f, "{} {expect} {}", self.function, self.call.name)?;
        match self.through {
            Through::Panic => Ok(()),
            through => write!(f, " by {}", through.word()),
        }
    }
}
