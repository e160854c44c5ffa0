/* stale_tlb N: N times: a page is made read-only, read, made writable again and written. The kernel does not
 * flush the processor's copy of an entry that only gained rights, so the write may fault on the old copy although
 * the entry allows it: at most N faults for nothing. Says how many faults the writes made. */
#include "workload.h"
#include <sys/resource.h>

static long faults(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_SELF, &use) != 0) fail("getrusage");
    return use.ru_minflt + use.ru_majflt;
}

int main(int argc, char **argv)
{
    long rounds = number(argc, argv, 1, 100), spurious = 0;
    bytes memory = fresh(1);
    write_each(memory, 1);
    faults();
    for (long round = 0; round < rounds; round++) {
        if (mprotect((void *)memory, PAGE, PROT_READ) != 0) fail("mprotect");
        (void)memory[0];
        if (mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE) != 0) fail("mprotect");
        long before = faults();
        memory[0] = round;
        spurious += faults() - before;
    }
    say_range(memory, 1);
    say("rounds", rounds);
    say("spurious", spurious);
    say("mprotect", 2 * rounds);
}
