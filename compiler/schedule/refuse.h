/* What is not compiled yet, collected while a graph is brought into normal form. */
#ifndef RNNC_SCHEDULE_REFUSE_H
#define RNNC_SCHEDULE_REFUSE_H

#include "schedule/schedule.h"

/* A kind of operation, told once, where the file of the model has it. */
typedef struct Refused {
    const char *what;
    const Node *node;
    int times;
} Refused;

typedef struct Refusals {
    Diags *diags;
    const Source *main;
    VEC(Refused) kinds;
} Refusals;

/* Notes one of its kind. Always false. */
bool schedule_refuse(Refusals *to, const Node *node, const char *what);

/* E-LOWER for each kind. */
void schedule_refusals(const Refusals *refusals, const Graph *graph);

#endif
