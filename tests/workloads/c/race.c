/* race T N: T threads write the same N fresh pages in the same order at the same time: at least N faults, and
 * more for every page that two threads meet at. */
#include "workload.h"
#include <pthread.h>

static size_t pages;
static bytes memory;
static pthread_barrier_t gate;

static void *touch(void *nothing)
{
    pthread_barrier_wait(&gate);
    write_each(memory, pages);
    return nothing;
}

int main(int argc, char **argv)
{
    long threads = number(argc, argv, 1, 2);
    pages = number(argc, argv, 2, 1000);
    memory = fresh(pages);
    pthread_barrier_init(&gate, NULL, threads);
    pthread_t *ids = calloc(threads, sizeof *ids);
    for (long n = 0; n < threads; n++)
        if (pthread_create(&ids[n], NULL, touch, NULL) != 0) fail("pthread_create");
    for (long n = 0; n < threads; n++) pthread_join(ids[n], NULL);
    say_range(memory, pages);
    say("pages", pages);
}
