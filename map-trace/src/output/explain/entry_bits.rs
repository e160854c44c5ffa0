//! Bits of a page-table entry as events name them.

use super::Topic;

const fn bit(word: &'static str, text: &'static str) -> Topic {
    Topic {
        word,
        is: "a bit of a page-table entry",
        text,
    }
}

pub(super) const TOPICS: &[Topic] = &[
    bit(
        "present",
        "Bit 0. The hardware can use the entry. When it is off, every access faults and the other bits
belong to the kernel.",
    ),
    bit(
        "writable",
        "Bit 1. Writes are allowed. Off does not mean read-only memory: the kernel keeps it off on pages that
must be copied or reported on the first write. Whether the program may write is said by the mapping.",
    ),
    bit("user", "Bit 2. The program may use the page; off for memory of the kernel."),
    bit("accessed", "Bit 5. The page was used since the kernel last cleared this."),
    bit("dirty", "Bit 6. The page was written through this entry since the kernel last cleared this."),
    bit(
        "no_execute",
        "Bit 63, NX. Instructions may not be fetched from the page. Normal for data; set from the start,
not by a later call.",
    ),
    bit(
        "zero_page",
        "Not a bit: the entry's frame is the page of zeroes that all processes share for memory that was
read and never written. It is never writable.",
    ),
    bit(
        "saved_dirty",
        "Bit 58. The kernel moves dirty here when it takes away writable, since written and not writable
means shadow stack to newer CPUs. Seen after mprotect(PROT_READ) and after fork.",
    ),
    bit(
        "prot_none",
        "The entry is not present but keeps its page: the mapping is PROT_NONE, or NUMA balancing hid the
page for a while. Bit 8 marks it; the frame is stored inverted.",
    ),
    bit(
        "uffd_wp",
        "Write-protected by userfaultfd, not by the mapping: bit 10 of a page's entry, another one in swap
entries.",
    ),
    bit("empty", "No bit is set: nothing was ever put here, or it was taken away again."),
    bit("unstable", "The entry was read twice with two values: another CPU was changing it."),
];
