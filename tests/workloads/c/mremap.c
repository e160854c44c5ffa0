/* mremap N: touches 4 pages, moves them N times between two places, writes them again at the last: 4 faults
 * in the first place, none later, N mremaps. */
#include "workload.h"

int main(int argc, char **argv)
{
    long moves = number(argc, argv, 1, 10);
    bytes place[2] = {fresh(4), fresh(4)};
    write_each(place[0], 4);
    for (long move = 0; move < moves; move++) {
        void *to = mremap((void *)place[move % 2], 4 * PAGE, 4 * PAGE, MREMAP_MAYMOVE | MREMAP_FIXED,
                          (void *)place[(move + 1) % 2]);
        if (to == MAP_FAILED) fail("mremap");
    }
    write_each(place[moves % 2], 4);
    say_range(place[0], 4);
    printf("other_start=%p\nother_end=%p\n", (void *)place[1], (void *)(place[1] + 4 * PAGE));
    say("mremap", moves);
}
