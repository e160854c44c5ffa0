//! An event as an example: in words, with its stack, and where a debugger stops at it.

use serde_json::{Value as Json, json};

use super::matching::{EventView, Knowledge};
use crate::model::event::{
    AggregateLine, MemoryCallEvent, Mode, PageFaultEvent, SignalEvent, TraceLine,
};
use crate::model::stack::Frame;
use crate::model::{Operation, Prot};

/// Frames told in the sentence; the evidence has more.
const SHOWN_FRAMES: usize = 3;
/// Longest name in the sentence, characters.
const MAX_NAME: usize = 60;

/// One event of the trace.
#[derive(Debug)]
pub struct Example {
    line: u64,
    event: Json,
    frames: Vec<Frame>,
    text: String,
    gdb: String,
}

impl Example {
    pub fn new(
        line: u64,
        event: &EventView<'_>,
        frames: Vec<Frame>,
        during: Option<&Operation>,
        knowledge: &Knowledge,
    ) -> Self {
        let caller = caller(&frames);
        let text = match shown_stack(&frames, caller, during, knowledge) {
            stack if stack.is_empty() => what(event.line),
            stack => format!("{} at {stack}", what(event.line)),
        };
        Self {
            line,
            event: serde_json::to_value(event.line).unwrap_or_default(),
            gdb: gdb(event.line, frames.get(caller)),
            frames,
            text,
        }
    }

    /// As `evidence` in the summary holds it.
    pub fn into_json(self) -> Json {
        json!({
            "line": self.line,
            "text": self.text,
            "gdb": self.gdb,
            "event": self.event,
            "stack": self.frames,
        })
    }
}

/// `mprotect(0xc000400000, 8192, r--)`
fn what(line: &TraceLine) -> String {
    match line {
        TraceLine::PageFault(event) => fault(event),
        TraceLine::Mprotect(call) => self::call("mprotect", call),
        TraceLine::PkeyMprotect(call) => self::call("pkey_mprotect", call),
        TraceLine::Mmap(call) => self::call("mmap", call),
        TraceLine::Munmap(call) => self::call("munmap", call),
        TraceLine::Mremap(call) => self::call("mremap", call),
        TraceLine::Brk(call) => self::call("brk", call),
        TraceLine::Madvise(call) => self::call("madvise", call),
        TraceLine::Signal(event) => signal(event),
        TraceLine::Fork(event) if event.thread => format!("thread {} began", event.child_tid),
        TraceLine::Fork(event) => format!("process {} began", event.child_pid),
        TraceLine::Exec(event) => {
            format!(
                "exec of {}",
                event.executable.as_deref().unwrap_or(&event.comm)
            )
        }
        TraceLine::Exit(event) => format!("thread {} ended", event.tid),
        TraceLine::Aggregate(group) => self::group(group),
        _ => String::new(),
    }
}

fn fault(event: &PageFaultEvent) -> String {
    let access = match (event.error_code.instruction(), event.error_code.write()) {
        (true, _) => "fetch",
        (_, true) => "write",
        _ => "read",
    };
    let prot = event
        .vma
        .as_ref()
        .map_or("unmapped".to_owned(), |vma| vma.prot.to_string());
    // In a system call, or with a signal's frame: no instruction of the program's made it.
    let who = match event.mode {
        Mode::Kernel => "kernel ",
        Mode::User => "",
    };
    format!(
        "page_fault ({}, {who}{access} of {}, {prot})",
        event.cause.word(),
        event.address
    )
}

fn call(name: &str, call: &MemoryCallEvent) -> String {
    let mut arguments = vec![call.address.to_string()];
    if name != "brk" {
        arguments.push(call.length.to_string());
    }
    arguments.extend(call.prot.as_ref().map(Prot::to_string));
    arguments.extend(call.advice.clone());
    arguments.extend(call.new_length.map(|length| length.to_string()));
    arguments.extend(
        call.flags
            .clone()
            .filter(|_| name == "mmap" || name == "mremap"),
    );
    let result = match (&call.error, call.result) {
        (Some(error), _) => format!(" = {error}"),
        (None, None) => " = ?".to_owned(),
        _ => String::new(),
    };
    format!("{name}({}){result}", arguments.join(", "))
}

