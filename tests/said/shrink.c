/* Smaller texts that still show what a test is after: lines and terms are left out, one after the
 * other, for as long as anything can be. */
#include "said.h"

/* `text` without the bytes [from, to). */
static const char *without(Arena *arena, const char *text, size_t from, size_t to) {
    return arena_printf(arena, "%.*s%s", (int)from, text, text + to);
}

/* The end of the term that begins behind `text[at]`: the next " + " of its level, or what closes
 * it. */
static size_t term_end(const char *text, size_t at) {
    int depth = 0;
    for (; text[at] && text[at] != '\n'; at++) {
        if (text[at] == '(' || text[at] == '[') depth++;
        if ((text[at] == ')' || text[at] == ']') && depth-- == 0) break;
        if (depth == 0 &&
            (strncmp(text + at, " + ", 3) == 0 || strncmp(text + at, ", ", 2) == 0 ||
             strncmp(text + at, " every", 6) == 0 || strncmp(text + at, " {", 2) == 0))
            break;
    }
    return at;
}

const char *said_shrink(Arena *arena, const char *text, bool (*still)(void *user, const char *text),
                        void *user) {
    for (bool smaller = true; smaller;) {
        smaller = false;
        for (size_t at = 0; text[at];) {
            size_t ends[2], line = strcspn(text + at, "\n");
            int count = 0;
            if (at == 0 || text[at - 1] == '\n') ends[count++] = at + line + (text[at + line] != 0);
            if (strncmp(text + at, " + ", 3) == 0) ends[count++] = term_end(text, at + 3);
            if (strncmp(text + at, ", ", 2) == 0) ends[count++] = term_end(text, at + 2);
            if (strncmp(text + at, " every ", 7) == 0) ends[count++] = term_end(text, at + 7);
            bool cut = false;
            for (int k = 0; k < count && !cut; k++) {
                const char *less = without(arena, text, at, ends[k]);
                cut = still(user, less);
                if (cut) text = less;
            }
            smaller = smaller || cut;
            if (!cut) at++;
        }
    }
    return text;
}
