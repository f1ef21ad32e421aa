/* What training asks of a model: losses and gradients of one batch, the carried state going on from
 * call to call. Who computes them (the interpreter, compiled code) is a row in a table; the results
 * are the same but for rounding. */
#ifndef RNNC_TRAIN_ENGINE_H
#define RNNC_TRAIN_ENGINE_H

#include "pipeline.h"
#include "rnn_rt.h"

/* One batch. Arrays are those of the generated functions: [positions…, batch, shape…], of the
 * engine's real type, int32 for int, bytes for bool. Axes and inputs are those of engine->train. */
typedef struct TrainBatch {
    int64_t batch;
    const int64_t *extent;   /* [axis] positions of the arrays: the longest sequence's */
    int64_t *const *lengths; /* [axis][batch]; NULL for fixed and slow axes */
    void *const *inputs;     /* [inputs]; NULL: not given */
    uint64_t seed;           /* of all draws of this call */
} TrainBatch;

/* One variable that the model carries: [lags, batch, count]; of a position, int64 [batch]. */
typedef struct TrainVariable {
    const char *name;
    RtDtype dtype;
    int lags;
    int64_t count;
} TrainVariable;

/* One loss of eval mode: numbers of a sequence that are outputs of engine->eval. */
typedef struct TrainLoss {
    int sum, per; /* outputs; per -1: a sequence counts 1 */
    bool whole;   /* it depends on no sequence, and counts once */
    Span span;
} TrainLoss;

typedef struct TrainEngine TrainEngine;

typedef struct TrainEngineKind {
    /* Compiles what has to be compiled. False with the reason in c->diags or, for *status, in
     * c->log; so all of them. */
    bool (*open)(TrainEngine *engine, ExitStatus *status);
    /* The first values of all parameters, drawn by the seed. */
    bool (*init)(TrainEngine *engine, uint64_t seed, void *params, ExitStatus *status);
    /* The state that MODE_TRAIN or MODE_EVAL carries is that of `batch` fresh sequences. */
    bool (*reset)(TrainEngine *engine, Mode mode, int64_t batch, ExitStatus *status);
    /* The loss in train mode and its gradient, added to `grads`; the state of train goes on. */
    bool (*gradient)(TrainEngine *engine, const TrainBatch *batch, const void *params, void *grads,
                     double *loss, ExitStatus *status);
    /* Each loss of eval mode and its divisor, summed over the batch: [losses]; its state goes on.
     */
    bool (*losses)(TrainEngine *engine, const TrainBatch *batch, const void *params, double *sums,
                   double *pers, ExitStatus *status);
    /* The carried state of MODE_TRAIN, one array for each variable; load comes after a reset. */
    void (*save)(TrainEngine *engine, int64_t batch, void *const *rows);
    bool (*load)(TrainEngine *engine, int64_t batch, void *const *rows, ExitStatus *status);
} TrainEngineKind;

struct TrainEngine {
    const TrainEngineKind *kind;
    const char *by;     /* who computes, in words */
    Compilation *c;     /* in train mode */
    const Graph *train; /* as written */
    Graph *eval;        /* as written, but its losses are outputs */
    VEC(TrainLoss) losses;
    RtDtype real;                 /* RT_F32 or RT_F64: of parameters, gradients, real inputs */
    int64_t param_count;          /* numbers in the flat array of parameters, in table order */
    VEC(int64_t) param_offsets;   /* [train->params] */
    VEC(TrainVariable) variables; /* of train mode */
    int *eval_axis;               /* [eval->axes]: that axis of train, or -1 */
    void *own;                    /* the kind's */
};

/* The two graphs of a compilation that has gone to STAGE_GRAPH, and an engine for them. NULL with
 * the reason as above. */
TrainEngine *train_engine_open(Compilation *c, ExitStatus *status);

/* Elements of one array of the engine's state. */
int64_t train_variable_elements(const TrainVariable *variable, int64_t batch);

/* The loss that such sums of all batches are together. False where a divisor is 0. */
bool train_engine_loss(TrainEngine *engine, const double *sums, const double *pers, double *loss);

extern const TrainEngineKind train_interp, train_c;

#endif
