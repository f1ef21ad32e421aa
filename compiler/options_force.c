/* --tile=ROWSxVECTORS[xCHAINS], --layout=, --unroll-time=, --threads=N[:SPLIT]: read, and written
 * again as a tuning file has them. */
#include "options_force.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "rnn_rt.h"
#include "schedule/choices.h"

static const char *const layouts[] = {"auto", "rows", "panels"};
static const char *const splits[] = {"auto", "units", "sequences", "none"};

static bool fail(const char **why, const char *message) {
    *why = message;
    return false;
}

/* A number from 1 to `most` of so many characters; 0: it is none. */
static int number(const char *text, size_t length, int most) {
    long value = 0;
    if (!length || length > 6) return 0;
    for (size_t i = 0; i < length; i++) {
        if (!isdigit((unsigned char)text[i])) return 0;
        value = 10 * value + (text[i] - '0');
    }
    return value <= most ? (int)value : 0;
}

/* Up to the next x or the end: a number, or `auto`, which is 0. */
static bool tile_part(const char **at, int most, int *to) {
    size_t length = strncmp(*at, "auto", 4) == 0 ? 4 : strcspn(*at, "x");
    *to = number(*at, length, most);
    bool good = *to > 0 || (length == 4 && (*at)[0] == 'a');
    *at += length;
    return good;
}

static bool take_tile(Arena *arena, Options *o, const char *value, const char **why) {
    int rows, vectors, chains = 0;
    const char *at = value;
    bool good = tile_part(&at, FORCE_MOST_ROWS, &rows) && *at++ == 'x' &&
                tile_part(&at, FORCE_MOST_VECTORS, &vectors);
    if (good && *at == 'x') {
        at++;
        good = tile_part(&at, MOST_FORCED_CHAINS, &chains);
    }
    if (!good || *at)
        return fail(why,
                    arena_printf(arena,
                                 "--tile=%s: ROWSxVECTORS or ROWSxVECTORSxCHAINS, rows from 1 "
                                 "to %d, vectors of units from 1 to %d, chains from 1 to %d, "
                                 "each a number or auto",
                                 value, FORCE_MOST_ROWS, FORCE_MOST_VECTORS, MOST_FORCED_CHAINS));
    o->force.rows = rows;
    o->force.vectors = vectors;
    o->chains = chains;
    return true;
}

static bool take_word(Arena *arena, const char *name, const char *value, const char *const *words,
                      int count, int *to, const char **why) {
    Text list = text_new(arena);
    for (int i = 0; i < count; i++) {
        if (strcmp(words[i], value) == 0) {
            *to = i;
            return true;
        }
        text_printf(&list, "%s%s", i ? ", " : "", words[i]);
    }
    return fail(why,
                arena_printf(arena, "%s: '%s' is none of %s", name, value, text_string(&list)));
}

static bool take_threads(Arena *arena, Options *o, const char *value, const char **why) {
    size_t length = strcspn(value, ":");
    int threads = number(value, length, RT_MOST_THREADS), split = SPLIT_AUTO;
    if (!threads)
        return fail(why, arena_printf(arena, "--threads=%s: a number from 1 to %d", value,
                                      RT_MOST_THREADS));
    if (value[length] && !take_word(arena, "--threads=N:SPLIT", value + length + 1, splits,
                                    SPLIT_COUNT, &split, why))
        return false;
    o->threads = threads;
    o->force.split = (ForceSplit)split;
    return true;
}

bool force_option(Arena *arena, Options *o, const char *name, const char *value, const char **why) {
    int word;
    if (strcmp(name, "--tile") == 0) return take_tile(arena, o, value, why);
    if (strcmp(name, "--threads") == 0) return take_threads(arena, o, value, why);
    if (strcmp(name, "--layout") == 0) {
        if (!take_word(arena, name, value, layouts, LAYOUT_COUNT, &word, why)) return false;
        o->force.layout = (ForceLayout)word;
        return true;
    }
    o->force.unroll = number(value, strlen(value), FORCE_MOST_UNROLL);
    return o->force.unroll || fail(why, arena_printf(arena, "%s=%s: a number of steps from 1 to %d",
                                                     name, value, FORCE_MOST_UNROLL));
}

static void put_part(int number, const char *between, Text *out) {
    text_puts(out, between);
    if (number)
        text_printf(out, "%d", number);
    else
        text_puts(out, "auto");
}

void force_text(const Force *force, int chains, Text *out) {
    if (force->rows || force->vectors || chains) {
        put_part(force->rows, " --tile=", out);
        put_part(force->vectors, "x", out);
        if (chains) put_part(chains, "x", out);
    }
    if (force->layout) text_printf(out, " --layout=%s", layouts[force->layout]);
    if (force->unroll > 1) text_printf(out, " --unroll-time=%d", force->unroll);
}
