//! What judging needs to know of stacks: the operations on them, and whether a caller may be missing.
//!
//! A rule such as `mprotect during hot == 0` holds only if `hot` would have been seen on the stack. A stack that
//! breaks off before the function its thread started in says nothing about who stood further out.

use std::collections::HashMap;

use crate::maps::Tables;
use crate::model::stack::{Frame, StackLine};
use crate::model::{Address, Operation};

/// Stacks known at most; events on later ones count as having none.
const MAX_STACKS: usize = 1 << 19;
/// Frames kept of one stack, innermost first, for examples.
const MAX_FRAMES: usize = 24;
/// Frames and bytes of names kept in all; examples of later stacks are shown without.
const MAX_ALL_FRAMES: usize = 1 << 20;
const MAX_NAMES: usize = 16 << 20;

/// Why a stack may lack a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Lack {
    /// The walk stopped at its depth limit.
    Truncated,
    /// The chain of frame pointers does not lead to where the thread began.
    Broken,
}

/// Where a stack's frames lie.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Modules {
    /// In the dynamic loader.
    pub loader: bool,
    /// In no file.
    pub none: bool,
    /// In a file that is neither loader nor C library.
    pub other: bool,
}

/// A stack, as far as judging goes.
#[derive(Debug)]
pub struct StackFacts {
    /// Every operation and region on it, innermost first.
    pub operations: Box<[Operation]>,
    pub lack: Option<Lack>,
    /// It is the runtime's own work whatever callers it may lack.
    pub runtime: bool,
    /// A loop over a map that it is in is among the operations.
    pub loops_known: bool,
    /// So is the assign whose value it stores.
    pub stores_known: bool,
    pub modules: Modules,
    frames: Box<[KeptFrame]>,
}

#[derive(Clone, Copy, Debug)]
struct KeptFrame {
    ip: u64,
    function: u32,
    file: u32,
    line: u32,
}

/// All stacks of a trace, by id.
#[derive(Default)]
pub struct Stacks {
    facts: HashMap<u64, StackFacts>,
    names: Names,
    frames: usize,
}

impl Stacks {
    /// Takes a stack line.
    pub fn keep(&mut self, line: &StackLine, tables: &Tables) {
        if self.facts.len() >= MAX_STACKS {
            return;
        }
        let room = MAX_ALL_FRAMES.saturating_sub(self.frames).min(MAX_FRAMES);
        let frames: Box<[_]> = line
            .frames
            .iter()
            .take(room)
            .map(|frame| self.names.kept(frame))
            .collect();
        self.frames += frames.len();
        let facts = StackFacts {
            operations: tables.all(&line.frames).into(),
            lack: lack(line),
            runtime: tables.is_runtime_for_sure(&line.frames),
            loops_known: line.loops_known,
            stores_known: line.stores_known,
            modules: modules(&line.frames),
            frames,
        };
        self.facts.insert(line.id, facts);
    }

    pub fn get(&self, id: Option<u64>) -> Option<&StackFacts> {
        self.facts.get(&id?)
    }

    /// The innermost frames, as far as they were kept.
    pub fn frames(&self, id: Option<u64>) -> Vec<Frame> {
        let kept = self.get(id).map(|facts| &*facts.frames).unwrap_or_default();
        let frame = |frame: &KeptFrame| Frame {
            ip: Address(frame.ip),
            function: self.names.get(frame.function),
            file: self.names.get(frame.file),
            line: (frame.line != 0).then_some(frame.line),
            ..Frame::default()
        };
        kept.iter().map(frame).collect()
    }
}

/// Interned names; 0 is none.
#[derive(Default)]
struct Names {
    ids: HashMap<Box<str>, u32>,
    texts: Vec<Box<str>>,
    bytes: usize,
}

impl Names {
    fn kept(&mut self, frame: &Frame) -> KeptFrame {
        KeptFrame {
            ip: frame.ip.0,
            function: self.id(frame.function.as_deref()),
            file: self.id(frame.file.as_deref()),
            line: frame.line.unwrap_or(0),
        }
    }

