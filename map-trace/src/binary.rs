//! Everything static about executables: what they are, where their code is, what it is called, and how
//! to find the caller of an instruction.
//!
//! [`Binary`] is one ELF file. Opening it reads the headers; every table is read where and when it is
//! asked for, so a 60 MB binary costs a few MiB. Go code is named from Go's own function table (also in
//! stripped binaries), other code from symbol tables and DWARF. An address nothing covers has no name:
//! never the nearest symbol of something else.
//!
//! [`stack::restore`] puts back the callers a frame-pointer walk cannot see. [`symbolizer`] keeps
//! opened binaries and turns raw stacks into named frames.
//!
//! Addresses here are as stated in the file (svma), without the load bias of a process.

pub mod disasm;
mod dwarf;
mod elf;
mod facts;
pub mod flow;
mod go;
mod goroutine;
mod image;
mod jit;
pub mod layout;
pub mod name;
pub mod probe_place;
mod prologue;
pub mod reach;
mod relocations;
mod return_slot;
mod slots;
pub mod stack;
mod start;
pub mod symbolizer;
mod symbols;
mod tail_call;
mod unwind;
mod vdso;
mod window;

use std::io;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

pub use facts::{BinaryFacts, Language, MapImplementation};
pub use jit::JitMap;
pub use unwind::{CallerBp, ReturnSlot, SlotPlace};
pub use vdso::vdso;

use dwarf::Dwarf;
use elf::Elf;
use go::{BuildInfo, GoTable};
use image::Image;
use relocations::Relocations;
use slots::Slots;
use symbols::Symbols;
use unwind::Cfi;

/// Why a file is not a usable binary.
#[derive(Debug, thiserror::Error)]
pub enum BinaryError {
    #[error("cannot read {name}: {source}")]
    Io { name: String, source: io::Error },
    #[error("{name} is not an ELF file")]
    NotElf { name: String },
    #[error("{name} is a damaged ELF file: {what}")]
    Malformed { name: String, what: &'static str },
}

/// A function: `[start, end)` in addresses of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Function {
    pub name: String,
    pub start: u64,
    pub end: u64,
}

/// A symbol found by name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Symbol {
    pub name: String,
    pub svma: u64,
    /// Bytes; 0 when the table does not say.
    pub size: u64,
    /// True for data, false for code.
    pub data: bool,
}

/// What the code at an address is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CodeFrame {
    pub function: String,
    pub file: Option<String>,
    pub line: Option<u32>,
    /// Inlined into the frame that follows.
    pub inlined: bool,
}

/// One ELF file. Shared freely between threads.
#[derive(Debug)]
pub struct Binary {
    name: String,
    /// Unlike that of any other binary of this process.
    number: u64,
    elf: Elf,
    build_info: OnceLock<Option<BuildInfo>>,
    go: OnceLock<Option<GoTable>>,
    symbols: OnceLock<Symbols>,
    cfi: OnceLock<Option<Cfi>>,
    dwarf: Dwarf,
    facts: OnceLock<BinaryFacts>,
    build_id: OnceLock<Option<String>>,
    relocations: OnceLock<Relocations>,
    flows: flow::Flows,
    return_slots: Slots<ReturnSlot>,
    frame_pointers: Slots<bool>,
}

impl Binary {
    /// Opens a file. An ELF file of another machine opens too: its facts can be told.
    pub fn open(path: &Path) -> Result<Self, BinaryError> {
        let name = name::clean(&path.to_string_lossy());
        let image = Image::open(path).map_err(|source| BinaryError::Io {
            name: name.clone(),
            source,
        })?;
        Self::new(name, image)
    }

    /// A binary that is in memory already, such as the vDSO.
    pub fn from_bytes(name: &str, bytes: Vec<u8>) -> Result<Self, BinaryError> {
        Self::new(name::clean(name), Image::from_bytes(bytes))
    }

