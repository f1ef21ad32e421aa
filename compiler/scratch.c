/* A folder of our own for other programs' files, and those programs. */
#define _XOPEN_SOURCE 700

#include "scratch.h"

#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "signals.h"

extern char **environ;

void scratch_end(Scratch *scratch) {
    if (!scratch->made) return;
    for (int i = 0; i < SCRATCH_FILES && scratch->files[i]; i++) unlink(scratch->files[i]);
    rmdir(scratch->folder);
    scratch->made = false;
    signals_release(&scratch->mask);
}

static void end(void *what) {
    scratch_end(what);
}

Scratch *scratch_new(Arena *arena, const char *const *names) {
    const char *base = getenv("TMPDIR");
    Scratch *scratch = ARENA_NEW(arena, Scratch);
    scratch->folder = arena_printf(arena, "%s/rnnc-XXXXXX", base && *base ? base : "/tmp");
    for (int i = 0; i < SCRATCH_FILES && names[i]; i++)
        scratch->files[i] = arena_printf(arena, "%s/%s", scratch->folder, names[i]);
    arena_own(arena, end, scratch);
    return scratch;
}

bool scratch_make(Scratch *scratch) {
    size_t length = strlen(scratch->folder);
    signals_hold(&scratch->mask);
    scratch->made = mkdtemp(scratch->folder) != NULL;
    if (!scratch->made) {
        int why = errno;
        signals_release(&scratch->mask);
        errno = why;
        return false;
    }
    /* The paths get the name that the folder has now. */
    for (int i = 0; i < SCRATCH_FILES && scratch->files[i]; i++)
        memcpy(scratch->files[i], scratch->folder, length);
    return true;
}

int scratch_spawn(const Scratch *scratch, char *const *words, int *status) {
    posix_spawn_file_actions_t actions;
    posix_spawnattr_t attributes;
    sigset_t pipe_signal;
    pid_t child;
    posix_spawn_file_actions_init(&actions);
    posix_spawnattr_init(&attributes);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, STDERR_FILENO, STDOUT_FILENO);
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    posix_spawnattr_setsigdefault(&attributes, &pipe_signal);
    posix_spawnattr_setsigmask(&attributes, &scratch->mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawnp(&child, words[0], &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error) return error;
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

bool scratch_write(const char *path, const char *bytes, size_t size) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return false;
    bool good = true;
    while (good && size > 0) {
        ssize_t n = write(file, bytes, size);
        if (n < 0 && errno == EINTR) continue;
        good = n > 0;
        if (good) {
            bytes += n;
            size -= (size_t)n;
        }
    }
    return close(file) == 0 && good;
}
