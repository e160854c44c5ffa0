/* surroundings [ARG...]: who and where the program is: ids, groups, directory, arguments, environment,
 * signal mask, dispositions, open files. */
#include "workload.h"
#include <dirent.h>
#include <grp.h>

extern char **environ;

int main(int argc, char **argv)
{
    printf("uid=%d\neuid=%d\ngid=%d\negid=%d\n", getuid(), geteuid(), getgid(), getegid());
    gid_t groups[256];
    int count = getgroups(256, groups);
    printf("groups=");
    for (int n = 0; n < count; n++) printf("%s%d", n > 0 ? "," : "", groups[n]);
    char folder[4096];
    printf("\ncwd=%s\n", getcwd(folder, sizeof folder) != NULL ? folder : "?");
    for (int n = 0; n < argc; n++) printf("argv.%d=%s\n", n, argv[n]);
    for (char **entry = environ; *entry != NULL; entry++) printf("env.%s\n", *entry);
    sigset_t mask;
    sigprocmask(SIG_BLOCK, NULL, &mask);
    for (int signal = 1; signal < 65; signal++) {
        struct sigaction action;
        if (sigismember(&mask, signal) == 1) printf("blocked=%d\n", signal);
        if (sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN) printf("ignored=%d\n", signal);
    }
    DIR *open = opendir("/proc/self/fd");
    for (struct dirent *entry; open != NULL && (entry = readdir(open)) != NULL;)
        if (entry->d_name[0] != '.' && atoi(entry->d_name) != dirfd(open)) printf("fd=%s\n", entry->d_name);
    printf("parent=%d\npid=%d\npgid=%d\nsid=%d\n", getppid(), getpid(), getpgrp(), getsid(0));
}
