/* splitting N: N threads split and join mappings without end, so that whoever reads /proc/PID/maps meanwhile finds some
 * of them twice. Says `ready`; ends with stdin. */
#include "workload.h"
#include <pthread.h>
#include <sys/mman.h>

enum { PAGES = 64 };

static void *split(void *unused)
{
    (void)unused;
    char *memory = mmap(NULL, PAGES * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED) fail("mmap");
    for (;;) {
        for (size_t page = 0; page < PAGES; page += 2)
            if (mprotect(memory + page * PAGE, PAGE, PROT_READ) != 0) fail("mprotect");
        if (mprotect(memory, PAGES * PAGE, PROT_NONE) != 0) fail("mprotect");
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t threads = number(argc, argv, 1, 2);
    pthread_t thread;
    while (threads-- > 0)
        if (pthread_create(&thread, NULL, split, NULL) != 0) fail("pthread_create");
    say_ready();
    char byte;
    while (read(0, &byte, 1) > 0) {
    }
}
