/* deep N...: for each N writes one fresh page while rbp leads to a chain of N frames, laid out by hand on the stack:
 * links upward, the last one 0, and return addresses that lie in the program's text. */
#include "workload.h"

#define MOST 256

__attribute__((noinline)) void caller(void) { __asm__ volatile("nop\n\tnop\n\tnop\n\tnop"); }

int main(int argc, char **argv)
{
    static uint64_t chain[MOST][2];
    uint64_t frames[MOST][2];
    bytes memory = fresh(argc);
    for (int arg = 1; arg < argc; arg++) {
        long depth = number(argc, argv, arg, 1);
        if (depth < 1 || depth > MOST) fail("depth");
        for (long at = 0; at < depth; at++) {
            chain[at][0] = at + 1 < depth ? (uint64_t)frames[at + 1] : 0;
            chain[at][1] = (uint64_t)caller + 3;
        }
        memcpy(frames, chain, sizeof frames);
        __asm__ volatile("push %%rbp\n\t"
                         "mov %0, %%rbp\n\t"
                         "movb $1, (%1)\n\t"
                         "pop %%rbp"
                         : : "r"(frames), "r"(memory + arg * PAGE) : "memory");
    }
    say_range(memory, argc);
    say("touched", argc - 1);
}
