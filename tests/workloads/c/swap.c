/* swap N: touches N pages, has the kernel move them to swap, reads each: N swap-ins. Swap must be on. */
#include "workload.h"
#include <fcntl.h>

/* Pages of the range that are in swap: bit 62 of /proc/self/pagemap. */
static size_t swapped(int pagemap, bytes memory, size_t pages)
{
    size_t count = 0;
    for (size_t page = 0; page < pages; page++) {
        uint64_t word;
        off_t at = ((uintptr_t)memory / PAGE + page) * sizeof word;
        if (pread(pagemap, &word, sizeof word, at) != (ssize_t)sizeof word) fail("pagemap");
        count += word >> 62 & 1;
    }
    return count;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 32);
    bytes memory = fresh(pages);
    /* No two pages alike and none of one repeated word, which zram and the kernel would not store. */
    for (size_t page = 0; page < pages; page++)
        for (size_t at = 0; at < PAGE; at += 8) *(volatile uint64_t *)(memory + page * PAGE + at) = page * PAGE + at;
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    if (pagemap < 0) fail("pagemap");
    long deadline = now_ns() + 60 * 1000000000L;
    long calls = 0;
    while (swapped(pagemap, memory, pages) < pages) {
        if (now_ns() > deadline) {
            errno = ETIME;
            fail("the pages were not swapped out");
        }
        if (madvise((void *)memory, pages * PAGE, MADV_PAGEOUT) != 0) fail("MADV_PAGEOUT");
        calls++;
    }
    for (size_t page = 0; page < pages; page++)
        if (*(volatile uint64_t *)(memory + page * PAGE) != page * PAGE) return 93;
    say_range(memory, pages);
    say("first_touch", pages);
    say("swap_in", pages);
    say("pageout", calls);
}
