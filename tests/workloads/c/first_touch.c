/* first_touch N: writes N fresh anonymous pages, one write a page: N first touches. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    bytes memory = fresh(pages);
    write_each(memory, pages);
    say_range(memory, pages);
    say("first_touch", pages);
}
