/* threads T N: T threads touch N fresh pages each, all at the same time. */
#include "workload.h"
#include <pthread.h>

static long threads;
static size_t pages;
static bytes memory;
static pthread_barrier_t gate;

static void *touch(void *place)
{
    pthread_barrier_wait(&gate);
    write_each(memory + (uintptr_t)place * pages * PAGE, pages);
    return NULL;
}

int main(int argc, char **argv)
{
    threads = number(argc, argv, 1, 4);
    pages = number(argc, argv, 2, 100);
    memory = fresh(threads * pages);
    pthread_barrier_init(&gate, NULL, threads);
    pthread_t *ids = calloc(threads, sizeof *ids);
    for (long n = 0; n < threads; n++)
        if (pthread_create(&ids[n], NULL, touch, (void *)n) != 0) fail("pthread_create");
    for (long n = 0; n < threads; n++) pthread_join(ids[n], NULL);
    say_range(memory, threads * pages);
    say("first_touch", threads * pages);
    say("threads", threads);
}
