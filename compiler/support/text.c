/* Growing strings; the old array stays in the arena, doubling keeps the waste below the length. */
#include "support/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

Text text_new(Arena *arena) {
    return (Text){.arena = arena};
}

static void reserve(Text *text, size_t more) {
    if (text->room - text->length > more) return;
    size_t room = text->room ? text->room * 2 : 256;
    while (room - text->length <= more) room *= 2;
    char *to = arena_alloc(text->arena, room);
    if (text->length) memcpy(to, text->at, text->length);
    to[text->length] = '\0';
    text->at = to;
    text->room = room;
}

void text_write(Text *text, const char *bytes, size_t length) {
    reserve(text, length);
    if (length) memcpy(text->at + text->length, bytes, length);
    text->length += length;
    text->at[text->length] = '\0';
}

void text_puts(Text *text, const char *string) {
    text_write(text, string, strlen(string));
}

void text_printf(Text *text, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n > 0) {
        reserve(text, (size_t)n);
        vsnprintf(text->at + text->length, (size_t)n + 1, format, again);
        text->length += (size_t)n;
    }
    va_end(again);
}

void text_indent(Text *text, int count) {
    for (int i = 0; i < count; i++) text_write(text, " ", 1);
}

const char *text_string(const Text *text) {
    return text->at ? text->at : "";
}

void text_double(Text *text, double value) {
    if (isnan(value)) {
        text_puts(text, "nan");
        return;
    }
    if (isinf(value)) {
        text_puts(text, value < 0 ? "-inf" : "inf");
        return;
    }
    char buffer[40];
    for (int digits = 1; digits <= 17; digits++) {
        snprintf(buffer, sizeof buffer, "%.*g", digits, value);
        if (strtod(buffer, NULL) == value) break;
    }
    for (char *c = buffer; *c; c++)
        if (*c == ',') *c = '.';
    text_puts(text, buffer);
    if (!strpbrk(buffer, ".e")) text_puts(text, ".0");
}
