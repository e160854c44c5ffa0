/* efault N: N reads of /dev/zero into a page that is read-only: the kernel's write is refused, the call gets
 * EFAULT, and there is no signal. */
#include "workload.h"
#include <fcntl.h>

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 10);
    bytes memory = fresh(1);
    write_each(memory, 1);
    if (mprotect((void *)memory, PAGE, PROT_READ) != 0) fail("mprotect");
    int zero = open("/dev/zero", O_RDONLY);
    if (zero < 0) fail("/dev/zero");
    for (long n = 0; n < count; n++)
        if (read(zero, (void *)memory, 1) != -1 || errno != EFAULT) fail("expected EFAULT");
    say_range(memory, 1);
    say("protection", count);
}
