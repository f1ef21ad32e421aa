/* One call of a function of a model, by the roles of loop/interface.h: what runs.c and
 * run_gradient.c share. */
#ifndef RNNC_TEST_NUMERIC_CALL_H
#define RNNC_TEST_NUMERIC_CALL_H

#include "numeric.h"

typedef struct Array {
    unsigned char *base, *at;
    size_t bytes;
    bool written;           /* by the call: else its bytes stay */
    unsigned char *before;  /* what must stay; NULL: need not */
    unsigned char *initial; /* what a call that refuses must leave */
    const char *name;
} Array;

/* The functions of one model, on one set of arrays. */
typedef struct Call {
    Engine *engine;
    Arena *arena;
    const Built *built;
    const Data *data;
    const CallOptions *options;
    VEC(Array) blocks;
    int weights, state, work; /* blocks, or -1 */
    int64_t state_bytes, work_bytes;
    Outcome *out;
} Call;

/* What a step or a function of the state sees. */
typedef struct Rows {
    bool step;
    int64_t at;
    const double *const *import; /* [states] */
    int64_t first, count;        /* reset */
    const unsigned char *ended;  /* [batch] */
} Rows;

/* The blocks that a call has written; -1: none. */
typedef struct Written {
    int *outputs;  /* by port, or by state */
    int *found;    /* by axis: lengths */
    int *at;       /* by axis: positions */
    int *in_grads; /* by input */
    int loss, grads;
} Written;

Written call_written(const Call *c);

/* Packs, makes the workspace that function `size` asks for, and, where the call takes one, a state
 * that is reset. An error is in c.out. */
Call call_begin(Engine *engine, Arena *arena, const Built *built, const Data *data,
                const CallOptions *options, int size, bool state);

/* Calls function `index`, with guards around everything that it may write; its result. */
int64_t call_invoke(Call *c, int index, const Rows *rows, Written *to);

/* The state as plain arrays, by export_state. */
double **call_export(Call *c);

/* The type of an argument. */
LoopType call_type(const Interface *in, int index, ArgRole role, int slot);

/* The elements of a block as doubles. */
double *call_widen(const Call *c, LoopType type, int block, int64_t count);

#endif
