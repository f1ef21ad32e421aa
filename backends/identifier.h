/* Names of the source as identifiers of C and C++. */
#ifndef RNNC_BACKENDS_IDENTIFIER_H
#define RNNC_BACKENDS_IDENTIFIER_H

#include "loop/interface.h"

/* `l1.h#0` as `l1_h_0`; never a keyword, a name of the standard headers that emitted files include,
 * or one that the prelude of emitted C defines. */
const char *identifier_of(Arena *arena, const char *name);

/* The same in capitals, for macros. */
const char *identifier_upper(Arena *arena, const char *name);

/* The symbol of a function of the module: `lstm_forward`. */
const char *identifier_symbol(const LoopModule *module, Name function);

/* `float`, `int32_t`, …; masks are int, LT_VOID is void. */
const char *identifier_type(LoopType type);

/* Appends `int32_t lstm_forward(const float *weights, …)`, without what follows; lines are broken
 * near column 100. `restricted[i]`, where not NULL, asks for `restrict` on argument i. */
void identifier_prototype(const LoopModule *module, const LFunction *function,
                          const bool *restricted, const char *const *names, Text *out);

/* One identifier for each argument of the function, no two equal. */
const char *const *identifier_args(Arena *arena, const LFunction *function);

/* Appends `text` with line breaks after blanks, so that lines end near column 100; each line after
 * the first begins with `indent` blanks. The first one is taken to begin at `column`. */
void identifier_wrap(Text *out, const char *text, int column, int indent);

/* Appends a comment of one or more lines, `/` and `*` kept apart; "" appends nothing. */
void identifier_comment(Text *out, const char *text, int indent);

#endif
