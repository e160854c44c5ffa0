/* hot N STATUS [protect]: calls hot() N times on one page and exits with STATUS. With `protect` each call makes
 * the page read-only and writable again: what a rule about hot() must notice, and nobody else. */
#include "workload.h"

__attribute__((noinline)) static void lift(bytes memory)
{
    if (mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void hot(bytes memory, int protect)
{
    memory[0]++;
    if (protect) {
        if (mprotect((void *)memory, PAGE, PROT_READ) != 0) fail("mprotect");
        lift(memory);
    }
    __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 10);
    long status = number(argc, argv, 2, 0);
    bytes memory = fresh(1);
    /* Outside of hot(), and allowed. */
    if (mprotect((void *)memory, PAGE, PROT_READ) != 0) fail("mprotect");
    lift(memory);
    for (long call = 0; call < calls; call++) hot(memory, argc > 3);
    say_range(memory, 1);
    say("mprotect", argc > 3 ? 2 * calls : 0);
    fflush(stdout);
    return (int)status;
}
