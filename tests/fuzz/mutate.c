/* Changes texts by their tokens, so that most of what comes out is still read: tokens go, are said
 * twice, change places, are taken from elsewhere in the text or from the words of the language;
 * numbers become other numbers; lines move. */
#include <ctype.h>
#include <string.h>

#include "fuzz.h"

typedef struct Piece {
    size_t begin, end;
} Piece;

typedef struct Mutation {
    const FuzzTarget *target;
    uint8_t *bytes;
    size_t size, most;
    uint32_t seed;
} Mutation;

static size_t below(Mutation *m, size_t n) {
    m->seed = m->seed * 1664525u + 1013904223u;
    return n ? (m->seed >> 8) % n : 0;
}

static bool is_word(uint8_t byte) {
    return isalnum(byte) || byte == '_' || byte == '.';
}

/* The token around a random place: a word, a number, or one other byte. */
static Piece token(Mutation *m) {
    Piece p = {0};
    if (m->size == 0) return p;
    p.begin = below(m, m->size);
    for (int i = 0; i < 8 && isspace(m->bytes[p.begin]); i++) p.begin = below(m, m->size);
    p.end = p.begin + 1;
    if (!is_word(m->bytes[p.begin])) return p;
    while (p.begin > 0 && is_word(m->bytes[p.begin - 1])) p.begin--;
    while (p.end < m->size && is_word(m->bytes[p.end])) p.end++;
    return p;
}

static Piece line(Mutation *m) {
    Piece p = {0};
    if (m->size == 0) return p;
    p.begin = p.end = below(m, m->size);
    while (p.begin > 0 && m->bytes[p.begin - 1] != '\n') p.begin--;
    while (p.end < m->size && m->bytes[p.end] != '\n') p.end++;
    if (p.end < m->size) p.end++;
    return p;
}

/* `length` bytes in the place of `old`, if that fits. */
static void replace(Mutation *m, Piece old, const uint8_t *with, size_t length) {
    if (m->size - (old.end - old.begin) + length > m->most) return;
    memmove(m->bytes + old.begin + length, m->bytes + old.end, m->size - old.end);
    if (length) memcpy(m->bytes + old.begin, with, length);
    m->size = m->size - (old.end - old.begin) + length;
}

static void replace_by_copy(Mutation *m, Piece old, Piece from) {
    uint8_t copy[512];
    size_t length = from.end - from.begin;
    if (length > sizeof copy) return;
    memcpy(copy, m->bytes + from.begin, length);
    replace(m, old, copy, length);
}

static void put_word(Mutation *m, Piece old) {
    size_t count = 0;
    while (m->target->words[count]) count++;
    const char *word = m->target->words[below(m, count)];
    replace(m, old, (const uint8_t *)word, strlen(word));
}

static void change_once(Mutation *m) {
    Piece one = token(m), other = token(m), whole = line(m), place = line(m);
    switch (below(m, 10)) {
    case 0: replace(m, one, NULL, 0); break;
    case 1: replace_by_copy(m, (Piece){one.begin, one.begin}, one); break;
    case 2: replace_by_copy(m, one, other); break;
    case 3: replace_by_copy(m, (Piece){one.end, one.end}, other); break;
    case 4:
    case 5: put_word(m, one); break;
    case 6: put_word(m, (Piece){one.end, one.end}); break;
    case 7: replace(m, whole, NULL, 0); break;
    case 8: replace_by_copy(m, (Piece){place.begin, place.begin}, whole); break;
    case 9: /* a number, near by */
        for (int i = 0; i < 20 && one.end > one.begin && !isdigit(m->bytes[one.begin]); i++)
            one = token(m);
        if (one.end > one.begin && isdigit(m->bytes[one.begin]))
            m->bytes[one.end - 1] = (uint8_t)('0' + below(m, 10));
        break;
    }
}

size_t fuzz_mutate_tokens(const FuzzTarget *target, uint8_t *bytes, size_t size, size_t most,
                          uint32_t seed) {
    Mutation m = {target, bytes, size, most, seed};
    for (size_t count = 1 + below(&m, 4); count > 0; count--) change_once(&m);
    return m.size;
}
