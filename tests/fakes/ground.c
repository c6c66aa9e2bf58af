/* A file system that refuses: flock(2), fcntl(2) locks and shared memory below GROUND end with the numbers that are set. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static int refused(const char *what, int fd) {
    const char *number = getenv(what), *ground = getenv("GROUND");
    char link[64], path[4096];
    if (!number || !ground || fd < 0) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    if (strncmp(path, ground, strlen(ground))) return 0;
    errno = atoi(number);
    return 1;
}

int flock(int fd, int operation) {
    int (*real)(int, int) = dlsym(RTLD_NEXT, "flock");
    return refused("GROUND_FLOCK", fd) ? -1 : real(fd, operation);
}

#define LOCKS(name)                                                                                    \
    int name(int fd, int command, ...) {                                                               \
        va_list rest;                                                                                  \
        va_start(rest, command);                                                                       \
        void *argument = va_arg(rest, void *);                                                         \
        va_end(rest);                                                                                  \
        int (*real)(int, int, ...) = dlsym(RTLD_NEXT, #name);                                          \
        int locks = command == F_SETLK || command == F_SETLKW || command == F_GETLK;                   \
        return locks && refused("GROUND_LOCKS", fd) ? -1 : real(fd, command, argument);                \
    }
LOCKS(fcntl)
LOCKS(fcntl64)

#define SHARES(name, offset)                                                                           \
    void *name(void *at, size_t length, int allowed, int flags, int fd, offset start) {                \
        void *(*real)(void *, size_t, int, int, int, offset) = dlsym(RTLD_NEXT, #name);                \
        int shares = (flags & MAP_SHARED) && (allowed & PROT_WRITE);                                   \
        return shares && refused("GROUND_MEMORY", fd) ? MAP_FAILED : real(at, length, allowed, flags, fd, start); \
    }
SHARES(mmap, off_t)
SHARES(mmap64, off64_t)
