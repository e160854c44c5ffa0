//! What the records of probes in Go programs mean, and which maps have become known through them.

use std::collections::HashMap;
use std::sync::Arc;

use map_trace_common::record::MapOperationRecord;

use super::census::Bounds;
use crate::binary::Binary;
use crate::claim::AfterOperations;
use crate::maps::registry::{Fact, Registry, Shape};
use crate::maps::structure::Role;
use crate::space::{Place, Spaces};

/// Names of map types remembered.
const MAX_NAMES: usize = 1 << 14;

/// A probed program.
struct Program {
    identity: (u64, u64),
    binary: Arc<Binary>,
    shape: Shape,
}

/// What the places mean and what has become known through them.
#[derive(Default)]
pub struct Structure {
    programs: Vec<Program>,
    /// By index of the place: program and role.
    places: Vec<(usize, Role)>,
    names: HashMap<(usize, u64), Option<String>>,
    pub registry: Registry,
    pub bounds: Bounds,
    /// Places of functions whose first entry is noted.
    marks: Vec<Mark>,
    /// A number of operations whose passing is to be noted, until it is.
    pub after: Option<AfterOperations>,
}

/// A function whose first entry is noted.
struct Mark {
    place: u32,
    symbol: String,
    hit: Hit,
}

/// What has become of a mark.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Hit {
    NotYet,
    /// Hit; its probe is still there.
    Now,
    Done,
}

/// A record, understood.
pub struct Told {
    pub role: Role,
    pub fact: Fact,
    pub program: usize,
}

impl Structure {
    /// Takes in a program that is probed; its places follow those known before, in the order of their roles.
    pub fn add(
        &mut self,
        identity: (u64, u64),
        binary: Binary,
        shape: Shape,
        roles: impl Iterator<Item = Role>,
    ) {
        let program = self.programs.len();
        self.programs.push(Program {
            identity,
            binary: Arc::new(binary),
            shape,
        });
        self.places.extend(roles.map(|role| (program, role)));
    }

    /// What a record says; none for a place nobody asked for.
    pub fn read(&self, record: &MapOperationRecord) -> Option<Told> {
        let place = usize::try_from(record.place).ok()?;
        let &(program, role) = self.places.get(place)?;
        let fact = self.programs.get(program)?.shape.fact(role, record);
        Some(Told {
            role,
            fact,
            program,
        })
    }

    /// The program and the role of a place.
    pub fn role(&self, place: u32) -> Option<(usize, Role)> {
        let place = usize::try_from(place).ok()?;
        self.places.get(place).copied()
    }

    /// `Some(23)` of a program made by Go 1.23.
    pub fn go_minor(&self, program: usize) -> Option<u32> {
        self.programs.get(program)?.binary.facts().go_minor()
    }

    /// Whether the descriptor at an address of a process is that of a type of strings.
    pub fn is_string(&self, program: usize, address: u64, place: &Place) -> bool {
        let of = || {
            let binary = &self.programs.get(program)?.binary;
            binary.go_is_string(svma(binary, address, place)?)
        };
        of().unwrap_or(false)
    }

    /// No program is probed.
    pub fn is_empty(&self) -> bool {
        self.programs.is_empty()
    }

    /// A probed program, by device and inode of its file.
    pub fn binary(&self, identity: (u64, u64)) -> Option<Arc<Binary>> {
        let mut programs = self.programs.iter();
        let found = programs.find(|program| program.identity == identity)?;
        Some(Arc::clone(&found.binary))
    }

    /// Remembers a mark's place; such places tell nothing else.
    pub fn mark(&mut self, place: u32, symbol: &str) {
        self.places.push((usize::MAX, Role::Open));
        self.marks.push(Mark {
            place,
            symbol: symbol.to_owned(),
            hit: Hit::NotYet,
        });
    }

    /// The function that a record is the first entry into.
    pub fn entered(&mut self, place: u32) -> Option<String> {
        let of = |mark: &&mut Mark| mark.place == place && mark.hit == Hit::NotYet;
        let mark = self.marks.iter_mut().find(of)?;
        mark.hit = Hit::Now;
        Some(mark.symbol.clone())
    }

    /// Places of marks that have been hit, each once.
    pub fn take_hits(&mut self) -> Vec<u32> {
        let hit = self.marks.iter_mut().filter(|mark| mark.hit == Hit::Now);
        hit.map(|mark| {
            mark.hit = Hit::Done;
            mark.place
        })
        .collect()
    }

    /// `hmap` or `swiss`.
    pub fn implementation(&self, program: usize) -> &'static str {
        let program = self.programs.get(program);
        program.map_or("", |program| program.shape.implementation.word())
    }

    /// The name of the map type whose descriptor is at an address of a process.
    pub fn type_name(
        &mut self,
        program: usize,
        tgid: u32,
        address: u64,
        spaces: &Spaces,
    ) -> Option<String> {
        let binary = &self.programs.get(program)?.binary;
        let svma = svma(binary, address, &spaces.place(tgid, address))?;
        if self.names.len() >= MAX_NAMES {
            self.names.clear();
        }
        let name = self.names.entry((program, svma));
        name.or_insert_with(|| binary.go_map_type(svma)).clone()
    }
}

/// The address in the file of what lies at an address of a process.
fn svma(binary: &Binary, address: u64, place: &Place) -> Option<u64> {
    match &place.vma {
        // A type made at run time lies in memory that shows no file.
        Some(vma) => {
            vma.name().filter(|name| name.starts_with('/'))?;
            let offset = address.checked_sub(vma.start)?.checked_add(vma.offset)?;
            binary.svma_of_file_offset(offset)
        }
        // The replay has holes; a program that is not position-independent lies where it says.
        None if !binary.facts().pie => Some(address),
        None => None,
    }
}
