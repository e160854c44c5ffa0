//! Causes of a page fault; docs/causes.md has more on each.

use super::Topic;

const fn cause(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a cause of page faults",
        text,
    }
}

pub(super) const TOPICS: &[Topic] = &[
    cause(
        "first_touch",
        "The program wrote to anonymous memory that had no page yet, and the kernel gave it one, full of
zeroes. This is the normal price of fresh memory: mmap and the heap only promise it.

Decided by: the page-table entry was empty, the mapping is private, anonymous and writable, and the
access was a write. A read of such memory is zero_page_read.",
    ),
    cause(
        "zero_page_read",
        "The program read anonymous memory that had no page yet. The kernel mapped the one page of zeroes
that all processes share, read-only, and keeps the cost of a page of its own for a later write.

Decided by: the entry was empty, the mapping is private and anonymous, the access was a read. The write
that follows is a second fault, zero_page_cow.",
    ),
    cause(
        "zero_page_cow",
        "The program wrote to memory that it had only read before: the shared page of zeroes was mapped
there, and the kernel put a page of the program's own in its place. The error code is 7, 'write to a
present, write-protected page', just as after mprotect; but the mapping is writable and nobody changed
its protection. Go maps that grow make many of these: growth reads the new buckets, then writes them.

Decided by: the entry was present and not writable, its frame is the shared zero page, the mapping is
writable, the access was a write.",
    ),
    cause(
        "anon_cow",
        "The program wrote to a page of its own that was write-protected because it is shared for now: after
a fork both processes keep one copy until either writes, and KSM merges equal pages.

Decided by: the entry was present and not writable, its frame is not the zero page, the mapping is
private and writable, the access was a write. In a private file mapping it is told from file_cow by the
dirty bit: pages of the file's cache are never dirty there.",
    ),
    cause(
        "file_map",
        "The program touched a page of a mapped file for the first time, and the page was already in
memory: the kernel entered it in the page table, often with its neighbours. Shared anonymous memory is a
file too (of shmem), so its first touches are here as well.

Decided by: the entry was empty and the mapping is of a file; no disk was waited for. A write to a
private mapping copies the page at once and still counts here, as the entry was empty.",
    ),
    cause(
        "file_read",
        "As file_map, but the page was not in memory and the fault waited for the disk. The kernel counts
such faults as major.

Decided by: the entry was empty, the mapping is of a file, and the fault was major.",
    ),
    cause(
        "file_cow",
        "The program wrote to a page of a private file mapping that it had read before, and got a copy of
its own; the file does not change. Relocations and initialised data do this at program start.

Decided by: the entry was present, not writable and never written through, the mapping is private, of a
file, and writable, the access was a write.",
    ),
    cause(
        "write_notify",
        "The program wrote to a page of a shared file mapping, and the file system wanted to know first, to
write the page back later. The entry becomes writable until the page has been written back.

Decided by: the entry was present and not writable, the mapping is shared and writable, the access was a
write.",
    ),
    cause(
        "swap_in",
        "The page had been moved out to swap, and the program needs it again.

Decided by: the entry was not present and held a swap entry; the mapping allows the access.",
    ),
    cause(
        "numa_hint",
        "The page is in memory and allowed; the kernel had hidden it for a moment to learn which CPU uses
it (NUMA balancing).

Decided by: the entry was not present and encoded PROT_NONE, while the mapping allows the access. The
same entry in a mapping without rights is protection.",
    ),
    cause(
        "userfaultfd",
        "The mapping is registered with userfaultfd: the fault was handed to a program, which supplies
missing pages or learns of writes.

Decided by: the mapping is registered for missing pages and the entry was empty, or the entry carries
userfaultfd's own write-protect bit.",
    ),
    cause(
        "stack_growth",
        "The program went below its stack's lowest page, and the kernel extended the stack.

Decided by: nothing is mapped at the address, the next mapping above grows down, and the address is within
the stack's limit and not too near the mapping below.",
    ),
    cause(
        "spurious",
        "There was nothing left to do: the page-table entry already allows the access. Another thread's
fault was first, or the CPU had an older copy of the entry.

Decided by: the entry, read just before the kernel handled the fault, is present and allows the access,
and so does the mapping.",
    ),
    cause(
        "protection",
        "The mapping itself forbids the access: a write to a mapping without PROT_WRITE, any access to
PROT_NONE, a fetch from memory without PROT_EXEC, or a protection key. The kernel refuses; the program
gets SIGSEGV with SEGV_ACCERR (a system call gets EFAULT). This is what memory made read-only by mprotect
would show.

Decided by: the rights of the mapping at that moment, or the signal the kernel answered with; never by the
error code alone.",
    ),
    cause(
        "unmapped",
        "Nothing the program may use is at that address: no mapping, a page beyond the end of a mapped file
(SIGBUS), a guard page, or an address of the kernel. The kernel refuses; the program gets a signal, a
system call gets EFAULT.

Decided by: no mapping at the address, or the signal.",
    ),
    cause(
        "unknown",
        "The evidence does not decide between causes, and the event's cause_reason says what was missing:
the entry could not be read, the mapping was changing at that moment, records were lost. The inputs are
kept in the trace. An unknown is counted and shown, and never taken as absence of anything.",
    ),
];
