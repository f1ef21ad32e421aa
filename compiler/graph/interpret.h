/* The reference interpreter: the meaning of the language.
 *
 * Evaluates the equations of a Graph on demand: a value asks for the values that it reads, on a
 * stack of its own (sequences have 100,000 steps). Knows nothing of schedules, buffers or passes,
 * and shares no code with lowering. Arithmetic in double, or rounded to float after every
 * operation. */
#ifndef RNNC_GRAPH_INTERPRET_H
#define RNNC_GRAPH_INTERPRET_H

#include "graph/graph.h"

typedef enum InterpStatus {
    INTERP_OK,
    INTERP_CYCLE,   /* a value asked for itself: the graph is not causal */
    INTERP_LENGTH,  /* a length out of bounds, or 0 where the axis needs 1 */
    INTERP_VALUE,   /* an int input or label out of its bound, a pointer out of range */
    INTERP_PER,     /* the divisor of a loss is 0 */
    INTERP_MISSING, /* an input, parameter or length that the graph reads was not given */
    INTERP_MEMORY   /* more would be needed than `memory_limit` */
} InterpStatus;

/* The state that `carry` keeps, for one variable: `lags` values, oldest first. The position of an
 * instance (`l1.t`; `t` alone for an instance without name) has one lag and one element. A slot
 * before the reset holds the boundary value; it is zero where that depends on the position, and not
 * read. */
typedef struct InterpState {
    Name name; /* of the variable (`l1.h`), or `l1.t`: the position */
    int lags;
    int64_t count;  /* elements of one value */
    double *values; /* [lags, batch, count] */
} InterpState;

typedef struct InterpCall {
    bool single;     /* round to float after every operation */
    bool reduce_sum; /* the loss is the sum over the batch, not the mean */
    int64_t batch;   /* at least 1 */
    /* [axis][batch]; an entry is NULL for fixed and slow axes; on a generated axis it is the bound.
     */
    int64_t **lengths;
    /* [graph->inputs]: [positions…, batch, shape…], positions up to the longest; NULL: absent. */
    const double **inputs;
    const double **params; /* [graph->params]; in single precision they are rounded first */
    uint64_t seed;
    const InterpState *state; /* what an earlier chunk left; NULL: reset */
    int state_count;
    bool want_state;
    size_t memory_limit; /* bytes; 0: none */
} InterpCall;

typedef struct InterpResult {
    InterpStatus status;
    const char *message; /* when not INTERP_OK; names node, position, sequence */
    Span span;
    int64_t **lengths;  /* [axis][batch], as found (generated axes too) */
    double **outputs;   /* [graph->outputs], laid out as inputs; zero beyond each length */
    double loss;        /* with losses: as the language defines it (mean or sum over the batch) */
    double *loss_of;    /* [batch]: sum of the losses without `per`, for each sequence */
    InterpState *state; /* with want_state: the variables that are read at a lag, the positions */
    int state_count;
} InterpResult;

/* Runs a graph on one batch. All of the result lives in `arena`; what the evaluation needs beside
 * it is freed before the return. Memory: 8 bytes for each element of each value that is read at
 * another position, over one sequence, and a small cache for each other value. The caller keeps
 * every rule of graph_verify. `single`: elementwise formulas are computed in double and rounded
 * once; sums and products are rounded after every addition and multiplication; ctc is double
 * inside. */
InterpResult *interpret(Arena *arena, const Graph *graph, const InterpCall *call);

#endif
