/* sampled N: `block`, 64 MiB, is written; then N rounds of arithmetic, which touch no memory, and the time they
 * took: what a timer that reads the block's entries costs a program at work. */
#include "workload.h"

#define PAGES ((size_t)16384)

char block[PAGES * 4096] __attribute__((aligned(4096)));

int main(int argc, char **argv)
{
    long rounds = number(argc, argv, 1, 200000000);
    write_each((bytes)block, PAGES);
    unsigned long state = 1;
    long start = now_ns();
    for (long round = 0; round < rounds; round++) {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        __asm__ volatile("" : "+r"(state));
    }
    say("work_ns", now_ns() - start);
    say_range((bytes)block, PAGES);
}
