/* Options that force what the compiler else chooses by rule: --tile, --layout, --unroll-time and
 * --threads. */
#ifndef RNNC_OPTIONS_FORCE_H
#define RNNC_OPTIONS_FORCE_H

#include "options.h"

/* One of them, by its name. False with a message in *why when the value is wrong. */
bool force_option(Arena *arena, Options *options, const char *name, const char *value,
                  const char **why);

/* The options that say the same, each behind a blank; nothing where nothing is forced. */
void force_text(const Force *force, int chains, Text *out);

#endif
