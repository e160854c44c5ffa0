// flags: -O2 -fno-omit-frame-pointer -no-pie
/* unmapped N: writes to every page of `block` N times, takes its second page away, and goes on writing to the first
 * for a while. A watch on `block` is then half of nothing. */
#include "workload.h"

__attribute__((aligned(4096))) unsigned char block[2 * 4096];

int main(int argc, char **argv)
{
    long times = number(argc, argv, 1, 10);
    for (long time = 0; time < times; time++) {
        for (size_t page = 0; page < 2; page++) ((bytes)block)[page * PAGE]++;
    }
    if (munmap(block + PAGE, PAGE) != 0) fail("munmap");
    long until = now_ns() + 50000000L;
    while (now_ns() < until) ((bytes)block)[0]++;
    say_range(block, 2);
    say("writes", times);
}