fn signal(event: &SignalEvent) -> String {
    let address = event
        .address
        .map_or(String::new(), |address| format!(" on {address}"));
    format!("{} ({}{address})", event.signal, event.code)
}

fn group(group: &AggregateLine) -> String {
    let kind = match (&group.signal, group.cause) {
        (Some(signal), _) => signal.clone(),
        (_, Some(cause)) => format!("{} ({})", group.event.word(), cause.word()),
        _ => group.event.word().to_owned(),
    };
    format!(
        "{} x {kind} on {} to {}",
        group.count, group.address_min, group.address_max
    )
}

/// The frame a reader can do something about: the innermost of the program's own, told by its having a line and not
/// belonging to the language's own library.
fn caller(frames: &[Frame]) -> usize {
    let own = |frame: &&Frame| frame.line.is_some() && !of_language(frame);
    let own = frames.iter().position(|frame| own(&frame));
    own.or_else(|| frames.iter().position(|frame| frame.line.is_some()))
        .unwrap_or(0)
}

/// Code that comes with the compiler or with libc.
fn of_language(frame: &Frame) -> bool {
    const RUST: [&str; 5] = ["core::", "std::", "alloc::", "<core::", "<alloc::"];
    let function = frame.function.as_deref().unwrap_or("");
    let module = frame.module.as_deref().unwrap_or("");
    let file = frame.file.as_deref().unwrap_or("");
    RUST.iter().any(|prefix| function.starts_with(prefix))
        || of_go(function)
        || module.contains("/libc.so")
        || module.contains("/ld-")
        || file.contains("sysdeps/")
        || file.starts_with("./")
}

/// A function of Go's standard library, or of golang.org/x/sys, which stands in for a part of it.
fn of_go(function: &str) -> bool {
    // `go list std`, first elements.
    const STANDARD: [&str; 50] = [
        "archive",
        "bufio",
        "bytes",
        "cmp",
        "compress",
        "container",
        "context",
        "crypto",
        "database",
        "debug",
        "embed",
        "encoding",
        "errors",
        "expvar",
        "flag",
        "fmt",
        "go",
        "hash",
        "html",
        "image",
        "index",
        "internal",
        "io",
        "iter",
        "log",
        "maps",
        "math",
        "mime",
        "net",
        "os",
        "path",
        "plugin",
        "reflect",
        "regexp",
        "runtime",
        "simd",
        "slices",
        "sort",
        "strconv",
        "strings",
        "structs",
        "sync",
        "syscall",
        "testing",
        "text",
        "time",
        "unicode",
        "unique",
        "vendor",
        "weak",
    ];
    let root = function
        .find(['/', '.'])
        .and_then(|end| function.get(..end));
    root.is_some_and(|root| STANDARD.contains(&root)) || function.starts_with("golang.org/x/sys/")
}

/// `main.sabotage main.go:41 <- main.main main.go:77`, out to the function of the rule's operation.
fn shown_stack(
    frames: &[Frame],
    from: usize,
    during: Option<&Operation>,
    knowledge: &Knowledge,
) -> String {
    let Some(own) = frames.get(from..) else {
        return String::new();
    };
    // Where everything began, and who called `main`, goes without saying.
    let named = |frame: &&Frame| {
        let function = frame.function.as_deref();
        function.is_some_and(|function| function != "_start")
    };
    let is_main = |frame: &Frame| frame.function.as_deref() == Some("main");
    let told = own.iter().position(is_main).map_or(own, |at| &own[..=at]);
    let mut shown: Vec<String> = told
        .iter()
        .filter(named)
        .take(SHOWN_FRAMES)
        .map(place)
        .collect();
    let in_operation = |frame: &Frame| {
        let of = knowledge.tables.all(std::slice::from_ref(frame));
        during.is_some_and(|operation| of.contains(operation))
    };
    if let Some(at) = own.iter().position(in_operation)
        && own.iter().take(at).filter(named).count() >= SHOWN_FRAMES
    {
        shown.push("...".to_owned());
        shown.extend(own.get(at).map(place));
    }
    shown.join(" <- ")
}