    fn id(&mut self, name: Option<&str>) -> u32 {
        let Some(name) = name else { return 0 };
        if let Some(id) = self.ids.get(name) {
            return *id;
        }
        // Each is kept twice: as a key and by number.
        self.bytes += 2 * name.len();
        let id = u32::try_from(self.texts.len() + 1).unwrap_or(0);
        if self.bytes > MAX_NAMES || id == 0 {
            return 0;
        }
        self.texts.push(name.into());
        self.ids.insert(name.into(), id);
        id
    }

    fn get(&self, id: u32) -> Option<String> {
        let index = usize::try_from(id).ok()?.checked_sub(1)?;
        self.texts.get(index).map(|name| (**name).to_owned())
    }
}

/// Whether a stack shows every caller out to where its thread began.
fn lack(line: &StackLine) -> Option<Lack> {
    for (index, frame) in line.frames.iter().enumerate() {
        let function = frame.function.as_deref().unwrap_or_default();
        // The interrupted function's own frame is not on the handler's chain.
        if is_signal_return(function) {
            break;
        }
        let last = index + 1 == line.frames.len();
        if is_start(function) || (last && is_new_thread(function)) {
            return None;
        }
        if frame.gap && !hides_only_runtime(function) {
            break;
        }
    }
    Some(if line.truncated {
        Lack::Truncated
    } else {
        Lack::Broken
    })
}

/// A function without a frame pointer that only Go's runtime calls: whoever it hides is the runtime's own.
fn hides_only_runtime(function: &str) -> bool {
    let plain = function.trim_end_matches(".abi0");
    matches!(
        plain,
        "runtime.systemstack" | "runtime.asmcgocall" | "runtime.mcall"
    )
}

/// A function that nothing of the program's own calls: a thread or the program begins in it.
fn is_start(function: &str) -> bool {
    const STARTS: [&str; 14] = [
        "main",
        "_start",
        "__libc_start_main",
        "__libc_start_main_impl",
        "__libc_start_call_main",
        "start_thread",
        "runtime.goexit",
        "runtime.mstart",
        "runtime.mstart0",
        "runtime.mstart1",
        "runtime.rt0_go",
        // Goroutines of the runtime's own (runtime/mgc.go gcBgMarkStartWorkers, gcenable). A worker may move its
        // own stack, and then the chain ends where that was.
        "runtime.gcBgMarkWorker",
        "runtime.bgsweep",
        "runtime.bgscavenge",
    ];
    let plain = function.split('.').take(2).collect::<Vec<_>>().join(".");
    STARTS.contains(&function)
        || STARTS.contains(&plain.as_str())
        || function.starts_with("_rt0_")
        || is_start_of_rust(function)
}

/// Rust's standard library before `main` and before what a thread was made for: `lang_start` and the frame that ends short
/// backtraces (library/std/src/rt.rs, library/std/src/sys/backtrace.rs), with type parameters or without.
fn is_start_of_rust(function: &str) -> bool {
    let Some(inside) = function.strip_prefix("std::") else {
        return false;
    };
    let plain = inside.split('<').next().unwrap_or(inside);
    matches!(
        plain.trim_end_matches("::"),
        "rt::lang_start" | "rt::lang_start_internal"
    ) || plain
        .trim_end_matches("::")
        .ends_with("backtrace::__rust_begin_short_backtrace")
}

/// Makes a thread, and is where the new one comes to life: with nothing behind it. In the old one the callers follow.
fn is_new_thread(function: &str) -> bool {
    matches!(
        function.trim_start_matches("__GI_"),
        "clone" | "__clone" | "clone3" | "__clone3" | "runtime.clone"
    )
}

/// Where a signal handler returns to.
fn is_signal_return(function: &str) -> bool {
    function == "__restore_rt"
        || function == "__kernel_rt_sigreturn"
        || function.starts_with("runtime.sigreturn")
}

