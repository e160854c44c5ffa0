/* segv N HOW: N refused accesses, each caught by a handler.
 *   accerr  write to a page made read-only by mprotect; the handler makes it writable, the program
 *           read-only again: 2N mprotects
 *   maperr  write where nothing is mapped; the handler jumps out
 *   none    read of a PROT_NONE page; the handler jumps out
 *   nx      call into a page that is not executable; the handler jumps out
 *   overlay write to a page replaced by mmap(MAP_FIXED, PROT_READ): no mprotect at all */
#include "workload.h"

static bytes memory;
static volatile long seen, code, mprotects;
static sigjmp_buf out;

static void lift(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    seen++;
    code = info->si_code;
    if (mprotect((void *)memory, PAGE, PROT_READ | PROT_WRITE) != 0) _exit(98);
}

static void jump(int signal, siginfo_t *info, void *context)
{
    (void)signal, (void)context;
    seen++;
    code = info->si_code;
    siglongjmp(out, 1);
}

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 10);
    const char *how = argc > 2 ? argv[2] : "accerr";
    memory = fresh(1);
    if (strcmp(how, "accerr") == 0) {
        on_signal(SIGSEGV, lift);
        write_each(memory, 1);
        for (long n = 0; n < count; n++) {
            if (mprotect((void *)memory, PAGE, PROT_READ) != 0) fail("mprotect");
            memory[0] = 2;
        }
        mprotects = 2 * count;
    } else {
        on_signal(SIGSEGV, jump);
        if (strcmp(how, "maperr") == 0) {
            if (munmap((void *)memory, PAGE) != 0) fail("munmap");
        } else if (strcmp(how, "none") == 0) {
            if (mprotect((void *)memory, PAGE, PROT_NONE) != 0) fail("mprotect");
            mprotects = 1;
        } else if (strcmp(how, "nx") == 0) {
            write_each(memory, 1);
        } else if (strcmp(how, "overlay") == 0) {
            void *same = mmap((void *)memory, PAGE, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
            if (same == MAP_FAILED) fail("mmap");
        } else {
            errno = EINVAL;
            fail(how);
        }
        for (volatile long n = 0; n < count; n++) {
            if (sigsetjmp(out, 1) != 0) continue;
            if (strcmp(how, "none") == 0) (void)memory[0];
            else if (strcmp(how, "nx") == 0) ((void (*)(void))(uintptr_t)memory)();
            else memory[0] = 2;
        }
    }
    if (seen != count) fail("not every access was refused");
    say_range(memory, 1);
    say("signals", seen);
    say("code", code);
    say("mprotect", mprotects);
}
