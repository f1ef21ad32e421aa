/* The system's C compiler: a shared object from emitted C, in a folder that is gone when this
 * returns. No shell stands between. */
#define _XOPEN_SOURCE 700

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <spawn.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run_data.h"
#include "signals.h"

extern char **environ;

typedef VEC(char *) Words;

/* $CC may hold options behind the program, as make lets it. */
static Words compiler_words(Arena *arena, const char *cc) {
    Words words = {0};
    while (*cc) {
        size_t blanks = strspn(cc, " \t"), length = strcspn(cc + blanks, " \t");
        if (length) vec_push(arena, &words, arena_strndup(arena, cc + blanks, length));
        cc += blanks + length;
    }
    return words;
}

/* The folder of one compilation. */
typedef struct Scratch {
    char *folder, *code, *header, *object;
    bool made;
    sigset_t mask; /* of before: signals that end the process wait until the folder is gone */
} Scratch;

static void end_scratch(void *what) {
    Scratch *scratch = what;
    if (!scratch->made) return;
    unlink(scratch->code);
    unlink(scratch->header);
    unlink(scratch->object);
    rmdir(scratch->folder);
    scratch->made = false;
    signals_release(&scratch->mask);
}

static Scratch *scratch_new(Arena *arena, const char *header_name) {
    const char *base = getenv("TMPDIR");
    Scratch *scratch = ARENA_NEW(arena, Scratch);
    scratch->folder = arena_printf(arena, "%s/rnnc-XXXXXX", base && *base ? base : "/tmp");
    scratch->code = arena_printf(arena, "%s/model.c", scratch->folder);
    scratch->header = arena_printf(arena, "%s/%s", scratch->folder, header_name);
    scratch->object = arena_printf(arena, "%s/model.so", scratch->folder);
    arena_own(arena, end_scratch, scratch);
    return scratch;
}

/* Makes the folder; its paths get the name that it has then. */
static bool make_scratch(Scratch *scratch) {
    size_t length = strlen(scratch->folder);
    signals_hold(&scratch->mask);
    scratch->made = mkdtemp(scratch->folder) != NULL;
    if (!scratch->made) {
        int why = errno;
        signals_release(&scratch->mask);
        errno = why;
        return false;
    }
    memcpy(scratch->code, scratch->folder, length);
    memcpy(scratch->header, scratch->folder, length);
    memcpy(scratch->object, scratch->folder, length);
    return true;
}

/* Starts a program and waits for it; what it prints goes to standard error. 0 with its status in
 * *status, or an errno. */
static int spawn(char *const *words, const sigset_t *mask, int *status) {
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
    posix_spawnattr_setsigmask(&attributes, mask);
    posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGDEF | POSIX_SPAWN_SETSIGMASK);
    int error = posix_spawnp(&child, words[0], &actions, &attributes, words, environ);
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
    if (error) return error;
    while (waitpid(child, status, 0) < 0)
        if (errno != EINTR) return errno;
    return 0;
}

static bool write_text(const char *path, const Text *text) {
    int file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    if (file < 0) return false;
    const char *at = text_string(text);
    size_t left = text->length;
    bool good = true;
    while (good && left > 0) {
        ssize_t n = write(file, at, left);
        if (n < 0 && errno == EINTR) continue;
        good = n > 0;
        if (good) {
            at += n;
            left -= (size_t)n;
        }
    }
    return close(file) == 0 && good;
}

static bool compile_with(Compilation *c, Words words, const sigset_t *mask, const char *code,
                         const char *object, int *error) {
    static const char *const fixed[] = {"-std=c99", "-O2", "-fPIC", "-shared", NULL};
    for (int i = 0; fixed[i]; i++)
        vec_push(c->arena, &words, arena_printf(c->arena, "%s", fixed[i]));
    for (int i = 0; c->target.flags[i]; i++)
        vec_push(c->arena, &words, arena_printf(c->arena, "%s", c->target.flags[i]));
    vec_push(c->arena, &words, arena_printf(c->arena, "-o"));
    vec_push(c->arena, &words, arena_printf(c->arena, "%s", object));
    vec_push(c->arena, &words, arena_printf(c->arena, "%s", code));
    vec_push(c->arena, &words, NULL);
    if (c->options->verbose) {
        text_puts(&c->log, "rnnc:");
        for (int i = 0; words.at[i]; i++) text_printf(&c->log, " %s", words.at[i]);
        text_puts(&c->log, "\n");
    }
    int status = 0;
    *error = spawn(words.at, mask, &status);
    if (*error) return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127)
        *error = ENOENT;
    else
        text_printf(&c->log, "rnnc: error: the C compiler '%s' failed (%s %d)\n", words.at[0],
                    WIFEXITED(status) ? "status" : "signal",
                    WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
    return false;
}

static bool compile_object(Compilation *c, const sigset_t *mask, const char *code,
                           const char *object) {
    static const char *const usual[] = {"cc", "gcc", "clang"};
    const char *cc = getenv("CC");
    int error = 0;
    Words words = compiler_words(c->arena, cc ? cc : "");
    if (words.count) {
        if (compile_with(c, words, mask, code, object, &error)) return true;
        if (error)
            text_printf(&c->log, "rnnc: error: cannot start the C compiler '%s' of $CC: %s\n",
                        words.at[0], strerror(error));
        return false;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        Words one = compiler_words(c->arena, usual[i]);
        if (compile_with(c, one, mask, code, object, &error)) return true;
        if (!error) return false;
        if (error != ENOENT && error != EACCES && error != ENOTDIR) {
            text_printf(&c->log, "rnnc: error: cannot start the C compiler '%s': %s\n", usual[i],
                        strerror(error));
            return false;
        }
    }
    text_puts(&c->log,
              "rnnc: error: there is no C compiler: set CC, or have cc, gcc or clang in PATH; or "
              "run with --backend=interp\n");
    return false;
}

void *run_compile(Compilation *c, const Text *code, const Text *header, const char *header_name) {
    Scratch *scratch = scratch_new(c->arena, header_name);
    if (!make_scratch(scratch)) {
        text_printf(&c->log, "rnnc: error: cannot make the folder %s: %s\n", scratch->folder,
                    strerror(errno));
        return NULL;
    }
    void *handle = NULL;
    if (!write_text(scratch->code, code) || !write_text(scratch->header, header)) {
        text_printf(&c->log, "rnnc: error: cannot write into %s: %s\n", scratch->folder,
                    strerror(errno));
    } else if (compile_object(c, &scratch->mask, scratch->code, scratch->object)) {
        handle = dlopen(scratch->object, RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            text_printf(&c->log, "rnnc: error: cannot load the compiled model: %s\n", dlerror());
    }
    end_scratch(scratch);
    return handle;
}
