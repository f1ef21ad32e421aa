/* Inside the interpreter: what its files share. One Run evaluates one graph on one batch.
 *
 * Evaluation is a machine: a Frame is a value that is being computed; a step either asks for an
 * operand that is not there yet (pushes its frame) or computes the value, stores it and pops. What
 * a value is stored in depends on who reads it: see Keep. Errors leave by longjmp. */
#ifndef RNNC_GRAPH_INTERPRET_RUN_H
#define RNNC_GRAPH_INTERPRET_RUN_H

#include <setjmp.h>

#include "graph/interpret.h"
#include "graph/interpret_ball.h"

typedef enum Keep {
    KEEP_ALL,   /* one value for each position, in pages made when first asked for */
    KEEP_RECENT /* a few positions; a value that was evicted is computed again */
} Keep;

/* `size` positions of one node. */
typedef struct Page {
    int64_t number;
    unsigned char *state; /* VALUE_NONE, … of each position */
    double *values;
} Page;

enum { VALUE_NONE, VALUE_BUSY, VALUE_DONE };

/* What is known of a node, and its values for the current sequence. */
typedef struct Plan {
    const Node *node;
    int64_t count; /* elements of a value */
    int64_t width; /* numbers that are stored for a value: count, or PLANES * count with bounds */
    bool live;
    bool narrow; /* results are rounded to float */
    Keep keep;
    int variable;  /* of a READ with carry: place in run->variables; else -1 */
    int shift;     /* positions a page: 1 << shift */
    int64_t slots; /* KEEP_RECENT: positions kept; TSOFTMAX: normalisers kept */
    int **from;    /* from[j][k]: place here of index k of operand j; -1, -2: the reduced ones */
    /* of the current sequence */
    int64_t stride[MAX_DOMAIN];
    Page **pages; /* open addressing by number */
    int64_t page_room, page_count;
    Page *last;
    int64_t *tags;  /* KEEP_RECENT and normalisers: position + 1 in each slot, 0: empty */
    double *recent; /* [slots][count]; normalisers [slots][2][count] */
} Plan;

/* A variable that carried instances read at earlier positions. */
typedef struct CarryVariable {
    int source; /* node */
    int carry;  /* place in graph->carries */
    int lags;
    int boundary; /* node, or -1 */
    Name name;
    const InterpState *in;
} CarryVariable;

/* Where a loop over positions stands. */
typedef struct Loop {
    int64_t low, high; /* half-open */
    int64_t done;      /* positions visited */
    int64_t labels;    /* CTC */
    int pass;
    double *sums;   /* what is accumulated; layout by operation */
    double *errors; /* with bounds: what they need of the loop (interpret_bound_time.c) */
} Loop;

typedef struct Frame {
    struct Frame *below;
    int64_t *at;       /* position of each index of the node's domain */
    const double **in; /* operands so far */
    Loop *loop;        /* reductions and lengths; NULL before the first step */
    int64_t where;     /* place of the position among all of the node */
    int node;          /* or -1 - axis: finds the length of a generated axis */
    int next;          /* operand to ask for */
    int held;          /* operands before this one are safe from eviction */
    int chunk;         /* of the stack, in which the frame begins */
} Frame;

typedef enum LengthState { LENGTH_OPEN, LENGTH_BUSY, LENGTH_KNOWN } LengthState;

typedef struct StackChunk {
    char *base;
    size_t size, used;
} StackChunk;

typedef struct Run {
    const Graph *graph;
    const InterpCall *call;
    Arena *work;     /* lives as long as the call */
    Arena *sequence; /* values of the current sequence */
    jmp_buf out;     /* 1: no memory; 2: `status` and `message` say why */
    InterpStatus status;
    char message[600];
    Span span;
    Plan *plans;
    VEC(CarryVariable) variables;
    const InterpState **positions; /* [carry] as an earlier chunk left them; NULL entries: reset */
    double **params;               /* rounded in single precision */
    double **sums;                 /* by node: BSUM; NULL elsewhere */
    bool *used;                    /* [axis] by a live node */
    int64_t *longest;              /* [axis] over the batch, as the caller gave it */
    const Rounding *rounding;      /* NULL: no bounds */
    const char *fragile;           /* why the call is; NULL: it is not */
    /* of the current sequence */
    int64_t b;
    int64_t *length, *bound; /* [axis] */
    LengthState *length_state;
    int64_t *carried; /* [carry] position at which the chunk begins */
    Frame *frame;
    VEC(StackChunk) stack;
    int top;
} Run;

/* interpret_check.c: refuses lengths, inputs, parameters and states that do not fit. Sets
 * `longest`. */
void interp_check(Run *run);
/* The length that the caller gave, or the bound of a generated axis. */
int64_t interp_given(const Run *run, int axis, int64_t b);
bool interp_has_stop(const Run *run, int axis);
/* The name of an instance's position in a state. */
const char *interp_position_name(Run *run, int carry);

/* interpret_plan.c: what is live, what is kept. */
void interp_plan(Run *run);
/* True when the value may differ from sequence to sequence: it depends on input, draw or length. */
bool interp_batched(Run *run, int node);

/* interpret_batch.c: sums over the batch, before the first sequence; sets `sums`. */
void interp_sums(Run *run);

