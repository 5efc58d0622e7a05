/* A disk that fails, to be put before a program by LD_PRELOAD.

   The file FAULT_FILE says which system calls fail on files below FAULT_FOLDER, for as
   long as it exists, in one line: CALLS NUMBER AFTER TIMES.

   CALLS: letters, o: open to write, w: write, t: truncate, s: fsync, v: statvfs,
   f: statvfs answers that NUMBER bytes are free.
   NUMBER: the errno they fail with; 0: they hang while FAULT_FILE exists.
   AFTER: so many of these calls are let pass first. TIMES: so many fail; -1: all.

   The first failure makes the file FAULT_FILE.hit. With FAULT_QUICK set an fsync that
   does not fail does nothing. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) \
    static __typeof__(&name) real; \
    if (!real) \
        real = (__typeof__(&name))dlsym(RTLD_NEXT, #name)

struct fault {
    char calls[16];
    long number, after, times;
};

static char last[128];
static long seen;

/* By system calls: open and write are ours here. */
static int told(struct fault *fault)
{
    char text[128] = "";
    const char *gate = getenv("FAULT_FILE");
    int file = gate ? (int)syscall(SYS_openat, AT_FDCWD, gate, O_RDONLY | O_CLOEXEC) : -1;
    if (file < 0)
        return 0;
    long length = syscall(SYS_read, file, text, sizeof text - 1);
    syscall(SYS_close, file);
    if (length <= 0 || sscanf(text, "%15s %ld %ld %ld", fault->calls, &fault->number,
                              &fault->after, &fault->times) != 4)
        return 0;
    if (strcmp(text, last)) {
        strcpy(last, text);
        seen = 0;
    }
    return 1;
}

static void mark(void)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.hit", getenv("FAULT_FILE"));
    syscall(SYS_close, (int)syscall(SYS_openat, AT_FDCWD, path, O_WRONLY | O_CREAT, 0600));
}

static int fails(char call)
{
    struct fault fault;
    if (!told(&fault) || !strchr(fault.calls, call))
        return 0;
    long number = __atomic_fetch_add(&seen, 1, __ATOMIC_RELAXED);
    if (number < fault.after)
        return 0;
    if (fault.times >= 0 && number >= fault.after + fault.times)
        return 0;
    mark();
    while (fault.number == 0 && access(getenv("FAULT_FILE"), F_OK) == 0)
        nanosleep(&(struct timespec){0, 10000000}, NULL);
    errno = (int)fault.number;
    return fault.number != 0;
}

static int is_below(const char *path)
{
    const char *folder = getenv("FAULT_FOLDER");
    return folder && path && strncmp(path, folder, strlen(folder)) == 0;
}

/* Only HDF5 files: what else is written beside them may fail unnoticed. */
static int is_file(const char *path)
{
    size_t length = strlen(path);
    return is_below(path) && length > 3 && strcmp(path + length - 3, ".h5") == 0;
}

static int is_open_file(int descriptor)
{
    char link[64], path[PATH_MAX];
    snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
    ssize_t length = readlink(link, path, sizeof path - 1);
    path[length > 0 ? length : 0] = 0;
    return is_file(path);
}

#define OPEN(name) \
    int name(const char *path, int flags, ...) \
    { \
        REAL(name); \
        va_list more; \
        va_start(more, flags); \
        mode_t mode = flags & O_CREAT ? va_arg(more, mode_t) : 0; \
        va_end(more); \
        int writes = flags & (O_WRONLY | O_RDWR | O_CREAT); \
        return writes && is_file(path) && fails('o') ? -1 : real(path, flags, mode); \
    }

OPEN(open)
OPEN(open64)

#define WRITE(name, offset_t) \
    ssize_t name(int descriptor, const void *bytes, size_t size, offset_t at) \
    { \
        REAL(name); \
        if (is_open_file(descriptor) && fails('w')) \
            return -1; \
        return real(descriptor, bytes, size, at); \
    }

WRITE(pwrite, off_t)
WRITE(pwrite64, off64_t)

ssize_t write(int descriptor, const void *bytes, size_t size)
{
    REAL(write);
    return is_open_file(descriptor) && fails('w') ? -1 : real(descriptor, bytes, size);
}

#define TRUNCATE(name, offset_t) \
    int name(int descriptor, offset_t size) \
    { \
        REAL(name); \
        return is_open_file(descriptor) && fails('t') ? -1 : real(descriptor, size); \
    }

TRUNCATE(ftruncate, off_t)
TRUNCATE(ftruncate64, off64_t)

int fsync(int descriptor)
{
    REAL(fsync);
    if (is_open_file(descriptor) && fails('s'))
        return -1;
    return getenv("FAULT_QUICK") ? 0 : real(descriptor);
}

#define STATVFS(name, type) \
    int name(const char *path, struct type *found) \
    { \
        REAL(name); \
        struct fault fault; \
        if (is_below(path) && fails('v')) \
            return -1; \
        int result = real(path, found); \
        if (result == 0 && is_below(path) && told(&fault) && strchr(fault.calls, 'f')) { \
            found->f_frsize = 1; \
            found->f_bavail = fault.number; \
        } \
        return result; \
    }

STATVFS(statvfs, statvfs)
STATVFS(statvfs64, statvfs64)
