/* library N: build() fills N nodes that it takes from malloc, whose pages fault in the C library, and says so with printf,
 * whose frames are large; then clean() walks the nodes, and faults nowhere. */
#include "workload.h"

struct node {
    struct node *next;
    long value[510];
};

__attribute__((noinline)) struct node *build(long count)
{
    struct node *first = NULL;
    for (long at = 0; at < count; at++) {
        struct node *node = calloc(1, sizeof *node);
        if (node == NULL) fail("calloc");
        node->next = first;
        node->value[0] = at;
        first = node;
    }
    printf("nodes=%ld\n", count);
    fflush(stdout);
    return first;
}

__attribute__((noinline)) long clean(const struct node *node)
{
    long sum = 0;
    for (; node != NULL; node = node->next) sum += node->value[0];
    return sum;
}

int main(int argc, char **argv)
{
    long count = number(argc, argv, 1, 1000);
    struct node *first = build(count);
    say("sum", clean(first));
    return 0;
}
