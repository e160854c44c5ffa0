//! Raw stacks to named frames, with the opened binaries and their answers kept within bounds.

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use super::flow::{CodeFlow, Judged, Stores};
use super::stack::{self, RawFrame, RawStack};
use super::{Binary, CodeFrame, Function, JitMap};
use crate::model::Address;
use crate::model::stack::Frame;

/// Binaries kept open. One holds at most 512 KiB of file blocks and its symbol index; DWARF contexts are
/// limited for the whole process.
const MAX_BINARIES: usize = 32;
/// Failures remembered, so that a missing file is not asked for at every stack.
const MAX_FAILURES: usize = 1024;
/// Addresses whose frames are remembered, in each of two generations.
const MAX_ANSWERS: usize = 8192;

/// What lies at a runtime address.
#[derive(Clone, Debug)]
pub struct Place {
    /// Path, `[vdso]` or `[jit]`; none when not known.
    pub module: Option<Arc<str>>,
    pub code: Code,
}

/// Who can name it.
#[derive(Clone, Debug)]
pub enum Code {
    /// A binary, and the address as it states it.
    Binary(Arc<Binary>, u64),
    Jit(Arc<JitMap>),
    Unknown,
}

/// The binary asked for: where it may be found and what it must be.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Wanted {
    /// The path shown to the user and kept in the trace.
    pub path: String,
    /// Build id it must have, when one is known.
    pub build_id: Option<String>,
    /// Device and inode it must have, when known and no build id is.
    pub inode: Option<(u64, u64)>,
}

/// Named frames and what is known of all of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Symbolized {
    pub frames: Vec<Frame>,
    /// As [`StackLine::loops_known`](crate::model::stack::StackLine::loops_known).
    pub loops_known: bool,
    /// As [`StackLine::stores_known`](crate::model::stack::StackLine::stores_known).
    pub stores_known: bool,
}

/// Two generations of answers: when the young one is full, the old one is dropped.
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Hash + Eq + Clone, V: Clone> Generations<K, V> {
    fn new() -> Self {
        Self {
            young: HashMap::new(),
            old: HashMap::new(),
        }
    }

    fn get(&mut self, key: &K) -> Option<V> {
        if let Some(value) = self.young.get(key) {
            return Some(value.clone());
        }
        let value = self.old.remove(key)?;
        self.insert(key.clone(), value.clone());
        Some(value)
    }

    fn insert(&mut self, key: K, value: V) {
        if self.young.len() >= MAX_ANSWERS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(key, value);
    }
}

/// Opened binaries, most recently used last.
#[derive(Default)]
struct Opened {
    binaries: Vec<(Wanted, Arc<Binary>)>,
    failures: HashMap<Wanted, ()>,
}

/// What is at an address: its frames, and what its code says about maps.
#[derive(Clone)]
struct Answer {
    frames: Arc<[CodeFrame]>,
    flow: CodeFlow,
    /// The function that the call before a return address names.
    called: Option<Arc<Function>>,
}

/// The answer for an address of a binary (by its number), as a return address or not.
type Answers = Generations<(u64, u64, bool), Answer>;

/// Opens binaries and names stacks. Shared freely between threads.
pub struct Symbolizer {
    opened: Mutex<Opened>,
    /// The program as it was started. A mapping's path is text, which a file's name need not be.
    program: Option<PathBuf>,
    answers: Mutex<Answers>,
    vdso: std::sync::OnceLock<Option<Arc<Binary>>>,
}

impl Default for Symbolizer {
    fn default() -> Self {
        Self::new()
    }
}

impl Symbolizer {
    pub fn new() -> Self {
        Self {
            opened: Mutex::default(),
            program: None,
            answers: Mutex::new(Generations::new()),
            vdso: std::sync::OnceLock::new(),
        }
    }

    /// A symbolizer that also looks for a binary at this path.
    pub fn of(program: Option<&Path>) -> Self {
        Self {
            program: program.map(Path::to_owned),
            ..Self::new()
        }
    }

