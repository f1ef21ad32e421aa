/* A folder of our own for other programs' files, gone when it is not needed any more, and those
 * programs. No shell stands between. */
#ifndef RNNC_SCRATCH_H
#define RNNC_SCRATCH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>

#include "support/vec.h"

enum { SCRATCH_FILES = 4 };

typedef struct Scratch {
    char *folder, *files[SCRATCH_FILES]; /* paths */
    bool made;
    sigset_t mask; /* of before: signals that end the process wait until the folder is gone */
} Scratch;

/* Not made yet; the arena ends it. `names`: of the files that may come to lie there,
 * NULL-terminated. */
Scratch *scratch_new(Arena *arena, const char *const *names);
/* Makes the folder; paths are valid from now on. False with errno. */
bool scratch_make(Scratch *scratch);
void scratch_end(Scratch *scratch);

/* A new file with these bytes. */
bool scratch_write(const char *path, const char *bytes, size_t size);
/* Starts a program and waits for it; what it prints goes to standard error. 0 with its status in
 * *status, or an errno. */
int scratch_spawn(const Scratch *scratch, char *const *words, int *status);

#endif
