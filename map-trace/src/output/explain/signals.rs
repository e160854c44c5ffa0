//! Signals and their codes (sigaction(2), `si_code`).

use super::Topic;

const fn signal(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a signal",
        text,
    }
}
const fn code(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a code of a signal",
        text,
    }
}

pub(super) const TOPICS: &[Topic] = &[
    signal("SIGSEGV", "An access to memory was refused. The code says why; without a handler the program dies."),
    signal("SIGBUS", "The address is mapped, and the page cannot be had: past the end of the file, or damaged."),
    signal("SIGTRAP", "A breakpoint, a single step or a watchpoint."),
    signal("SIGILL", "An instruction the CPU does not know or does not allow."),
    code("SEGV_MAPERR", "SIGSEGV: nothing is mapped there. Cause unmapped."),
    code(
        "SEGV_ACCERR",
        "SIGSEGV: something is mapped there, and it forbids the access. Cause protection. This is the signal
that memory made read-only would answer a write with.",
    ),
    code("SEGV_BNDERR", "SIGSEGV: a bounds check of the CPU failed (MPX, no longer in use)."),
    code("SEGV_PKUERR", "SIGSEGV: a protection key forbids the access. Cause protection."),
    code("SEGV_CPERR", "SIGSEGV: a return or jump that control-flow protection does not allow."),
    code("BUS_ADRALN", "SIGBUS: the address is not aligned."),
    code("BUS_ADRERR", "SIGBUS: no page is there, most often past the end of a mapped file. Cause unmapped."),
    code("BUS_OBJERR", "SIGBUS: the device behind the memory failed."),
    code("BUS_MCEERR_AR", "SIGBUS: the memory is damaged, and the program needs it now."),
    code("BUS_MCEERR_AO", "SIGBUS: the memory is damaged; the program has not touched it yet."),
    code("TRAP_BRKPT", "SIGTRAP: a breakpoint."),
    code("TRAP_TRACE", "SIGTRAP: a single step."),
    code("TRAP_HWBKPT", "SIGTRAP: a hardware breakpoint or watchpoint."),
    code("ILL_ILLOPN", "SIGILL: an instruction with an operand the CPU does not allow."),
    code("ILL_ILLOPC", "SIGILL: no such instruction."),
    code("TRAP_BRANCH", "SIGTRAP: a branch was taken while branches are stepped."),
    code("TRAP_UNK", "SIGTRAP: a debug exception of no known kind."),
    code("TRAP_PERF", "SIGTRAP: a perf event asked for it."),
    code("ILL_ILLADR", "SIGILL: an addressing mode the instruction does not allow."),
    code("ILL_ILLTRP", "SIGILL: a trap the CPU does not allow."),
    code("ILL_PRVOPC", "SIGILL: an instruction for the kernel only."),
    code("ILL_PRVREG", "SIGILL: a register for the kernel only."),
    code("ILL_COPROC", "SIGILL: an error of a coprocessor."),
    code("ILL_BADSTK", "SIGILL: an error of the CPU's internal stack."),
    code("SI_USER", "Sent by kill: not the answer to an access."),
    code("SI_TKILL", "Sent by tgkill, as raise and Go's scheduler do: not the answer to an access."),
    code("SI_QUEUE", "Sent by sigqueue: not the answer to an access."),
    code("SI_KERNEL", "Sent by the kernel for an exception without an address, such as a non-canonical pointer."),
];
