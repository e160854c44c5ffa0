/* watched N: bump() writes the variable `counter` N times, reads it N times; `block` is written, then made read-only
   for a known number of calls while the program computes. */
#include <sys/mman.h>

#include "workload.h"

volatile long counter;
char block[16 * 4096] __attribute__((aligned(4096)));

__attribute__((noinline)) static void bump(void) { counter = counter + 1; }

/* Computes until this much CPU time has gone, so that a timer finds it at work. */
__attribute__((noinline)) static void work(long milliseconds)
{
    struct timespec start, now;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &start);
    do
        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
    while ((now.tv_sec - start.tv_sec) * 1000 + (now.tv_nsec - start.tv_nsec) / 1000000 < milliseconds);
}

int main(int argc, char **argv)
{
    size_t writes = number(argc, argv, 1, 1000);
    for (size_t i = 0; i < writes; i++) bump();
    memset(block, 1, sizeof block);
    work(100);
    if (mprotect(block, sizeof block, PROT_READ) != 0) fail("mprotect");
    work(100);
    if (mprotect(block, sizeof block, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
    say("writes", (size_t)counter);
    say_range((bytes)block, sizeof block / PAGE);
}
