//! Events counted by stack, what flame graphs are made of.

use std::collections::{BTreeMap, HashMap};

use super::{ExportError, Lines};
use crate::model::TraceLine;
use crate::model::event::{Context, EventKind};
use crate::model::stack::{Frame, StackLine};
use crate::output::plain::{clean, shorten};

/// Stacks kept; events of further ones are counted without frames.
const MAX_STACKS: usize = 1 << 18;
/// Frames of a stack kept; a walk takes 127, and inlined functions come on top.
const MAX_FRAMES: usize = 512;
/// Characters of a function's name kept.
const MAX_NAME: usize = 256;

/// Counts by stack and what happened there (`page_fault zero_page_cow`, `mprotect`).
#[derive(Default)]
pub struct Stacks {
    /// Names of functions by number.
    pub names: Vec<String>,
    /// The source file of each function, empty where not known: that of the first frame seen.
    files: Vec<String>,
    numbers: HashMap<String, u32>,
    /// Frames of a stack, outermost first, as numbers of names.
    stacks: HashMap<u64, Vec<u32>>,
    /// Events by stack (null: no stack) and label.
    pub counts: BTreeMap<(Option<u64>, String), u64>,
}

impl Stacks {
    /// Reads a whole trace.
    pub fn read(lines: Lines<'_>) -> Result<Self, ExportError> {
        let mut stacks = Self::default();
        for line in lines {
            stacks.line(&line?);
        }
        Ok(stacks)
    }

    /// Keeps the frames of a stack for the events that refer to it.
    pub fn keep(&mut self, stack: &StackLine) {
        if self.stacks.len() < MAX_STACKS {
            let frames = stack.frames.iter().take(MAX_FRAMES).rev();
            let numbers = frames.map(|frame| self.number(frame)).collect();
            self.stacks.insert(stack.id, numbers);
        }
    }

    /// Frames of a stack, outermost first; empty when there is none.
    pub fn frames(&self, id: Option<u64>) -> &[u32] {
        id.and_then(|id| self.stacks.get(&id))
            .map_or(&[], Vec::as_slice)
    }

    /// The name of a function.
    pub fn name(&self, number: u32) -> &str {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.names.get(index).map_or("", String::as_str)
    }

    /// The source file of a function; empty when not known.
    pub fn file(&self, number: u64) -> &str {
        let index = usize::try_from(number).unwrap_or(usize::MAX);
        self.files.get(index).map_or("", String::as_str)
    }

    fn line(&mut self, line: &TraceLine) {
        let kind = match line {
            TraceLine::Stack(stack) => return self.keep(stack),
            TraceLine::PageFault(event) => {
                let label = format!("page_fault {}", event.cause.word());
                return self.add(&event.context, label, 1);
            }
            TraceLine::Aggregate(group) => {
                let label = match group.cause {
                    Some(cause) => format!("{} {}", group.event.word(), cause.word()),
                    None => group.event.word().to_owned(),
                };
                return self.add(&group.context, label, group.count);
            }
            TraceLine::Signal(event) => {
                let label = format!("signal {}", shorten(&clean(&event.signal), 16));
                return self.add(&event.context, label, 1);
            }
            TraceLine::Mprotect(event) => (EventKind::Mprotect, event),
            TraceLine::PkeyMprotect(event) => (EventKind::PkeyMprotect, event),
            TraceLine::Mmap(event) => (EventKind::Mmap, event),
            TraceLine::Munmap(event) => (EventKind::Munmap, event),
            TraceLine::Mremap(event) => (EventKind::Mremap, event),
            TraceLine::Brk(event) => (EventKind::Brk, event),
            TraceLine::Madvise(event) => (EventKind::Madvise, event),
            _ => return,
        };
        let (kind, event) = kind;
        self.add(&event.context, kind.word().to_owned(), 1);
    }

    fn add(&mut self, context: &Context, label: String, count: u64) {
        let known = context.stack.filter(|id| self.stacks.contains_key(id));
        let total = self.counts.entry((known, label)).or_default();
        *total = total.saturating_add(count);
    }

    fn number(&mut self, frame: &Frame) -> u32 {
        let name = match &frame.function {
            Some(function) => shorten(&clean(function), MAX_NAME),
            None => frame.ip.to_string(),
        };
        if let Some(number) = self.numbers.get(&name) {
            return *number;
        }
        let number = u32::try_from(self.names.len()).unwrap_or(u32::MAX);
        self.names.push(name.clone());
        let file = frame.file.as_deref().unwrap_or_default();
        self.files.push(shorten(&clean(file), MAX_NAME));
        self.numbers.insert(name, number);
        number
    }
}
