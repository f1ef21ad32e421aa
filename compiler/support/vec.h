/* Growing arrays in an arena: VEC(Type) declares one, vec_push appends. Zeroed is empty. */
#ifndef RNNC_SUPPORT_VEC_H
#define RNNC_SUPPORT_VEC_H

#include <string.h>

#include "support/arena.h"

#define VEC(Type)          \
    struct {               \
        Type *at;          \
        int count, room;   \
    }

/* Appends `value`. The old array stays in the arena, so pointers into it stay readable, not current. */
#define vec_push(arena, v, ...)                                                                     \
    do {                                                                                            \
        if ((v)->count == (v)->room)                                                                \
            (v)->at = vec_grow((arena), (v)->at, (v)->count, &(v)->room, sizeof *(v)->at);          \
        (v)->at[(v)->count++] = (__VA_ARGS__);                                                      \
    } while (0)

/* Doubles the room of an array of `count` elements of `size` bytes; used by vec_push. */
void *vec_grow(Arena *arena, const void *from, int count, int *room, size_t size);

#endif
