/* file_read N: maps a file of N pages that is not in the page cache and reads each page: N faults that wait for
 * the disk, where the file system has one. Says how many pages were cached before. */
#include "workload.h"
#include <fcntl.h>

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 32);
    char name[] = "/var/tmp/map-trace-workload-XXXXXX";
    int file = mkstemp(name);
    if (file < 0) fail("mkstemp");
    unlink(name);
    static char page_of_ones[4096];
    memset(page_of_ones, 1, sizeof page_of_ones);
    for (size_t page = 0; page < pages; page++)
        if (write(file, page_of_ones, PAGE) != (ssize_t)PAGE) fail("write");
    if (fsync(file) != 0) fail("fsync");
    bytes memory = mmap(NULL, pages * PAGE, PROT_READ, MAP_SHARED, file, 0);
    if ((void *)memory == MAP_FAILED) fail("mmap");
    /* No reading ahead: each page waits for itself. */
    if (madvise((void *)memory, pages * PAGE, MADV_RANDOM) != 0) fail("madvise");
    posix_fadvise(file, 0, 0, POSIX_FADV_DONTNEED);
    unsigned char *cached = calloc(pages, 1);
    if (mincore((void *)memory, pages * PAGE, cached) != 0) fail("mincore");
    long warm = 0;
    for (size_t page = 0; page < pages; page++) warm += cached[page] & 1;
    say("sum", read_each(memory, pages));
    say_range(memory, pages);
    say("cached", warm);
    say("pages", pages);
}
