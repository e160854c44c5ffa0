/* hugetlb N: N huge pages of the pool: half are written at once, half read first and then written. N first
 * touches, and a copy for each page that was read: the pool has no zero page. */
#include "workload.h"

#define BLOCK (512 * PAGE)

int main(int argc, char **argv)
{
    size_t blocks = number(argc, argv, 1, 4), half = blocks / 2;
    bytes memory = mmap(NULL, blocks * BLOCK, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
    if ((void *)memory == MAP_FAILED) fail("mmap");
    unsigned sum = 0;
    for (size_t block = 0; block < half; block++) memory[block * BLOCK] = 1;
    for (size_t block = half; block < blocks; block++) sum += memory[block * BLOCK];
    for (size_t block = half; block < blocks; block++) memory[block * BLOCK] = 1;
    /* Every small page of them is there now. */
    write_each(memory, blocks * 512);
    say_range(memory, blocks * 512);
    say("sum", sum);
    say("first_touch", blocks);
    say("anon_cow", blocks - half);
}
