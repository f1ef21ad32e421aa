/* A string that grows, for everything that is printed: representations, diagnostics, emitted code. */
#ifndef RNNC_SUPPORT_TEXT_H
#define RNNC_SUPPORT_TEXT_H

#include <stddef.h>

#include "support/arena.h"

typedef struct Text {
    Arena *arena;
    char *at; /* NUL-terminated once something was written; NULL before */
    size_t length, room;
} Text;

/* An empty text in `arena`. */
Text text_new(Arena *arena);

/* Appends as printf does. */
void text_printf(Text *text, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Appends a string as it is. */
void text_puts(Text *text, const char *string);

/* Appends `length` bytes. */
void text_write(Text *text, const char *bytes, size_t length);

/* Appends `count` blanks. */
void text_indent(Text *text, int count);

/* The text so far; "" when nothing was written. Valid until the next append. */
const char *text_string(const Text *text);

/* Appends a floating number so that it reads back to the same double: shortest %.17g form, always
 * with '.', 'e', "inf" or "nan" in it, never depending on the locale. */
void text_double(Text *text, double value);

#endif
