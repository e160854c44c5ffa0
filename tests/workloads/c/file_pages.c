/* file_pages N HOW: a file of N pages, mapped, every page read, then every page written.
 *   private  N copies of file pages
 *   shared   writes go to the file */
#include "workload.h"

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
    say("sum", read_each(memory, pages));
    write_each(memory, pages);
    say_range(memory, pages);
    say("written", pages);
}
