//! What a program was doing with its maps, read from the functions on a stack.
//!
//! The tables in [`operations`] say which function does what; [`Tables`] adds the user's rows and
//! regions and answers for whole stacks.

pub mod census;
pub mod inspection;
pub mod operations;
pub mod pattern;
pub mod registry;
pub mod structure;
pub mod user;

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::model::Operation;
use crate::model::stack::Frame;
use pattern::{Glob, plain};
use user::Region;

/// Function names whose class is remembered; beyond it the memory starts anew.
const MAX_REMEMBERED: usize = 32_768;

/// What an event is charged to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attribution {
    /// The outermost operation or region; `runtime`; `none`.
    pub operation: Operation,
    /// The innermost operation, where it differs.
    pub sub_operation: Option<Operation>,
}

/// What one function stands for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Class {
    /// Also `Operation::Runtime`, for the runtime's own work.
    operation: Option<Operation>,
    region: Option<Operation>,
    kind: Kind,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Kind {
    /// Anyone's code.
    #[default]
    User,
    /// Go's runtime, at whatever work.
    Runtime,
    /// Says nothing about who is working: the vDSO, the C start of a thread.
    Neutral,
}

/// The rows in force, compiled.
#[derive(Debug)]
pub struct Tables {
    /// The user's, in their order.
    user: Vec<(Glob, Operation)>,
    /// Built-in whole names.
    literal: HashMap<Box<str>, Operation>,
    /// Built-in patterns with wildcards.
    globs: Vec<(Glob, Operation)>,
    regions: Vec<(Glob, Operation)>,
    remembered: Mutex<HashMap<Box<str>, Class>>,
}

impl Default for Tables {
    fn default() -> Self {
        Self::new(Vec::new(), &[])
    }
}

impl Tables {
    /// The built-in tables with the user's rows, which win over built-in ones, and regions, of which
    /// the first that matches a function wins.
    pub fn new(rows: Vec<(Glob, Operation)>, regions: &[Region]) -> Self {
        let mut literal: HashMap<Box<str>, Operation> = HashMap::new();
        let mut globs = Vec::new();
        for (pattern, operation) in operations::TABLES.iter().flat_map(|table| table.rows) {
            let glob = Glob::new(pattern);
            if glob.is_literal() {
                literal.insert((*pattern).into(), operation.clone());
            } else {
                globs.push((glob, operation.clone()));
            }
        }
        Self {
            user: rows,
            literal,
            globs,
            regions: regions
                .iter()
                .map(|r| (r.pattern.clone(), Operation::Region(r.name.as_str().into())))
                .collect(),
            remembered: Mutex::default(),
        }
    }

    /// The operation a function does, if any; `runtime` for the runtime's own work.
    pub fn operation(&self, function: &str) -> Option<Operation> {
        self.class(function).operation
    }

    /// Charges a stack (innermost frame first) to an operation.
    ///
    /// - The outermost operation or region counts: an assign inside a region belongs to the region, a
    ///   region reached from inside a map operation (a hash function) to that operation. A function that
    ///   is both counts as the region around the operation.
    /// - A frame that is marked to stand in a loop over a map is in an `iterate` inside its function; one
    ///   that is marked to store the value of an assign, in an `assign`.
    /// - `runtime` when the runtime's own work stands inside the innermost operation: a stack that grows
    ///   inside an assign is not the assign's doing. Inside a region the region keeps the event, since it
    ///   is the user's statement of extent, and `sub_operation` says `runtime`: a rule on a region never
    ///   holds because the runtime hid an event.
    /// - `runtime` too when no operation is there and the runtime is at its own work, or nothing but
    ///   runtime functions is on the stack. Else `none`. A frame without a name is no runtime function.
    pub fn attribute(&self, frames: &[Frame]) -> Attribution {
        self.walk(frames).judge()
    }

    /// Every operation and region a stack (innermost frame first) is part of, innermost first: with the two
    /// of [`attribute`](Self::attribute) those between them. `runtime` alone, or `none` alone, where it says so.
    pub fn all(&self, frames: &[Frame]) -> Vec<Operation> {
        let mut seen = self.walk(frames);
        let between = std::mem::take(&mut seen.all);
        let Attribution {
            operation,
            sub_operation,
        } = seen.judge();
        if operation == Operation::Runtime {
            return vec![operation];
        }
        let mut all: Vec<Operation> = sub_operation.into_iter().collect();
        for one in between.into_iter().chain([operation]) {
            if !all.contains(&one) {
                all.push(one);
            }
        }
        all
    }

    /// Whether a stack is `runtime` whatever callers it may lack: the runtime's own work stands inside every
    /// operation, and there is no region that would keep the event.
    pub fn is_runtime_for_sure(&self, frames: &[Frame]) -> bool {
        !self.has_regions() && self.walk(frames).noise_inside
    }

