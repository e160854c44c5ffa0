//! Interned stacks: each is named once, when the first event that has it is told.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::Path;

use super::modules::{JitMaps, Met};
use crate::binary::stack::RawStack;
use crate::binary::symbolizer::Symbolizer;
use crate::decode::StackBytes;
use crate::maps::{Attribution, Tables};
use crate::model::event::Context;
use crate::model::stack::StackLine;
use crate::model::vma::STEPPING;
use crate::model::{Operation, TraceLine};
use crate::space::Spaces;

/// Stacks kept at most: raw ones until they are named, then id and operation only.
const MAX_STACKS: usize = 1 << 18;

/// What is known of a stack.
enum Entry {
    /// As the kernel sent it.
    Raw(Box<StackBytes>),
    Named {
        id: u64,
        attribution: Attribution,
        frees: bool,
        stops: Option<&'static str>,
    },
}

/// What an event needs of its stack.
#[derive(Clone, Debug)]
pub struct StackOf {
    /// Id of the `stack` line; `None` when the stack is not known.
    pub id: Option<u64>,
    pub attribution: Attribution,
    /// A new line to write before the event's.
    pub line: Option<TraceLine>,
}

/// What map-trace itself caused is no operation's.
pub fn of_nothing(context: &mut Context) {
    context.operation = Operation::None;
    context.sub_operation = None;
    context.map = None;
}

impl StackOf {
    /// The part of an event that a stack decides.
    pub fn context(self) -> Context {
        Context {
            operation: self.attribution.operation,
            sub_operation: self.attribution.sub_operation,
            map: None,
            goroutine: None,
            stack: self.id,
        }
    }
}

/// All stacks of a session, by their hash in the kernel.
pub struct Stacks {
    entries: HashMap<u64, Entry>,
    namer: Namer,
    next_id: u64,
}

impl Stacks {
    /// `program` is what was started, if anything was.
    pub fn new(tables: Tables, program: Option<&Path>) -> Self {
        let namer = Namer {
            tables,
            symbolizer: Symbolizer::of(program),
            jits: JitMaps::default(),
        };
        Self {
            entries: HashMap::new(),
            namer,
            next_id: 1,
        }
    }

    pub const fn symbolizer(&self) -> &Symbolizer {
        &self.namer.symbolizer
    }

    /// Keeps a stack the kernel sent. The same one may come again; beyond the bound new ones are not kept
    /// and their events count as unattributed.
    pub fn keep(&mut self, stack: Box<StackBytes>) {
        if self.entries.len() < MAX_STACKS {
            let hash = stack.hash;
            self.entries.entry(hash).or_insert(Entry::Raw(stack));
        }
    }

    /// Functions in each region, in the binaries that are open: a region without one can see nothing.
    pub fn region_sizes(&self) -> BTreeMap<String, u64> {
        let tables = &self.namer.tables;
        let mut sizes = BTreeMap::new();
        if !tables.has_regions() {
            return sizes;
        }
        for binary in self.namer.symbolizer.binaries() {
            // Go's names have those of its functions among them; the symbol table has these once more.
            let mut names = BTreeSet::new();
            let mut take = |name: &str| {
                if let Some(region) = tables.region(name)
                    && names.insert(name.to_owned())
                {
                    *sizes.entry(region.word().to_owned()).or_default() += 1;
                }
            };
            binary.go_names(&mut take);
            binary.functions(&mut |function| take(&function.name));
        }
        sizes
    }

    /// Whether a named stack is Go's runtime giving memory back: nothing lives there any more.
    pub fn frees(&self, hash: u64) -> bool {
        matches!(
            self.entries.get(&hash),
            Some(Entry::Named { frees: true, .. })
        )
    }

