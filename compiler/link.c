/* --emit=so: one object as a shared library, by the system's linker. */
#define _XOPEN_SOURCE 700

#include "link.h"

#include <errno.h>
#include <string.h>
#include <sys/wait.h>

#include "input.h"
#include "scratch.h"

/* Files of the folder. */
enum { OBJECT, LIBRARY };

enum { LINK_MOST = 1 << 23 }; /* bytes of an object */

/* False where the program is not there, with error 0, or where it fails. */
static bool link_with(Compilation *c, const Scratch *scratch, const char *program, const char *name,
                      int *error) {
    const char *const words[] = {program,
                                 "-shared",
                                 "--build-id=none",
                                 "--hash-style=gnu",
                                 "-z",
                                 "relro",
                                 "-z",
                                 "noexecstack",
                                 "-soname",
                                 name,
                                 "-o",
                                 scratch->files[LIBRARY],
                                 scratch->files[OBJECT]};
    enum { COUNT = sizeof words / sizeof *words };
    char *list[COUNT + 1] = {NULL};
    int status = 0;
    for (int i = 0; i < COUNT; i++) list[i] = arena_strndup(c->arena, words[i], strlen(words[i]));
    *error = scratch_spawn(scratch, list, &status);
    if (*error) return false;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (WIFEXITED(status) && WEXITSTATUS(status) == 127) *error = ENOENT;
    return false;
}

bool link_shared(Compilation *c, const char *name, const Text *object, Text *out) {
    static const char *const files[] = {"model.o", "model.so", NULL};
    const char *why, *triple = c->target.machine.triple;
    /* x86_64-unknown-linux-gnu: Debian's x86_64-linux-gnu-ld */
    const char *dash = strchr(triple, '-'), *system = dash ? strstr(dash, "-linux-") : NULL;
    const char *own =
        system ? arena_printf(c->arena, "%.*s%s-ld", (int)(dash - triple), triple, system) : "ld";
    const char *const programs[] = {own, "ld.lld"};
    Scratch *scratch = scratch_new(c->arena, files);
    if (!scratch_make(scratch) ||
        !scratch_write(scratch->files[OBJECT], object->at, object->length)) {
        text_printf(&c->log, "rnnc: error: cannot write into %s: %s\n", scratch->folder,
                    strerror(errno));
        scratch_end(scratch);
        return false;
    }
    int error = ENOENT;
    bool good = false;
    for (int i = 0; i < 2 && !good && error == ENOENT; i++)
        good = link_with(c, scratch, programs[i], name, &error);
    /* What is longer than a source file may be is cut by input_source. */
    good = good && object->length < LINK_MOST;
    const Source *library = good ? input_source(c->arena, scratch->files[LIBRARY], &why) : NULL;
    scratch_end(scratch);
    if (library)
        text_write(out, library->text, library->length);
    else if (error)
        text_printf(&c->log, "rnnc: error: cannot start a linker, %s or ld.lld: %s\n", own,
                    strerror(error));
    else
        text_printf(&c->log, "rnnc: error: %s\n",
                    object->length < LINK_MOST ? "the linker failed"
                                               : "the object is too large to be linked here");
    return library != NULL;
}
