/* The identifiers that are visible where the C backend prints, each once. A word remembers the
 * last number that was put behind it, so that the ten thousandth `h` costs what the second does. */
#include "c.h"

typedef struct CWord {
    Name name;
    bool visible; /* as an identifier, whatever it was made of */
    int last;     /* the number of its last identifier: 1 for `h`, 3 for `h_3`; 0 without one */
} CWord;

static CWord *word_of(EmitC *c, Name name) {
    CScope *scope = &c->scope;
    if (2 * scope->word_count >= scope->word_room) {
        int old_room = scope->word_room;
        CWord **old = scope->words;
        scope->word_room = old_room ? 2 * old_room : 256;
        scope->words = ARENA_ARRAY(c->arena, scope->word_room, CWord *);
        size_t mask = (size_t)scope->word_room - 1;
        for (int i = 0; i < old_room; i++) {
            if (!old[i]) continue;
            size_t at = ((uintptr_t)old[i]->name >> 4) * 2654435761u & mask;
            while (scope->words[at]) at = (at + 1) & mask;
            scope->words[at] = old[i];
        }
    }
    size_t mask = (size_t)scope->word_room - 1;
    size_t at = ((uintptr_t)name >> 4) * 2654435761u & mask;
    while (scope->words[at] && scope->words[at]->name != name) at = (at + 1) & mask;
    if (!scope->words[at]) {
        scope->words[at] = ARENA_NEW(c->arena, CWord);
        scope->words[at]->name = name;
        scope->word_count++;
    }
    return scope->words[at];
}

const char *c_declare(EmitC *c, const char *hint) {
    Names *names = c->module->names;
    const char *word = identifier_of(c->arena, hint);
    /* lstm_… and LSTM_… are symbols and macros of the header. */
    size_t length = strlen(c->prefix);
    if ((strncmp(word, c->prefix, length) == 0 || strncmp(word, c->upper, length) == 0) &&
        word[length] == '_')
        word = arena_printf(c->arena, "v_%s", word);
    CWord *base = word_of(c, name_of(names, word)), *own = base;
    int before = base->last;
    /* What ends before `base` does is declared after it: the numbers up to the last are taken. */
    base->last++;
    if (base->last > 1)
        own = word_of(c, name_of(names, arena_printf(c->arena, "%s_%d", word, base->last)));
    while (own->visible) {
        base->last++;
        own = word_of(c, name_of(names, arena_printf(c->arena, "%s_%d", word, base->last)));
    }
    own->visible = true;
    vec_push(c->arena, &c->scope.stack, (CScopeName){own, base, before});
    return own->name;
}

int c_visible(const EmitC *c) {
    return c->scope.stack.count;
}

void c_leave(EmitC *c, int visible) {
    while (c->scope.stack.count > visible) {
        const CScopeName *top = &c->scope.stack.at[--c->scope.stack.count];
        top->own->visible = false;
        top->base->last = top->before;
    }
}
