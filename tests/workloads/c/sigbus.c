/* sigbus N: N reads beyond the end of a mapped file, each a SIGBUS caught by a handler. */
#include "workload.h"

static sigjmp_buf out;
static volatile long seen, code;

static void jump(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    seen++;
    code = info->si_code;
    siglongjmp(out, 1);
}

int main(int argc, char **argv)
{
    volatile long count = number(argc, argv, 1, 10);
    int file = memfd_create("short", 0);
    if (file < 0 || ftruncate(file, PAGE) != 0) fail("memfd_create");
    bytes memory = mmap(NULL, 2 * PAGE, PROT_READ, MAP_SHARED, file, 0);
    if ((void *)memory == MAP_FAILED) fail("mmap");
    on_signal(SIGBUS, jump);
    for (volatile long n = 0; n < count; n++)
        if (sigsetjmp(out, 1) == 0) (void)memory[PAGE];
    if (seen != count) fail("not every access was refused");
    say_range(memory + PAGE, 1);
    say("signals", seen);
    say("code", code);
}
