/* The system's C compiler: a shared object from emitted C, in a folder that is gone when this
 * returns. No shell stands between. */
#define _XOPEN_SOURCE 700

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include "run_data.h"
#include "scratch.h"

/* Files of the folder. */
enum { CODE, HEADER, OBJECT };

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

static bool compile_with(Compilation *c, Words words, const Scratch *scratch, int *error) {
    static const char *const fixed[] = {"-O2", "-std=c99", "-fPIC", "-shared", NULL};
    bool level = false; /* one of $CC is kept */
    for (int i = 1; i < words.count; i++) level = level || strncmp(words.at[i], "-O", 2) == 0;
    for (int i = level; fixed[i]; i++)
        vec_push(c->arena, &words, arena_printf(c->arena, "%s", fixed[i]));
    if (c->options->places) vec_push(c->arena, &words, arena_printf(c->arena, "-g"));
    for (int i = 0; c->target.flags[i]; i++)
        vec_push(c->arena, &words, arena_printf(c->arena, "%s", c->target.flags[i]));
    vec_push(c->arena, &words, arena_printf(c->arena, "-o"));
    vec_push(c->arena, &words, arena_printf(c->arena, "%s", scratch->files[OBJECT]));
    vec_push(c->arena, &words, arena_printf(c->arena, "%s", scratch->files[CODE]));
    vec_push(c->arena, &words, NULL);
    if (c->options->verbose) {
        text_puts(&c->log, "rnnc:");
        for (int i = 0; words.at[i]; i++) text_printf(&c->log, " %s", words.at[i]);
        text_puts(&c->log, "\n");
    }
    int status = 0;
    *error = scratch_spawn(scratch, words.at, &status);
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

static bool compile_object(Compilation *c, const Scratch *scratch) {
    static const char *const usual[] = {"cc", "gcc", "clang"};
    const char *cc = getenv("CC");
    int error = 0;
    Words words = compiler_words(c->arena, cc ? cc : "");
    if (words.count) {
        if (compile_with(c, words, scratch, &error)) return true;
        if (error)
            text_printf(&c->log, "rnnc: error: cannot start the C compiler '%s' of $CC: %s\n",
                        words.at[0], strerror(error));
        return false;
    }
    for (size_t i = 0; i < sizeof usual / sizeof *usual; i++) {
        Words one = compiler_words(c->arena, usual[i]);
        if (compile_with(c, one, scratch, &error)) return true;
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
    const char *const names[] = {"model.c", header_name, "model.so", NULL};
    Scratch *scratch = scratch_new(c->arena, names);
    if (!scratch_make(scratch)) {
        text_printf(&c->log, "rnnc: error: cannot make the folder %s: %s\n", scratch->folder,
                    strerror(errno));
        return NULL;
    }
    void *handle = NULL;
    if (!scratch_write(scratch->files[CODE], text_string(code), code->length) ||
        !scratch_write(scratch->files[HEADER], text_string(header), header->length)) {
        text_printf(&c->log, "rnnc: error: cannot write into %s: %s\n", scratch->folder,
                    strerror(errno));
    } else if (compile_object(c, scratch)) {
        handle = dlopen(scratch->files[OBJECT], RTLD_NOW | RTLD_LOCAL);
        if (!handle)
            text_printf(&c->log, "rnnc: error: cannot load the compiled model: %s\n", dlerror());
    }
    scratch_end(scratch);
    return handle;
}
