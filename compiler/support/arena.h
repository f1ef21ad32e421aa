/* Memory by lifetime: everything that one compilation allocates lives in an arena and goes with it.
 *
 * Out of memory leaves by longjmp to the handler that the owner of the arena installed (main.c, or
 * a test), so that no caller has to check for NULL. What is not memory of the arena (an open file,
 * a folder, a block of malloc) and is held across an allocation is owned by the arena, too, and
 * ends with it. With RNNC_ARENA_MALLOC defined every object is an allocation of its own, so that
 * sanitizers see each one. */
#ifndef RNNC_SUPPORT_ARENA_H
#define RNNC_SUPPORT_ARENA_H

#include <setjmp.h>
#include <stddef.h>

typedef struct Arena Arena;

/* A new arena, or NULL when there is no memory for it. `oom` must outlive the arena. */
Arena *arena_new(jmp_buf *oom);

/* A new arena that leaves where `parent` does, and ends with it if not before; it may hand out what is
 * left of the parent's limit. Never NULL. */
Arena *arena_new_in(Arena *parent);

/* Frees the arena and all that was allocated from it. NULL is allowed. */
void arena_free(Arena *arena);

/* Zeroed memory, aligned for any type. Never NULL: leaves by longjmp when there is none. */
void *arena_alloc(Arena *arena, size_t size);

/* Room for `count` zeroed objects of `size` bytes; an overflow of the product counts as no memory.
 */
void *arena_array(Arena *arena, size_t count, size_t size);

/* A copy of `size` bytes. */
void *arena_copy(Arena *arena, const void *from, size_t size);

/* A copy of the first `length` characters with a NUL behind them. */
char *arena_strndup(Arena *arena, const char *text, size_t length);

/* printf into the arena. */
char *arena_printf(Arena *arena, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* From now on the arena hands out at most `most` bytes in all: more is no memory. A new arena has
 * no such limit. */
void arena_limit(Arena *arena, size_t most);

/* Leaves as if there were no memory: it was another allocation that failed. */
_Noreturn void arena_exhausted(Arena *arena);

/* Has `release(what)` called when the arena ends, the last owned first. `what` lies in the arena
 * and may be empty yet, or released already. */
void arena_own(Arena *arena, void (*release)(void *what), void *what);

/* Whether this is built so that each object is an allocation of its own: arenas of the two kinds must
 * not meet. */
int arena_is_single(void);

/* Bytes handed out so far, for tests of memory bounds. */
size_t arena_used(const Arena *arena);

#define ARENA_NEW(arena, Type) ((Type *)arena_alloc((arena), sizeof(Type)))
#define ARENA_ARRAY(arena, count, Type)                                                            \
    ((Type *)arena_array((arena), (size_t)(count), sizeof(Type)))

#endif
