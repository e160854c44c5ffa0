/* stale_tlb N R: R times: N pages are made read-only by a fork, read on one processor, then written on another,
 * which gives their entries the right to write back. The kernel tells no other processor of a right gained, so
 * the first one still has its old copies and faults on its own writes for nothing: at most N times a round. Says
 * how often it did. Needs two processors. */
#include "workload.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

static size_t pages;
static long rounds;
static bytes memory;
static atomic_long stage;
static cpu_set_t allowed;

static long faults(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_THREAD, &use) != 0) fail("getrusage");
    return use.ru_minflt + use.ru_majflt;
}

/* The nth processor this program may run on. */
static void run_on(int wanted)
{
    cpu_set_t one;
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (!CPU_ISSET(cpu, &allowed) || wanted-- > 0) continue;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (sched_setaffinity(0, sizeof one, &one) != 0) fail("sched_setaffinity");
        return;
    }
    errno = ENODEV;
    fail("a second processor");
}

static void wait_for(long wanted)
{
    for (long spin = 0; atomic_load(&stage) < wanted; spin++)
        if (spin > 1000000) sched_yield();
}

static void *other(void *copies)
{
    run_on(1);
    faults();
    for (long round = 0; round < rounds; round++) {
        wait_for(2 * round + 1);
        long before = faults();
        write_each(memory, pages);
        *(long *)copies += faults() - before;
        atomic_fetch_add(&stage, 1);
    }
    return NULL;
}

int main(int argc, char **argv)
{
    pages = number(argc, argv, 1, 16);
    rounds = number(argc, argv, 2, 10);
    memory = fresh(pages);
    write_each(memory, pages);
    long copies = 0, spurious = 0;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) fail("sched_getaffinity");
    pthread_t thread;
    if (pthread_create(&thread, NULL, other, &copies) != 0) fail("pthread_create");
    faults();
    sched_yield();
    run_on(0);
    for (long round = 0; round < rounds; round++) {
        pid_t child = fork();
        if (child == 0) _exit(0);
        if (child < 0 || waitpid(child, NULL, 0) != child) fail("fork");
        (void)read_each(memory, pages);
        atomic_fetch_add(&stage, 1);
        wait_for(2 * round + 2);
        long before = faults();
        write_each(memory, pages);
        spurious += faults() - before;
    }
    pthread_join(thread, NULL);
    say_range(memory, pages);
    say("first_touch", pages);
    say("anon_cow", copies);
    say("spurious", spurious);
}
