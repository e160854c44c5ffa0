//! Verdicts, events, witnesses, losses.

use super::Topic;

const fn verdict(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a verdict",
        text,
    }
}
const fn event(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "an event",
        text,
    }
}
const fn witness(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a witness",
        text,
    }
}
const fn loss(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a figure of losses",
        text,
    }
}

pub(super) const VERDICTS: &[Topic] = &[
    verdict(
        "supported",
        "What the claim states held in this run, and everything it needs as evidence was there. None seen
is reported with its bound: no event in n operations means a rate below 3/n at 95 % confidence.",
    ),
    verdict(
        "refuted",
        "At least one event of this run contradicts the claim. One counter-example is enough, also when
other evidence is missing; the report shows the first.",
    ),
    verdict(
        "inconclusive",
        "This run cannot tell, and the reason is given: events were lost, the witnesses disagree, a control
failed, tracing began late, or the program did not do enough of what the claim is about. Absence is never
concluded from incomplete evidence.",
    ),
];

pub(super) const EVENTS: &[Topic] = &[
    event(
        "page_fault",
        "The CPU could not complete a memory access and asked the kernel. Most are routine: the cause says
why. mode is user for an access of the program's own instructions, kernel for one the kernel made for it
(read into a fresh buffer).",
    ),
    event("mprotect", "The system call that changes the protection of mapped memory; with arguments, result
and duration. A call that failed changed nothing it says it changed."),
    event("pkey_mprotect", "mprotect that also gives the memory a protection key."),
    event("mmap", "The system call that maps a file or fresh memory. With MAP_FIXED it replaces what was mapped
there, protection included."),
    event("munmap", "The system call that removes mappings."),
    event("mremap", "The system call that moves or resizes a mapping."),
    event("brk", "The system call that moves the end of the heap."),
    event("madvise", "The system call that advises the kernel on memory: MADV_DONTNEED empties pages, so that
they fault again; MADV_HUGEPAGE asks for large ones."),
    event("signal", "SIGSEGV, SIGBUS, SIGTRAP or SIGILL sent to the program; whether a handler took it is in
handled."),
    event("exec", "The process began a new program."),
    event("fork", "A new thread or process began."),
    event("exit", "A thread, or with its last thread a process, ended."),
    event("map_make", "A map was created: its header's address and type."),
    event("map_grow", "A map got new storage."),
    event(
        "fatal_error",
        "A Go program ended itself: the runtime found it broken (throw) or misused (fatal), or nobody
recovered a panic. Has the runtime's text, the goroutine, and the map, when a misused map was the reason.",
    ),
    event("iteration", "A loop over a map began or ended."),
    event("map_clear", "A map was emptied, by clear or by a loop that deletes every key."),
    event("pte_sample", "The page-table entry of a page of map memory, read at a chosen moment outside any
fault: what the hardware would allow right then."),
    event("watch_hit", "A hardware watchpoint saw an access to the watched address."),
];

pub(super) const WITNESSES: &[Topic] = &[
    witness(
        "witnesses",
        "Three counts of the same faults, made by different parts of the kernel: tracepoint, perf, rusage.
If they do not agree, something was missed and nothing absent is concluded.",
    ),
    witness(
        "tracepoint",
        "Faults counted where map-trace looks: the kernel's page_fault_user and page_fault_kernel
tracepoints, the latter for user addresses only.",
    ),
    witness(
        "perf",
        "Faults counted by the kernel's own software events: page-faults, and of these the handled ones as
minor-faults and major-faults.",
    ),
    witness(
        "rusage",
        "Minor and major faults as the kernel bills them to the process (getrusage). It includes work done
in the process's name without a fault.",
    ),
    witness(
        "refused",
        "Faults the kernel refused (causes protection and unmapped). They end in a signal or EFAULT and
are neither minor nor major.",
    ),
    witness(
        "residue",
        "rusage minus perf: pages the kernel brought in without a fault, as for process_vm_writev, ptrace
or io_uring.",
    ),
    witness(
        "balanced",
        "page_fault_user + page_fault_kernel = perf page-faults = perf minor + major + refused. Anything
else makes absence inconclusive.",
    ),
];

pub(super) const LOSSES: &[Topic] = &[
    loss(
        "counted",
        "Events counted in the kernel, exact whatever else is lost.",
    ),
    loss(
        "delivered",
        "Events that arrived one by one, with all detail.",
    ),
    loss(
        "aggregated",
        "Events counted by group in the kernel, without detail of each one.",
    ),
    loss(
        "dropped",
        "Events counted in total only. Not zero means incomplete evidence.",
    ),
    loss("undecodable", "Records that arrived and made no sense."),
    loss(
        "unattributed",
        "Events whose operation could not be found, for want of a stack or of mappings.",
    ),
    loss("blind_ns", "Time the program ran before it was watched."),
    loss("exact", "Of a count: every operation was counted."),
    loss(
        "lower_bound",
        "Of a count: there were at least so many; counting was on part of the time.",
    ),
];
