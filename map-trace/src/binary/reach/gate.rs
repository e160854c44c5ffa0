//! Functions by what they stand for: gates, panics, barriers.

use serde::Serialize;

use super::Through;

/// A function that runs only under a condition the code's shape does not show.
#[derive(Debug, PartialEq, Eq, Serialize)]
pub struct Gate {
    pub function: &'static str,
    /// What must be so for it to run.
    pub only: &'static str,
}

/// All known gates.
pub(super) const GATES: &[Gate] = &[
    // runtime/mem.go, sysFault: called for freed spans under debug.efence (mgcsweep.go, stack.go) and for
    // freed user arenas (arena.go). From Go 1.23 on it is mprotect(PROT_NONE), before a mapping over it.
    Gate {
        function: "runtime.sysFaultOS",
        only: "under GODEBUG=efence=1 or with user arenas (GOEXPERIMENT=arenas), and then of freed memory",
    },
    Gate {
        function: "runtime.sysFault",
        only: "under GODEBUG=efence=1 or with user arenas (GOEXPERIMENT=arenas), and then of freed memory",
    },
    // runtime/os_linux.go: runs the system call a syscall.AllThreadsSyscall waits for.
    Gate {
        function: "runtime.runPerThreadSyscall",
        only: "when the program calls syscall.AllThreadsSyscall",
    },
    // runtime/cgocall.go. The runtime's own calls into C start threads and map memory.
    Gate {
        function: "runtime.cgocall",
        only: "C code, which is not looked at",
    },
    Gate {
        function: "runtime.asmcgocall",
        only: "C code, which is not looked at",
    },
];

/// The doors to C. Without C code in the program nothing is behind them (runtime/cgocall.go: cgocall
/// throws).
pub(super) const INTO_C: [&str; 2] = ["runtime.asmcgocall", "runtime.cgocall"];

/// The gate a function is.
pub(super) fn gate(name: &str) -> Option<&'static Gate> {
    GATES.iter().find(|gate| gate.function == name)
}

/// Starts a goroutine with the closure it is given (runtime/proc.go).
pub(super) const NEW_GOROUTINE: &str = "runtime.newproc";

/// Functions that code refers to only for the kernel to run them later: where a thread begins, signal
/// handlers (runtime/os_linux.go: newosproc, setsig).
pub(super) fn is_run_elsewhere(name: &str) -> bool {
    const NAMES: [&str; 7] = [
        "runtime.mstart",
        "runtime.mstart_stub",
        "runtime.sigtramp",
        "runtime.cgoSigtramp",
        "runtime.sighandler",
        "runtime.sigprofNonGo",
        "runtime.sigreturn__sigaction",
    ];
    NAMES.contains(&name)
}

/// What must happen for a function to be called.
pub(super) fn through(name: &str) -> Through {
    const PANIC: [&str; 11] = [
        "runtime.panic",
        "runtime.gopanic",
        "runtime.goPanic",
        "runtime.fatal",
        "runtime.throw",
        "runtime.sigpanic",
        "runtime.badmorestack",
        "runtime.badsystemstack",
        "runtime.dopanic",
        "runtime.unwindm",
        // Makes the value of the panic over a key that cannot be hashed.
        "runtime.mapKeyError",
    ];
    let Some(rest) = name.strip_prefix("runtime.") else {
        return Through::Work;
    };
    if PANIC.iter().any(|prefix| name.starts_with(prefix)) {
        Through::Panic
    } else if rest.starts_with("morestack") || rest == "newstack" {
        Through::StackGrowth
    } else if ["gcWriteBarrier", "wbBufFlush", "bulkBarrier"]
        .iter()
        .any(|prefix| rest.starts_with(prefix))
    {
        Through::WriteBarrier
    } else {
        Through::Work
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_told_apart_by_what_makes_them_run() {
        for (name, expected) in [
            ("runtime.mallocgc", Through::Work),
            ("runtime.gcWriteBarrier2", Through::WriteBarrier),
            ("runtime.morestack_noctxt", Through::StackGrowth),
            ("runtime.panicIndex", Through::Panic),
            ("runtime.fatalthrow.func1", Through::Panic),
            ("runtime.throw", Through::Panic),
            ("main.throw", Through::Work),
        ] {
            assert_eq!(through(name), expected, "{name}");
        }
    }
}
