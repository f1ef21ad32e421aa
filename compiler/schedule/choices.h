/* Names of what the schedule decides, so that a researcher can switch each off. */
#ifndef RNNC_SCHEDULE_CHOICES_H
#define RNNC_SCHEDULE_CHOICES_H

#include <stdbool.h>

#include "support/text.h"

typedef enum Choice {
#define CHOICE(name, switchable, about) CHOICE_##name,
#include "schedule/choices.def"
#undef CHOICE
    CHOICE_COUNT
} Choice;

enum { MOST_FORCED_CHAINS = 4 };

/* All zero: everything is done, by the rules. */
typedef struct Choices {
    bool off[CHOICE_COUNT];
    int chains; /* over k at batch 1, of every product, instead of what its shape gives; 0: that */
} Choices;

const char *choice_name(Choice choice);
/* CHOICE_COUNT when there is none of this name. */
Choice choice_named(const char *name);
bool choice_decides_bits(Choice choice);
/* One line a choice, in the form of pass_list. */
void choice_list(Text *out);

#endif
