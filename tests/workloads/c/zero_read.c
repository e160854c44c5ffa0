/* zero_read N: reads N fresh pages, which maps the shared zero page N times; then writes them, which
 * copies it N times. Nothing was ever protected. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    bytes memory = fresh(pages);
    say("sum", read_each(memory, pages));
    write_each(memory, pages);
    say_range(memory, pages);
    say("zero_page_read", pages);
    say("zero_page_cow", pages);
}
