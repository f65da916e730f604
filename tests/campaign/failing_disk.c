/* A library for LD_PRELOAD that lets a disk fail: operations below one folder return an error, from the n-th on, or the
   process is killed before its n-th.

   FAILING_FOLDER is the folder, FAILING_CONTROL a file of five 64-bit numbers that all processes share, and that the
   driver changes while they run: the kind of the fault (0 none), the operation at which it begins, how many operations
   it lasts (0: for ever), the operations so far, and those that failed. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { NONE, FULL, BROKEN, READ_ONLY, FORBIDDEN, UNREADABLE, KILLED };
enum { GROW, CREATE, NAME, FLUSH, CHANGE, READ, OLD };

struct control { volatile int64_t kind, at, lasts, count, failed; };

static struct control *control;
static char folder[PATH_MAX];
static size_t length;

__attribute__((constructor)) static void begin(void) {
    const char *name = getenv("FAILING_FOLDER"), *file = getenv("FAILING_CONTROL");
    if (!name || !file) return;
    int fd = (int)syscall(SYS_openat, AT_FDCWD, file, O_RDWR | O_CLOEXEC, 0);
    if (fd < 0) return;
    void *map = mmap(NULL, sizeof(struct control), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    syscall(SYS_close, fd);
    if (map == MAP_FAILED) return;
    strncpy(folder, name, sizeof folder - 1);
    length = strlen(folder);
    control = map;
}

static int is_inside(const char *path) { return !strncmp(path, folder, length) && (path[length] == '/' || !path[length]); }

static int path_of(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = syscall(SYS_readlinkat, AT_FDCWD, link, path, PATH_MAX - 1);
    if (size <= 0) return 0;
    path[size] = 0;
    return 1;
}

static int inside_fd(int fd) {
    char path[PATH_MAX];
    return control && control->kind && fd >= 0 && path_of(fd, path) && is_inside(path);
}

static int inside(int dir, const char *path) {
    if (!control || !control->kind || !path) return 0;
    if (path[0] == '/') return is_inside(path);
    char whole[2 * PATH_MAX];
    if (dir == AT_FDCWD ? syscall(SYS_getcwd, whole, PATH_MAX) <= 0 : !path_of(dir, whole)) return 0;
    size_t used = strlen(whole);
    snprintf(whole + used, sizeof whole - used, "/%s", path);
    return is_inside(whole);
}

/* The error of an operation, or 0. `first` is set if the fault begins with it. */
static int error_of(int operation, int *first) {
    int error = 0;
    switch (control->kind) {
    case FULL: error = operation == GROW || operation == CREATE ? ENOSPC : 0; break;
    case KILLED:
    case BROKEN: error = operation == GROW || operation == OLD || operation == CREATE || operation == FLUSH || operation == CHANGE ? EIO : 0; break;
    case READ_ONLY: error = operation == FLUSH || operation == READ ? 0 : EROFS; break;
    case FORBIDDEN: error = operation == CREATE || operation == NAME || operation == CHANGE ? EACCES : 0; break;
    case UNREADABLE: error = operation == READ ? EIO : 0; break;
    }
    if (!error) return 0;
    int64_t number = __sync_add_and_fetch(&control->count, 1);
    if (first) *first = number == control->at;
    if (number < control->at || (control->lasts && number >= control->at + control->lasts)) return 0;
    __sync_add_and_fetch(&control->failed, 1);
    if (control->kind == KILLED) kill(getpid(), SIGKILL);
    return error;
}

#define REAL(name) static __typeof__(name) *real; if (!real) real = (__typeof__(name) *)dlsym(RTLD_NEXT, #name)
#define FAIL_IF(condition, operation) \
    if (condition) { int error = error_of(operation, NULL); if (error) { errno = error; return -1; } }

static int growth(int fd, off_t end) {
    struct stat status;
    return fstat(fd, &status) || end > status.st_size ? GROW : OLD;
}

static off_t place(int fd) {
    int flags = (int)syscall(SYS_fcntl, fd, F_GETFL);
    if (flags & O_APPEND) return (off_t)1 << 40;
    off_t at = lseek(fd, 0, SEEK_CUR);
    return at < 0 ? (off_t)1 << 40 : at;
}

/* Of the write at which a fault begins half is written, as on a disk that gets full. */
#define WRITE(size, at, half) \
    if (inside_fd(fd)) { \
        int first = 0, error = error_of(growth(fd, (at) + (off_t)(size)), &first); \
        if (error) { if (first && (size) > 1 && error != EROFS) return half; errno = error; return -1; } \
    }

ssize_t write(int fd, const void *data, size_t size) {
    REAL(write);
    WRITE(size, place(fd), real(fd, data, size / 2));
    return real(fd, data, size);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t at) {
    REAL(pwrite);
    WRITE(size, at, real(fd, data, size / 2, at));
    return real(fd, data, size, at);
}

ssize_t pwrite64(int fd, const void *data, size_t size, off64_t at) { return pwrite(fd, data, size, at); }

ssize_t writev(int fd, const struct iovec *parts, int count) {
    REAL(writev);
    FAIL_IF(inside_fd(fd), GROW);
    return real(fd, parts, count);
}

ssize_t read(int fd, void *data, size_t size) {
    REAL(read);
    FAIL_IF(control && control->kind == UNREADABLE && inside_fd(fd), READ);
    return real(fd, data, size);
}

ssize_t pread(int fd, void *data, size_t size, off_t at) {
    REAL(pread);
    FAIL_IF(control && control->kind == UNREADABLE && inside_fd(fd), READ);
    return real(fd, data, size, at);
}

ssize_t pread64(int fd, void *data, size_t size, off64_t at) { return pread(fd, data, size, at); }