    fn new(name: String, image: Image) -> Result<Self, BinaryError> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Ok(Self {
            elf: Elf::parse(&name, Arc::new(image))?,
            number: NEXT.fetch_add(1, Ordering::Relaxed),
            name,
            build_info: OnceLock::new(),
            go: OnceLock::new(),
            symbols: OnceLock::new(),
            cfi: OnceLock::new(),
            dwarf: Dwarf::new(),
            facts: OnceLock::new(),
            build_id: OnceLock::new(),
            relocations: OnceLock::new(),
            flows: flow::Flows::default(),
            return_slots: Slots::default(),
            frame_pointers: Slots::default(),
        })
    }

    /// The path or name it was opened under.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A number no other opened binary has: what caches are keyed by.
    pub const fn number(&self) -> u64 {
        self.number
    }

    /// What kind of program this is.
    pub fn facts(&self) -> &BinaryFacts {
        self.facts.get_or_init(|| {
            BinaryFacts::read(&self.elf, self.build_info(), self.go(), || self.symbols())
        })
    }

    /// GNU build id in hex, else the Go build id. Cheaper than [`Self::facts`].
    pub fn build_id(&self) -> Option<&str> {
        self.build_id
            .get_or_init(|| facts::build_id(&self.elf))
            .as_deref()
    }

    /// Device and inode it was opened from.
    pub fn identity(&self) -> Option<(u64, u64)> {
        self.elf.image.identity()
    }

    /// The address a file offset is loaded at, as stated in the file; none outside loaded segments.
    pub fn svma_of_file_offset(&self, offset: u64) -> Option<u64> {
        self.elf.svma_of(offset)
    }

    /// The file offset of an address: what a uprobe is placed by.
    pub fn file_offset_of_svma(&self, svma: u64) -> Option<u64> {
        self.elf.offset_of(svma).map(|(offset, _)| offset)
    }

    /// Reads bytes at an address of the file, such as code to disassemble.
    pub fn read(&self, svma: u64, buffer: &mut [u8]) -> Option<()> {
        let (offset, room) = self.elf.offset_of(svma)?;
        (buffer.len() as u64 <= room).then(|| self.elf.image.read(offset, buffer))?
    }

    /// The pointer stored at an address, as the loader leaves it with a load bias of zero. Zero in the file
    /// may be a pointer that only a relocation holds (GNU ld).
    pub fn pointer(&self, svma: u64) -> Option<u64> {
        let word = self.elf.word(svma)?;
        if word != 0 {
            return Some(word);
        }
        let relocations = self
            .relocations
            .get_or_init(|| Relocations::read(&self.elf));
        Some(relocations.at(svma).unwrap_or(0))
    }

    /// True for an address in an executable segment.
    pub fn is_code(&self, svma: u64) -> bool {
        self.elf.is_code(svma)
    }

    /// The symbols with exactly this name, as the table has it or demangled; code and data.
    pub fn symbol(&self, wanted: &str) -> Vec<Symbol> {
        let mut found: Vec<Symbol> = Vec::new();
        if !self.elf.is_x86_64() {
            return found;
        }
        if let Some(go) = self.go() {
            found.extend(go.named(wanted).into_iter().map(|f| Symbol {
                name: wanted.to_owned(),
                svma: f.start,
                size: f.end - f.start,
                data: false,
            }));
        }
        let symbols = self.symbols();
        symbols.each(&mut |entry| {
            let Some(raw) = symbols.name(&entry) else {
                return;
            };
            let unversioned = raw.split(|&b| b == b'@').next().unwrap_or_default();
            let mangled = raw.starts_with(b"_Z") || raw.starts_with(b"_R");
            let named =
                unversioned == wanted.as_bytes() || (mangled && name::demangle(&raw) == wanted);
            if named && !found.iter().any(|s| s.svma == entry.svma) {
                found.push(Symbol {
                    name: name::demangle(&raw),
                    svma: entry.svma,
                    size: entry.size,
                    data: entry.is_object(),
                });
            }
        });
        found
    }

    /// Every function that has a name, Go's first, each part in address order.
    pub fn functions(&self, take: &mut dyn FnMut(&Function)) {
        if !self.elf.is_x86_64() {
            return;
        }
        if let Some(go) = self.go() {
            go.functions(take);
        }
        self.symbols().functions(&mut |found| {
            if !self.go().is_some_and(|go| go.contains(found.start)) {
                take(&function(found));
            }
        });
    }

    /// Every name in Go's function table: functions, and functions that exist only inlined.
    pub fn go_names(&self, take: &mut dyn FnMut(&str)) {
        if let Some(go) = self.go() {
            go.names(take);
        }
    }

    /// The function an address lies in; none when nothing covers it.
    pub fn function_at(&self, svma: u64) -> Option<Function> {
        if !self.elf.is_x86_64() {
            return None;
        }
        match self.go().filter(|go| go.contains(svma)) {
            Some(go) => {
                let found = go.function_at(svma)?;
                Some(Function {
                    name: go.name(&found)?,
                    start: found.start,
                    end: found.end,
                })
            }
            None => self.symbols().at(svma).map(function),
        }
    }

    /// The first address of the Go function an address lies in.
    fn go_start(&self, svma: u64) -> Option<u64> {
        Some(self.go()?.function_at(svma)?.start)
    }

    /// First address and end of the Go function an address lies in.
    fn go_bounds(&self, svma: u64) -> Option<(u64, u64)> {
        let found = self.go()?.function_at(svma)?;
        Some((found.start, found.end))
    }

    /// What the code at an address is, innermost inlined function first; nothing when unknown. For a
    /// return address the caller passes the address minus one, which is inside the call.
    pub fn frames(&self, svma: u64, out: &mut Vec<CodeFrame>) {
        if !self.elf.is_x86_64() || !self.elf.is_code(svma) {
            return;
        }
        match self.go().filter(|go| go.contains(svma)) {
            Some(go) => go.frames(svma, out),
            None => self.native_frames(svma, out),
        }
        if out.is_empty() && self.is_nameless_start(svma) {
            out.push(CodeFrame {
                function: start::START.to_owned(),
                file: None,
                line: None,
                inlined: false,
            });
        }
    }

    /// Frames of C, C++, Rust and assembly.
    fn native_frames(&self, svma: u64, out: &mut Vec<CodeFrame>) {
        let places = self.dwarf.places(&self.elf, svma);
        let last = places.len().saturating_sub(1);
        let mut host = None;
        for (i, place) in places.into_iter().enumerate() {
            if i == last {
                host = Some(place);
            } else if let Some(raw) = place.function {
                out.push(CodeFrame {
                    function: name::demangle(raw.as_bytes()),
                    file: place.file,
                    line: place.line,
                    inlined: true,
                });
            }
        }
        let (raw, file, line) = host.map_or((None, None, None), |p| (p.function, p.file, p.line));
        // A mangled name says more than a symbol; a plain one says less (no namespace, an alias).
        let mangled = raw
            .as_ref()
            .is_some_and(|r| r.starts_with("_Z") || r.starts_with("_R"));
        let symbol = if mangled {
            None
        } else {
            self.symbols().at(svma)
        };
        let raw = symbol
            .map(|found| found.name)
            .or_else(|| raw.map(String::into_bytes));
        if let Some(raw) = raw {
            out.push(CodeFrame {
                function: name::demangle(&raw),
                file,
                line,
                inlined: false,
            });
        }
    }

    fn build_info(&self) -> Option<&BuildInfo> {
        self.build_info
            .get_or_init(|| BuildInfo::read(&self.elf))
            .as_ref()
    }

    fn go(&self) -> Option<&GoTable> {
        self.go
            .get_or_init(|| {
                let minor = self.build_info().and_then(BuildInfo::minor);
                self.elf
                    .is_x86_64()
                    .then(|| GoTable::find(&self.elf, minor))?
            })
            .as_ref()
    }

    fn symbols(&self) -> &Symbols {
        self.symbols.get_or_init(|| Symbols::index(&self.elf))
    }

    fn cfi(&self) -> Option<&Cfi> {
        self.cfi.get_or_init(|| Cfi::find(&self.elf)).as_ref()
    }
}

/// An address or offset in the files' notation: a hexadecimal string.
pub(crate) fn hex<S: serde::Serializer>(value: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{value:#x}"))
}

fn function(found: symbols::Found) -> Function {
    Function {
        name: name::demangle(&found.name),
        start: found.start,
        end: found.end,
    }
}