    /// Why Go's runtime stops the world, by a named stack: before Go 1.21 it is not told otherwise.
    pub fn stops(&self, hash: u64) -> Option<&'static str> {
        match self.entries.get(&hash) {
            Some(Entry::Named { stops, .. }) => *stops,
            _ => None,
        }
    }

    /// The stack of an event, named with the process's mappings of this moment.
    pub fn of(&mut self, hash: u64, tgid: u32, spaces: &Spaces) -> StackOf {
        match self.entries.get_mut(&hash) {
            Some(Entry::Named {
                id, attribution, ..
            }) => StackOf {
                id: Some(*id),
                attribution: attribution.clone(),
                line: None,
            },
            Some(entry) => {
                let id = self.next_id;
                self.next_id += 1;
                let (line, attribution) = match entry {
                    Entry::Raw(raw) => self.namer.name(id, tgid, raw, spaces),
                    Entry::Named { .. } => return unknown(),
                };
                *entry = Entry::Named {
                    id,
                    attribution: attribution.clone(),
                    frees: line
                        .frames
                        .iter()
                        .any(|frame| frees(frame.function.as_deref())),
                    stops: line
                        .frames
                        .iter()
                        .find_map(|frame| stops(frame.function.as_deref())),
                };
                StackOf {
                    id: Some(id),
                    attribution,
                    line: Some(TraceLine::Stack(line)),
                }
            }
            None => unknown(),
        }
    }
}

/// The runtime's own functions for memory that nobody uses (runtime/mem.go).
fn frees(function: Option<&str>) -> bool {
    const FREEING: [&str; 5] = [
        "runtime.sysFault",
        "runtime.sysFaultOS",
        "runtime.sysUnused",
        "runtime.sysUnusedOS",
        "runtime.sysFree",
    ];
    function.is_some_and(|name| FREEING.contains(&name))
}

/// Functions that stop the world, and why, in the words of later versions (Go 1.23 runtime/proc.go:1376).
fn stops(function: Option<&str>) -> Option<&'static str> {
    const STOPPING: [(&str, &str); 7] = [
        ("runtime.gcStart", "GC sweep termination"),
        ("runtime.gcMarkDone", "GC mark termination"),
        ("runtime.ReadMemStats", "read mem stats"),
        ("runtime.GOMAXPROCS", "GOMAXPROCS"),
        ("runtime.Stack", "all goroutines stack trace"),
        ("runtime.StartTrace", "start trace"),
        ("runtime.StopTrace", "stop trace"),
    ];
    let function = function?;
    // Behind a change to the system's stack the caller's frame is not to be seen, only its closure's.
    let of = |name: &str| {
        let rest = function.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(".func"))
    };
    let found = STOPPING.iter().find(|(name, _)| of(name));
    found.map(|(_, why)| *why)
}

fn unknown() -> StackOf {
    StackOf {
        id: None,
        attribution: Attribution {
            operation: Operation::None,
            sub_operation: None,
        },
        line: None,
    }
}

/// What naming a stack takes.
struct Namer {
    tables: Tables,
    symbolizer: Symbolizer,
    jits: JitMaps,
}

impl Namer {
    /// Names a stack and reads the operation from it.
    fn name(
        &self,
        id: u64,
        tgid: u32,
        raw: &StackBytes,
        spaces: &Spaces,
    ) -> (StackLine, Attribution) {
        let met = Met::new(tgid, spaces, &self.symbolizer, &self.jits);
        let place = |address| met.place(address);
        // Code without frame pointers leaves anything in rbp: a chain is over where it leaves the code.
        let is_code = |address: &u64| {
            let place = spaces.place(tgid, address.saturating_sub(1));
            !place.certain || place.vma.is_some_and(|vma| vma.prot.execute())
        };
        let frames: Vec<u64> = raw.frames.iter().copied().take_while(is_code).collect();
        let stack = RawStack {
            ip: raw.ip,
            sp: raw.sp,
            bp: raw.bp,
            words: raw.words.clone(),
            truncated: raw.truncated && frames.len() == raw.frames.len(),
            frames,
        };
        let mut symbolized = self.symbolizer.symbolize(&stack, &place);
        for frame in &mut symbolized.frames {
            if frame.function.is_none() && frame.module.as_deref() == Some(STEPPING) {
                frame.function = Some(STEPPING.to_owned());
            }
        }
        let attribution = self.tables.attribute(&symbolized.frames);
        let line = StackLine {
            id,
            pid: tgid,
            truncated: stack.truncated,
            loops_known: symbolized.loops_known,
            stores_known: symbolized.stores_known,
            frames: symbolized.frames,
        };
        (line, attribution)
    }
}
