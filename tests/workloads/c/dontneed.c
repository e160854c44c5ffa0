/* dontneed N R: touches N fresh pages, gives them back with MADV_DONTNEED and touches them again, R times:
 * N * (R + 1) first touches and R + 1 madvises (one says MADV_NOHUGEPAGE). */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    long rounds = number(argc, argv, 2, 3);
    bytes memory = fresh(pages);
    write_each(memory, pages);
    for (long round = 0; round < rounds; round++) {
        if (madvise((void *)memory, pages * PAGE, MADV_DONTNEED) != 0) fail("madvise");
        write_each(memory, pages);
    }
    say_range(memory, pages);
    say("first_touch", pages * (rounds + 1));
    say("dontneed", rounds);
}
