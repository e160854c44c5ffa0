/* brk_growth N: moves the break up by a page N times and touches each page. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    uintptr_t start = ((uintptr_t)syscall(SYS_brk, 0) + PAGE - 1) & ~(PAGE - 1);
    for (size_t page = 1; page <= pages; page++) {
        uintptr_t wanted = start + page * PAGE;
        if ((uintptr_t)syscall(SYS_brk, wanted) != wanted) fail("brk");
        ((bytes)wanted)[-1] = 1;
    }
    say_range((bytes)start, pages);
    say("first_touch", pages);
    say("brk", pages);
}
