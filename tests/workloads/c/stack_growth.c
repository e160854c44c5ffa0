/* stack_growth N: writes N untouched pages of the main thread's stack, downwards. The kernel gives a stack
 * at most 128 KiB at the start; below that every write makes the stack grow. Says how many did. */
#include "workload.h"
#include <alloca.h>

static long grown;

/* The lowest address of the stack's mapping now. */
static uintptr_t lowest(void)
{
    FILE *maps = fopen("/proc/self/maps", "r");
    if (maps == NULL) fail("maps");
    char line[512];
    uintptr_t start = 0;
    while (fgets(line, sizeof line, maps) != NULL && strstr(line, "[stack]") == NULL) {
    }
    if (sscanf(line, "%lx-", &start) != 1) fail("no stack");
    fclose(maps);
    return start;
}

__attribute__((noinline)) static uintptr_t descend(size_t pages)
{
    /* No call from here on: a return address would already make the stack grow. */
    uintptr_t before = lowest();
    /* Below everything the program has used so far, with room for what is called later. */
    bytes top = (bytes)(((uintptr_t)alloca(16 * PAGE)) & ~(PAGE - 1));
    bytes low = alloca(pages * PAGE + PAGE);
    low = (bytes)(((uintptr_t)low + PAGE - 1) & ~(PAGE - 1));
    (void)top;
    for (size_t page = 0; page < pages; page++) grown += (uintptr_t)low + page * PAGE < before;
    for (size_t page = pages; page-- > 0;) low[page * PAGE] = 1;
    return (uintptr_t)low;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 200);
    uintptr_t low = descend(pages);
    say_range((bytes)low, pages);
    say("faults", pages);
    say("stack_growth", grown);
}
