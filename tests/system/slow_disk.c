/* A disk that is slow, to be put before a program by LD_PRELOAD.

   Writes to files below SLOW_FOLDER take so long as SLOW_BYTES_PER_S says, for as long
   as the file SLOW_WHILE exists. Whoever writes waits in the call, as with a disk. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <time.h>
#include <unistd.h>

#define SLICE_S 0.01

static int is_below(int descriptor, const char *folder)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return strncmp(path, folder, strlen(folder)) == 0;
}

static void be_slow(int descriptor, size_t size_bytes)
{
    const char *folder = getenv("SLOW_FOLDER"), *gate = getenv("SLOW_WHILE");
    const char *rate = getenv("SLOW_BYTES_PER_S");
    if (!folder || !gate || !rate || !is_below(descriptor, folder))
        return;
    double left_s = size_bytes / atof(rate);
    while (left_s > 0 && access(gate, F_OK) == 0) {
        double slice_s = left_s < SLICE_S ? left_s : SLICE_S;
        struct timespec slice = {0, (long)(1e9 * slice_s)};
        nanosleep(&slice, NULL);
        left_s -= SLICE_S;
    }
}

#define SLOW(name, offset_t)                                                     \
    ssize_t name(int descriptor, const void *bytes, size_t size, offset_t at)    \
    {                                                                            \
        static ssize_t (*real)(int, const void *, size_t, offset_t);             \
        if (!real)                                                               \
            real = (__typeof__(real))dlsym(RTLD_NEXT, #name);                    \
        be_slow(descriptor, size);                                               \
        return real(descriptor, bytes, size, at);                                \
    }

SLOW(pwrite, off_t)
SLOW(pwrite64, off64_t)

ssize_t write(int descriptor, const void *bytes, size_t size)
{
    static ssize_t (*real)(int, const void *, size_t);
    if (!real)
        real = (__typeof__(real))dlsym(RTLD_NEXT, "write");
    be_slow(descriptor, size);
    return real(descriptor, bytes, size);
}
