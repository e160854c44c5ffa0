/* ksm N: N pages with the same content, merged into one by the kernel's same-page merging, then written: N
 * copies of an anonymous page without a fork. /sys/kernel/mm/ksm/run must be 1. */
#include "workload.h"

static long merged(void)
{
    FILE *file = fopen("/proc/self/ksm_merging_pages", "r");
    long pages = -1;
    if (file == NULL || fscanf(file, "%ld", &pages) != 1) fail("ksm_merging_pages");
    fclose(file);
    return pages;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 32);
    bytes memory = fresh(pages);
    for (size_t page = 0; page < pages; page++) memory[page * PAGE] = 42;
    if (madvise((void *)memory, pages * PAGE, MADV_MERGEABLE) != 0) fail("MADV_MERGEABLE");
    long deadline = now_ns() + 60 * 1000000000L;
    while (merged() < (long)pages) {
        if (now_ns() > deadline) {
            errno = ETIME;
            fail("the pages were not merged");
        }
        usleep(2000);
    }
    write_each(memory, pages);
    say_range(memory, pages);
    say("first_touch", pages);
    say("anon_cow", pages);
}
