/* copy: stdin to stdout, and the number of bytes to stderr. */
#include "workload.h"

int main(void)
{
    static char buffer[65536];
    long total = 0;
    ssize_t got;
    while ((got = read(0, buffer, sizeof buffer)) > 0) {
        for (ssize_t done = 0; done < got;) {
            ssize_t wrote = write(1, buffer + done, got - done);
            if (wrote <= 0) fail("write");
            done += wrote;
        }
        total += got;
    }
    fprintf(stderr, "bytes=%ld\n", total);
}