fn modules(frames: &[Frame]) -> Modules {
    let mut modules = Modules::default();
    for frame in frames {
        let Some(path) = &frame.module else {
            modules.none = true;
            continue;
        };
        let name = path.rsplit('/').next().unwrap_or(path);
        let is = |prefixes: &[&str]| prefixes.iter().any(|prefix| name.starts_with(prefix));
        if is(&["ld-", "ld.so", "ld64.so"]) {
            modules.loader = true;
        } else if !is(&["libc.so", "libc-2", "[vdso]"]) {
            modules.other = true;
        }
    }
    modules
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `!` behind a name is a gap behind its frame.
    fn stack(names: &[&str]) -> StackLine {
        let frames = names.iter().zip(1..).map(|(name, ip)| Frame {
            ip: Address(ip),
            function: Some(name.trim_end_matches('!').to_owned()),
            gap: name.ends_with('!'),
            ..Frame::default()
        });
        StackLine {
            frames: frames.collect(),
            ..StackLine::default()
        }
    }

    #[test]
    fn a_stack_is_whole_when_its_chain_reaches_the_start() {
        let broken = Some(Lack::Broken);
        for (names, expected) in [
            (&["mprotect", "hot", "main"][..], None),
            (&["mprotect", "hot", "main!", "x"], None),
            (&["f", "runtime.goexit.abi0"], None),
            (&["f", "_rt0_amd64_linux"], None),
            (&["runtime.clone!"], None),
            (&["brk", "sbrk", "sysmalloc!"], broken),
            (&["brk", "sbrk", "sysmalloc"], broken),
            (&["f!", "main"], broken),
            (&["mprotect", "compare", "qsort!", "main"], broken),
            (
                &[
                    "mmap",
                    "runtime.systemstack.abi0!",
                    "main.main",
                    "runtime.goexit.abi0",
                ],
                None,
            ),
            (
                &[
                    "mmap",
                    "runtime.morestack!",
                    "main.main",
                    "runtime.goexit.abi0",
                ],
                broken,
            ),
            (
                &[
                    "runtime.mprotect",
                    "runtime.shrinkstack",
                    "runtime.gcBgMarkWorker.func2",
                    "runtime.systemstack.abi0!",
                ],
                None,
            ),
            (
                &[
                    "runtime.mprotect",
                    "runtime.shrinkstack",
                    "runtime.systemstack.abi0!",
                ],
                broken,
            ),
            (&["malloc", "hot", "std::rt::lang_start_internal!"], None),
            (&["f", "std::rt::lang_start<()>!"], None),
            (
                &[
                    "f",
                    "std::sys::backtrace::__rust_begin_short_backtrace<F, ()>!",
                ],
                None,
            ),
            (
                &[
                    "f",
                    "std::sys_common::backtrace::__rust_begin_short_backtrace!",
                ],
                None,
            ),
            (&["f", "std::rt::init!"], broken),
            (&["f", "mine::rt::lang_start!"], broken),
            (&["handler", "__restore_rt", "main"], broken),
            (&["clone3", "pthread_create", "x!"], broken),
            (&[], broken),
        ] {
            assert_eq!(lack(&stack(names)), expected, "{names:?}");
        }
        let truncated = StackLine {
            truncated: true,
            ..stack(&["f"])
        };
        assert_eq!(lack(&truncated), Some(Lack::Truncated));
    }

    #[test]
    fn names_and_frames_are_kept_within_bounds() {
        let mut stacks = Stacks::default();
        let tables = Tables::default();
        for id in 0..300 {
            let name = |frame| format!("{}{id}.{frame}", "x".repeat(2000));
            let names: Vec<String> = (0..30).map(name).collect();
            let names: Vec<&str> = names.iter().map(String::as_str).collect();
            stacks.keep(
                &StackLine {
                    id,
                    ..stack(&names)
                },
                &tables,
            );
        }
        assert!(
            stacks
                .names
                .texts
                .iter()
                .map(|text| 2 * text.len())
                .sum::<usize>()
                <= MAX_NAMES
        );
        assert_eq!(stacks.frames(Some(0)).len(), MAX_FRAMES);
        assert!(stacks.frames(Some(0))[0].function.is_some());
        assert!(stacks.frames(Some(299))[0].function.is_none());
    }
}