ssize_t copy_file_range(int from, off64_t *a, int to, off64_t *b, size_t size, unsigned flags) {
    REAL(copy_file_range);
    FAIL_IF(inside_fd(to), GROW);
    return real(from, a, to, b, size, flags);
}

ssize_t sendfile(int to, int from, off_t *at, size_t size) {
    static ssize_t (*real)(int, int, off_t *, size_t);
    if (!real) real = (ssize_t (*)(int, int, off_t *, size_t))dlsym(RTLD_NEXT, "sendfile");
    FAIL_IF(inside_fd(to), GROW);
    return real(to, from, at, size);
}

ssize_t sendfile64(int to, int from, off64_t *at, size_t size) { return sendfile(to, from, at, size); }

static int opened(int dir, const char *path, int flags) {
    int writes = (flags & O_ACCMODE) != O_RDONLY || flags & O_TRUNC;
    if (!inside(dir, path)) return 0;
    if (control->kind == UNREADABLE) return flags & O_DIRECTORY ? 0 : error_of(READ, NULL);
    int exists = syscall(SYS_faccessat, dir, path, F_OK) == 0;
    if (!exists && flags & O_CREAT) return control->kind == FULL ? 0 : error_of(CREATE, NULL);
    return exists && writes ? (control->kind == READ_ONLY || control->kind == FORBIDDEN ? error_of(CHANGE, NULL) : 0) : 0;
}

#define MODE va_list rest; va_start(rest, flags); mode_t mode = flags & (O_CREAT | O_TMPFILE) ? va_arg(rest, mode_t) : 0; va_end(rest)
#define OPEN(dir) int error = opened(dir, path, flags); if (error) { errno = error; return -1; }

int open(const char *path, int flags, ...) { MODE; OPEN(AT_FDCWD); return (int)syscall(SYS_openat, AT_FDCWD, path, flags, mode); }
int open64(const char *path, int flags, ...) { MODE; OPEN(AT_FDCWD); return (int)syscall(SYS_openat, AT_FDCWD, path, flags | O_LARGEFILE, mode); }
int openat(int dir, const char *path, int flags, ...) { MODE; OPEN(dir); return (int)syscall(SYS_openat, dir, path, flags, mode); }
int openat64(int dir, const char *path, int flags, ...) { MODE; OPEN(dir); return (int)syscall(SYS_openat, dir, path, flags | O_LARGEFILE, mode); }

FILE *fopen(const char *path, const char *how) {
    REAL(fopen);
    int error = opened(AT_FDCWD, path, how[0] == 'r' && !strchr(how, '+') ? O_RDONLY : O_WRONLY | O_CREAT);
    if (error) { errno = error; return NULL; }
    return real(path, how);
}

FILE *fopen64(const char *path, const char *how) { return fopen(path, how); }

int mkdir(const char *path, mode_t mode) {
    REAL(mkdir);
    FAIL_IF(inside(AT_FDCWD, path) && syscall(SYS_faccessat, AT_FDCWD, path, F_OK), CREATE);
    return real(path, mode);
}

int mkdirat(int dir, const char *path, mode_t mode) {
    REAL(mkdirat);
    FAIL_IF(inside(dir, path) && syscall(SYS_faccessat, dir, path, F_OK), CREATE);
    return real(dir, path, mode);
}

int rename(const char *from, const char *to) {
    REAL(rename);
    FAIL_IF(inside(AT_FDCWD, to), NAME);
    return real(from, to);
}

int renameat(int a, const char *from, int b, const char *to) {
    REAL(renameat);
    FAIL_IF(inside(b, to), NAME);
    return real(a, from, b, to);
}

int renameat2(int a, const char *from, int b, const char *to, unsigned flags) {
    REAL(renameat2);
    FAIL_IF(inside(b, to), NAME);
    return real(a, from, b, to, flags);
}

int link(const char *from, const char *to) {
    REAL(link);
    FAIL_IF(inside(AT_FDCWD, to), NAME);
    return real(from, to);
}

int linkat(int a, const char *from, int b, const char *to, int flags) {
    REAL(linkat);
    FAIL_IF(inside(b, to), NAME);
    return real(a, from, b, to, flags);
}

int symlink(const char *from, const char *to) {
    REAL(symlink);
    FAIL_IF(inside(AT_FDCWD, to), NAME);
    return real(from, to);
}

int unlink(const char *path) {
    REAL(unlink);
    FAIL_IF(inside(AT_FDCWD, path), NAME);
    return real(path);
}

int unlinkat(int dir, const char *path, int flags) {
    REAL(unlinkat);
    FAIL_IF(inside(dir, path), NAME);
    return real(dir, path, flags);
}

int rmdir(const char *path) {
    REAL(rmdir);
    FAIL_IF(inside(AT_FDCWD, path), NAME);
    return real(path);
}

int ftruncate(int fd, off_t size) {
    REAL(ftruncate);
    FAIL_IF(inside_fd(fd), CHANGE);
    return real(fd, size);
}

int ftruncate64(int fd, off64_t size) { return ftruncate(fd, size); }

int posix_fallocate(int fd, off_t from, off_t size) {
    REAL(posix_fallocate);
    if (inside_fd(fd)) { int error = error_of(GROW, NULL); if (error) return error; }
    return real(fd, from, size);
}

int posix_fallocate64(int fd, off64_t from, off64_t size) { return posix_fallocate(fd, from, size); }

int fsync(int fd) {
    REAL(fsync);
    FAIL_IF(inside_fd(fd), FLUSH);
    return real(fd);
}

int fdatasync(int fd) {
    REAL(fdatasync);
    FAIL_IF(inside_fd(fd), FLUSH);
    return real(fd);
}
