/* kernel_touch N: one read(2) of /dev/zero into N fresh pages: the kernel faults on N user addresses. */
#include "workload.h"
#include <fcntl.h>

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    bytes memory = fresh(pages);
    int zero = open("/dev/zero", O_RDONLY);
    if (zero < 0) fail("/dev/zero");
    size_t done = 0;
    while (done < pages * PAGE) {
        ssize_t got = read(zero, (char *)memory + done, pages * PAGE - done);
        if (got <= 0) fail("read");
        done += got;
    }
    say_range(memory, pages);
    say("kernel_faults", pages);
}
