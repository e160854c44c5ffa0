//! Whether a name exists in a program.

use std::fmt;

use super::{Presence, Ruling, some};
use crate::binary::Binary;
use crate::maps::pattern::Glob;

/// A function or variable of a name is there, or is not. Functions that exist only inlined count.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    /// A glob for functions; variables are looked up when it is no pattern.
    pub name: String,
    pub expect: Presence,
}

impl Symbol {
    pub fn judge(&self, binary: &Binary) -> Ruling {
        let glob = Glob::new(&self.name);
        let mut found: Vec<String> = Vec::new();
        let mut functions = 0_u64;
        let mut take = |name: &str| {
            functions += 1;
            if glob.matches(name) && !found.iter().any(|known| known == name) {
                found.push(name.to_owned());
            }
        };
        binary.functions(&mut |function| take(&function.name));
        binary.go_names(&mut take);
        if functions == 0 {
            return Ruling::open("the program names no functions");
        }
        if found.is_empty() && glob.is_literal() {
            found.extend(binary.symbol(&self.name).into_iter().map(|one| one.name));
        }
        if found.is_empty() && binary.facts().stripped && self.expect == Presence::Absent {
            return Ruling::open("the program is stripped: variables have no names");
        }
        let reason = match found.is_empty() {
            true => format!("no {} among {functions} names", self.name),
            false => format!("it has {}", some(&found)),
        };
        Ruling::of(self.expect.is(!found.is_empty()), reason)
    }
}

impl fmt::Display for Symbol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "symbol {} {}", self.name, self.expect)
    }
}
