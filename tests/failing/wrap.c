/* The calls behind -Wl,--wrap: see wrap.h. Every call of the compiler and of the runtime comes by
 * here; the C library's own do not, so its functions that allocate are kinds of their own. */
#define _XOPEN_SOURCE 700

#include "wrap.h"

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

/* NAME: the real one, and the one that calls come to. */
#define WRAPPED(result, name, arguments)                                                           \
    result __real_##name arguments;                                                                \
    result __wrap_##name arguments

WRAPPED(void *, malloc, (size_t size));
WRAPPED(void *, calloc, (size_t count, size_t size));
WRAPPED(void *, realloc, (void *old, size_t size));
WRAPPED(void, free, (void *block));
WRAPPED(int, open, (const char *path, int flags, ...));
WRAPPED(ssize_t, write, (int file, const void *bytes, size_t size));
WRAPPED(int, close, (int file));
WRAPPED(int, rename, (const char *from, const char *to));
WRAPPED(int, link, (const char *from, const char *to));
WRAPPED(int, fchmod, (int file, mode_t mode));
WRAPPED(char *, realpath, (const char *path, char *to));
WRAPPED(char *, mkdtemp, (char *name));
WRAPPED(FILE *, fopen, (const char *path, const char *mode));
WRAPPED(FILE *, fdopen, (int file, const char *mode));
WRAPPED(FILE *, open_memstream, (char **bytes, size_t *size));
WRAPPED(size_t, fread, (void *to, size_t size, size_t count, FILE *stream));
WRAPPED(size_t, fwrite, (const void *from, size_t size, size_t count, FILE *stream));
WRAPPED(int, fflush, (FILE * stream));
WRAPPED(int, ferror, (FILE * stream));
WRAPPED(int, fclose, (FILE * stream));
WRAPPED(int, posix_spawnp,
        (pid_t * child, const char *file, const posix_spawn_file_actions_t *actions,
         const posix_spawnattr_t *attributes, char *const words[], char *const environment[]));
WRAPPED(pid_t, waitpid, (pid_t child, int *status, int options));
WRAPPED(void *, dlopen, (const char *path, int flags));
WRAPPED(int, dlclose, (void *object));
WRAPPED(int, pthread_create,
        (pthread_t * thread, const pthread_attr_t *attributes, void *(*start)(void *), void *with));

enum { SLOTS = 1 << 16 }; /* few pages, since each run touches them all */

static struct {
    bool active;
    Fault fault;
    Account *account;
    const char *object;
    void *blocks[SLOTS]; /* a set of the blocks that are held; `gone` marks deleted entries */
    FILE *failed;        /* a stream that has failed, for ferror */
    FILE *written[16];   /* streams to write: only their end can fail */
} now;
static char gone;

void wrap_begin(const Fault *fault, Account *account, const char *object) {
    now.fault = *fault;
    now.account = account;
    now.object = object;
    now.active = true;
}

void wrap_end(void) {
    now.active = false;
}

/* Counts a call; true when it is to fail, with errno set. */
static bool fails(Kind kind) {
    if (!now.active) return false;
    int call = ++now.account->calls[kind];
    const Fault *fault = &now.fault;
    if (fault->nth == 0 || fault->kind != kind) return false;
    if (fault->all ? call < fault->nth : call != fault->nth) return false;
    now.account->fired++;
    if (fault->how == HOW_SIGNAL) raise(SIGTERM);
    if (fault->how < 0) return false;
    errno = fault->how;
    return true;
}

/* ---- Memory ---- */

static size_t slot_of(const void *block) {
    return (size_t)(((uintptr_t)block >> 4) * 0x9E3779B97F4A7C15u >> 40) % SLOTS;
}

static void *held(void *block) {
    if (!now.active || block == NULL) return block;
    size_t slot = slot_of(block);
    while (now.blocks[slot] != NULL && now.blocks[slot] != &gone) slot = (slot + 1) % SLOTS;
    now.blocks[slot] = block;
    if (++now.account->blocks > SLOTS / 2) abort();
    return block;
}

static void released(const void *block) {
    if (!now.active || block == NULL) return;
    for (size_t slot = slot_of(block); now.blocks[slot] != NULL; slot = (slot + 1) % SLOTS)
        if (now.blocks[slot] == block) {
            now.blocks[slot] = &gone;
            now.account->blocks--;
            return;
        }
}

void *__wrap_malloc(size_t size) {
    return fails(KIND_memory) ? NULL : held(__real_malloc(size));
}

void *__wrap_calloc(size_t count, size_t size) {
    return fails(KIND_memory) ? NULL : held(__real_calloc(count, size));
}

void *__wrap_realloc(void *old, size_t size) {
    if (fails(KIND_memory)) return NULL;
    released(old);
    void *block = __real_realloc(old, size);
    return block == NULL && size > 0 ? (held(old), NULL) : held(block);
}

void __wrap_free(void *block) {
    released(block);
    __real_free(block);
}

char *__wrap_realpath(const char *path, char *to) {
    if (fails(KIND_realpath)) return NULL;
    char *real = __real_realpath(path, to);
    return to == NULL ? held(real) : real;
}

/* ---- Files ---- */

int __wrap_open(const char *path, int flags, ...) {
    va_list args;
    va_start(args, flags);
    mode_t mode = flags & O_CREAT ? va_arg(args, mode_t) : 0;
    va_end(args);
    if (fails(KIND_open)) return -1;
    int file = __real_open(path, flags, mode);
    if (now.active && file >= 0) now.account->files++;
    return file;
}

