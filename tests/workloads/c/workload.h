/* What the workloads share: arguments, fresh memory, and saying what was done.
 *
 * Everything a program reports goes to stdout as key=value lines. Addresses are hex. */
#ifndef WORKLOAD_H
#define WORKLOAD_H
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <setjmp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define PAGE ((size_t)4096)

typedef volatile unsigned char *bytes;

static inline void fail(const char *what)
{
    fprintf(stderr, "workload: %s: %s\n", what, strerror(errno));
    exit(99);
}

static inline long number(int argc, char **argv, int place, long otherwise)
{
    return place < argc ? strtol(argv[place], NULL, 10) : otherwise;
}

static inline void say(const char *key, long value) { printf("%s=%ld\n", key, value); }

static inline void say_range(bytes start, size_t pages)
{
    printf("start=%p\nend=%p\n", (void *)start, (void *)(start + pages * PAGE));
}

/* Untouched private anonymous pages, one page apart from their neighbours, never huge: one madvise. */
static inline bytes fresh(size_t pages)
{
    char *all = mmap(NULL, (pages + 2) * PAGE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (all == MAP_FAILED) fail("mmap");
    if (pages == 0) return (bytes)all + PAGE;
    void *inner = mmap(all + PAGE, pages * PAGE, PROT_READ | PROT_WRITE,
                       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1, 0);
    if (inner == MAP_FAILED) fail("mmap");
    if (madvise(inner, pages * PAGE, MADV_NOHUGEPAGE) != 0 && errno != EINVAL) fail("madvise");
    return inner;
}

static inline void write_each(bytes start, size_t pages)
{
    for (size_t page = 0; page < pages; page++) start[page * PAGE] = 1;
}

static inline unsigned read_each(bytes start, size_t pages)
{
    unsigned sum = 0;
    for (size_t page = 0; page < pages; page++) sum += start[page * PAGE];
    return sum;
}

static inline void on_signal(int signal, void (*handler)(int, siginfo_t *, void *))
{
    struct sigaction action = {.sa_sigaction = handler, .sa_flags = SA_SIGINFO | SA_NODEFER};
    if (sigaction(signal, &action, NULL) != 0) fail("sigaction");
}

static inline long now_ns(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000L + time.tv_nsec;
}

/* Tells the harness that everything is set up. */
static inline void say_ready(void)
{
    puts("ready");
    fflush(stdout);
}
#endif
