/* Writing results: temporary names in the folder of each file, and renames when all is written.
 * Signals that end the process wait meanwhile. */
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath */

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "signals.h"

#ifndef PATH_MAX
#define PATH_MAX 4096
#endif

void output_add(Outputs *outputs, const char *path, const void *bytes, size_t size) {
    vec_push(outputs->arena, &outputs->files,
             (OutputFile){.path = path, .bytes = bytes, .size = size});
}

bool outputs_collide(const Outputs *outputs, const char **path) {
    for (int i = 0; i < outputs->files.count; i++)
        for (int j = 0; j < i; j++)
            if (strcmp(outputs->files.at[i].path, outputs->files.at[j].path) == 0) {
                *path = outputs->files.at[i].path;
                return true;
            }
    return false;
}

/* Waits until a write will not block; false when a signal that is held back has come. */
static bool wait_for(int file) {
    struct pollfd wait = {.fd = file, .events = POLLOUT};
    for (;;) {
        int ready = poll(&wait, 1, 100);
        if (signals_pending()) {
            errno = EINTR;
            return false;
        }
        if (ready != 0 && !(ready < 0 && errno == EINTR)) return true;
    }
}

/* `may_block`: a pipe or a device, whose reader may let us wait. */
static bool write_bytes(int file, const char *bytes, size_t size, bool may_block) {
    size_t most = may_block ? PIPE_BUF : 1 << 30;
    while (size > 0) {
        if (may_block && !wait_for(file)) return false;
        errno = EIO; /* of a write that writes nothing */
        ssize_t n = write(file, bytes, size < most ? size : most);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* True when all was written and the file is closed; errno is of what failed first. */
static bool close_written(int file, bool good) {
    int why = errno;
    if (close(file) == 0 || !good)
        errno = why;
    else
        good = false;
    return good;
}

/* Writes to standard output or to a device. */
static bool write_in_place(const OutputFile *file) {
    if (strcmp(file->path, "-") == 0)
        return write_bytes(STDOUT_FILENO, file->bytes, file->size, true);
    int at = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    return at >= 0 && close_written(at, write_bytes(at, file->bytes, file->size, true));
}

/* Where the bytes go: in place, or behind symbolic links to the file that a rename replaces. False
 * when that cannot be told. */
static bool find_target(Arena *arena, OutputFile *file) {
    struct stat about;
    file->target = NULL;
    if (strcmp(file->path, "-") == 0) return true;
    file->exists = stat(file->path, &about) == 0;
    if (file->exists && !S_ISREG(about.st_mode)) return true;
    file->mode = file->exists ? about.st_mode & 07777 : 0666;
    file->target = file->path;
    if (file->exists) file->target = realpath(file->path, ARENA_ARRAY(arena, PATH_MAX, char));
    if (!file->target) return false;
    const char *slash = strrchr(file->target, '/');
    int folder = slash ? (int)(slash - file->target) + 1 : 0;
    /* The number is filled in when the name is tried. */
    file->temporary =
        arena_printf(arena, "%.*s.rnnc-%ld-000.tmp", folder, file->target, (long)getpid());
    file->backup =
        arena_printf(arena, "%.*s.rnnc-%ld-000.old", folder, file->target, (long)getpid());
    return true;
}

static bool write_temporary(OutputFile *file) {
    int at = -1;
    char *number = file->temporary + strlen(file->temporary) - 7;
    for (int i = 0; i < 1000 && at < 0; i++) {
        number[0] = (char)('0' + i / 100);
        number[1] = (char)('0' + i / 10 % 10);
        number[2] = (char)('0' + i % 10);
        /* Who may read the old file may read the new one, and nobody else. */
        at = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, file->mode & 0666);
        if (at < 0 && errno != EEXIST) return false;
    }
    if (at < 0) return false;
    file->made = true;
    memcpy(file->backup + strlen(file->backup) - 7, number, 3);
    if (file->exists) (void)fchmod(at, (mode_t)file->mode);
    return close_written(at, write_bytes(at, file->bytes, file->size, false));
}

/* Gives the new file its name. The old one gets another, for the case that a later file fails; on a
 * file system without links it has none. */
static bool rename_temporary(OutputFile *file, bool keep) {
    if (keep && file->exists) {
        (void)unlink(file->backup);
        file->kept = link(file->target, file->backup) == 0;
    }
    if (rename(file->temporary, file->target) != 0) return false;
    file->made = false;
    file->named = true;
    return true;
}

static bool write_all(Outputs *outputs, const OutputFile **failed) {
    for (int i = 0; i < outputs->files.count; i++) {
        OutputFile *file = &outputs->files.at[i];
        *failed = file;
        if (file->target && !write_temporary(file)) return false;
    }
    for (int i = 0; i < outputs->files.count; i++) {
        OutputFile *file = &outputs->files.at[i];
        *failed = file;
        if (!file->target && !write_in_place(file)) return false;
    }
    for (int i = 0; i < outputs->files.count; i++) {
        OutputFile *file = &outputs->files.at[i];
        *failed = file;
        if (file->target && !rename_temporary(file, i + 1 < outputs->files.count)) return false;
    }
    return true;
}

/* Removes what is not to stay: all but the new files, or all but the old ones. */
static void clean_up(Outputs *outputs, bool good) {
    for (int i = 0; i < outputs->files.count; i++) {
        OutputFile *file = &outputs->files.at[i];
        if (file->made) unlink(file->temporary);
        if (!good && file->named && file->kept && rename(file->backup, file->target) == 0)
            file->kept = false;
        if (!good && file->named && !file->exists) unlink(file->target);
        if (file->kept) unlink(file->backup);
    }
}

bool outputs_write(Outputs *outputs, const char **why) {
    const OutputFile *failed = NULL;
    sigset_t mask;
    bool good = true;
    for (int i = 0; good && i < outputs->files.count; i++) {
        failed = &outputs->files.at[i];
        good = find_target(outputs->arena, &outputs->files.at[i]);
    }
    int reason = errno;
    if (good) {
        signals_hold(&mask);
        good = write_all(outputs, &failed);
        reason = errno;
        clean_up(outputs, good);
        signals_release(&mask);
    }
    if (good) return true;
    bool standard = strcmp(failed->path, "-") == 0;
    *why = arena_printf(outputs->arena, "cannot write %s: %s",
                        standard ? "standard output" : failed->path, strerror(reason));
    return false;
}
