/* uffd N HOW: N faults that a thread of the program itself resolves through userfaultfd.
 *   missing  the pages are not there yet; the thread copies one in
 *   closed   as missing, but the descriptor is closed before the first touch: nothing is registered any more, the
 *            pages come as usual
 *   wp       the pages are write-protected by userfaultfd; the thread lifts it. No mprotect anywhere */
#include "workload.h"
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <sys/ioctl.h>

static int channel;
static int protect_mode;
static long resolved;

static void *resolve(void *page)
{
    struct uffd_msg message;
    while (read(channel, &message, sizeof message) == (ssize_t)sizeof message) {
        if (message.event != UFFD_EVENT_PAGEFAULT) break;
        /* Before the ioctl: it lets the other thread go on, to the end of the program after the last page. */
        resolved++;
        uint64_t address = message.arg.pagefault.address & ~(uint64_t)(PAGE - 1);
        if (protect_mode) {
            struct uffdio_writeprotect lift = {.range = {.start = address, .len = PAGE}, .mode = 0};
            if (ioctl(channel, UFFDIO_WRITEPROTECT, &lift) != 0) fail("UFFDIO_WRITEPROTECT");
        } else {
            struct uffdio_copy copy = {.dst = address, .src = (uintptr_t)page, .len = PAGE};
            if (ioctl(channel, UFFDIO_COPY, &copy) != 0) fail("UFFDIO_COPY");
        }
    }
    return NULL;
}

int main(int argc, char **argv)
{
    size_t pages = number(argc, argv, 1, 50);
    protect_mode = argc > 2 && strcmp(argv[2], "wp") == 0;
    bytes memory = fresh(pages), page = fresh(1);
    write_each(page, 1);
    channel = syscall(SYS_userfaultfd, O_CLOEXEC);
    if (channel < 0) fail("userfaultfd");
    struct uffdio_api api = {.api = UFFD_API, .features = protect_mode ? UFFD_FEATURE_PAGEFAULT_FLAG_WP : 0};
    if (ioctl(channel, UFFDIO_API, &api) != 0) fail("UFFDIO_API");
    struct uffdio_register what = {
        .range = {.start = (uintptr_t)memory, .len = pages * PAGE},
        .mode = protect_mode ? UFFDIO_REGISTER_MODE_WP : UFFDIO_REGISTER_MODE_MISSING,
    };
    if (protect_mode) write_each(memory, pages);
    if (ioctl(channel, UFFDIO_REGISTER, &what) != 0) fail("UFFDIO_REGISTER");
    if (protect_mode) {
        struct uffdio_writeprotect set = {.range = what.range, .mode = UFFDIO_WRITEPROTECT_MODE_WP};
        if (ioctl(channel, UFFDIO_WRITEPROTECT, &set) != 0) fail("UFFDIO_WRITEPROTECT");
    }
    if (argc > 2 && strcmp(argv[2], "closed") == 0) {
        close(channel);
        write_each(memory, pages);
        say_range(memory, pages);
        return 0;
    }
    pthread_t thread;
    if (pthread_create(&thread, NULL, resolve, (void *)page) != 0) fail("pthread_create");
    write_each(memory, pages);
    say_range(memory, pages);
    say("userfaultfd", resolved);
    say("first_touch", protect_mode ? pages : 0);
    fflush(stdout);
    _exit(resolved == (long)pages ? 0 : 94);
}
