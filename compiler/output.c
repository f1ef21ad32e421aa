/* Writing results: temporary names in the folder of each file, and renames when all is written. */
#define _XOPEN_SOURCE 700 /* POSIX 2008 with realpath */

#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

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

static bool write_bytes(int file, const char *bytes, size_t size) {
    while (size > 0) {
        ssize_t n = write(file, bytes, size < 1 << 30 ? size : 1 << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        bytes += n;
        size -= (size_t)n;
    }
    return true;
}

/* Writes to standard output or to a device. */
static bool write_in_place(const OutputFile *file) {
    if (strcmp(file->path, "-") == 0) return write_bytes(STDOUT_FILENO, file->bytes, file->size);
    int at = open(file->path, O_WRONLY | O_CLOEXEC | O_NOCTTY);
    if (at < 0) return false;
    bool good = write_bytes(at, file->bytes, file->size);
    int number = errno;
    good = close(at) == 0 && good;
    if (number && !good) errno = number;
    return good;
}

/* Where the bytes go: in place, or behind symbolic links to the file that a rename replaces. */
static void find_target(Arena *arena, OutputFile *file) {
    struct stat about;
    file->target = NULL;
    if (strcmp(file->path, "-") == 0) return;
    bool exists = stat(file->path, &about) == 0;
    if (exists && !S_ISREG(about.st_mode)) return;
    char *real = exists ? realpath(file->path, NULL) : NULL;
    file->target = arena_printf(arena, "%s", real ? real : file->path);
    free(real);
    const char *slash = strrchr(file->target, '/');
    int folder = slash ? (int)(slash - file->target) + 1 : 0;
    /* The number is filled in when the name is tried. */
    file->temporary =
        arena_printf(arena, "%.*s.rnnc-%ld-000.tmp", folder, file->target, (long)getpid());
}

static bool write_temporary(OutputFile *file) {
    struct stat about;
    int at = -1;
    char *number = file->temporary + strlen(file->temporary) - 7;
    for (int i = 0; i < 1000 && at < 0; i++) {
        number[0] = (char)('0' + i / 100);
        number[1] = (char)('0' + i / 10 % 10);
        number[2] = (char)('0' + i % 10);
        at = open(file->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
        if (at < 0 && errno != EEXIST) return false;
    }
    if (at < 0) return false;
    file->made = true;
    /* Who may read the old file may read the new one, and nobody else. */
    if (stat(file->target, &about) == 0) (void)fchmod(at, about.st_mode & 07777);
    bool good = write_bytes(at, file->bytes, file->size);
    int why = errno;
    if (close(at) != 0) {
        if (good) why = errno;
        good = false;
    }
    errno = why;
    return good;
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
        if (!file->target) continue;
        if (rename(file->temporary, file->target) != 0) return false;
        file->made = false;
    }
    return true;
}

bool outputs_write(Outputs *outputs, const char **why) {
    for (int i = 0; i < outputs->files.count; i++)
        find_target(outputs->arena, &outputs->files.at[i]);
    const OutputFile *failed = NULL;
    errno = 0;
    if (write_all(outputs, &failed)) return true;
    const char *reason = strerror(errno ? errno : EIO);
    for (int i = 0; i < outputs->files.count; i++)
        if (outputs->files.at[i].made) unlink(outputs->files.at[i].temporary);
    bool standard = strcmp(failed->path, "-") == 0;
    *why = arena_printf(outputs->arena, "cannot write %s: %s",
                        standard ? "standard output" : failed->path, reason);
    return false;
}
