//! Whom a function calls.

use std::collections::BTreeSet;
use std::fmt;

use iced_x86::FlowControl;

use super::{Ruling, matching, no_function, some};
use crate::binary::{Binary, Function};
use crate::maps::pattern::Glob;

/// A function's direct calls, and jumps out of it, by the names of their targets. Calls through pointers are told, not
/// followed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Calls {
    pub function: String,
    /// Nothing else is called.
    pub only: Vec<String>,
    /// None of these is.
    pub never: Vec<String>,
    /// Each of these is.
    pub always: Vec<String>,
}

impl Calls {
    pub fn judge(&self, binary: &Binary) -> Ruling {
        let functions = matching(binary, &self.function);
        if functions.is_empty() {
            return no_function(&self.function);
        }
        let mut told = Vec::new();
        for function in &functions {
            let Some((targets, indirect)) = targets(binary, function) else {
                return Ruling::open(format!("the code of {} cannot be read", function.name));
            };
            if let Some(wrong) = self.wrong(&targets) {
                return Ruling::of(false, format!("{} {wrong}", function.name));
            }
            let targets: Vec<String> = targets.into_iter().collect();
            let calls = match targets.is_empty() {
                true => format!("{} calls nothing by name", function.name),
                false => format!("{} calls {}", function.name, some(&targets)),
            };
            told.push(match indirect {
                0 => calls,
                _ => format!("{calls}, {indirect} through pointers"),
            });
        }
        Ruling::of(true, some(&told))
    }

    /// What contradicts it, if anything does.
    fn wrong(&self, targets: &BTreeSet<String>) -> Option<String> {
        let any =
            |globs: &[String], name: &str| globs.iter().any(|glob| Glob::new(glob).matches(name));
        let strange = |name: &&String| !self.only.is_empty() && !any(&self.only, name);
        if let Some(name) = targets.iter().find(strange) {
            return Some(format!("calls {name}"));
        }
        if let Some(name) = targets.iter().find(|name| any(&self.never, name)) {
            return Some(format!("calls {name}"));
        }
        let missing = |glob: &&String| !targets.iter().any(|name| Glob::new(glob).matches(name));
        let missing = self.always.iter().find(missing)?;
        Some(format!("does not call {missing}"))
    }
}

/// Names of the targets outside of the function, and how many calls go through pointers.
fn targets(binary: &Binary, function: &Function) -> Option<(BTreeSet<String>, u32)> {
    let code = binary.code_of(function).filter(|code| code.whole)?;
    let mut names = BTreeSet::new();
    let mut indirect = 0;
    for instruction in &code.instructions {
        match instruction.flow_control() {
            FlowControl::Call
            | FlowControl::UnconditionalBranch
            | FlowControl::ConditionalBranch => {
                let target = instruction.near_branch_target();
                if !code.contains(target) || instruction.flow_control() == FlowControl::Call {
                    let name = binary.function_at(target).map(|target| target.name);
                    names.insert(name.unwrap_or_else(|| format!("{target:#x}")));
                }
            }
            FlowControl::IndirectCall | FlowControl::IndirectBranch => indirect += 1,
            _ => {}
        }
    }
    Some((names, indirect))
}

impl fmt::Display for Calls {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} calls", self.function)?;
        let mut part = |word: &str, globs: &[String]| match globs.is_empty() {
            true => Ok(()),
            false => write!(f, " {word} {}", globs.join(", ")),
        };
        part("only", &self.only)?;
        part("never", &self.never)?;
        part("always", &self.always)
    }
}
