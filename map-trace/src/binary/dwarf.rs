//! Source lines and inlined functions of C, C++ and Rust from DWARF.
//!
//! Nothing is loaded until the first question, and then only the units the questions fall into.
//! addr2line keeps what it parsed for ever, so the context is thrown away after it has read a certain
//! amount: memory stays bounded whatever the size of the debug information.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use gimli::{Reader, Section};

use super::elf::Elf;
use super::image::Image;
use super::name;
use super::window::Window;

/// Debug information larger than this is not read: finding its units alone would take seconds.
const MAX_DEBUG_INFO: usize = 1 << 30;
/// Bytes read from the file through one context before it is started anew.
const BUDGET: u64 = 32 << 20;
/// Frames taken for one address.
const MAX_FRAMES: usize = 64;

/// One function at an address as DWARF knows it, innermost inlined first.
pub(super) struct Place {
    /// Raw (mangled) name.
    pub function: Option<String>,
    pub file: Option<String>,
    pub line: Option<u32>,
}

struct Open {
    context: addr2line::Context<Window>,
    /// The file the sections are in, and how much of it had been read when the context was ready.
    image: Arc<Image>,
    fetched: u64,
}

enum State {
    Untried,
    Missing,
    Open(Box<Open>),
}

/// The debug information of one binary.
pub(super) struct Dwarf(Mutex<State>);

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dwarf")
    }
}

impl Dwarf {
    pub const fn new() -> Self {
        Self(Mutex::new(State::Untried))
    }

    /// The functions an address lies in, innermost first; nothing where DWARF has no unit.
    pub fn places(&self, elf: &Elf, build_id: Option<&str>, svma: u64) -> Vec<Place> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(open) = &*state
            && open.image.fetched().saturating_sub(open.fetched) > BUDGET
        {
            *state = State::Untried;
        }
        if matches!(*state, State::Untried) {
            *state = open(elf, build_id).map_or(State::Missing, |o| State::Open(Box::new(o)));
        }
        match &*state {
            State::Open(open) => frames(&open.context, svma),
            _ => Vec::new(),
        }
    }
}

/// Opens the file's own debug information, else a separate file found by build id.
fn open(elf: &Elf, build_id: Option<&str>) -> Option<Open> {
    if elf.section(".debug_info").is_some() {
        return context(elf);
    }
    let id = build_id.filter(|id| id.len() > 2 && id.bytes().all(|b| b.is_ascii_hexdigit()))?;
    let path: PathBuf = [
        "/usr/lib/debug/.build-id",
        &id[..2],
        &format!("{}.debug", &id[2..]),
    ]
    .iter()
    .collect();
    let image = Arc::new(Image::open(&path).ok()?);
    let debug = Elf::parse(&path.to_string_lossy(), image).ok()?;
    (super::facts::gnu_build_id(&debug).as_deref() == Some(id)).then(|| context(&debug))?
}

fn context(elf: &Elf) -> Option<Open> {
    let empty = || Window::new(&elf.image, 0, 0);
    let dwarf =
        gimli::Dwarf::load(|id| Ok::<_, gimli::Error>(elf.window(id.name()).unwrap_or_else(empty)))
            .ok()?;
    let size = dwarf.debug_info.reader().len();
    if size == 0 || size > MAX_DEBUG_INFO {
        return None;
    }
    let context = addr2line::Context::from_dwarf(dwarf).ok()?;
    Some(Open {
        context,
        image: Arc::clone(&elf.image),
        fetched: elf.image.fetched(),
    })
}

fn frames(context: &addr2line::Context<Window>, svma: u64) -> Vec<Place> {
    let mut places = Vec::new();
    let Ok(mut frames) = context.find_frames(svma).skip_all_loads() else {
        return places;
    };
    while places.len() < MAX_FRAMES {
        let Ok(Some(frame)) = frames.next() else {
            break;
        };
        let location = frame.location.as_ref();
        places.push(Place {
            function: frame
                .function
                .and_then(|f| f.raw_name().ok().map(std::borrow::Cow::into_owned)),
            file: location.and_then(|l| l.file).map(name::clean),
            line: location.and_then(|l| l.line).filter(|&line| line > 0),
        });
    }
    places
}
