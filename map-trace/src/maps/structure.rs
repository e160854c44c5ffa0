//! Where a Go program is probed to know its maps: the plan, made from its file alone.
//!
//! Only functions that run seldom are probed: making a map, growing it, beginning a loop over it. Each place
//! says which registers and memory the probe keeps; what they mean is decided in [`super::registry`].

mod fatal;
mod hmap;
mod role;
mod runtime;
mod swiss;

pub use fatal::panic_value;
pub use role::Role;

use map_trace_common::place::{Goroutines, Place, Read, flag, from};
use map_trace_common::record::kind;

use crate::binary::layout::Layouts;
use crate::binary::probe_place::{self, Counting, ProbePlace, ProbePlaces};
use crate::binary::{Binary, Function, MapImplementation};

/// A place to probe.
#[derive(Clone, Debug)]
pub struct Planned {
    pub file_offset: u64,
    pub place: Place,
    pub role: Role,
    /// `runtime.hashGrow+0x4`
    pub name: String,
    pub at: ProbePlace,
}

/// Everything to probe in a program.
#[derive(Clone, Debug)]
pub struct Plan {
    pub implementation: MapImplementation,
    pub layouts: Layouts,
    pub goroutines: Goroutines,
    pub places: Vec<Planned>,
    /// What will not be known, and why.
    pub notes: Vec<String>,
}

/// Plans the probes of a Go program with maps.
///
/// # Errors
/// Why there are none: not Go, or nothing is known of its structures.
pub fn plan(binary: &Binary) -> Result<Plan, String> {
    let facts = binary.facts();
    if facts.go_version.is_some() && facts.x86_64 && !facts.go_functions {
        return Err("its Go function table is missing or damaged".to_owned());
    }
    let Some(implementation) = facts.map_implementation.filter(|_| facts.x86_64) else {
        return Err("it has no maps of Go".to_owned());
    };
    let layouts = Layouts::find(binary);
    if let Some(unknown) = &layouts.unknown {
        return Err(unknown.clone());
    }
    if facts.go_minor().is_none_or(|minor| minor < 18) {
        return Err("its Go is older than the register calling convention this needs".to_owned());
    }
    let mut plan = Plan {
        implementation,
        goroutines: goroutines(binary, &layouts),
        layouts,
        places: Vec::new(),
        notes: Vec::new(),
    };
    if plan.goroutines.known == 0 {
        plan.notes.push("its goroutines cannot be found".to_owned());
    }
    let mut planner = Planner {
        binary,
        plan: &mut plan,
    };
    let start = Place {
        flags: flag::MARKS,
        ..Place::default()
    };
    planner.entry("runtime.schedinit", Role::Start, start);
    match implementation {
        MapImplementation::Hmap => hmap::plan(&mut planner),
        MapImplementation::Swiss => swiss::plan(&mut planner),
    }
    runtime::plan(&mut planner);
    fatal::plan(&mut planner);
    Ok(plan)
}

fn goroutines(binary: &Binary, layouts: &Layouts) -> Goroutines {
    let find = || {
        let offset = |structure, field| u32::try_from(layouts.offset(structure, field)?).ok();
        Some(Goroutines {
            known: 1,
            g_from_fs: binary.g_from_fs()?,
            g_goid: offset("runtime.g", "goid")?,
            g_m: offset("runtime.g", "m")?,
            m_curg: offset("runtime.m", "curg")?,
            reserved: 0,
        })
    };
    find().unwrap_or_default()
}

/// Argument `n` of a function, as a source.
const fn argument(n: u32) -> u32 {
    from::ARGUMENT + n
}

/// Word `word` of the `n`th piece read, as a source.
const fn word(n: u32, word: u32) -> u32 {
    from::WORD + n * 8 + word
}

/// 64 bytes at what a source says.
const fn at(base: u32) -> Read {
    Read {
        base,
        index: from::NOTHING,
        offset: 0,
        indirect: 0,
    }
}

/// The second 64 bytes of a map type: sizes of buckets, groups and slots.
const fn map_type(base: u32) -> Read {
    Read {
        base,
        index: from::NOTHING,
        offset: 64,
        indirect: 0,
    }
}

/// The address of a map, in a register, kept beside what else is told of it.
fn map_at(map: u32) -> Place {
    Place {
        kind: kind::MAP_STATE,
        flags: flag::SUPPLEMENT,
        subject: map,
        reads: [at(map), NO_READ, NO_READ],
        ..Place::default()
    }
}

