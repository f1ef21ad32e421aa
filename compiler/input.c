/* Reading source files, whole, from a path or from standard input. */
#include "input.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Bytes of one source file. One more is read, for the parser to refuse: GRAMMAR_BYTES is the limit.
 */
enum { INPUT_MOST = 1 << 24 };

/* An open file and what was read of it. */
typedef struct Reading {
    FILE *stream; /* NULL: closed, or standard input */
    char *bytes;
} Reading;

static void end_reading(void *what) {
    Reading *reading = what;
    if (reading->stream) fclose(reading->stream);
    free(reading->bytes);
    *reading = (Reading){0};
}

/* Reads to the end into *bytes (malloc), at most INPUT_MOST + 1 bytes. False with errno set. */
static bool read_stream(FILE *stream, char **bytes, size_t *size) {
    size_t room = 1 << 16, used = 0;
    char *block = malloc(room);
    while (block) {
        used += fread(block + used, 1, room - used, stream);
        if (used < room || used > INPUT_MOST) break;
        char *grown = realloc(block, room *= 2);
        if (!grown) free(block);
        block = grown;
    }
    if (!block) {
        errno = ENOMEM;
        return false;
    }
    if (ferror(stream)) {
        int why = errno;
        free(block);
        errno = why;
        return false;
    }
    *bytes = block;
    *size = used;
    return true;
}

const Source *input_source(Arena *arena, const char *path, const char **why) {
    bool standard = strcmp(path, "-") == 0;
    Reading *reading = ARENA_NEW(arena, Reading);
    arena_own(arena, end_reading, reading);
    FILE *stream = standard ? stdin : fopen(path, "rb");
    if (!standard) reading->stream = stream;
    size_t size = 0;
    bool good = stream && read_stream(stream, &reading->bytes, &size);
    int number = errno;
    if (!good && number == ENOMEM) arena_exhausted(arena);
    if (!good) {
        end_reading(reading);
        *why = arena_printf(arena, "%s", strerror(number));
        return NULL;
    }
    if (size > INPUT_MOST) size = (size_t)INPUT_MOST + 1;
    Source *source = ARENA_NEW(arena, Source);
    source->path = standard ? "<stdin>" : arena_printf(arena, "%s", path);
    source->text = arena_strndup(arena, reading->bytes, size);
    source->length = (uint32_t)size;
    end_reading(reading);
    return source;
}
