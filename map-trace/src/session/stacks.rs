//! Interned stacks: each is named once, when the first event that has it is told.

use std::collections::HashMap;
use std::sync::Arc;

use crate::binary::Binary;
use crate::binary::stack::RawStack;
use crate::binary::symbolizer::{Module, Symbolizer};
use crate::decode::StackBytes;
use crate::maps::{Attribution, Tables};
use crate::model::stack::StackLine;
use crate::model::{Operation, TraceLine};
use crate::space::{Spaces, Vma};

/// Stacks kept at most: raw ones until they are named, then id and operation only.
const MAX_STACKS: usize = 1 << 18;

/// What is known of a stack.
enum Entry {
    /// As the kernel sent it.
    Raw(Box<StackBytes>),
    Named { id: u64, attribution: Attribution },
}

/// What an event needs of its stack.
#[derive(Clone, Debug)]
pub struct StackOf {
    /// Id of the `stack` line; `None` when the stack is not known.
    pub id: Option<u64>,
    pub operation: Operation,
    pub sub_operation: Option<Operation>,
    /// A new line to write before the event's.
    pub line: Option<TraceLine>,
}

/// All stacks of a session, by their hash in the kernel.
pub struct Stacks {
    entries: HashMap<u64, Entry>,
    tables: Tables,
    symbolizer: Symbolizer,
    next_id: u64,
}

impl Stacks {
    pub fn new(tables: Tables) -> Self {
        Self { entries: HashMap::new(), tables, symbolizer: Symbolizer::new(), next_id: 1 }
    }

    /// Keeps a stack the kernel sent. The same one may come again; beyond the bound new ones are not kept
    /// and their events count as unattributed.
    pub fn keep(&mut self, stack: Box<StackBytes>) {
        if self.entries.len() < MAX_STACKS {
            let hash = stack.hash;
            self.entries.entry(hash).or_insert(Entry::Raw(stack));
        }
    }

    /// The stack of an event, named with the process's mappings of this moment.
    pub fn of(&mut self, hash: u64, tgid: u32, spaces: &Spaces) -> StackOf {
        match self.entries.get(&hash) {
            Some(Entry::Named { id, attribution }) => StackOf {
                id: Some(*id),
                operation: attribution.operation.clone(),
                sub_operation: attribution.sub_operation.clone(),
                line: None,
            },
            Some(Entry::Raw(raw)) => {
                let raw = raw.clone();
                self.name(hash, tgid, &raw, spaces)
            }
            None => StackOf {
                id: None,
                operation: Operation::None,
                sub_operation: None,
                line: None,
            },
        }
    }

    fn name(&mut self, hash: u64, tgid: u32, raw: &StackBytes, spaces: &Spaces) -> StackOf {
        let stack = RawStack {
            ip: raw.ip,
            sp: raw.sp,
            bp: raw.bp,
            words: raw.words.clone(),
            frames: raw.frames.clone(),
            truncated: raw.truncated,
        };
        let modules = |address: u64| module(tgid, address, spaces);
        let frames = self.symbolizer.symbolize(tgid, &stack, &modules);
        let attribution = self.tables.attribute(&frames);
        let id = self.next_id;
        self.next_id += 1;
        let found = StackOf {
            id: Some(id),
            operation: attribution.operation.clone(),
            sub_operation: attribution.sub_operation.clone(),
            line: Some(TraceLine::Stack(StackLine {
                id,
                pid: tgid,
                truncated: raw.truncated,
                frames,
            })),
        };
        self.entries.insert(hash, Entry::Named { id, attribution });
        found
    }
}
