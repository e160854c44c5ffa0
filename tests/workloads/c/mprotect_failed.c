/* mprotect_failed N: N calls of mprotect on an unmapped range (ENOMEM) and N on an unaligned one (EINVAL). */
#include "workload.h"

int main(int argc, char **argv)
{
    long calls = number(argc, argv, 1, 10);
    bytes memory = fresh(1);
    if (munmap((void *)memory, PAGE) != 0) fail("munmap");
    for (long call = 0; call < calls; call++) {
        if (mprotect((void *)memory, PAGE, PROT_READ) != -1 || errno != ENOMEM) fail("expected ENOMEM");
        if (mprotect((char *)memory + 1, PAGE, PROT_READ) != -1 || errno != EINVAL) fail("expected EINVAL");
    }
    say_range(memory, 1);
    say("enomem", calls);
    say("einval", calls);
}
