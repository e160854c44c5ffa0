/* mprotect_flips N: N calls of mprotect on one touched page, read-only and writable in turn. No fault. */
#include "workload.h"

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 100);
    bytes memory = fresh(1);
    write_each(memory, 1);
    for (long call = 0; call < calls; call++) {
        int prot = call % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE;
        if (mprotect((void *)memory, PAGE, prot) != 0) fail("mprotect");
    }
    say_range(memory, 1);
    say("mprotect", calls);
}