ssize_t __wrap_write(int file, const void *bytes, size_t size) {
    int before = now.active ? now.account->fired : 0;
    if (fails(KIND_write)) return -1;
    bool cut = now.active && now.account->fired > before && now.fault.how == HOW_SHORT;
    return __real_write(file, bytes, cut && size > 1 ? size / 2 : size);
}

int __wrap_close(int file) {
    bool failed = fails(KIND_close);
    int why = errno;
    if (now.active) now.account->files--;
    int result = __real_close(file);
    if (failed) errno = why;
    return failed ? -1 : result;
}

int __wrap_rename(const char *from, const char *to) {
    return fails(KIND_rename) ? -1 : __real_rename(from, to);
}

int __wrap_link(const char *from, const char *to) {
    return fails(KIND_link) ? -1 : __real_link(from, to);
}

int __wrap_fchmod(int file, mode_t mode) {
    return fails(KIND_fchmod) ? -1 : __real_fchmod(file, mode);
}

char *__wrap_mkdtemp(char *name) {
    return fails(KIND_mkdtemp) ? NULL : __real_mkdtemp(name);
}

/* ---- Streams ---- */

static FILE *opened(FILE *stream, bool to_write) {
    if (!now.active || stream == NULL) return stream;
    now.account->streams++;
    for (size_t i = 0; to_write && i < sizeof now.written / sizeof *now.written; i++)
        if (now.written[i] == NULL) {
            now.written[i] = stream;
            break;
        }
    return stream;
}

static bool was_written(FILE *stream) {
    for (size_t i = 0; i < sizeof now.written / sizeof *now.written; i++)
        if (now.written[i] == stream) {
            now.written[i] = NULL;
            return true;
        }
    return false;
}

FILE *__wrap_fopen(const char *path, const char *mode) {
    return fails(KIND_fopen) ? NULL : opened(__real_fopen(path, mode), *mode == 'w');
}

FILE *__wrap_fdopen(int file, const char *mode) {
    if (fails(KIND_fdopen)) return NULL;
    if (now.active) now.account->files--; /* the stream's from now on */
    return opened(__real_fdopen(file, mode), true);
}

FILE *__wrap_open_memstream(char **bytes, size_t *size) {
    return fails(KIND_open_memstream) ? NULL : opened(__real_open_memstream(bytes, size), true);
}

size_t __wrap_fread(void *to, size_t size, size_t count, FILE *stream) {
    if (!fails(KIND_fread)) return __real_fread(to, size, count, stream);
    now.failed = stream;
    return 0;
}

/* Messages are not counted: there is nobody to tell. */
size_t __wrap_fwrite(const void *from, size_t size, size_t count, FILE *stream) {
    if (stream == stderr || !fails(KIND_fwrite)) return __real_fwrite(from, size, count, stream);
    now.failed = stream;
    return 0;
}

int __wrap_fflush(FILE *stream) {
    if (!fails(KIND_fflush)) return __real_fflush(stream);
    now.failed = stream;
    return EOF;
}

int __wrap_ferror(FILE *stream) {
    return stream == now.failed || __real_ferror(stream);
}

int __wrap_fclose(FILE *stream) {
    bool failed = was_written(stream) && fails(KIND_fclose);
    int why = errno;
    if (now.active) now.account->streams--;
    if (stream == now.failed) now.failed = NULL;
    int result = __real_fclose(stream);
    if (failed) errno = why;
    return failed ? EOF : result;
}

/* ---- Programs and shared objects ---- */

static void copy_file(const char *from, const char *to) {
    char *words[] = {"cp", (char *)(uintptr_t)from, (char *)(uintptr_t)to, NULL};
    pid_t child;
    int status;
    if (__real_posix_spawnp(&child, "cp", NULL, NULL, words, environ) == 0)
        __real_waitpid(child, &status, 0);
}

int __wrap_posix_spawnp(pid_t *child, const char *file, const posix_spawn_file_actions_t *actions,
                        const posix_spawnattr_t *attributes, char *const words[],
                        char *const environment[]) {
    if (fails(KIND_posix_spawnp)) return errno;
    const char *to = NULL;
    for (int i = 0; words[i] != NULL; i++)
        if (strcmp(words[i], "-o") == 0) to = words[i + 1];
    if (now.object == NULL || to == NULL || access(now.object, R_OK) != 0)
        return __real_posix_spawnp(child, file, actions, attributes, words, environment);
    char *copy[] = {"cp", (char *)(uintptr_t)now.object, (char *)(uintptr_t)to, NULL};
    return __real_posix_spawnp(child, "cp", actions, attributes, copy, environment);
}

pid_t __wrap_waitpid(pid_t child, int *status, int options) {
    int before = now.active ? now.account->fired : 0;
    if (!fails(KIND_waitpid)) return __real_waitpid(child, status, options);
    /* A wait that is interrupted has not ended; any other failure leaves nothing to wait for. */
    if (now.fault.how != EINTR && now.account->fired > before) {
        __real_waitpid(child, status, options);
        errno = now.fault.how;
    }
    return -1;
}

void *__wrap_dlopen(const char *path, int flags) {
    if (fails(KIND_dlopen)) return __real_dlopen("./no-such-object.so", flags);
    if (now.active && now.object != NULL && access(now.object, R_OK) != 0)
        copy_file(path, now.object);
    void *object = __real_dlopen(path, flags);
    if (now.active && object != NULL) now.account->objects++;
    return object;
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attributes,
                          void *(*start)(void *), void *with) {
    return fails(KIND_pthread_create) ? errno
                                      : __real_pthread_create(thread, attributes, start, with);
}

int __wrap_dlclose(void *object) {
    if (now.active) now.account->objects--;
    return __real_dlclose(object);
}
