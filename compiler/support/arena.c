/* Arenas: chunks of growing size, bumped; or one malloc an object with RNNC_ARENA_MALLOC. */
#include "support/arena.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct Chunk {
    struct Chunk *next;
    size_t size, used;
    max_align_t data[];
} Chunk;

typedef struct Owned {
    struct Owned *next;
    void (*release)(void *what);
    void *what;
} Owned;

struct Arena {
    Chunk *chunks;
    Owned *owned;
    jmp_buf *oom;
    size_t used, most;
    struct Arena **held; /* by the arena that this one is in; NULL: by nobody */
};

enum { FIRST_CHUNK = 1 << 16, LARGEST_CHUNK = 1 << 22 };

Arena *arena_new(jmp_buf *oom) {
    Arena *arena = calloc(1, sizeof *arena);
    if (arena) {
        arena->oom = oom;
        arena->most = SIZE_MAX;
    }
    return arena;
}

void arena_free(Arena *arena) {
    if (!arena) return;
    if (arena->held) *arena->held = NULL;
    for (Owned *o = arena->owned; o; o = o->next) o->release(o->what);
    for (Chunk *c = arena->chunks; c;) {
        Chunk *next = c->next;
        free(c);
        c = next;
    }
    free(arena);
}

void arena_exhausted(Arena *arena) {
    longjmp(*arena->oom, 1);
}

void arena_own(Arena *arena, void (*release)(void *), void *what) {
    Owned *owned = ARENA_NEW(arena, Owned);
    *owned = (Owned){arena->owned, release, what};
    arena->owned = owned;
}

static void release_arena(void *what) {
    arena_free(*(Arena **)what);
}

Arena *arena_new_in(Arena *parent) {
    Arena **held = ARENA_NEW(parent, Arena *);
    arena_own(parent, release_arena, held);
    *held = arena_new(parent->oom);
    if (!*held) arena_exhausted(parent);
    (*held)->held = held;
    (*held)->most = parent->most - parent->used;
    return *held;
}

static Chunk *add_chunk(Arena *arena, size_t least) {
    size_t size = least;
#ifndef RNNC_ARENA_MALLOC
    size_t grown = arena->chunks ? arena->chunks->size * 2 : (size_t)FIRST_CHUNK;
    if (grown > LARGEST_CHUNK) grown = LARGEST_CHUNK;
    if (size < grown) size = grown;
#endif
    Chunk *c = size <= SIZE_MAX - sizeof(Chunk) ? calloc(1, sizeof(Chunk) + size) : NULL;
    if (!c) arena_exhausted(arena);
    c->size = size;
    c->next = arena->chunks;
    arena->chunks = c;
    return c;
}

#ifdef RNNC_ARENA_MALLOC
/* Exactly as large as asked for: a sanitizer sees the first byte behind it. */
void *arena_alloc(Arena *arena, size_t size) {
    if (size > arena->most - arena->used) longjmp(*arena->oom, 1);
    Chunk *c = add_chunk(arena, size);
    c->used = size;
    arena->used += size;
    return c->data;
}
#else
void *arena_alloc(Arena *arena, size_t size) {
    size_t unit = sizeof(max_align_t);
    if (size > SIZE_MAX - unit) arena_exhausted(arena);
    size_t rounded = size ? (size + unit - 1) / unit * unit : unit;
    if (rounded > arena->most - arena->used) longjmp(*arena->oom, 1);
    Chunk *c = arena->chunks;
    if (!c || c->size - c->used < rounded) c = add_chunk(arena, rounded);
    void *at = (char *)c->data + c->used;
    c->used += rounded;
    arena->used += rounded;
    return at;
}
#endif

void *arena_array(Arena *arena, size_t count, size_t size) {
    if (size && count > SIZE_MAX / size) arena_exhausted(arena);
    return arena_alloc(arena, count * size);
}

void *arena_copy(Arena *arena, const void *from, size_t size) {
    void *to = arena_alloc(arena, size);
    if (size) memcpy(to, from, size);
    return to;
}

char *arena_strndup(Arena *arena, const char *text, size_t length) {
    char *to = arena_alloc(arena, length + 1);
    if (length) memcpy(to, text, length);
    return to;
}

char *arena_printf(Arena *arena, const char *format, ...) {
    va_list args, again;
    va_start(args, format);
    va_copy(again, args);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0) n = 0;
    char *to = arena_alloc(arena, (size_t)n + 1);
    vsnprintf(to, (size_t)n + 1, format, again);
    va_end(again);
    return to;
}

void arena_limit(Arena *arena, size_t most) {
    arena->most = most > arena->used ? most : arena->used;
}

size_t arena_used(const Arena *arena) {
    return arena->used;
}

int arena_is_single(void) {
#ifdef RNNC_ARENA_MALLOC
    return 1;
#else
    return 0;
#endif
}
