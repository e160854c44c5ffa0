/* huge N [read]: writes every 4 KiB of N aligned blocks of 2 MiB that ask for huge pages: one fault a block where
 * the kernel had a huge page to give, 512 where it had not. Says how many it gave. `read` reads them first, which
 * maps the huge page of zeroes where there is one. */
#include "workload.h"

#define BLOCK (512 * PAGE)

int main(int argc, char **argv)
{
    size_t blocks = number(argc, argv, 1, 4);
    char *all = mmap(NULL, (blocks + 1) * BLOCK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (all == MAP_FAILED) fail("mmap");
    bytes memory = (bytes)(((uintptr_t)all + BLOCK - 1) & ~(uintptr_t)(BLOCK - 1));
    if (madvise((void *)memory, blocks * BLOCK, MADV_HUGEPAGE) != 0) fail("madvise");
    if (argc > 2 && strcmp(argv[2], "read") == 0) say("sum", read_each(memory, blocks * 512));
    write_each(memory, blocks * 512);
    FILE *maps = fopen("/proc/self/smaps", "r");
    if (maps == NULL) fail("smaps");
    char line[512];
    uintptr_t start = 0, end = 0;
    long huge = 0, kilobytes;
    while (fgets(line, sizeof line, maps) != NULL) {
        sscanf(line, "%lx-%lx ", &start, &end);
        if (start < (uintptr_t)memory + blocks * BLOCK && end > (uintptr_t)memory &&
            sscanf(line, "AnonHugePages: %ld kB", &kilobytes) == 1)
            huge += kilobytes / 2048;
    }
    say_range(memory, blocks * 512);
    say("blocks", blocks);
    say("huge", huge);
}
