/* Changing one token of a program. Tokens are told apart as the scanner does, comments left out. */
#include "mutants.h"

#include <stdbool.h>
#include <string.h>

const char *const mutant_names[] = {"delete", "double", "swap", "replace", "rename", "insert"};

static size_t token_length(const char *text) {
    static const char *const pairs[] = {"->", "<=", ">=", "==", "!="};
    static const char name[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ_0123456789";
    if (*text >= '0' && *text <= '9') return strspn(text, "0123456789.e");
    size_t length = strspn(text, name);
    if (length > 0) return length;
    if (*text == '"') return strcspn(text + 1, "\"\n") + 2;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++)
        if (strncmp(text, pairs[i], 2) == 0) return 2;
    return 1;
}

Pieces pieces_of(Arena *arena, const char *text) {
    Pieces pieces = {0};
    int line = 1;
    while (*text != '\0') {
        size_t length = 1;
        if (*text == '\n')
            line++;
        else if (*text == '#')
            length = strcspn(text, "\n");
        else if (strchr(" \t\r", *text) == NULL) {
            length = token_length(text);
            vec_push(arena, &pieces, (Piece){text, (int)length, line});
        }
        text += length;
    }
    return pieces;
}

uint32_t draw(uint64_t *seed, uint32_t below) {
    *seed = *seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((*seed >> 33) % below);
}

static int class_of(const Piece *piece) {
    unsigned char c = (unsigned char)*piece->at;
    if (c >= '0' && c <= '9') return 0;
    if (strchr("+-*/%@^<>=!~", c) != NULL) return 1;
    if (strchr("[](){},:.;\"", c) != NULL) return 2;
    return 3;
}

/* A token of the class of `p` with another text, where there is one. */
static const Piece *of_its_kind(const Pieces *pieces, const Piece *p, uint64_t *seed) {
    const Piece *found = p;
    for (int tries = 0; tries < 100 && found == p; tries++) {
        const Piece *q = &pieces->at[draw(seed, (uint32_t)pieces->count)];
        bool same = q->length == p->length && memcmp(q->at, p->at, (size_t)p->length) == 0;
        if (class_of(q) == class_of(p) && !same) found = q;
    }
    return found;
}

/* Names run together where nothing stands between them. */
#define WORD " %.*s "

Mutant mutate(Arena *arena, const char *text, const Pieces *pieces, int at, MutantKind kind,
              const Pieces *words, uint64_t *seed) {
    const Piece *p = &pieces->at[at], *q = at + 1 < pieces->count ? p + 1 : p;
    const Piece *w = &words->at[draw(seed, (uint32_t)words->count)];
    const char *behind = p->at + p->length;
    int before = (int)(p->at - text);
    Mutant mutant = {.kind = kind, .first = p->line, .last = p->line};
    if (kind == MUTANT_RENAME) w = of_its_kind(pieces, p, seed);
    switch (kind) {
    case MUTANT_DELETE:
        mutant.text = arena_printf(arena, "%.*s%s", before, text, behind);
        mutant.what = arena_printf(arena, "'%.*s' deleted", p->length, p->at);
        break;
    case MUTANT_DOUBLE:
        mutant.text = arena_printf(arena, "%.*s" WORD WORD "%s", before, text, p->length, p->at,
                                   p->length, p->at, behind);
        mutant.what = arena_printf(arena, "'%.*s' doubled", p->length, p->at);
        break;
    case MUTANT_SWAP:
        mutant.text = arena_printf(arena, "%.*s" WORD "%.*s" WORD "%s", before, text, q->length,
                                   q->at, p == q ? 0 : (int)(q->at - behind), behind, p->length,
                                   p->at, q->at + q->length);
        mutant.what =
            arena_printf(arena, "'%.*s' and '%.*s' swapped", p->length, p->at, q->length, q->at);
        mutant.last = q->line;
        break;
    case MUTANT_REPLACE:
    case MUTANT_RENAME:
        mutant.text = arena_printf(arena, "%.*s" WORD "%s", before, text, w->length, w->at, behind);
        mutant.what =
            arena_printf(arena, "'%.*s' becomes '%.*s'", p->length, p->at, w->length, w->at);
        break;
    case MUTANT_INSERT:
        mutant.text = arena_printf(arena, "%.*s" WORD "%s", before, text, w->length, w->at, p->at);
        mutant.what =
            arena_printf(arena, "'%.*s' before '%.*s'", w->length, w->at, p->length, p->at);
        break;
    case MUTANT_KINDS: break;
    }
    return mutant;
}
