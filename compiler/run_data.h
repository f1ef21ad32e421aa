/* What `rnnc run` pushes through a model: every tensor as doubles in the layout of
 * graph/interpret.h, [positions…, batch, shape…], whatever its file had. Private to run*.c. */
#ifndef RNNC_RUN_DATA_H
#define RNNC_RUN_DATA_H

#include "graph/interpret.h"
#include "pipeline.h"
#include "rnn_rt.h"

/* One variable of the state, as InterpState and InterfaceState have it. */
typedef struct RunState {
    const char *name;
    Shape shape;
    DType dtype;
    bool position; /* counts steps: int64 in files */
    int lags;
    double *values; /* [lags, batch, shape…] */
} RunState;

/* Which function over sequences runs. */
typedef enum RunKind { RUN_FORWARD, RUN_LOSS, RUN_GRAD } RunKind;

typedef struct RunData {
    Arena *arena;
    Compilation *c;
    const Graph *graph;
    bool batched;                /* files have a batch axis */
    bool load_state, keep_state; /* states go in, come out */
    RunKind kind;                /* of compiled code */
    bool all_in_grads;           /* gradients of all inputs that are given, whatever the options */
    int64_t batch;
    int64_t *extent; /* [axis] positions that arrays have; on a generated axis the largest bound */
    int64_t *
        *lengths;    /* [axis][batch]; NULL: fixed, slow, unused, or bounded by the source alone */
    double **inputs; /* [graph->inputs]; NULL: absent */
    double **params; /* [graph->params] */
    double **upstream;    /* [graph->outputs]: gradients of outputs; NULL: absent */
    VEC(RunState) states; /* what the model carries; values: --state-in, or NULL */
    /* results */
    double **outputs; /* [graph->outputs], zero beyond each length */
    int64_t **found;  /* [axis][batch]: lengths after the run */
    double loss;
    double **state_out; /* [states] as RunState.values */
    double **grads;     /* [graph->params] of `rnnc grad`; zeros where there is none */
    double **in_grads;  /* [graph->inputs], laid out as these; NULL: not asked for */
} RunData;

/* Reads and checks what the options name. False when something does not fit: then c->diags lists
 * all of it. `states` must be filled (name, shape, dtype, lags) before. */
bool run_read(RunData *data);

/* Elements of a tensor over these indices, at the extents given for each axis. */
int64_t run_count(RunData *data, int index_count, const int *indices, const int64_t *extent,
                  Shape shape);

/* Copies positions that two arrays of the same port have in common; extents by axis. */
void run_copy(const RunData *data, const GraphPort *port, const double *from,
              const int64_t *from_extent, double *to, const int64_t *to_extent);

/* The shape of a port in a file, [MAX_RANK + 1 + MAX_DOMAIN], and its values in that order. */
int run_file_shape(RunData *data, const GraphPort *port, int64_t *shape, const double **values);

/* The largest length of each axis over the batch, slow axes included. */
int64_t *run_longest(const RunData *data, int64_t *const *lengths);

/* The variables that a graph carries between calls, by its reads. */
void run_graph_states(RunData *data);

/* The backends: results into `data`. False with the reason in c->diags or, for *status, in c->log.
 */
bool run_interp(RunData *data, ExitStatus *status);
bool run_c(RunData *data, ExitStatus *status);

/* The model as machine code, compiled once and called with any data; the arena's of `c`. NULL with
 * the reason as above. */
typedef struct Compiled Compiled;
Compiled *run_c_open(Compilation *c, ExitStatus *status);
void run_c_close(Compiled *compiled);
const char *run_c_name(const Compiled *compiled); /* "C" or "LLVM" */
bool run_c_forward(Compiled *compiled, RunData *data, ExitStatus *status);
/* By `step`, where the interface has one, all sequences being of one length: outputs as forward has
 * them, one without time as the last step gave it. */
bool run_c_steps(Compiled *compiled, RunData *data, ExitStatus *status);

/* Whether --in-grads takes the gradient of this input: it was given, and is no int. */
bool run_grad_wanted(const RunData *data, int input);
/* After run_interp: the gradients (run_grad.c). */
bool run_gradients(RunData *data, ExitStatus *status);

/* What the interpreter is called with, arrays cut to the longest sequence. */
InterpCall run_interp_call(RunData *data);
/* Whether the interpreter refused; the reason goes where that of run_interp goes. */
bool run_interp_refused(RunData *data, const InterpResult *result, ExitStatus *status);
/* The values of a port cut to the extents `longest`. */
double *run_cut(RunData *data, const GraphPort *port, const double *values, const int64_t *longest);

/* Compiles C to a shared object in a folder of its own and opens it: the handle of dlopen, NULL
 * with the reason in c->log. The folder is gone afterwards. */
void *run_compile(Compilation *c, const Text *code, const Text *header, const char *header_name);

/* files */
RtTensorSet *run_set(Arena *arena);                  /* empty; it and its tensors are the arena's */
void run_own_tensor(Arena *arena, RtTensor *tensor); /* `tensor` lies in the arena */

/* A stream into memory; it and its bytes are the arena's. */
typedef struct RunBytes {
    FILE *stream; /* NULL where there is no memory for it */
    char *bytes;
    size_t size;
} RunBytes;
RunBytes *run_bytes(Arena *arena);
bool run_bytes_close(RunBytes *bytes); /* false when something was not written */

bool run_read_inputs(RunData *data); /* run_inputs.c */
bool run_read_sets(RunData *data);   /* run_sets.c: parameters, states */
bool run_state_bytes(RunData *data, const char **bytes, size_t *size);
bool run_grads_bytes(RunData *data, bool of_inputs, const char **bytes, size_t *size);

#endif
