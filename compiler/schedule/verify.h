/* Inside of schedule_verify: what its two files share. */
#ifndef RNNC_SCHEDULE_VERIFY_H
#define RNNC_SCHEDULE_VERIFY_H

#include "schedule/schedule.h"

typedef struct Verify {
    const Schedule *schedule;
    Diags *diags;
    bool good;
    int *place;                  /* by value: its number in the order of the text, -1 for leaves */
    SNest *(*loops)[MAX_DOMAIN]; /* by block: the loops around, outermost first */
} Verify;

/* Reports a broken rule at a value. */
void verify_fail(Verify *verify, const Value *value, const char *what);

/* Every use of a value that stands in a block: what it reads is computed, kept, and of a fitting
 * size. */
void verify_uses(Verify *verify, const Value *reader);

#endif