    /// The binary wanted, from the first of the candidate paths that has it. A file that is not the one
    /// wanted (replaced since it was mapped) is passed over: unknown is better than wrong names.
    pub fn open(&self, wanted: &Wanted, candidates: &[PathBuf]) -> Option<Arc<Binary>> {
        {
            let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(at) = opened.binaries.iter().position(|(w, _)| w == wanted) {
                let entry = opened.binaries.remove(at);
                let binary = Arc::clone(&entry.1);
                opened.binaries.push(entry);
                return Some(binary);
            }
            if opened.failures.contains_key(wanted) {
                return None;
            }
        }
        let known = wanted.build_id.is_some() || wanted.inode.is_some();
        let paths = candidates
            .iter()
            .chain(self.program.iter().filter(|_| known));
        let found = paths.into_iter().find_map(|path| open_one(wanted, path));
        let mut opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        match &found {
            Some(binary) => {
                if opened.binaries.len() >= MAX_BINARIES {
                    opened.binaries.remove(0);
                }
                opened.binaries.push((wanted.clone(), Arc::clone(binary)));
            }
            None => {
                if opened.failures.len() >= MAX_FAILURES {
                    opened.failures.clear();
                }
                opened.failures.insert(wanted.clone(), ());
            }
        }
        found
    }

    /// The binaries that are open now: those of recent stacks.
    pub fn binaries(&self) -> Vec<Arc<Binary>> {
        let opened = self.opened.lock().unwrap_or_else(PoisonError::into_inner);
        let binaries = opened.binaries.iter();
        binaries.map(|(_, binary)| Arc::clone(binary)).collect()
    }

    /// The vDSO of the running kernel.
    pub fn vdso(&self) -> Option<Arc<Binary>> {
        self.vdso.get_or_init(super::vdso).clone()
    }

    /// Restores hidden callers and names every frame. Frames of unknown modules stay, without a name.
    pub fn symbolize(&self, raw: &RawStack, lookup: &dyn Fn(u64) -> Option<Place>) -> Symbolized {
        let restored = stack::restore(raw, &|address| match lookup(address)?.code {
            Code::Binary(binary, svma) => Some((binary, svma)),
            _ => None,
        });
        let mut frames = Vec::with_capacity(restored.frames.len());
        let mut loops_known = true;
        let mut storing = Storing::Open { sure: true };
        for (i, frame) in restored.frames.iter().enumerate() {
            if let Some(inner) = i
                .checked_sub(1)
                .and_then(|inner| restored.frames.get(inner))
            {
                frames.extend(self.jumped_on(*inner, i == 1, *frame, lookup));
            }
            let first = frames.len();
            let flow = self.name(*frame, i == 0, lookup, &mut frames);
            let own = &mut frames[first..];
            loops_known &= flow.in_loop != Judged::Unknown;
            if flow.in_loop == Judged::Yes {
                let owner = own.len().saturating_sub(1 + flow.depth);
                own[owner].in_loop = true;
            }
            let stores = storing.next(flow.stores);
            if let Some(frame) = own.last_mut().filter(|_| stores) {
                frame.value_store = true;
            }
        }
        Symbolized {
            frames,
            loops_known,
            stores_known: storing == Storing::Known,
        }
    }

    /// The function that `outer` called and that ended with a jump to the function of `inner`, if there is one.
    fn jumped_on(
        &self,
        inner: RawFrame,
        exact: bool,
        outer: RawFrame,
        lookup: &dyn Fn(u64) -> Option<Place>,
    ) -> Option<Frame> {
        // Across a gap nobody knows what was called.
        if inner.gap {
            return None;
        }
        let Code::Binary(binary, svma) = lookup(outer.ip.checked_sub(1)?)?.code else {
            return None;
        };
        let called = self.answer(&binary, svma, false).called?;
        let running = inner.ip.checked_sub(u64::from(!exact))?;
        if let Code::Binary(other, at) = lookup(running)?.code
            && other.number() == binary.number()
        {
            let host = self.answer(&other, at, exact).frames.last().cloned()?;
            if host.function == called.name {
                return None;
            }
            // It may be the called function itself, under another name.
            let function = other.function_at(at)?;
            if function.start == called.start || function.name == called.name {
                return None;
            }
        }
        let start = RawFrame {
            ip: (outer.ip - 1).wrapping_sub(svma).wrapping_add(called.start),
            restored: true,
            gap: false,
        };
        let mut frames = Vec::new();
        self.name(start, true, lookup, &mut frames);
        frames.pop()
    }

