/* Inside of stage_blocks: what stages.c and sink.c share. */
#ifndef RNNC_SCHEDULE_STAGES_H
#define RNNC_SCHEDULE_STAGES_H

#include "schedule/schedule.h"

typedef struct Staging {
    Schedule *schedule;
    const Block *block;
    Value *value;
    bool *prologue; /* by value */
    int stage;
    bool all_early; /* every operand is a prologue or of an earlier stage */
} Staging;

/* Whether `reader` needs all elements of what it uses to be complete. */
bool stage_full_read(const Staging *s, const Value *reader, const Use *use, bool boundary);

/* Whether a use by s->value is of what this block computes at this very position. */
bool stage_in_block(const Staging *s, const Use *use);

/* sink.c: moves pointwise operations to later stages where that saves a stored vector. */
void stage_sink(Staging *s);

#endif
