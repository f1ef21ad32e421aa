/* Remarks, collected. */
#include "support/remark.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

enum { MOST_TEXT = 800 };

Remarks *remarks_new(Arena *arena) {
    Remarks *remarks = ARENA_NEW(arena, Remarks);
    remarks->arena = arena;
    remarks->function = "";
    return remarks;
}

static void add(Remarks *remarks, const Remark *made) {
    for (int i = remarks->list.count - 1; i >= 0; i--) {
        const Remark *old = &remarks->list.at[i];
        if (old->kind == made->kind && old->missed == made->missed &&
            old->span.source == made->span.source && old->span.begin == made->span.begin &&
            strcmp(old->function, made->function) == 0 && strcmp(old->text, made->text) == 0)
            return;
    }
    vec_push(remarks->arena, &remarks->list, *made);
}

static void put(Remarks *remarks, RemarkKind kind, bool missed, Span span, const char *format,
                va_list args) {
    char text[MOST_TEXT];
    int length = vsnprintf(text, sizeof text, format, args);
    if (length >= MOST_TEXT) memcpy(text + MOST_TEXT - 4, "...", 4);
    const char *kept = arena_strndup(remarks->arena, text, strlen(text));
    add(remarks, &(Remark){kind, missed, span, remarks->function, kept});
}

void remark_done(Remarks *remarks, RemarkKind kind, Span span, const char *format, ...) {
    va_list args;
    if (!remarks) return;
    va_start(args, format);
    put(remarks, kind, false, span, format, args);
    va_end(args);
}

void remark_missed(Remarks *remarks, RemarkKind kind, Span span, const char *format, ...) {
    va_list args;
    if (!remarks) return;
    va_start(args, format);
    put(remarks, kind, true, span, format, args);
    va_end(args);
}

const char *remark_word(const Remark *remark) {
    static const char *const words[][2] = {[REMARK_HOISTED] = {"hoisted", "not hoisted"},
                                           [REMARK_PUSHED] = {"pushed", "not pushed"},
                                           [REMARK_ADOPTED] = {"adopted", "not adopted"},
                                           [REMARK_FUSED] = {"fused", "not fused"},
                                           [REMARK_PACKED] = {"packed", "not packed"},
                                           [REMARK_KEPT] = {"kept", "not kept"},
                                           [REMARK_PANEL] = {"panel", "no panel"},
                                           [REMARK_TILED] = {"tiled", "not tiled"},
                                           [REMARK_ZIGZAG] = {"zig-zag", "no zig-zag"},
                                           [REMARK_UNROLLED] = {"unrolled", "not unrolled"},
                                           [REMARK_SKIPPED] = {"skipped", "not skipped"},
                                           [REMARK_SUMMED] = {"summed", "not summed"},
                                           [REMARK_THREADS] = {"threads", "one thread"}};
    return words[remark->kind][remark->missed];
}
