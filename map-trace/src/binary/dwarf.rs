//! Source lines and inlined functions of C, C++ and Rust from DWARF.
//!
//! Nothing is loaded until the first question, and then only the units the questions fall into.
//! addr2line keeps what it parsed for ever (about a byte for each byte of `.debug_info`), so memory is
//! bounded three ways: larger debug information is not read, a context is thrown away after it has read
//! a certain amount, and few contexts are open in the whole process.

use std::sync::{Arc, Mutex, PoisonError, Weak};

use gimli::{Reader, Section, SectionId};

use super::elf::Elf;
use super::image::Image;
use super::name;
use super::window::Window;

/// Debug information larger than this is not read.
const MAX_DEBUG_INFO: usize = 64 << 20;
/// Bytes read from the file through one context before it is started anew.
const BUDGET: u64 = 16 << 20;
/// Contexts open at a time, of all binaries.
const MAX_OPEN: usize = 2;
/// Frames taken for one address.
const MAX_FRAMES: usize = 64;

/// The contexts that are open, the longest open first.
static OPENED: Mutex<Vec<Weak<Mutex<State>>>> = Mutex::new(Vec::new());

/// The sections that lines and inlined functions come from; a compressed one is inflated whole.
const USED: [SectionId; 10] = [
    SectionId::DebugAbbrev,
    SectionId::DebugAddr,
    SectionId::DebugAranges,
    SectionId::DebugInfo,
    SectionId::DebugLine,
    SectionId::DebugLineStr,
    SectionId::DebugRanges,
    SectionId::DebugRngLists,
    SectionId::DebugStr,
    SectionId::DebugStrOffsets,
];

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
pub(super) struct Dwarf(Arc<Mutex<State>>);

impl std::fmt::Debug for Dwarf {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Dwarf")
    }
}

impl Dwarf {
    pub fn new() -> Self {
        Self(Arc::new(Mutex::new(State::Untried)))
    }

    /// The functions an address lies in, innermost first; nothing where DWARF has no unit.
    pub fn places(&self, elf: &Elf, svma: u64) -> Vec<Place> {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let State::Open(open) = &*state
            && open.image.fetched().saturating_sub(open.fetched) > BUDGET
        {
            *state = State::Untried;
        }
        if matches!(*state, State::Untried) {
            *state = State::Missing;
            if let Some(open) = context(elf) {
                *state = State::Open(Box::new(open));
                self.close_others();
            }
        }
        match &*state {
            State::Open(open) => frames(&open.context, svma),
            _ => Vec::new(),
        }
    }

    /// Enters this context in the list of open ones and closes the oldest beyond the limit. One that
    /// is being asked right now stays.
    fn close_others(&self) {
        let mut opened = OPENED.lock().unwrap_or_else(PoisonError::into_inner);
        opened.retain(|other| {
            other
                .upgrade()
                .is_some_and(|other| !Arc::ptr_eq(&other, &self.0))
        });
        while opened.len() >= MAX_OPEN {
            let oldest = opened.remove(0).upgrade();
            // try_lock: two threads that each hold one context must not wait for each other.
            if let Some(oldest) = oldest
                && let Ok(mut state) = oldest.try_lock()
            {
                *state = State::Untried;
            }
        }
        opened.push(Arc::downgrade(&self.0));
    }
}

fn context(elf: &Elf) -> Option<Open> {
    let empty = || Window::new(&elf.image, 0, 0);
    let dwarf = gimli::Dwarf::load(|id| {
        let window = USED.contains(&id).then(|| elf.window(id.name())).flatten();
        Ok::<_, gimli::Error>(window.unwrap_or_else(empty))
    })
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
