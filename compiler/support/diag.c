/* Collecting and rendering diagnostics. */
#include "support/diag.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

Diags *diags_new(Arena *arena) {
    Diags *diags = ARENA_NEW(arena, Diags);
    diags->arena = arena;
    return diags;
}

static char *format_args(Arena *arena, const char *format, va_list args) {
    va_list again;
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    if (n < 0) n = 0;
    char *to = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(to, (size_t)n + 1, format, again);
    va_end(again);
    return to;
}

static bool same_span(Span a, Span b) {
    return a.source == b.source && a.begin == b.begin && a.end == b.end;
}

static Diag *add(Diags *diags, DiagKind kind, const char *code, Span span, const char *message) {
    Diag *diag = ARENA_NEW(diags->arena, Diag);
    *diag = (Diag){.kind = kind, .code = code, .span = span, .message = message};
    for (int i = 0; i < diags->list.count; i++) {
        Diag *old = diags->list.at[i];
        if (old->kind == kind && strcmp(old->code, code) == 0 && same_span(old->span, span) &&
            strcmp(old->message, message) == 0)
            return diag;
    }
    if (kind == DIAG_ERROR && ++diags->errors > DIAG_MOST) diags->full = true;
    if (!diags->full) vec_push(diags->arena, &diags->list, diag);
    return diag;
}

Diag *diag_error(Diags *diags, const char *code, Span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = format_args(diags->arena, format, args);
    va_end(args);
    return add(diags, DIAG_ERROR, code, span, message);
}

Diag *diag_warning(Diags *diags, const char *code, Span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = format_args(diags->arena, format, args);
    va_end(args);
    return add(diags, DIAG_WARNING, code, span, message);
}

void diag_note(Diags *diags, Diag *diag, Span span, const char *format, ...) {
    va_list args;
    va_start(args, format);
    char *message = format_args(diags->arena, format, args);
    va_end(args);
    vec_push(diags->arena, &diag->notes,
             (Diag){.kind = DIAG_NOTE, .span = span, .message = message});
}

static void render_caret(Span span, Place place, const char *on, const char *off, Text *out) {
    uint32_t begin, end;
    source_line(span.source, span.begin, &begin, &end);
    char number[24];
    int width = snprintf(number, sizeof number, "%d", place.line);
    text_printf(out, "  %s | ", number);
    text_write(out, span.source->text + begin, end - begin);
    text_puts(out, "\n");
    text_indent(out, 2 + width);
    text_puts(out, " | ");
    /* Tabs stay tabs, so that the caret stands below its column whatever the tab width is; the
     * bytes behind the first of a UTF-8 character take no column. */
    for (uint32_t i = begin; i < span.begin && i < end; i++) {
        unsigned char c = (unsigned char)span.source->text[i];
        if (c == '\t')
            text_puts(out, "\t");
        else if ((c & 0xC0) != 0x80)
            text_puts(out, " ");
    }
    text_puts(out, on);
    text_puts(out, "^");
    for (uint32_t i = span.begin + 1; i < span.end && i < end; i++)
        if (((unsigned char)span.source->text[i] & 0xC0) != 0x80) text_puts(out, "~");
    text_printf(out, "%s\n", off);
}

static void render_one(const Diag *diag, bool color, Text *out) {
    static const char *const words[] = {"error", "warning", "note"};
    static const char *const colors[] = {"\033[1;31m", "\033[1;35m", "\033[1;36m"};
    const char *on = color ? colors[diag->kind] : "", *off = color ? "\033[0m" : "";
    Place place = {0, 0};
    if (diag->span.source) {
        place = source_place(diag->span.source, diag->span.begin);
        text_printf(out, "%s:%d:%d: ", diag->span.source->path, place.line, place.column);
    } else {
        text_puts(out, "rnnc: ");
    }
    text_printf(out, "%s%s:%s %s", on, words[diag->kind], off, diag->message);
    if (diag->code) text_printf(out, " [%s]", diag->code);
    text_puts(out, "\n");
    if (diag->span.source) render_caret(diag->span, place, on, off, out);
    for (int i = 0; i < diag->notes.count; i++) render_one(&diag->notes.at[i], color, out);
}

static int source_rank(const Diags *diags, const Source *source) {
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->span.source == source) return i;
    return diags->list.count;
}

static bool before(const Diags *diags, const Diag *a, const Diag *b) {
    if (a->span.source != b->span.source)
        return source_rank(diags, a->span.source) < source_rank(diags, b->span.source);
    return a->span.begin < b->span.begin;
}

void diags_render(const Diags *diags, bool color, Text *out) {
    int n = diags->list.count;
    const Diag **order = ARENA_ARRAY(diags->arena, n, const Diag *);
    for (int i = 0; i < n; i++) {
        int j = i;
        for (; j > 0 && before(diags, diags->list.at[i], order[j - 1]); j--) order[j] = order[j - 1];
        order[j] = diags->list.at[i];
    }
    for (int i = 0; i < n; i++) render_one(order[i], color, out);
    if (diags->full)
        text_printf(out, "rnnc: error: more than %d errors, the rest is not shown\n", DIAG_MOST);
}