    fn walk(&self, frames: &[Frame]) -> Seen {
        let mut seen = Seen::default();
        for frame in frames {
            match frame.function.as_deref() {
                Some(_) if frame.module.as_deref() == Some("[vdso]") => {}
                Some(name) => {
                    // Both are inside the function, whatever it is itself.
                    if frame.value_store {
                        seen.found(Operation::Assign);
                    }
                    if frame.in_loop {
                        seen.found(Operation::Iterate);
                    }
                    seen.take(self.class(name));
                }
                None => seen.user = true,
            }
        }
        seen
    }

    /// The region a function is in.
    pub fn region(&self, function: &str) -> Option<&Operation> {
        let plain = plain(function);
        let matches = |glob: &Glob| glob.matches(function) || glob.matches(&plain);
        let found = self.regions.iter().find(|(glob, _)| matches(glob));
        found.map(|(_, region)| region)
    }

    /// Whether there is any region.
    pub fn has_regions(&self) -> bool {
        !self.regions.is_empty()
    }

    fn class(&self, name: &str) -> Class {
        let mut remembered = self
            .remembered
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(class) = remembered.get(name) {
            return class.clone();
        }
        let class = self.classify(name);
        if remembered.len() >= MAX_REMEMBERED {
            remembered.clear();
        }
        remembered.insert(name.into(), class.clone());
        class
    }

    fn classify(&self, name: &str) -> Class {
        let plain = plain(name);
        let names = [name, plain.as_str()];
        let among = |rows: &[(Glob, Operation)]| {
            rows.iter()
                .find(|(glob, _)| names.iter().any(|name| glob.matches(name)))
                .map(|(_, operation)| operation.clone())
        };
        let literal = || {
            let found = names.iter().find_map(|&name| self.literal.get(name));
            found.cloned()
        };
        Class {
            operation: among(&self.user)
                .or_else(literal)
                .or_else(|| among(&self.globs)),
            region: self.region(name).cloned(),
            kind: kind(name),
        }
    }
}

/// What a walk over a stack has come across.
#[derive(Default)]
struct Seen {
    innermost: Option<Operation>,
    outermost: Option<Operation>,
    /// Each once, innermost first.
    all: Vec<Operation>,
    region: bool,
    /// The runtime's own work, and whether it stood inside every operation.
    noise: bool,
    noise_inside: bool,
    runtime: bool,
    user: bool,
}

impl Seen {
    /// The next frame outward.
    fn take(&mut self, class: Class) {
        match class.kind {
            Kind::User => self.user = true,
            Kind::Runtime => self.runtime = true,
            Kind::Neutral => {}
        }
        self.region |= class.region.is_some();
        if class.operation == Some(Operation::Runtime) {
            self.noise = true;
            self.noise_inside |= self.innermost.is_none();
        }
        let operation = class.operation.filter(|o| *o != Operation::Runtime);
        for found in [operation, class.region].into_iter().flatten() {
            self.found(found);
        }
    }

    /// The next operation or region outward.
    fn found(&mut self, found: Operation) {
        self.innermost.get_or_insert_with(|| found.clone());
        if !self.all.contains(&found) {
            self.all.push(found.clone());
        }
        self.outermost = Some(found);
    }

    fn judge(self) -> Attribution {
        let alone = |operation| Attribution {
            operation,
            sub_operation: None,
        };
        let (Some(outermost), Some(innermost)) = (self.outermost, self.innermost) else {
            let runtime = self.noise || (self.runtime && !self.user);
            return alone(if runtime {
                Operation::Runtime
            } else {
                Operation::None
            });
        };
        if self.noise_inside && !self.region {
            return alone(Operation::Runtime);
        }
        let innermost = if self.noise_inside {
            Operation::Runtime
        } else {
            innermost
        };
        Attribution {
            sub_operation: (innermost != outermost).then_some(innermost),
            operation: outermost,
        }
    }
}

/// Whose code a function is, by its name.
fn kind(name: &str) -> Kind {
    const RUNTIME: [&str; 6] = [
        "runtime.",
        "internal/runtime/",
        "runtime/internal/",
        "internal/abi.",
        "internal/bytealg.",
        "_rt0_",
    ];
    // How a thread of a cgo program begins, outside of all Go code.
    const THREAD_START: [&str; 8] = [
        "crosscall1",
        "crosscall_amd64",
        "threadentry",
        "start_thread",
        "clone",
        "clone3",
        "__clone",
        "__clone3",
    ];
    if RUNTIME.iter().any(|prefix| name.starts_with(prefix)) {
        Kind::Runtime
    } else if THREAD_START.contains(&name) {
        Kind::Neutral
    } else {
        Kind::User
    }
}

#[cfg(test)]
mod tests;
