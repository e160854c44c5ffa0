//! What kind of program a binary is.

use std::fmt;
use std::ops::ControlFlow;

use super::elf::{Elf, abi};
use super::go::{BuildInfo, GoTable};
use super::symbols::Symbols;
use crate::model::summary::Executable;

/// Symbols looked at to tell the language.
const LANGUAGE_SYMBOLS: usize = 20_000;

/// The language most of a program was written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Language {
    Go,
    Rust,
    Cpp,
    C,
}

impl Language {
    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Go => "go",
            Self::Rust => "rust",
            Self::Cpp => "c++",
            Self::C => "c",
        }
    }
}

impl fmt::Display for Language {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How Go's maps are built.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum MapImplementation {
    /// `runtime.hmap`, buckets and overflow buckets: Go up to 1.23, and 1.24 and 1.25 with
    /// `GOEXPERIMENT=noswissmap`.
    Hmap,
    /// `internal/runtime/maps`, Swiss tables: Go 1.24 and later.
    Swiss,
}

impl MapImplementation {
    /// The word of the contract.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Hmap => "hmap",
            Self::Swiss => "swiss",
        }
    }
}

impl fmt::Display for MapImplementation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// Static facts of a binary; none wherever the file does not say.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct BinaryFacts {
    pub language: Option<Language>,
    /// `go1.23.9`
    pub go_version: Option<String>,
    /// `GOEXPERIMENT` values that differ from the default.
    pub go_experiments: Vec<String>,
    /// Build settings in file order (`-ldflags`, `CGO_ENABLED`, `vcs.revision`, `DefaultGODEBUG`).
    pub go_build_settings: Vec<(String, String)>,
    /// Told by the functions that are linked in, not by the version.
    pub map_implementation: Option<MapImplementation>,
    /// A `.gopclntab` that was understood: Go functions can be named.
    pub go_functions: bool,
    /// No symbol table. Go's function table survives stripping.
    pub stripped: bool,
    /// GNU build id in hex, else the Go build id.
    pub build_id: Option<String>,
    /// A position-independent executable.
    pub pie: bool,
    /// x86-64, the one machine whose code is named.
    pub x86_64: bool,
    /// ELF `e_machine`.
    pub machine: u16,
    /// 32 or 64.
    pub bits: u8,
    /// Whether functions keep frame pointers. Go always does on x86-64; of others the file does not say.
    pub has_frame_pointers: Option<bool>,
    /// The program interpreter (`/lib64/ld-linux-x86-64.so.2`); none for a static binary.
    pub interpreter: Option<String>,
}

impl BinaryFacts {
    /// Reads the facts; `symbols` is asked for only when nothing cheaper tells the language.
    pub(super) fn read<'a>(
        elf: &Elf,
        info: Option<&BuildInfo>,
        go: Option<&GoTable>,
        symbols: impl FnOnce() -> &'a Symbols,
    ) -> Self {
        let is_go = info.is_some() || go.is_some();
        Self {
            language: if is_go {
                Some(Language::Go)
            } else {
                language(elf, symbols)
            },
            go_version: info.map(|i| i.version.clone()),
            go_experiments: info.map(|i| i.experiments.clone()).unwrap_or_default(),
            go_build_settings: info.map(|i| i.settings.clone()).unwrap_or_default(),
            map_implementation: go.and_then(map_implementation),
            go_functions: go.is_some(),
            stripped: !elf.sections.iter().any(|s| s.kind == abi::SHT_SYMTAB),
            build_id: build_id(elf),
            pie: is_pie(elf),
            x86_64: elf.is_x86_64(),
            machine: elf.machine,
            bits: elf.bits,
            has_frame_pointers: go.map(|_| true),
            interpreter: interpreter(elf),
        }
    }

    /// 23 of `go1.23.9` and `go1.23rc1`; none for a development version or one with a vendor's suffix,
    /// whose runtime may be anything.
    pub fn go_minor(&self) -> Option<u32> {
        let rest = self.go_version.as_deref()?.strip_prefix("go1.")?;
        let (minor, patch) = rest
            .find(|c: char| !c.is_ascii_digit())
            .map_or((rest, ""), |at| rest.split_at(at));
        let number = ["rc", "beta", "."]
            .iter()
            .find_map(|mark| patch.strip_prefix(mark));
        let released = number.map_or(patch.is_empty(), |n| {
            !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit())
        });
        released.then(|| minor.parse().ok())?
    }

    /// The row of the summary for this binary at a path.
    pub fn executable(&self, path: &str) -> Executable {
        Executable {
            path: super::name::clean(path),
            build_id: self.build_id.clone(),
            language: self.language.map(|l| l.word().to_owned()),
            go_version: self.go_version.clone(),
            map_implementation: self.map_implementation.map(|m| m.word().to_owned()),
            stripped: Some(self.stripped),
        }
    }
}

