/* The table of choices.def. */
#include "schedule/choices.h"

#include <string.h>

enum { FREE, BITS };

static const struct {
    const char *name;
    int switchable;
    const char *about;
} table[CHOICE_COUNT] = {
#define CHOICE(name, switchable, about) {#name, switchable, about},
#include "schedule/choices.def"
#undef CHOICE
};

const char *choice_name(Choice choice) {
    return table[choice].name;
}

Choice choice_named(const char *name) {
    for (int i = 0; i < CHOICE_COUNT; i++)
        if (strcmp(table[i].name, name) == 0) return (Choice)i;
    return CHOICE_COUNT;
}

bool choice_decides_bits(Choice choice) {
    return table[choice].switchable == BITS;
}

void choice_list(Text *out) {
    for (int i = 0; i < CHOICE_COUNT; i++)
        text_printf(out, "%-11s %-13s %s\n", table[i].name,
                    table[i].switchable == BITS ? "decides bits" : "free", table[i].about);
}
