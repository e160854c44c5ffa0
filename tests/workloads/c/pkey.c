/* pkey N: N calls of pkey_mprotect with key -1, which any processor accepts and which does what mprotect does. */
#include "workload.h"

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 10);
    bytes memory = fresh(1);
    write_each(memory, 1);
    for (long call = 0; call < calls; call++) {
        int prot = call % 2 == 0 ? PROT_READ : PROT_READ | PROT_WRITE;
        if (syscall(SYS_pkey_mprotect, memory, PAGE, prot, -1) != 0) fail("pkey_mprotect");
    }
    say_range(memory, 1);
    say("pkey_mprotect", calls);
}