    /// Appends the frames of one instruction pointer, inlined ones first.
    fn name(
        &self,
        frame: RawFrame,
        exact: bool,
        lookup: &dyn Fn(u64) -> Option<Place>,
        out: &mut Vec<Frame>,
    ) -> CodeFlow {
        // The last instruction of a mapping may be a call: its return address is outside.
        let inside = if exact {
            frame.ip
        } else {
            frame.ip.saturating_sub(1)
        };
        let place = lookup(inside);
        let module = place
            .as_ref()
            .and_then(|p| p.module.as_deref().map(str::to_owned));
        let blank = Frame {
            ip: Address(frame.ip),
            module,
            restored: frame.restored,
            ..Frame::default()
        };
        let before = out.len();
        let mut flow = CodeFlow::default();
        match place.map(|p| p.code) {
            Some(Code::Binary(binary, svma)) => {
                let answer = self.answer(&binary, svma, exact);
                flow = answer.flow;
                for code in answer.frames.iter() {
                    out.push(Frame {
                        function: Some(code.function.clone()),
                        file: code.file.clone(),
                        line: code.line,
                        inlined: code.inlined,
                        ..blank.clone()
                    });
                }
            }
            Some(Code::Jit(map)) => out.extend(map.at(inside).map(|name| Frame {
                function: Some(name.to_owned()),
                ..blank.clone()
            })),
            _ => {}
        }
        if out.len() == before {
            out.push(blank);
        }
        // Functions inlined into one another have no gap between them.
        if let Some(host) = out.last_mut() {
            host.gap = frame.gap;
        }
        let apart = out[before..].iter().all(is_apart);
        if apart { CodeFlow::APART } else { flow }
    }

    /// What is at an address; for a return address `svma` is the address minus one.
    fn answer(&self, binary: &Binary, svma: u64, exact: bool) -> Answer {
        let key = (binary.number(), svma, exact);
        let known = self
            .answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key);
        if let Some(known) = known {
            return known;
        }
        let at = if exact {
            svma
        } else {
            inside_call(binary, svma)
        };
        let mut frames = Vec::new();
        binary.frames(at, &mut frames);
        let answer = Answer {
            frames: frames.into(),
            flow: binary.code_flow(at, exact),
            called: (!exact)
                .then(|| binary.called_before(svma.checked_add(1)?))
                .flatten()
                .map(Arc::new),
        };
        self.answers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, answer.clone());
        answer
    }
}

/// Who stores the value of an assign, while a stack is walked outward.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Storing {
    /// So far there are only copying functions, which write for their callers.
    Open {
        sure: bool,
    },
    Known,
    Unknown,
}

impl Storing {
    /// Takes the next frame; true when it is the one that stores.
    fn next(&mut self, frame: Stores) -> bool {
        let Self::Open { sure } = *self else {
            return false;
        };
        let (then, stores) = match frame {
            Stores::Yes if sure => (Self::Known, true),
            Stores::Yes | Stores::Unknown => (Self::Unknown, false),
            Stores::No => (Self::Known, false),
            Stores::OfCaller { sure: this } => (Self::Open { sure: sure && this }, false),
        };
        *self = then;
        stores
    }
}

/// Code that knows nothing of maps: the kernel's, the C library's, and what starts a thread of a program
/// with C code.
fn is_apart(frame: &Frame) -> bool {
    const LIBRARIES: [&str; 5] = ["ld-", "ld.so", "ld64.so", "libc.so", "libpthread"];
    const STARTS: [&str; 3] = ["crosscall1", "crosscall_amd64", "threadentry"];
    let module = frame.module.as_deref().unwrap_or("");
    let file = module.rsplit('/').next().unwrap_or(module);
    let function = frame.function.as_deref().unwrap_or("");
    module == "[vdso]"
        || LIBRARIES.iter().any(|library| file.starts_with(library))
        || STARTS.contains(&function)
}

/// The address that names the caller: inside the call, one before the return address, unless nothing
/// calls from there. A signal handler returns to the first instruction of `__restore_rt` or Go's
/// `runtime.sigreturn`, where the byte before belongs to nothing or to padding.
fn inside_call(binary: &Binary, svma: u64) -> u64 {
    let after = svma.saturating_add(1);
    let starts_here = binary
        .function_at(after)
        .is_some_and(|function| function.start == after);
    let mut before = [0; 5];
    // Padding, and not the last byte of a `call rel32` (e8 and four bytes).
    let padded = binary
        .read(svma.saturating_sub(4), &mut before)
        .is_some_and(|()| before[0] != 0xe8 && matches!(before[4], 0xcc | 0x90));
    if starts_here && (padded || binary.function_at(svma).is_none()) {
        after
    } else {
        svma
    }
}

fn open_one(wanted: &Wanted, path: &Path) -> Option<Arc<Binary>> {
    let binary = Binary::open(path).ok()?;
    let right = match (&wanted.build_id, wanted.inode) {
        (Some(id), _) => binary.build_id() == Some(id),
        (None, Some(inode)) => binary.identity() == Some(inode),
        (None, None) => true,
    };
    right.then(|| Arc::new(binary))
}
