/* end HOW [N]: how a program can end: `exit N`, `segv`, `abort`, `ill`, `trap`, `kill N`. */
#include "workload.h"

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "exit";
    long n = number(argc, argv, 2, 0);
    say("ending", n);
    fflush(stdout);
    if (strcmp(how, "exit") == 0) return n;
    if (strcmp(how, "segv") == 0) *(volatile int *)16 = 1;
    if (strcmp(how, "abort") == 0) abort();
    if (strcmp(how, "ill") == 0) __asm__ volatile("ud2");
    if (strcmp(how, "trap") == 0) __asm__ volatile("int3");
    if (strcmp(how, "kill") == 0) kill(getpid(), n);
    return 95;
}