/// GNU build id in hex, else the Go build id.
pub(super) fn build_id(elf: &Elf) -> Option<String> {
    gnu_build_id(elf).or_else(|| go_build_id(elf))
}

/// `NT_GNU_BUILD_ID` in hex.
fn gnu_build_id(elf: &Elf) -> Option<String> {
    let id = elf.note(b"GNU\0", 3)?;
    (!id.is_empty()).then(|| id.iter().map(|byte| format!("{byte:02x}")).collect())
}

/// The Go linker's own note (`cmd/internal/buildid`).
fn go_build_id(elf: &Elf) -> Option<String> {
    let id = elf.note(b"Go\0\0", 4)?;
    let text = super::name::clean(&String::from_utf8_lossy(&id));
    (!text.is_empty()).then_some(text)
}

fn is_pie(elf: &Elf) -> bool {
    let flagged = elf
        .dynamic(abi::DT_FLAGS_1)
        .iter()
        .any(|flags| flags & abi::DF_1_PIE != 0);
    let interpreted = elf.segments.iter().any(|s| s.kind == abi::PT_INTERP);
    elf.kind == abi::ET_DYN && (flagged || interpreted)
}

fn interpreter(elf: &Elf) -> Option<String> {
    let segment = elf.segments.iter().find(|s| s.kind == abi::PT_INTERP)?;
    let end = segment.offset.checked_add(segment.file_size)?;
    let path = elf.image.cstr(segment.offset, end, 4096)?;
    Some(super::name::clean(&String::from_utf8_lossy(&path)))
}

/// By the functions that make a map larger: the runtime has maps of its own, so that one of them is in every program,
/// and an iterator only in those that loop over a map.
fn map_implementation(go: &GoTable) -> Option<MapImplementation> {
    let has = |name| !go.named(name).is_empty();
    if has("internal/runtime/maps.(*Map).growToTable") {
        Some(MapImplementation::Swiss)
    } else if has("runtime.hashGrow") {
        Some(MapImplementation::Hmap)
    } else {
        None
    }
}

/// Rust, C++ or C: by the compilers named in `.comment`, the libraries needed and the shape of names.
fn language<'a>(elf: &Elf, symbols: impl FnOnce() -> &'a Symbols) -> Option<Language> {
    if !elf.is_x86_64() {
        return None;
    }
    let comment = elf.section(".comment").map(|s| (s.offset, s.size));
    let says = |words: &[u8]| {
        comment.is_some_and(|(at, size)| {
            let end = at.saturating_add(size.min(1 << 16));
            elf.image
                .scan(at, end, words.len() as u64, &mut |_, piece| match piece
                    .windows(words.len())
                    .any(|w| w == words)
                {
                    true => ControlFlow::Break(()),
                    false => ControlFlow::Continue(()),
                })
                .is_some()
        })
    };
    if says(b"rustc version") {
        return Some(Language::Rust);
    }
    let needed: Vec<String> = elf
        .dynamic(abi::DT_NEEDED)
        .into_iter()
        .filter_map(|offset| elf.dynamic_string(offset))
        .collect();
    let needs = |library: &str| needed.iter().any(|n| n.starts_with(library));
    let (rust, cpp) = name_shapes(symbols());
    if rust {
        Some(Language::Rust)
    } else if cpp || needs("libstdc++.so") || needs("libc++.so") {
        Some(Language::Cpp)
    } else if says(b"GCC: (") || says(b"clang version") || needs("libc.so") {
        Some(Language::C)
    } else {
        None
    }
}

/// Whether any name is mangled as Rust does it, and as C++ does it.
fn name_shapes(symbols: &Symbols) -> (bool, bool) {
    let (mut rust, mut cpp) = (false, false);
    let mut looked = 0;
    symbols.each(&mut |entry| {
        looked += 1;
        if rust || looked > LANGUAGE_SYMBOLS {
            return;
        }
        let Some(name) = symbols.name(&entry) else {
            return;
        };
        let hash = name
            .len()
            .checked_sub(20)
            .is_some_and(|at| name[at..].starts_with(b"17h") && name.ends_with(b"E"));
        rust |= name.starts_with(b"_R") || (name.starts_with(b"_ZN") && hash);
        cpp |= name.starts_with(b"_Z") && !hash;
    });
    (rust, cpp)
}
