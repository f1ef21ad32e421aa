/* The growth step of VEC. */
#include "support/vec.h"

void *vec_grow(Arena *arena, const void *from, int count, int *room, size_t size) {
    int wanted = *room ? *room * 2 : 8;
    void *to = arena_array(arena, (size_t)wanted, size);
    if (count) memcpy(to, from, (size_t)count * size);
    *room = wanted;
    return to;
}
