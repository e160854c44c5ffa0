/* fault_storm N: N first touches as fast as one thread makes them, 64 MiB at a time, and the time each took. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t total = number(argc, argv, 1, 3000000), chunk = 16384;
    bytes memory = fresh(chunk);
    /* The machine under us may have to find the memory first; that is not what is measured. */
    write_each(memory, chunk);
    long spent = 0;
    for (size_t left = total; left > 0;) {
        size_t pages = left < chunk ? left : chunk;
        if (madvise((void *)memory, chunk * PAGE, MADV_DONTNEED) != 0) fail("madvise");
        long start = now_ns();
        write_each(memory, pages);
        spent += now_ns() - start;
        left -= pages;
    }
    say_range(memory, chunk);
    say("first_touch", total + chunk);
    say("storm", total);
    say("storm_ns", spent);
}
