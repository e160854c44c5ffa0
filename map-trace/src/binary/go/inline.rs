//! Functions inlined into others: FUNCDATA_InlTree and PCDATA_InlTreeIndex.

use super::header::Layout;
use super::module::Module;
use super::{GoFunction, GoTable};
use crate::binary::elf::Elf;

/// `internal/abi/symtab.go`: the same numbers from Go 1.18 on.
const PCDATA_INL_TREE_INDEX: u32 = 2;
const FUNCDATA_INL_TREE: u8 = 3;
/// Calls inlined into each other, at most.
const MAX_DEPTH: usize = 64;
/// Functions whose first inlined call is checked before a layout is believed.
const SAMPLES: usize = 32;

/// One step outward: the name of an inlined function and the place it was called from.
pub(super) struct Call {
    /// Offset in funcnametab.
    pub name: u32,
    /// Address of an instruction on the calling line.
    pub parent: u64,
}

/// Where the inline trees are and how an `inlinedCall` is laid out.
#[derive(Clone, Copy, Debug)]
pub(super) struct Inlines {
    /// `go:func.*`, as a file offset.
    base: u64,
    room: u64,
    size: u64,
    name: u64,
    parent: u64,
}

impl Inlines {
    /// Chooses the base and layout under which a sample of inline trees makes sense. None means
    /// inlined functions are not shown, never that wrong ones are.
    pub fn find(
        elf: &Elf,
        table: &GoTable,
        module: Option<&Module>,
        minor: Option<u32>,
    ) -> Option<Self> {
        let sections = [".go.func", ".data.rel.ro.go.func"]
            .iter()
            .filter_map(|name| elf.section(name).map(|s| s.svma));
        let words = module.map_or([None; 3], |m| m.gofunc);
        let likely = match minor {
            Some(..=19) => [0, 1, 2],
            Some(20..=26) => [1, 0, 2],
            _ => [2, 1, 0],
        };
        let places = sections.chain(likely.into_iter().filter_map(|i| words[i]));
        let samples = samples(table);
        places
            .filter_map(|svma| elf.offset_of(svma))
            .map(|(base, room)| Self::laid_out(table.header.layout, base, room))
            .find(|inlines| {
                !samples.is_empty() && samples.iter().all(|f| inlines.makes_sense(table, f))
            })
    }

    /// Go 1.18 and 1.19: parent i16, funcID u8, file, line, func, parentPc (20 bytes). Go 1.20 and
    /// later: funcID, nameOff at +4, parentPc at +8, startLine (16 bytes).
    const fn laid_out(layout: Layout, base: u64, room: u64) -> Self {
        let (size, name, parent) = match layout {
            Layout::Go118 => (20, 12, 16),
            Layout::Go120 => (16, 4, 8),
        };
        Self {
            base,
            room,
            size,
            name,
            parent,
        }
    }

    fn makes_sense(&self, table: &GoTable, function: &GoFunction) -> bool {
        self.call(table, function, 0)
            .is_some_and(|call| table.name_begins(call.name))
    }

    /// Entry `index` of a function's inline tree.
    fn call(&self, table: &GoTable, function: &GoFunction, index: u32) -> Option<Call> {
        let tree = u64::from(table.funcdata(function, FUNCDATA_INL_TREE)?);
        let inside = tree.checked_add(u64::from(index) * self.size)?;
        if inside.checked_add(self.size)? > self.room {
            return None;
        }
        let at = self.base + inside;
        let parent = function.start + u64::from(table.image.u32(at + self.parent)?);
        (parent < function.end).then_some(Call {
            name: table.image.u32(at + self.name)?,
            parent,
        })
    }

    /// The inlined calls an address lies in, innermost first.
    pub fn calls(&self, table: &GoTable, function: &GoFunction, svma: u64) -> Vec<Call> {
        let mut calls = Vec::new();
        let Some(index) = table.pcdata(function, PCDATA_INL_TREE_INDEX) else {
            return calls;
        };
        let mut at = svma;
        while calls.len() < MAX_DEPTH {
            let Some(call) = table
                .value(function, index, at)
                .and_then(|number| u32::try_from(number).ok())
                .and_then(|number| self.call(table, function, number))
            else {
                break;
            };
            at = call.parent;
            calls.push(call);
        }
        calls
    }
}

/// Functions spread over the table that have an inline tree.
fn samples(table: &GoTable) -> Vec<GoFunction> {
    let count = table.header.functions;
    let step = (count / 1024).max(1) as usize;
    (0..count)
        .step_by(step)
        .filter_map(|i| table.function(i))
        .filter(|f| table.funcdata(f, FUNCDATA_INL_TREE).is_some())
        .take(SAMPLES)
        .collect()
}
