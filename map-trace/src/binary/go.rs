//! Go's own function table, `.gopclntab`: names, lines, inlining and frame sizes of Go code.
//!
//! It survives `-ldflags="-s -w"` and is what the Go runtime itself unwinds with, so it is read instead
//! of DWARF for every Go function. Layout from the Go sources: `runtime/symtab.go` (pcHeader, _func,
//! pcvalue, step), `runtime/symtabinl.go` (inlinedCall), `cmd/link/internal/ld/pcln.go` (what the linker
//! writes). Headers of Go 1.18 to 1.27 are understood; anything inconsistent is refused as a whole,
//! since wrong names are worse than none.

mod build_info;
mod header;
mod inline;
mod module;
mod names;
mod pc_value;
mod type_name;

pub(super) use build_info::BuildInfo;

use std::sync::Arc;

use super::CodeFrame;
use super::elf::Elf;
use super::image::Image;
use super::name::clean;
use super::window::Window;
use header::Header;
use inline::Inlines;
use names::printed;

/// Longest Go function or file name taken.
const MAX_NAME: u64 = 4096;

/// A Go function's record in the table (`_func`).
#[derive(Clone, Copy, Debug)]
pub(super) struct GoFunction {
    /// First instruction, as the file states it.
    pub start: u64,
    /// First address after it.
    pub end: u64,
    /// File offset of the record.
    at: u64,
    name: u32,
    /// Offsets in pctab; 0 when there is none.
    pcsp: u32,
    pcfile: u32,
    pcln: u32,
    pcdata_count: u32,
    unit: u32,
    flags: u8,
    funcdata_count: u8,
}

/// `funcFlag_TOPFRAME`: nothing called it; the stack ends here.
const TOP_FRAME: u8 = 1 << 0;
/// `funcFlag_SPWRITE`: rsp is set to something the table cannot express.
const SP_WRITE: u8 = 1 << 1;
/// `funcFlag_ASM`: written in assembly.
const ASSEMBLY: u8 = 1 << 2;

/// The table of one binary.
#[derive(Debug)]
pub(super) struct GoTable {
    image: Arc<Image>,
    header: Header,
    /// `runtime.text`.
    text: u64,
    /// End of Go's text.
    end: u64,
    inlines: Option<Inlines>,
    /// See [`module::Module::types`].
    types: [Option<u64>; 2],
}

impl GoTable {
    /// Finds and checks the table; none when the binary has none or it does not hold together.
    /// `minor` is the Go version's middle number when known.
    pub fn find(elf: &Elf, minor: Option<u32>) -> Option<Self> {
        header::candidates(elf).find_map(|header| Self::checked(elf, header, minor))
    }

    fn checked(elf: &Elf, header: Header, minor: Option<u32>) -> Option<Self> {
        let module = module::find(elf, &header);
        // Go 1.26 and later keep no text address in the header; before, a position-independent binary
        // may hold it only as a relocation. moduledata.text is right in all of them.
        let text = match module {
            Some(module) => module.text,
            None if header.text_start != 0 => header.text_start,
            None => return None,
        };
        let mut table = Self {
            image: Arc::clone(&elf.image),
            end: text.checked_add(u64::from(header.end_offset(&elf.image)?))?,
            header,
            text,
            inlines: None,
            types: module.as_ref().map_or([None; 2], |module| module.types),
        };
        if !table.holds_together(elf) {
            return None;
        }
        table.inlines = Inlines::find(elf, &table, module.as_ref(), minor);
        Some(table)
    }

    /// Checks a spread of functions: inside executable memory, in order, records agreeing with the
    /// index, names where names begin. C code that Go's own linker took in (the race detector's) has
    /// second names, which are functions of no length.
    fn holds_together(&self, elf: &Elf) -> bool {
        let count = self.header.functions;
        let step = (count / 64).max(1);
        let inside = elf.is_code(self.text) && elf.is_code(self.end.saturating_sub(1));
        inside
            && (0..count).step_by(step as usize).all(|i| {
                self.function(i).is_some_and(|f| {
                    f.start <= f.end && f.end <= self.end && self.name_begins(f.name)
                })
            })
    }

    /// True when a name begins at this offset of funcnametab.
    fn name_begins(&self, offset: u32) -> bool {
        let (start, end) = self.header.names;
        let at = start + u64::from(offset);
        at < end && (offset == 0 || self.image.array::<1>(at - 1) == Some([0]))
    }

    /// What the names of types count from (`moduledata.types`), in Go 1.`minor`.
    pub fn types(&self, minor: u32) -> Option<u64> {
        self.types[usize::from(minor >= 20)]
    }

    pub const fn contains(&self, svma: u64) -> bool {
        svma >= self.text && svma < self.end
    }

    /// The function at an index of the function table.
    pub fn function(&self, index: u64) -> Option<GoFunction> {
        if index >= self.header.functions {
            return None;
        }
        // Two functab entries: this function's and the next one's, which is its end.
        let entry: [u8; 12] = self.image.array(self.header.functab + index * 8)?;
        let word = |at: usize| {
            u32::from_le_bytes([entry[at], entry[at + 1], entry[at + 2], entry[at + 3]])
        };
        let (offset, record, next) = (word(0), word(4), word(8));
        let at = self.header.functab.checked_add(u64::from(record))?;
        let size = self.header.record_size();
        let raw: [u8; 44] = if at + 44 <= self.header.end {
            self.image.array(at)?
        } else {
            // The shorter record of Go 1.18 and 1.19 may be the last thing in the table.
            let mut raw = [0; 44];
            raw[..40].copy_from_slice(&self.image.array::<40>(at)?);
            raw
        };
        if at + size > self.header.end {
            return None;
        }
        let field =
            |at: usize| u32::from_le_bytes([raw[at], raw[at + 1], raw[at + 2], raw[at + 3]]);
        // startLine came in at +36 with Go 1.20.
        let tail = size as usize - 4;
        let function = GoFunction {
            start: self.text + u64::from(offset),
            end: self.text + u64::from(next),
            at,
            name: field(4),
            pcsp: field(16),
            pcfile: field(20),
            pcln: field(24),
            pcdata_count: field(28),
            unit: field(32),
            flags: raw[tail + 1],
            funcdata_count: raw[tail + 3],
        };
        (field(0) == offset && function.pcdata_count <= 64).then_some(function)
    }

