/* wait_signal HOW: says its pid and `ready`, then waits for a signal.
 *   default  is ended by it
 *   handle   catches SIGINT and SIGTERM, says which, exits 7
 *   finish   the same, after touching 100 fresh pages first */
#include "workload.h"

static volatile sig_atomic_t caught;

static void note(int signal, siginfo_t *info, void *context)
{
    (void)info, (void)context;
    caught = signal;
}

int main(int argc, char **argv)
{
    const char *how = argc > 1 ? argv[1] : "default";
    sigset_t set, old;
    sigemptyset(&set);
    if (strcmp(how, "default") != 0) {
        sigaddset(&set, SIGINT);
        sigaddset(&set, SIGTERM);
        on_signal(SIGINT, note);
        on_signal(SIGTERM, note);
    }
    sigprocmask(SIG_BLOCK, &set, &old);
    say("pid", getpid());
    say_ready();
    while (caught == 0) sigsuspend(&old);
    if (strcmp(how, "finish") == 0) {
        bytes memory = fresh(100);
        write_each(memory, 100);
        say_range(memory, 100);
    }
    say("signal", caught);
    return 7;
}
