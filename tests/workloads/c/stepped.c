/* stepped N [touched]: calls stepped() on each of N fresh pages, then closing(). The first instruction of stepped() writes
 * to the page, and is one that the kernel executes out of its place when it is probed. With `touched` all pages were
 * written before: between the two functions the program faults nowhere. */
#include "workload.h"

void stepped(bytes page);
void closing(void);

__asm__(".text\n"
        ".globl stepped\n.type stepped, @function\n"
        "stepped:\n  incb (%rdi)\n  ret\n.size stepped, .-stepped\n"
        ".globl closing\n.type closing, @function\n"
        "closing:\n  nop\n  ret\n.size closing, .-closing\n");

int main(int argc, char **argv)
{
    long pages = number(argc, argv, 1, 1);
    bytes memory = fresh((size_t)pages);
    if (argc > 2) write_each(memory, (size_t)pages);
    for (long page = 0; page < pages; page++) stepped(memory + (size_t)page * PAGE);
    closing();
    say_range(memory, (size_t)pages);
    return 0;
}
