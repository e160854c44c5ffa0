// flags: -O2 -g
/* tail_call N: calls hot() N times, which ends with a jump to protect(), and that with one to mprotect(): neither has a
 * frame when the system call is made. */
#include "workload.h"

__attribute__((noinline)) static int protect(bytes memory, long call)
{
    return mprotect((void *)memory, PAGE, call % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE);
}

__attribute__((noinline)) int hot(bytes memory, long call)
{
    __asm__ volatile("" ::: "memory");
    return protect(memory, call);
}

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 10);
    bytes memory = fresh(1);
    memory[0] = 1;
    for (long call = 0; call < calls; call++)
        if (hot(memory, call) != 0) fail("mprotect");
    say_range(memory, 1);
    say("mprotect", calls);
}
