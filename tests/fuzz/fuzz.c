/* The table of targets, and what is around each case: an arena with a ceiling, the oracles that all
 * targets have. */
#include "fuzz.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The bounds of memory, documented in docs/testing.md: what the prelude and a small model take, for
 * each byte what the densest text takes, and for a source what its equations take that a loop made:
 * four graphs are made of it, and the code. */
#ifndef RNNC_MAX_EQUATIONS
#define RNNC_MAX_EQUATIONS 100000
#endif
enum { EQUATION = 4 * 16 << 10 };
#define UNROLLED ((size_t)RNNC_MAX_EQUATIONS * EQUATION)

const FuzzTarget fuzz_targets[] = {
    {"source", fuzz_source, fuzz_words_source, (64 << 20) + UNROLLED, 64 << 10},
    {"format", fuzz_format, fuzz_words_source, 1 << 20, 4 << 10},
    {"graph", fuzz_graph, fuzz_words_graph, 64 << 20, 64 << 10},
    {"schedule", fuzz_schedule, fuzz_words_schedule, 16 << 20, 4 << 10},
    {"loop", fuzz_loop, fuzz_words_loop, 16 << 20, 4 << 10},
    {"npy", fuzz_npy, fuzz_words_header, 1 << 20, 64},
    {"safetensors", fuzz_safetensors, fuzz_words_header, 1 << 20, 64},
    {"line", fuzz_line, fuzz_words_line, 1 << 20, 1 << 10},
    {"run", fuzz_run, NULL, 64 << 20, 4 << 10},
};
const int fuzz_target_count = sizeof fuzz_targets / sizeof *fuzz_targets;

const FuzzTarget *fuzz_target(const char *name) {
    for (int i = 0; i < fuzz_target_count; i++)
        if (strcmp(fuzz_targets[i].name, name) == 0) return &fuzz_targets[i];
    return NULL;
}

void fuzz_fail(const char *file, int line, const char *condition, const char *format, ...) {
    va_list args;
    va_start(args, format);
    fprintf(stderr, "%s:%d: this does not hold: %s\n", file, line, condition);
    vfprintf(stderr, format, args);
    fputs("\n", stderr);
    va_end(args);
    abort();
}

const char *fuzz_diags(Arena *arena, const Diags *diags) {
    Text text = text_new(arena);
    diags_render(diags, false, &text);
    return text_string(&text);
}

static void check_span(const FuzzCase *c, const Diags *diags, Span span) {
    if (span.source && (span.begin > span.end || span.end > span.source->length))
        FUZZ_CHECK(false, "a place outside of its source:\n%s", fuzz_diags(c->arena, diags));
}

void fuzz_check_diags(const FuzzCase *c, const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (strcmp(diag->code, "internal") == 0)
            FUZZ_CHECK(false, "a verifier reports\n%s", fuzz_diags(c->arena, diags));
        check_span(c, diags, diag->span);
        for (int k = 0; k < diag->notes.count; k++) check_span(c, diags, diag->notes.at[k].span);
    }
    (void)fuzz_diags(c->arena, diags); /* that rendering holds out, too */
}

void fuzz_one(const FuzzTarget *target, const uint8_t *bytes, size_t size) {
    jmp_buf no_memory;
    Arena *volatile arena = arena_new(&no_memory);
    size_t bound = target->base + target->each * size;
    if (!arena) return;
    if (setjmp(no_memory))
        FUZZ_CHECK(false, "%s: more than %zu bytes for %zu of input", target->name, bound, size);
    arena_limit(arena, bound);
    FuzzCase c = {.arena = arena,
                  .names = names_new(arena),
                  .diags = diags_new(arena),
                  .text = arena_strndup(arena, (const char *)bytes, size),
                  .size = size,
                  .hash = 2166136261u};
    for (size_t i = 0; i < size; i++) c.hash = (c.hash ^ bytes[i]) * 16777619u;
    c.hash ^= c.hash >> 15;
    target->one(&c);
    arena_free(arena);
}
