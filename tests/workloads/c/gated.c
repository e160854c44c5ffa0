/* gated N: says `ready`, waits for a byte on stdin, touches N fresh pages, says `done`, waits for the
 * end of stdin. For attaching between the two. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    bytes memory = fresh(pages);
    say_range(memory, pages);
    say_ready();
    char byte;
    if (read(0, &byte, 1) != 1) fail("read");
    write_each(memory, pages);
    puts("done");
    fflush(stdout);
    while (read(0, &byte, 1) > 0) {
    }
}
