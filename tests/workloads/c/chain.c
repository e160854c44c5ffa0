/* chain D N HOW: touches N fresh pages, then starts itself with D-1 in a child made by fork, vfork or
 * posix_spawn, and waits for it; `exec` replaces itself instead. D+1 program images touch pages. Each
 * writes one line of its own: pid=... start=... end=... */
#include "workload.h"
#include <spawn.h>

extern char **environ;

int main(int argc, char **argv)
{
    long depth = number(argc, argv, 1, 2);
    size_t pages = number(argc, argv, 2, 100);
    const char *how = argc > 3 ? argv[3] : "fork";
    bytes memory = fresh(pages);
    write_each(memory, pages);
    char line[128];
    int length = snprintf(line, sizeof line, "pid=%d start=%p end=%p\n", getpid(), (void *)memory,
                          (void *)(memory + pages * PAGE));
    if (write(1, line, length) != length) fail("write");
    if (depth == 0) return 0;

    char left[32], touched[32];
    snprintf(left, sizeof left, "%ld", depth - 1);
    snprintf(touched, sizeof touched, "%zu", pages);
    char *next[] = {argv[0], left, touched, (char *)how, NULL};
    pid_t child = -1;
    if (strcmp(how, "exec") == 0) {
        execv(argv[0], next);
        fail("execv");
    } else if (strcmp(how, "fork") == 0) {
        child = fork();
        if (child == 0) {
            execv(argv[0], next);
            _exit(97);
        }
    } else if (strcmp(how, "vfork") == 0) {
        child = vfork();
        if (child == 0) {
            execv(argv[0], next);
            _exit(97);
        }
    } else if (strcmp(how, "spawn") == 0) {
        errno = posix_spawn(&child, argv[0], NULL, NULL, next, environ);
        if (errno != 0) child = -1;
    }
    if (child < 0) fail(how);
    int status;
    if (waitpid(child, &status, 0) != child) fail("waitpid");
    return WIFEXITED(status) ? WEXITSTATUS(status) : 96;
}
