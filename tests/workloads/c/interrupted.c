/* interrupted N: N faults that are never completed. Nobody resolves what userfaultfd(2) catches: each touch waits
 * until a signal ends it, and the program goes on elsewhere. The next fault is at another page, and after the
 * last one the thread ends. */
#include "workload.h"
#include <linux/userfaultfd.h>
#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <sys/ioctl.h>

static volatile long touching;
static pthread_t toucher;
static pid_t toucher_tid;
static sigjmp_buf out;

static void leave(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)info, (void)context;
    siglongjmp(out, 1);
}

/* Once it touches, the thread sleeps only in the kernel's wait for the page. */
static int sleeps(void)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", toucher_tid);
    FILE *file = fopen(path, "r");
    if (file == NULL) fail(path);
    size_t length = fread(text, 1, sizeof text - 1, file);
    fclose(file);
    text[length] = 0;
    char *state = strrchr(text, ')');
    return state != NULL && state[1] == ' ' && state[2] == 'S';
}

static void *interrupt(void *count)
{
    for (long each = 1; each <= (long)count; each++) {
        while (touching != each || !sleeps()) sched_yield();
        if (pthread_kill(toucher, SIGUSR1) != 0) fail("pthread_kill");
        while (touching == each) sched_yield();
    }
    return NULL;
}

/* A function of its own: longjmp leaves its variables alone. */
__attribute__((noinline)) static void touch(bytes page, long number)
{
    if (sigsetjmp(out, 1) == 0) {
        touching = number;
        page[0] = 1;
    }
    touching = 0;
}

int main(int argc, char **argv)
{
    long pages = number(argc, argv, 1, 50);
    bytes memory = fresh(pages);
    int channel = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (channel < 0) fail("userfaultfd");
    struct uffdio_api api = {.api = UFFD_API};
    if (ioctl(channel, UFFDIO_API, &api) != 0) fail("UFFDIO_API");
    struct uffdio_register what = {
        .range = {.start = (uintptr_t)memory, .len = pages * PAGE},
        .mode = UFFDIO_REGISTER_MODE_MISSING,
    };
    if (ioctl(channel, UFFDIO_REGISTER, &what) != 0) fail("UFFDIO_REGISTER");
    on_signal(SIGUSR1, leave);
    toucher = pthread_self();
    toucher_tid = getpid();
    pthread_t other;
    if (pthread_create(&other, NULL, interrupt, (void *)pages) != 0) fail("pthread_create");
    for (long page = 0; page < pages; page++) touch(memory + page * PAGE, page + 1);
    say("interrupted", pages);
    say_range(memory, pages);
    pthread_join(other, NULL);
}
