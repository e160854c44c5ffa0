/* other_ways int80|process_madvise|io_uring: hot() has the kernel do what mprotect or madvise does, by another call.
 * Says `done=1`, or `refused=ERRNO` where this kernel does not let it. */
#include "workload.h"
#include <linux/io_uring.h>
#include <sys/uio.h>

/* mprotect by its number in syscall_32.tbl; the address has to be below 4 GiB. */
static long by_int80(void)
{
    void *low = mmap(NULL, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_32BIT, -1, 0);
    if (low == MAP_FAILED) fail("mmap");
    long result;
    __asm__ volatile("int $0x80"
                     : "=a"(result)
                     : "a"(125), "b"(low), "c"(PAGE), "d"(PROT_READ)
                     : "memory", "r8", "r9", "r10", "r11");
    return result;
}

static long by_process_madvise(bytes memory)
{
    int self = syscall(SYS_pidfd_open, getpid(), 0);
    struct iovec range = {(void *)memory, PAGE};
    return syscall(SYS_process_madvise, self, &range, 1UL, MADV_DONTNEED, 0) < 0 ? -errno : 0;
}

static long by_io_uring(bytes memory)
{
    struct io_uring_params p = {0};
    int ring = syscall(SYS_io_uring_setup, 4, &p);
    if (ring < 0) return -errno;
    size_t length = p.sq_off.array + p.sq_entries * sizeof(unsigned);
    char *queue = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQ_RING);
    struct io_uring_sqe *order =
        mmap(NULL, p.sq_entries * sizeof(*order), PROT_READ | PROT_WRITE, MAP_SHARED, ring, IORING_OFF_SQES);
    if (queue == MAP_FAILED || (void *)order == MAP_FAILED) fail("mmap");
    memset(order, 0, sizeof(*order));
    order->opcode = IORING_OP_MADVISE;
    order->addr = (uintptr_t)memory;
    order->len = PAGE;
    order->fadvise_advice = MADV_DONTNEED;
    *(unsigned *)(queue + p.sq_off.array) = 0;
    ++*(volatile unsigned *)(queue + p.sq_off.tail);
    return syscall(SYS_io_uring_enter, ring, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0) < 0 ? -errno : 0;
}

/* A kernel without 32-bit calls answers `int $0x80` with a signal. */
static void no_int80(int signal)
{
    (void)signal;
    say("refused", ENOSYS);
    fflush(stdout);
    _exit(0);
}

__attribute__((noinline)) long hot(const char *how, bytes memory)
{
    long result = strcmp(how, "int80") == 0             ? by_int80()
                  : strcmp(how, "process_madvise") == 0 ? by_process_madvise(memory)
                                                        : by_io_uring(memory);
    __asm__ volatile("" ::: "memory");
    return result;
}

int main(int argc, char **argv)
{
    bytes memory = fresh(1);
    memory[0] = 7;
    const char *how = argc > 1 ? argv[1] : "int80";
    signal(SIGSEGV, no_int80);
    long result = hot(how, memory);
    if (result < 0) {
        say("refused", -result);
        return 0;
    }
    if (strcmp(how, "int80") != 0 && memory[0] != 0) fail("madvise");
    say("done", 1);
}
