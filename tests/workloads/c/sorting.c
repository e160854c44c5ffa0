/* sorting N [qsort|own|quiet]: hot() sorts N numbers. The comparison makes a page read-only and writable again each
 * time it is called. With `qsort` the C library calls it: built without frame pointers, as most are, it hides hot()
 * from a walk along them. With `own` a function of this program does. `quiet` sorts with `own` and protects
 * nothing. */
#include "workload.h"

static bytes memory;
static int loud;
static long compared;

__attribute__((noinline)) static void protect(int prot)
{
    if (mprotect((void *)memory, PAGE, prot) != 0) fail("mprotect");
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) int compare(const void *one, const void *other)
{
    compared++;
    if (loud) {
        protect(PROT_READ);
        protect(PROT_READ | PROT_WRITE);
    }
    return *(const int *)one - *(const int *)other;
}

__attribute__((noinline)) static void own_sort(int *numbers, size_t count, int (*order)(const void *, const void *))
{
    for (size_t end = count; end > 1; end--) {
        for (size_t at = 1; at < end; at++) {
            if (order(&numbers[at - 1], &numbers[at]) <= 0) continue;
            int number = numbers[at];
            numbers[at] = numbers[at - 1];
            numbers[at - 1] = number;
        }
    }
    __asm__ volatile("" ::: "memory");
}

__attribute__((noinline)) void hot(int *numbers, size_t count, int library)
{
    if (library) qsort(numbers, count, sizeof *numbers, compare);
    else own_sort(numbers, count, compare);
    __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
    size_t count = (size_t)number(argc, argv, 1, 16);
    const char *how = argc > 2 ? argv[2] : "qsort";
    int numbers[64];
    if (count > 64) count = 64;
    for (size_t at = 0; at < count; at++) numbers[at] = (int)(at * 37 % 64);
    memory = fresh(1);
    memory[0] = 1;
    loud = strcmp(how, "quiet") != 0;
    hot(numbers, count, strcmp(how, "qsort") == 0);
    say("compared", compared);
    say("mprotect", loud ? 2 * compared : 0);
}
