/* file_pages N HOW: a file of N pages, mapped, every page read, then every page written.
 *   private  N copies of file pages
 *   shared   writes go to the file */
#include "workload.h"
#include <fcntl.h>

/* Reads every page; the number of those that were not in the page table (bit 63 of /proc/self/pagemap), since a
 * fault maps some neighbours too. */
static long read_counting(bytes memory, size_t pages)
{
    int pagemap = open("/proc/self/pagemap", O_RDONLY);
    if (pagemap < 0) fail("pagemap");
    long faults = 0;
    for (size_t page = 0; page < pages; page++) {
        uint64_t word;
        off_t at = ((uintptr_t)memory / PAGE + page) * sizeof word;
        if (pread(pagemap, &word, sizeof word, at) != (ssize_t)sizeof word) fail("pagemap");
        faults += (word >> 63) == 0;
        (void)memory[page * PAGE];
    }
    close(pagemap);
    return faults;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 64);
    const char *how = argc > 2 ? argv[2] : "private";
    char name[] = "/var/tmp/map-trace-workload-XXXXXX";
    int file = mkstemp(name);
    if (file < 0) fail("mkstemp");
    unlink(name);
    static char page_of_ones[4096];
    memset(page_of_ones, 1, sizeof page_of_ones);
    for (size_t page = 0; page < pages; page++)
        if (write(file, page_of_ones, PAGE) != (ssize_t)PAGE) fail("write");
    if (fsync(file) != 0) fail("fsync");
    int shared = strcmp(how, "shared") == 0;
    bytes memory = mmap(NULL, pages * PAGE, PROT_READ | PROT_WRITE, shared ? MAP_SHARED : MAP_PRIVATE, file, 0);
    if ((void *)memory == MAP_FAILED) fail("mmap");
    say("file_map", read_counting(memory, pages));
    write_each(memory, pages);
    say_range(memory, pages);
    say("written", pages);
}
