/* From a Schedule to Loop code: buffers, tiles, lanes, packing, and the functions of the interface.
 */
#ifndef RNNC_LOOP_LOWER_H
#define RNNC_LOOP_LOWER_H

#include "loop/force.h"
#include "loop/interface.h"
#include "schedule/schedule.h"

typedef struct LowerOptions {
    Target target;
    LoopType real;      /* LT_F32 or LT_F64 */
    const char *prefix; /* of every symbol */
    bool places;        /* statements know their lines (-g) */
    Span home;          /* the model's name; with `places` */
    int threads;        /* above 1: functions take a pool, and have regions where that pays */
    bool eager;         /* regions, blocks, and products with `blas`, however small: for tests */
    bool blas;          /* large products over all positions are the runtime's */
    Force force, force_training; /* of what one may choose; of the functions of training */
    bool init;                   /* with the function that draws the parameters */
    bool reduce_sum;             /* the loss is the sum over the batch, not the mean */
    Remarks *remarks;            /* what is decided, in words; NULL: nobody asked */
    const bool
        *axes_needed; /* by axis: no length may be 0 (passes_axes_needed of the graph as written) */
} LowerOptions;

/* BEFORE: rows before position 0. AHEAD: a chunk forward. AFTER: losses, and the gradients of the
 * totals. BACK: a chunk again, and its gradient. START: the gradient of the rows before position 0.
 */
typedef enum TapePart {
    PART_BEFORE,
    PART_AHEAD,
    PART_AFTER,
    PART_BACK,
    PART_START,
    TAPE_PARTS
} TapePart;

/* A gradient that keeps one chunk at a time, of a graph that was cut (adjoint/cut.h). */
typedef struct LowerChunks {
    int axis, longest_lag;
    int64_t budget; /* bytes of workspace */
    int row_count, total_count;
    const Type *rows, *totals;       /* of rows before a chunk, of totals */
    const Graph *graphs[TAPE_PARTS]; /* each part, or what it is the gradient of */
    const Schedule *parts[TAPE_PARTS];
} LowerChunks;

/* What there is of a model. Training functions are lowered from graphs of their own, whose further
 * ports say what they are (PortKind): `loss` gives the losses and their divisors, `grad` these and
 * the gradients. */
typedef struct LowerSchedules {
    const Graph *graph;                    /* whose ports, parameters and axes the interface has */
    const Schedule *forward, *loss, *grad; /* NULL: there is none */
    const LowerChunks *chunks;             /* of the gradient; NULL: it keeps all of the tape */
} LowerSchedules;

/* The whole module with its functions, before math is expanded. Never fails on a verified schedule
 * but for operations that are not lowered yet (E-LOWER, located): then NULL. */
Interface *lower_schedules(Arena *arena, Names *names, const LowerSchedules *schedules,
                           const LowerOptions *options, Diags *diags);

/* The same of forward alone. */
Interface *lower_schedule(Arena *arena, Names *names, const Schedule *schedule,
                          const LowerOptions *options, Diags *diags);

#endif