    /// The function an address lies in, by binary search in place.
    pub fn function_at(&self, svma: u64) -> Option<GoFunction> {
        if !self.contains(svma) {
            return None;
        }
        let wanted = svma - self.text;
        let (mut low, mut high) = (0, self.header.functions);
        while high - low > 1 {
            let middle = low + (high - low) / 2;
            let offset = self.image.u32(self.header.functab + middle * 8)?;
            if u64::from(offset) <= wanted {
                low = middle;
            } else {
                high = middle;
            }
        }
        let function = self.function(low)?;
        (function.start <= svma && svma < function.end).then_some(function)
    }

    pub fn name(&self, function: &GoFunction) -> Option<String> {
        self.name_at(function.name)
    }

    /// A name of funcnametab, control characters taken out.
    fn name_at(&self, offset: u32) -> Option<String> {
        let (start, end) = self.header.names;
        let at = start.checked_add(u64::from(offset))?;
        let bytes = self.image.cstr(at, end, MAX_NAME)?;
        (!bytes.is_empty()).then(|| printed(&clean(&String::from_utf8_lossy(&bytes))))
    }

    /// What the code at an address is, innermost inlined function first.
    pub fn frames(&self, svma: u64, out: &mut Vec<CodeFrame>) {
        let Some(function) = self.function_at(svma) else {
            return;
        };
        let inlined = self.inlines.as_ref();
        let mut at = svma;
        for call in inlined.map_or_else(Vec::new, |i| i.calls(self, &function, svma)) {
            if let Some(name) = self.name_at(call.name) {
                let (file, line) = self.line(&function, at);
                out.push(CodeFrame {
                    function: name,
                    file,
                    line,
                    inlined: true,
                });
            }
            at = call.parent;
        }
        if let Some(name) = self.name(&function) {
            let (file, line) = self.line(&function, at);
            out.push(CodeFrame {
                function: name,
                file,
                line,
                inlined: false,
            });
        }
    }

    /// Source file and line of an instruction.
    fn line(&self, function: &GoFunction, svma: u64) -> (Option<String>, Option<u32>) {
        let line = self
            .value(function, function.pcln, svma)
            .and_then(|line| u32::try_from(line).ok())
            .filter(|&line| line > 0);
        (self.file(function, svma), line)
    }

    fn file(&self, function: &GoFunction, svma: u64) -> Option<String> {
        let number = u32::try_from(self.value(function, function.pcfile, svma)?).ok()?;
        let entry = u64::from(function.unit.checked_add(number)?);
        let at = self.header.units.0.checked_add(entry * 4)?;
        if at + 4 > self.header.units.1 {
            return None;
        }
        let offset = self.image.u32(at)?;
        let (start, end) = self.header.files;
        let name = self
            .image
            .cstr(start.checked_add(u64::from(offset))?, end, MAX_NAME)?;
        let text = clean(&String::from_utf8_lossy(&name));
        (offset != u32::MAX && !text.is_empty()).then_some(text)
    }

    /// Bytes from rsp up to the return address at an instruction; none when the table cannot say.
    pub fn stack_delta(&self, function: &GoFunction, svma: u64) -> Option<i64> {
        if function.flags & SP_WRITE != 0 {
            return None;
        }
        self.value(function, function.pcsp, svma)
            .filter(|&delta| delta >= 0)
            .map(i64::from)
    }

    /// True for a function nothing called, such as `runtime.goexit` and `runtime.mstart`.
    pub const fn is_top(&self, function: &GoFunction) -> bool {
        function.flags & TOP_FRAME != 0
    }

    pub const fn is_assembly(&self, function: &GoFunction) -> bool {
        function.flags & ASSEMBLY != 0
    }

    /// The value of one of the function's pc tables at an address.
    fn value(&self, function: &GoFunction, table: u32, svma: u64) -> Option<i32> {
        let (start, end) = self.header.pc_tables;
        let at = start.checked_add(u64::from(table))?;
        if table == 0 || at >= end {
            return None;
        }
        pc_value::at(Window::new(&self.image, at, end - at), function, svma)
    }

    /// PCDATA table `number` of a function: its offset in pctab.
    fn pcdata(&self, function: &GoFunction, number: u32) -> Option<u32> {
        if number >= function.pcdata_count {
            return None;
        }
        self.image
            .u32(function.at + self.header.record_size() + u64::from(number) * 4)
    }

    /// FUNCDATA `number` of a function: its offset from `go:func.*`.
    fn funcdata(&self, function: &GoFunction, number: u8) -> Option<u32> {
        if number >= function.funcdata_count {
            return None;
        }
        let slot = u64::from(function.pcdata_count) + u64::from(number);
        self.image
            .u32(function.at + self.header.record_size() + slot * 4)
            .filter(|&offset| offset != u32::MAX)
    }
}
