/* Source texts and spans. A span knows its source, so that a diagnostic needs nothing else. */
#ifndef RNNC_SUPPORT_SOURCE_H
#define RNNC_SUPPORT_SOURCE_H

#include <stddef.h>
#include <stdint.h>

#include "support/arena.h"

typedef struct Source {
    const char *path; /* as the user wrote it; "<stdin>", "<prelude>" */
    const char *text; /* NUL-terminated; may hold NUL bytes before its end */
    uint32_t length;
} Source;

/* Bytes [begin, end) of a source; source NULL: no place. `within`: the application that brought it
 * into the model, or NULL. */
typedef struct Span Span;
struct Span {
    const Source *source;
    uint32_t begin, end;
    const Span *within;
};

typedef struct Place {
    int line, column; /* from 1; the column counts bytes */
} Place;

/* Line and column of a byte offset. */
Place source_place(const Source *source, uint32_t offset);

/* Begin and end (without the newline) of the line that holds `offset`. */
void source_line(const Source *source, uint32_t offset, uint32_t *begin, uint32_t *end);

/* From the beginning of `a` to the end of `b`. */
Span span_join(Span a, Span b);

#endif
