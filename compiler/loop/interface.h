/* What a compiled model offers: made by lowering, printed into the header and the manifest, and
 * followed by `rnnc run` when it calls the compiled code. Everything is plain data. */
#ifndef RNNC_LOOP_INTERFACE_H
#define RNNC_LOOP_INTERFACE_H

#include "graph/graph.h"
#include "loop/loop.h"

/* Who fills an argument of a function. */
typedef enum ArgRole {
    ROLE_PARAMS,      /* parameters, one flat array in table order, of the model's real type */
    ROLE_WEIGHTS,     /* packed weights, `weight_bytes`, made by pack */
    ROLE_BATCH,       /* number of sequences */
    ROLE_STEPS,       /* axis `slot`: positions that the arrays have */
    ROLE_LENGTHS,     /* axis `slot`: int32 [batch], NULL: all have `steps` (on a generated axis:
                         bounds) */
    ROLE_OUT_LENGTHS, /* axis `slot`: int32 [batch], written */
    ROLE_INPUT,       /* graph->inputs[slot] */
    ROLE_OUTPUT,      /* graph->outputs[slot]; may be NULL: not wanted */
    ROLE_UPSTREAM,    /* gradient of graph->outputs[slot]; may be NULL: zeros */
    ROLE_LOSS,        /* one number, written; may be NULL */
    ROLE_GRADS,       /* as ROLE_PARAMS; added to; may be NULL: not wanted */
    ROLE_INPUT_GRAD,  /* gradient of graph->inputs[slot]; added to; may be NULL: not wanted */
    ROLE_STATE,       /* state of `batch` sequences */
    ROLE_FIRST,       /* reset: first sequence */
    ROLE_COUNT,       /* reset: how many sequences */
    ROLE_ENDED,       /* step: bytes [batch], not 0 where the sequence is over; NULL: nowhere */
    ROLE_AT, /* step, axis `slot`: int64 [batch], written: the position of the outputs, -1: none */
    ROLE_SEED,
    ROLE_WORK, /* workspace */
    ROLE_WORK_BYTES,
    ROLE_POOL /* threads (rnn_rt.h); may be NULL: one */
} ArgRole;

typedef struct InterfaceArg {
    ArgRole role;
    int slot;
} InterfaceArg;

/* coefficient · batch^powers[0] · Π steps of axis a^powers[1 + a] */
enum { INTERFACE_SYMBOLS = 17 };
typedef struct InterfaceTerm {
    int64_t coefficient;
    unsigned char powers[INTERFACE_SYMBOLS];
} InterfaceTerm;

typedef struct InterfaceFunction {
    int function; /* in module->functions; its arguments in order: */
    VEC(InterfaceArg) args;
    VEC(InterfaceTerm)
    bytes; /* of one that tells a size: what it adds up, within any budget; a fixed
              or slow axis counts by its steps */
} InterfaceFunction;

/* One variable of the state file: `lags` rows, oldest first. Only export_state and import_state
 * know where a state buffer keeps it. */
typedef struct InterfaceState {
    Name name; /* `l1.h`; `l1.t` for a position */
    Type type;
    int lags;
    int64_t count; /* elements of a row */
} InterfaceState;

typedef struct Interface {
    Name model;
    const Graph *graph; /* for ports, params, axes */
    LoopModule *module;
    int64_t param_count;        /* numbers in the flat parameter array */
    VEC(int64_t) param_offsets; /* [graph->params], in numbers */
    int64_t weight_bytes;
    VEC(InterfaceState) states;
    /* -1 when the model has none; `no_step` then says why. */
    int pack, forward, step, reset, state_bytes, forward_work, step_work; /* in functions */
    int export_state,
        import_state; /* between the state buffer and plain [lags, batch, count] rows per state */
    int loss, loss_work, grad, grad_work; /* of training and evaluation */
    int reset_work;                       /* -1 too where reset takes no workspace */
    int init, init_work; /* parameters drawn; -1 where there are none, work where none is needed */
    const char *no_step;
    int step_axis;   /* the run axis that a step goes along; -1 */
    int64_t latency; /* steps before the first outputs of a step */
    int64_t period;  /* steps after which all slower axes have a position again; 1: there is none */
    VEC(InterfaceFunction) functions;
} Interface;

#endif
