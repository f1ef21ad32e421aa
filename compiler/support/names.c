/* A hash table of strings, and the edit distance behind "did you mean". */
#include "support/names.h"

#include <stdint.h>
#include <stdbool.h>
#include <string.h>

typedef struct Entry {
    struct Entry *next;
    uint64_t hash;
    size_t length;
    char text[];
} Entry;

struct Names {
    Arena *arena;
    Entry **buckets;
    size_t bucket_count, count;
};

Names *names_new(Arena *arena) {
    Names *names = ARENA_NEW(arena, Names);
    names->arena = arena;
    names->bucket_count = 256;
    names->buckets = ARENA_ARRAY(arena, names->bucket_count, Entry *);
    return names;
}

static uint64_t hash_bytes(const char *bytes, size_t length) {
    uint64_t h = 1469598103934665603u;
    for (size_t i = 0; i < length; i++) h = (h ^ (unsigned char)bytes[i]) * 1099511628211u;
    return h;
}

static void grow(Names *names) {
    size_t count = names->bucket_count * 4;
    Entry **buckets = ARENA_ARRAY(names->arena, count, Entry *);
    for (size_t i = 0; i < names->bucket_count; i++)
        for (Entry *e = names->buckets[i]; e;) {
            Entry *next = e->next;
            e->next = buckets[e->hash % count];
            buckets[e->hash % count] = e;
            e = next;
        }
    names->buckets = buckets;
    names->bucket_count = count;
}

Name name_of_length(Names *names, const char *bytes, size_t length) {
    uint64_t hash = hash_bytes(bytes, length);
    for (Entry *e = names->buckets[hash % names->bucket_count]; e; e = e->next)
        if (e->hash == hash && e->length == length && memcmp(e->text, bytes, length) == 0)
            return e->text;
    if (names->count > names->bucket_count) grow(names);
    Entry *e = arena_alloc(names->arena, sizeof(Entry) + length + 1);
    e->hash = hash;
    e->length = length;
    memcpy(e->text, bytes, length);
    e->next = names->buckets[hash % names->bucket_count];
    names->buckets[hash % names->bucket_count] = e;
    names->count++;
    return e->text;
}

Name name_of(Names *names, const char *string) {
    return name_of_length(names, string, strlen(string));
}

enum { LONGEST = 64, MOST_EDITS = 2 };

static int edits(const char *a, const char *b) {
    size_t n = strlen(a), m = strlen(b);
    if (n > LONGEST || m > LONGEST) return MOST_EDITS + 1;
    int row[LONGEST + 1];
    for (size_t j = 0; j <= m; j++) row[j] = (int)j;
    for (size_t i = 1; i <= n; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= m; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            diagonal = row[j];
            row[j] = best;
        }
    }
    return row[m];
}

const char *name_nearest(const char *wanted, const char *const *candidates, int count) {
    int best = MOST_EDITS + 1;
    const char *nearest = NULL;
    for (int i = 0; i < count; i++) {
        int d = edits(wanted, candidates[i]);
        bool nearer = d < best || (d == best && nearest && strcmp(candidates[i], nearest) < 0);
        if (nearer && (size_t)d < strlen(wanted)) {
            best = d;
            nearest = candidates[i];
        }
    }
    return nearest;
}