/// `main.sabotage main.go:41`
fn place(frame: &Frame) -> String {
    let function = frame.function.as_deref().unwrap_or("?");
    let mut name: String = function.chars().take(MAX_NAME).collect();
    if name.len() < function.len() {
        name.push('…');
    }
    match source(frame) {
        Some(source) => format!("{name} {source}"),
        None => name,
    }
}

/// `main.go:41`
fn source(frame: &Frame) -> Option<String> {
    let file = frame.file.as_deref()?;
    Some(format!(
        "{}:{}",
        file.rsplit('/').next().unwrap_or(file),
        frame.line?
    ))
}

/// What makes gdb stop there: the source line, else the function, else the kind of event.
fn gdb(line: &TraceLine, frame: Option<&Frame>) -> String {
    if let Some(source) = frame.and_then(source) {
        return format!("break {source}");
    }
    let by_call = match line {
        TraceLine::Mprotect(_) => Some("mprotect"),
        TraceLine::PkeyMprotect(_) => Some("pkey_mprotect"),
        TraceLine::Mmap(_) => Some("mmap"),
        TraceLine::Munmap(_) => Some("munmap"),
        TraceLine::Mremap(_) => Some("mremap"),
        TraceLine::Brk(_) => Some("brk"),
        TraceLine::Madvise(_) => Some("madvise"),
        _ => None,
    };
    if let Some(call) = by_call {
        return format!("catch syscall {call}");
    }
    match line {
        TraceLine::Signal(event) => return format!("catch signal {}", event.signal),
        TraceLine::Fork(_) => return "catch fork".to_owned(),
        TraceLine::Exec(_) => return "catch exec".to_owned(),
        _ => {}
    }
    match frame.and_then(|frame| frame.function.as_deref()) {
        Some(function) => format!("break {function}"),
        None => frame.map_or_else(
            || "starti".to_owned(),
            |frame| format!("break *{}", frame.ip),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn frame(function: &str, file: Option<&str>, module: &str) -> Frame {
        Frame {
            function: Some(function.to_owned()),
            file: file.map(str::to_owned),
            line: file.map(|_| 3),
            module: Some(module.to_owned()),
            ..Frame::default()
        }
    }

    #[test]
    fn the_caller_is_the_innermost_function_of_the_programs_own() {
        let app = "/bin/app";
        let go = [
            frame(
                "runtime/internal/syscall.Syscall6",
                Some("runtime/asm.s"),
                app,
            ),
            frame("syscall.Mprotect", Some("syscall/z.go"), app),
            frame("main.sabotage", Some("example.com/app/main.go"), app),
            frame("main.main", Some("example.com/app/main.go"), app),
        ];
        assert_eq!(caller(&go), 2);
        let c = [
            frame(
                "mprotect",
                Some("../sysdeps/unix/syscall-template.S"),
                "/lib/libc.so.6",
            ),
            frame("hot", Some("/src/hot.c"), app),
        ];
        assert_eq!(caller(&c), 1);
        let rust = [
            frame("core::ptr::write", Some("/rustc/core/ptr.rs"), app),
            frame("app::run", Some("src/run.rs"), app),
        ];
        assert_eq!(caller(&rust), 1);
        let nothing_known = [frame("a", None, app), frame("b", None, app)];
        assert_eq!(caller(&nothing_known), 0);
        let only_library = [
            frame("x", None, app),
            frame("os.Exit", Some("os/proc.go"), app),
        ];
        assert_eq!(caller(&only_library), 1);
    }

    #[test]
    fn the_standard_library_is_told_by_its_first_element() {
        for (function, standard) in [
            ("runtime.mallocgc", true),
            ("internal/runtime/maps.(*Map).Put", true),
            ("golang.org/x/sys/unix.Mprotect", true),
            ("main.main", false),
            ("example.com/sync/x.F", false),
            ("hot", false),
            ("std::map::at", false),
        ] {
            assert_eq!(of_go(function), standard, "{function}");
        }
    }
}
