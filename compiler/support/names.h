/* Interned names: equal strings are equal pointers within one table. */
#ifndef RNNC_SUPPORT_NAMES_H
#define RNNC_SUPPORT_NAMES_H

#include <stddef.h>

#include "support/arena.h"

/* An interned, NUL-terminated name; compare with ==. */
typedef const char *Name;

typedef struct Names Names;

/* An empty table in `arena`. */
Names *names_new(Arena *arena);

/* The one pointer that stands for this string. */
Name name_of(Names *names, const char *string);
Name name_of_length(Names *names, const char *bytes, size_t length);

/* The candidate nearest to `wanted` (at most two edits and fewer than its length), or NULL. For
 * suggestions in diagnostics. */
const char *name_nearest(const char *wanted, const char *const *candidates, int count);

#endif
