/* stack_growth N: writes N untouched pages of the main thread's stack, downwards. The kernel gives a stack
 * at most 128 KiB at the start; below that every write makes the stack grow. */
#include "workload.h"
#include <alloca.h>

__attribute__((noinline)) static uintptr_t descend(size_t pages)
{
    /* Below everything the program has used so far, with room for what is called later. */
    bytes top = (bytes)(((uintptr_t)alloca(16 * PAGE)) & ~(PAGE - 1));
    bytes low = alloca(pages * PAGE + PAGE);
    low = (bytes)(((uintptr_t)low + PAGE - 1) & ~(PAGE - 1));
    (void)top;
    for (size_t page = pages; page-- > 0;) low[page * PAGE] = 1;
    return (uintptr_t)low;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 200);
    uintptr_t low = descend(pages);
    say_range((bytes)low, pages);
    say("faults", pages);
}