const NO_READ: Read = Read {
    base: from::NOTHING,
    index: from::NOTHING,
    offset: 0,
    indirect: 0,
};

/// Adds places to a plan.
struct Planner<'a> {
    binary: &'a Binary,
    plan: &'a mut Plan,
}

impl Planner<'_> {
    /// A function with code of its own, and its places.
    fn function(&self, name: &str) -> Option<(Function, ProbePlaces)> {
        let symbol = self
            .binary
            .symbol(name)
            .into_iter()
            .find(|found| !found.data)?;
        let function = self.binary.function_at(symbol.svma)?;
        let code = self.binary.code_of(&function)?;
        let places = probe_place::choose(self.binary, &code);
        Some((function, places))
    }

    fn add(&mut self, function: &Function, at: ProbePlace, role: Role, mut place: Place) {
        place.role = role as u32;
        if at.counting == Counting::ExactUnlessFlags {
            place.flags |= flag::UNLESS_FLAGS;
        }
        if place.kind == 0 {
            place.kind = kind::MAP_STATE;
        }
        self.plan.places.push(Planned {
            file_offset: at.file_offset,
            place,
            role,
            name: format!(
                "{}+{:#x}",
                function.name,
                at.address.wrapping_sub(function.start)
            ),
            at,
        });
    }

    /// Probes the beginning of a function; false when there is none.
    fn entry(&mut self, name: &str, role: Role, place: Place) -> bool {
        let Some((function, places)) = self.function(name) else {
            return false;
        };
        let Some(at) = places.entry else {
            self.plan
                .notes
                .push(format!("{name} has no place to be probed at"));
            return false;
        };
        self.add(&function, at, role, place);
        true
    }

    /// Probes the beginning of a function, which keeps the arguments, and each of its ends; false when there
    /// is no such function.
    fn call(&mut self, name: &str, role: Role, place: Place) -> bool {
        let opens = Place {
            flags: flag::OPENS,
            ..Place::default()
        };
        self.call_opened(name, role, place, opens)
    }

    /// The same for a function that changes a word behind its first argument, which is kept as it was, as the last
    /// argument.
    fn call_keeping(&mut self, name: &str, role: Role, place: Place, word: u32) -> bool {
        let keep = Read {
            offset: word * 8,
            ..NO_READ
        };
        let opens = Place {
            flags: flag::OPENS | flag::KEEPS,
            reads: [keep, NO_READ, NO_READ],
            ..Place::default()
        };
        self.call_opened(name, role, place, opens)
    }

    fn call_opened(&mut self, name: &str, role: Role, place: Place, opens: Place) -> bool {
        let Some((function, places)) = self.function(name) else {
            return false;
        };
        let (Some(at), true) = (
            places.entry,
            places.exits_complete && places.tail_jumps.is_empty(),
        ) else {
            self.plan
                .notes
                .push(format!("{name} has no places to be probed at"));
            return false;
        };
        self.add(&function, at, Role::Open, opens);
        let place = Place {
            flags: place.flags | flag::CLOSES,
            ..place
        };
        for end in places.returns {
            self.add(&function, end, role, place);
        }
        true
    }

    /// Probes the ends of a function only.
    fn ends(&mut self, name: &str, role: Role, place: Place) {
        if let Some((function, places)) = self.function(name) {
            for end in places.returns {
                self.add(&function, end, role, place);
            }
        }
    }

    /// `makemap_small`: right after it has allocated, or else at its end.
    fn make_small(&mut self) {
        let name = "runtime.makemap_small";
        let place = Place {
            kind: kind::MAP_MAKE,
            subject: from::RESULT,
            ..Place::default()
        };
        let inside = Place {
            flags: flag::INSIDE,
            ..place
        };
        if !self.after_call(name, "newobject", Role::MakeSmall, inside) {
            self.ends(name, Role::MakeSmall, place);
        }
    }

    /// Probes the place in `name` where what a function named `called` returned is in RAX.
    fn after_call(&mut self, name: &str, called: &str, role: Role, place: Place) -> bool {
        let Some((function, _)) = self.function(name) else {
            return false;
        };
        let Some(code) = self.binary.code_of(&function) else {
            return false;
        };
        let is = |found: &str| found.rsplit('.').next() == Some(called);
        let places = probe_place::inside::after_call(self.binary, &code, &is);
        let found = !places.is_empty();
        for at in places {
            self.add(&function, at, role, place);
        }
        found
    }
}