/* interpret_store.c: memory. All of it counts against the limit. */
void *interp_alloc(Run *run, Arena *arena, int64_t count, size_t size);
void *interp_push_bytes(Run *run, size_t size);
void interp_store_begin(Run *run); /* a new sequence: `bound` is known */
int64_t interp_where(const Plan *plan, const int64_t *at);
const double *interp_find(Run *run, Plan *plan, int64_t where);
double *interp_room(Run *run, Plan *plan, int64_t where);         /* where to write a value */
unsigned char *interp_state(Run *run, Plan *plan, int64_t where); /* KEEP_ALL only */
void interp_done(Run *run, Plan *plan, int64_t where);

/* interpret_eval.c: the machine. */
const double *interp_value(Run *run, int node, const int64_t *at);
/* The length of an axis for this sequence, found if need be. */
int64_t interp_length(Run *run, int axis);
/* Inside a step: the value, or NULL when its frame was pushed and the step must return. */
const double *interp_ask(Run *run, Frame *frame, int node, const int64_t *at);
/* Asks for operand `j` with the node's own position, `reduced` for the index that is reduced. */
const double *interp_operand(Run *run, Frame *frame, int j, int64_t reduced, int64_t reduced2);
/* Inside a step: false when the length had to be asked for. */
bool interp_ask_length(Run *run, Frame *frame, int axis, int64_t *length);
/* Where the value of the frame is written; finish marks it and pops the frame. */
double *interp_out(Run *run, Frame *frame);
void interp_finish(Run *run, Frame *frame);
_Noreturn void interp_fail(Run *run, InterpStatus status, int node, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
/* Element of an operand that the result's element `i` reads: dims of 1, and scalars, repeat. */
int64_t interp_element(const Shape *from, const Shape *to, int64_t i);
/* Copies a boundary value, which may be a scalar or have dims of 1, to the shape of `to`. */
void interp_spread(const Plan *from, const Plan *to, const double *value, double *out);
/* `h[t=3, u=0]` into a buffer. */
void interp_spell(const Run *run, int node, const int64_t *at, char *buffer, size_t size);

/* interpret_time.c: one step of a frame of class TIME, but for READ and HOLD. */
void interp_step_loop(Run *run, Frame *frame);
/* interpret_ops.c, interpret_tensor.c: the result from the operands. */
void interp_elementwise(Run *run, const Plan *plan, const double *const *in, double *out);
void interp_tensor(Run *run, const Plan *plan, const double *const *in, double *out);
void interp_draw(Run *run, const Plan *plan, const int64_t *at, const double *const *in,
                 double *out);

/* interpret_bound*.c, all only with run->rounding: what lies beside the values. */
/* What stands behind the values of leaves: how far they are from what the type can hold. */
void interp_bound_leaf(const Run *run, const Plan *plan, double *value);
/* A value of `from` becomes one of its own kind, `value` having the elements already. */
void interp_bound_copy(const Run *run, const Plan *from, const double *in, const Plan *plan,
                       double *out);
/* Of elementwise operations and draws, of class TENSOR and LOSS. */
void interp_bound(Run *run, const Plan *plan, const double *const *in, double *out);
/* The same of a draw that chooses by `u`, a number that was drawn: whether it may choose otherwise.
 */
void interp_bound_drawn(Run *run, const Plan *plan, const double *in, int64_t i, double u);
void interp_bound_tensor(Run *run, const Plan *plan, const double *const *in, double *out);
/* Of operations over positions: before the first, at each, at the end. */
int64_t interp_bound_loop_size(const Plan *plan, const Loop *loop, int64_t operand_count);
void interp_bound_visit(Run *run, const Plan *plan, const Plan *operand, Loop *loop,
                        const double *value);
void interp_bound_reduced(Run *run, const Plan *plan, const Loop *loop, double *out);
void interp_bound_tsoftmax(Run *run, const Plan *plan, const Plan *operand, const Loop *loop,
                           const double *value, double *out);
/* Element `i` of a stored value with its bound. */
static inline Ball interp_ball(const Rounding *r, const Plan *plan, const double *value,
                               int64_t i) {
    const double *at = value + i;
    double rounds = at[PLANE_ROUNDS * plan->count];
    double e = at[PLANE_ERROR * plan->count];
    if (rounds > 0) e += rounds * r->unit * at[PLANE_MASS * plan->count];
    return (Ball){*at, e};
}
/* Stores what belongs to element `i`, which is no sum. */
static inline void interp_put_bound(const Plan *plan, double *value, int64_t i, double error) {
    double *at = value + i;
    at[PLANE_ERROR * plan->count] = error;
    at[PLANE_MASS * plan->count] = *at < 0 ? -*at : *at;
    at[PLANE_ROUNDS * plan->count] = 0;
}
/* Says why the value of a node at a position (NULL: that of the frame) may be another in compiled
 * code. */
void interp_fragile(Run *run, int node, const int64_t *at, const char *reason);

/* What the caller gave for an input or a parameter; NULL: nothing. */
static inline const double *interp_input(const Run *run, int slot) {
    return run->call->inputs ? run->call->inputs[slot] : NULL;
}

/* Rounds to float where the result is narrow. */
static inline double interp_round(bool narrow, double value) {
    return narrow ? (double)(float)value : value;
}

#endif
