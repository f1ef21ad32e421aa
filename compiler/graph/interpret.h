/* The reference interpreter: the meaning of the language.
 *
 * Evaluates the equations of a Graph on demand: a value asks for the values that it reads, on a
 * stack of its own (sequences have 100,000 steps). Knows nothing of schedules, buffers or passes,
 * and shares no code with lowering. Arithmetic in double, or rounded to float after every
 * operation. */
#ifndef RNNC_GRAPH_INTERPRET_H
#define RNNC_GRAPH_INTERPRET_H

#include "graph/graph.h"

/* Unit roundoffs of the types of compiled code. */
#define INTERP_ROUNDOFF_F32 0x1p-24
#define INTERP_ROUNDOFF_F64 0x1p-53

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
    double *bounds; /* the same, with `roundoff`; given: how far compiled code's may be; NULL: 0 */
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
    /* The graph was made of another one, whose lengths were checked: the maximum of nothing is
     * -inf, and none is refused. */
    bool derived;
    /* Unit roundoff of compiled code, 2^-24 or 2^-53: bounds are computed (not with `single`). 0:
     * none are, at no cost. */
    double roundoff;
} InterpCall;

typedef struct InterpResult {
    InterpStatus status;
    const char *message; /* when not INTERP_OK; names node, position, sequence */
    Span span;
    int64_t **lengths;  /* [axis][batch], as found (generated axes too) */
    double **outputs;   /* [graph->outputs], laid out as inputs; zero beyond each length; [shape…]
                           where the port is shared */
    double loss;        /* with losses: as the language defines it (mean or sum over the batch) */
    double *loss_of;    /* [batch]: sum of the losses without `per`, for each sequence */
    InterpState *state; /* with want_state: the variables that are read at a lag, the positions */
    int state_count;
    /* With `roundoff`: how far a compiled program that computes the same equations in that
     * precision may be from each value; infinite where nothing can be said. */
    double **bounds;     /* [graph->outputs], laid out as outputs; zero beyond each length */
    double loss_bound;   /* of `loss` */
    double *loss_bounds; /* of `loss_of` */
    /* A comparison, a floor, an argmax, … has operands within their bounds of where it jumps, or a
     * bound that is asked for is infinite: compiled code may go another way. */
    bool fragile;
    const char *fragile_message; /* names node, position, sequence of the first one */
} InterpResult;

/* Runs a graph on one batch. All of the result lives in `arena`; what the evaluation needs beside
 * it is freed before the return. Memory: 8 bytes for each element of each value that is read at
 * another position, over one sequence, and a small cache for each other value. The caller keeps
 * every rule of graph_verify. `single`: elementwise formulas are computed in double and rounded
 * once; sums and products are rounded after every addition and multiplication; ctc is double
 * inside. */
InterpResult *interpret(Arena *arena, const Graph *graph, const InterpCall *call);

#endif
