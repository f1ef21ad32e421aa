/* Diagnostics are values: collected with code and span, rendered once, by main.c.
 *
 * Wording: lower case, no final period, both numbers when two disagree. A diagnostic may have notes
 * that point to the other places involved. */
#ifndef RNNC_SUPPORT_DIAG_H
#define RNNC_SUPPORT_DIAG_H

#include <stdbool.h>

#include "support/source.h"
#include "support/text.h"
#include "support/vec.h"

typedef enum DiagKind { DIAG_ERROR, DIAG_WARNING, DIAG_NOTE } DiagKind;

typedef struct Diag Diag;
struct Diag {
    DiagKind kind;
    const char *code; /* "E-SHAPE", "W-PREC"; NULL for notes */
    Span span;        /* no source: about the whole run */
    const char *message;
    VEC(Diag) notes;
};

typedef struct Diags {
    Arena *arena;
    VEC(Diag *) list; /* in order of discovery */
    int errors;
    bool full; /* no more are taken after DIAG_MOST errors */
} Diags;

enum { DIAG_MOST = 50 };

/* An empty collection in `arena`. */
Diags *diags_new(Arena *arena);

/* Adds an error or a warning; the result is never NULL and takes notes. An error that repeats code,
 * span and message of an earlier one is counted but not listed again. */
Diag *diag_error(Diags *diags, const char *code, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
Diag *diag_warning(Diags *diags, const char *code, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Adds a note to `diag`. */
void diag_note(Diags *diags, Diag *diag, Span span, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* Appends all diagnostics, sorted by file as met, then position:
 *     FILE:LINE:COLUMN: error: MESSAGE [CODE]
 *       LINE | source line
 *            |    ^~~~
 */
void diags_render(const Diags *diags, bool color, Text *out);

#endif
