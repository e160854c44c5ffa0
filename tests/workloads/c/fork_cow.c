/* fork_cow N: touches N pages, forks, and the child writes them: N copies of anonymous pages in the child. */
#include "workload.h"

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 100);
    bytes memory = fresh(pages);
    write_each(memory, pages);
    say_range(memory, pages);
    fflush(stdout);
    pid_t child = fork();
    if (child < 0) fail("fork");
    if (child == 0) {
        write_each(memory, pages);
        _exit(0);
    }
    int status;
    if (waitpid(child, &status, 0) != child || status != 0) fail("waitpid");
    say("parent", getpid());
    say("child", child);
    say("first_touch", pages);
    say("anon_cow", pages);
}
