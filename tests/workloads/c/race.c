/* race T N: T threads write the same N fresh pages, meeting at each: at least N faults, and
 * more for every page that two threads meet at. Says how many faults the threads had. */
#include "workload.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/resource.h>

static size_t pages;
static bytes memory;
static pthread_barrier_t gate;

static atomic_int *arrived;
static int threads;

static long faults(void)
{
    struct rusage use;
    if (getrusage(RUSAGE_THREAD, &use) != 0) fail("getrusage");
    return use.ru_minflt + use.ru_majflt;
}

static void *touch(void *result)
{
    /* What the calls themselves touch is touched before. */
    faults();
    sched_yield();
    pthread_barrier_wait(&gate);
    long before = faults();
    for (size_t page = 0; page < pages; page++) {
        /* Both at once, as nearly as two processors can. */
        atomic_fetch_add(&arrived[page], 1);
        for (int spin = 0; atomic_load(&arrived[page]) < threads; spin++)
            if (spin > 10000) sched_yield();
        memory[page * PAGE] = 1;
    }
    *(long *)result = faults() - before;
    return NULL;
}

int main(int argc, char **argv)
{
    threads = number(argc, argv, 1, 2);
    pages = number(argc, argv, 2, 1000);
    memory = fresh(pages);
    arrived = calloc(pages, sizeof *arrived);
    for (size_t page = 0; page < pages; page++) atomic_store(&arrived[page], 0);
    pthread_barrier_init(&gate, NULL, threads);
    pthread_t *ids = calloc(threads, sizeof *ids);
    long *counts = calloc(threads, sizeof *counts), sum = 0;
    for (long n = 0; n < threads; n++)
        if (pthread_create(&ids[n], NULL, touch, &counts[n]) != 0) fail("pthread_create");
    for (long n = 0; n < threads; n++) {
        pthread_join(ids[n], NULL);
        sum += counts[n];
    }
    say_range(memory, pages);
    say("pages", pages);
    say("faults", sum);
}
