// flags: -O2 -fomit-frame-pointer -fno-optimize-sibling-calls
/* mprotect_caller N: calls mprotect N times from guilty(), which has no frame pointer; nor has glibc's
 * mprotect, which does the system call. A tracer that only follows frame pointers never sees guilty(). */
#include "workload.h"

__attribute__((noinline)) int guilty(void *memory, int prot)
{
    int result = mprotect(memory, PAGE, prot);
    __asm__ volatile("" : "+r"(result));
    return result;
}

__attribute__((noinline)) void innocent(bytes memory)
{
    write_each(memory, 1);
}

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 10);
    bytes memory = fresh(1);
    innocent(memory);
    for (long call = 0; call < calls; call++) {
        if (guilty((void *)memory, call % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE) != 0) fail("mprotect");
    }
    say_range(memory, 1);
    say("mprotect", calls);
}
