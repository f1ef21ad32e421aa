/* What the tests of this folder share: random numbers, source texts compiled in process, stage by
 * stage, and random systems of equations. */
#ifndef RNNC_TEST_SAID_H
#define RNNC_TEST_SAID_H

#include "../numeric/numeric.h"

/* ---- Random numbers: the same on every machine ---- */

typedef struct Dice {
    uint64_t state;
} Dice;

Dice dice_new(uint64_t seed);
/* From 0 to below `count`. */
int dice(Dice *dice, int count);
/* True in `percent` of a hundred. */
bool dice_percent(Dice *dice, int percent);

/* FIRST:LAST from the environment variable `name`, if it is set. */
void dice_range(const char *name, int *first, int *last);

/* ---- A text to a Graph and on to Loop code (build.c) ---- */

typedef struct Said {
    const char *text;
    const char *model; /* NULL: the last */
    Mode mode;
    LoopType real;
    Target target;
    const Define *defines;
    int define_count;
    const char *const *passes; /* NULL: all, in the order of their table */
    int pass_count;
    bool off[CHOICE_COUNT]; /* choices of the schedule */
    bool with_prelude;
    const char *path; /* where the text comes from, for its imports; NULL: nowhere */
} Said;

/* The first error of a compilation. */
typedef struct Verdict {
    bool accepted;    /* as far as was asked */
    const char *code; /* E-…; "internal" */
    const char *words;
} Verdict;

/* Reads a text up to the graph of one model, causality not looked at; NULL: *verdict says why. */
const Graph *said_graph(Arena *arena, Names *names, const Said *said, Verdict *verdict);

/* Goes on from there to Loop code. `result` and `words` as of model_build. */
Built *said_lower(Arena *arena, Names *names, const Graph *graph, const Said *said);

/* Both, with causality between; NOT_CHECKED: an error of the text, in `words`. */
Built *said_build(Arena *arena, const Said *said);

/* ---- Random systems of equations (system.c) ---- */

/* A source text whose last model is a random system; every line of its body is one statement. */
const char *system_text(Arena *arena, uint64_t seed);

/* Tries to leave out lines and terms of a text, as long as `still` holds of what is left. */
const char *said_shrink(Arena *arena, const char *text, bool (*still)(void *user, const char *text),
                        void *user);

#endif
