/* Training by compiled code, C or LLVM's: the model in both modes, each compiled once, and its
 * functions called by the roles of their arguments on arrays that stay where they are. */
#define _XOPEN_SOURCE 700

#include <inttypes.h>
#include <string.h>

#include "run_compiled.h"
#include "train_engine.h"

typedef int64_t (*Trampoline)(void *const *args);

/* Memory that grows, aligned to 64 bytes; what it held is lost when it does. */
typedef struct Room {
    Arena *arena;
    void *at;
    int64_t bytes;
} Room;

/* The model in one mode. */
typedef struct Side {
    TrainEngine *engine;
    Compilation *c;
    const Interface *in;
    const Graph *graph; /* as written, in this mode */
    const int *axis;    /* [graph->axes]: that of the batch; NULL: the same */
    Compiled *compiled;
    Trampoline *functions; /* [in->functions]; NULL: not called yet */
    void ***args;          /* the same: room for the arguments of a call */
    int64_t **scalars;     /* the same */
    Room weights, state, work;
    Room *lengths;     /* [axes] int32 */
    void *loss;        /* a number of the real type */
    Room *outputs;     /* [graph->outputs]: of a number a sequence; nothing: not wanted */
    bool fresh;        /* the state has to be reset first */
    void *const *load; /* then rows to be loaded, in the order of `in->states`; NULL: none */
    /* of the call that is made */
    const TrainBatch *batch;
    int64_t sequences;
    const void *params;
    void *grads;
    void *const *rows;
} Side;

typedef struct Sides {
    Side train, eval;
} Sides;

static Side *side_of(TrainEngine *engine, Mode mode) {
    Sides *sides = engine->own;
    return mode == MODE_EVAL ? &sides->eval : &sides->train;
}

/* ---- Memory ---- */

static void *room(Arena *parent, Room *to, int64_t bytes) {
    if (to->at && bytes <= to->bytes) return to->at;
    if (to->arena) arena_free(to->arena);
    to->arena = arena_new_in(parent);
    to->bytes = bytes;
    to->at = compiled_aligned(to->arena, bytes);
    return to->at;
}

/* ---- Calls ---- */

static int64_t extent_of(const Side *side, int axis) {
    int from = side->axis ? side->axis[axis] : axis;
    return from < 0 ? 0 : side->batch->extent[from];
}

static int32_t *lengths_of(Side *side, int axis) {
    int from = side->axis ? side->axis[axis] : axis;
    const int64_t *given = from < 0 ? NULL : side->batch->lengths[from];
    if (!given) return NULL;
    int64_t bytes = side->sequences * (int64_t)sizeof(int32_t);
    int32_t *to = room(side->c->arena, &side->lengths[axis], bytes);
    for (int64_t b = 0; b < side->sequences; b++) to[b] = (int32_t)given[b];
    return to;
}

static int64_t call(Side *side, int index) {
    const InterfaceFunction *function = &side->in->functions.at[index];
    bool transfer = index == side->in->export_state || index == side->in->import_state;
    void **args = side->args[index];
    int64_t *scalars = side->scalars[index];
    for (int i = 0; i < function->args.count; i++) {
        const InterfaceArg *arg = &function->args.at[i];
        args[i] = &scalars[i];
        switch (arg->role) {
        case ROLE_PARAMS: memcpy(&args[i], &side->params, sizeof args[i]); break;
        case ROLE_WEIGHTS: args[i] = side->weights.at; break;
        case ROLE_BATCH:
        case ROLE_COUNT: scalars[i] = side->sequences; break;
        case ROLE_STEPS: scalars[i] = extent_of(side, arg->slot); break;
        case ROLE_LENGTHS: args[i] = lengths_of(side, arg->slot); break;
        case ROLE_INPUT:
            args[i] = transfer ? side->rows[arg->slot] : side->batch->inputs[arg->slot];
            break;
        case ROLE_OUTPUT:
            args[i] = transfer ? side->rows[arg->slot] : side->outputs[arg->slot].at;
            break;
        case ROLE_LOSS: args[i] = side->loss; break;
        case ROLE_GRADS: args[i] = side->grads; break;
        case ROLE_STATE: args[i] = side->state.at; break;
        case ROLE_FIRST: scalars[i] = 0; break;
        case ROLE_SEED:
            scalars[i] = 0;
            if (side->batch) memcpy(&scalars[i], &side->batch->seed, sizeof scalars[i]);
            break;
        case ROLE_WORK: args[i] = side->work.at; break;
        case ROLE_WORK_BYTES: scalars[i] = side->work.bytes; break;
        case ROLE_POOL: args[i] = side->c->pool; break;
        case ROLE_OUT_LENGTHS:
        case ROLE_UPSTREAM:
        case ROLE_INPUT_GRAD:
        case ROLE_ENDED:
        case ROLE_AT: args[i] = NULL; break;
        }
    }
    if (!side->functions[index]) {
        void *symbol = compiled_symbol(side->compiled, index);
        memcpy(&side->functions[index], &symbol, sizeof symbol);
        if (!symbol) return -1; /* no status; c->diags has why */
    }
    return side->functions[index](args);
}

static bool checked(Side *side, int index, ExitStatus *status) {
    int64_t got = call(side, index);
    *status = EXIT_INPUT;
    if (got == LOOP_OK) return true;
    Diags *diags = side->engine->c->diags;
    if (got == LOOP_BAD_LENGTH)
        diag_error(diags, "E-RUN", (Span){0},
                   "a sequence is empty, or longer than its axis, when the model does not take it");
    else if (got == LOOP_BAD_VALUE)
        diag_error(diags, "E-RUN", (Span){0}, "an integer input is out of its range");
    else if (got == LOOP_BAD_LOSS)
        diag_error(diags, "E-RUN", (Span){0}, "the divisor of a loss is 0");
    else
        diag_error(diags, "internal", (Span){0}, "function %d returned %" PRId64, index, got);
    return false;
}

static bool space(Side *side, int index) {
    int64_t bytes = index < 0 ? 0 : call(side, index);
    if (!compiled_within(side->c, side->in, index, bytes)) return false;
    room(side->c->arena, &side->work, bytes > 0 ? bytes : 0);
    return true;
}

/* The state of fresh sequences, or what was loaded. */
static bool begin_state(Side *side, ExitStatus *status) {
    const Interface *in = side->in;
    if (!side->fresh || side->graph->carries.count == 0) return true;
    room(side->c->arena, &side->state, call(side, in->state_bytes));
    if (in->reset_work >= 0) (void)space(side, in->reset_work);
    if (!checked(side, in->reset, status)) return false;
    side->rows = side->load;
    if (side->load && !checked(side, in->import_state, status)) return false;
    side->fresh = false;
    side->load = NULL;
    return true;
}

/* One call of forward or grad. */
static bool run(Side *side, const TrainBatch *batch, const void *params, void *grads, int function,
                int size, ExitStatus *status) {
    side->batch = batch;
    side->sequences = batch->batch;
    side->params = params;
    side->grads = grads;
    if (side->in->pack >= 0 && !checked(side, side->in->pack, status)) return false;
    if (!begin_state(side, status)) return false;
    *status = EXIT_INPUT;
    return space(side, size) && checked(side, function, status);
}

/* ---- Engine ---- */

static bool open_side(Side *side, ExitStatus *status) {
    Arena *arena = side->c->arena;
    const Interface *in = side->in = side->c->interface_;
    Compiled *compiled = run_c_open(side->c, status);
    if (!compiled) return false;
    int count = in->functions.count;
    side->compiled = compiled;
    side->engine->by = run_c_name(compiled);
    side->functions = ARENA_ARRAY(arena, count, Trampoline);
    side->args = ARENA_ARRAY(arena, count, void **);
    side->scalars = ARENA_ARRAY(arena, count, int64_t *);
    for (int f = 0; f < count; f++) {
        int args = in->functions.at[f].args.count + 1;
        side->args[f] = ARENA_ARRAY(arena, args, void *);
        side->scalars[f] = ARENA_ARRAY(arena, args, int64_t);
    }
    side->lengths = ARENA_ARRAY(arena, side->graph->axes.count + 1, Room);
    side->loss = ARENA_NEW(arena, double);
    side->outputs = ARENA_ARRAY(arena, side->graph->outputs.count + 1, Room);
    room(arena, &side->weights, in->weight_bytes);
    side->fresh = true;
    return true;
}

/* The graph of mode eval, which needs forward alone. */
static Compilation *compile_eval(TrainEngine *engine) {
    Compilation *c = engine->c;
    Options *options = arena_copy(c->arena, c->options, sizeof *options);
    options->mode = MODE_EVAL;
    options->training = false;
    options->print_after = NULL;
    options->time_passes = false;
    Compilation *eval = compilation_new(c->arena, options);
    eval->names = c->names;
    eval->pool = c->pool;
    eval->target = c->target;
    eval->ast = c->ast;
    eval->program = c->program;
    eval->graph = engine->eval;
    bool good = compilation_run(eval, STAGE_LOOP);
    for (int i = 0; !good && i < eval->diags->list.count; i++) {
        const Diag *diag = eval->diags->list.at[i];
        if (diag->kind == DIAG_ERROR)
            diag_error(c->diags, diag->code, diag->span, "%s", diag->message);
    }
    return good ? eval : NULL;
}

static bool c_open(TrainEngine *engine, ExitStatus *status) {
    Sides *sides = ARENA_NEW(engine->c->arena, Sides);
    engine->own = sides;
    *status = EXIT_OUTSIDE;
    if (!compiled_pool(engine->c)) return false;
    *status = EXIT_INPUT;
    Compilation *eval = compile_eval(engine);
    if (!eval) return false;
    sides->train = (Side){.engine = engine, .c = engine->c, .graph = engine->train};
    sides->eval =
        (Side){.engine = engine, .c = eval, .graph = engine->eval, .axis = engine->eval_axis};
    bool good = open_side(&sides->train, status) && open_side(&sides->eval, status);
    text_puts(&engine->c->log, text_string(&eval->log));
    return good;
}

static bool c_init(TrainEngine *engine, uint64_t seed, void *params, ExitStatus *status) {
    Side *side = side_of(engine, MODE_TRAIN);
    const TrainBatch draws = {.seed = seed};
    side->batch = &draws;
    side->params = params;
    *status = EXIT_INPUT;
    if (side->in->init < 0) return true;
    if (!space(side, side->in->init_work)) return false;
    int64_t got = call(side, side->in->init);
    if (got == LOOP_BAD_VALUE)
        diag_error(engine->c->diags, "E-RUN", (Span){0},
                   "seed %" PRIu64 " gives a singular matrix, take another seed", seed);
    else if (got != LOOP_OK)
        diag_error(engine->c->diags, "internal", (Span){0}, "init_params returned %" PRId64, got);
    side->batch = NULL;
    return got == LOOP_OK;
}

static bool c_reset(TrainEngine *engine, Mode mode, int64_t batch, ExitStatus *status) {
    Side *side = side_of(engine, mode);
    (void)batch;
    (void)status;
    side->fresh = true; /* boundary values may be inputs: with the next batch */
    side->load = NULL;
    return true;
}

static bool c_gradient(TrainEngine *engine, const TrainBatch *batch, const void *params,
                       void *grads, double *loss, ExitStatus *status) {
    Side *side = side_of(engine, MODE_TRAIN);
    if (!run(side, batch, params, grads, side->in->grad, side->in->grad_work, status)) return false;
    *loss = engine->real == RT_F32 ? (double)*(float *)side->loss : *(double *)side->loss;
    return true;
}

/* The sum of an output over the batch. */
static double summed(const Side *side, int output) {
    double sum = 0;
    const void *from = side->outputs[output].at;
    bool integer = side->graph->outputs.at[output].type.dtype == DT_INT;
    for (int64_t b = 0; b < side->sequences; b++)
        sum += integer                        ? (double)((const int32_t *)from)[b]
               : side->engine->real == RT_F32 ? (double)((const float *)from)[b]
                                              : ((const double *)from)[b];
    return sum;
}

static bool c_losses(TrainEngine *engine, const TrainBatch *batch, const void *params, double *sums,
                     double *pers, ExitStatus *status) {
    Side *side = side_of(engine, MODE_EVAL);
    int64_t bytes = batch->batch * (int64_t)sizeof(double);
    for (int i = 0; i < engine->losses.count; i++) {
        const TrainLoss *loss = &engine->losses.at[i];
        room(side->c->arena, &side->outputs[loss->sum], bytes);
        if (loss->per >= 0) room(side->c->arena, &side->outputs[loss->per], bytes);
    }
    if (!run(side, batch, params, NULL, side->in->forward, side->in->forward_work, status))
        return false;
    for (int i = 0; i < engine->losses.count; i++) {
        const TrainLoss *loss = &engine->losses.at[i];
        sums[i] = summed(side, loss->sum);
        pers[i] = loss->per < 0 ? (double)batch->batch : summed(side, loss->per);
    }
    return true;
}

/* The engine's variable that row `state` of the interface is; -1: none. */
static int variable_of(const TrainEngine *engine, const InterfaceState *state) {
    for (int v = 0; v < engine->variables.count; v++)
        if (strcmp(engine->variables.at[v].name, state->name) == 0) return v;
    return -1;
}

static void c_save(TrainEngine *engine, int64_t batch, void *const *rows) {
    Side *side = side_of(engine, MODE_TRAIN);
    const Interface *in = side->in;
    void **own = ARENA_ARRAY(engine->c->arena, in->states.count + 1, void *);
    ExitStatus status;
    for (int s = 0; s < in->states.count; s++)
        own[s] = rows[variable_of(engine, &in->states.at[s])];
    if (!side->fresh) {
        side->rows = own;
        side->sequences = batch;
        (void)checked(side, in->export_state, &status);
        return;
    }
    for (int s = 0; side->load && s < in->states.count; s++) {
        const TrainVariable *variable =
            &engine->variables.at[variable_of(engine, &in->states.at[s])];
        memcpy(own[s], side->load[s],
               (size_t)train_variable_elements(variable, batch) * rt_dtype_size(variable->dtype));
    }
}

static bool c_load(TrainEngine *engine, int64_t batch, void *const *rows, ExitStatus *status) {
    Side *side = side_of(engine, MODE_TRAIN);
    const Interface *in = side->in;
    void **own = ARENA_ARRAY(engine->c->arena, in->states.count + 1, void *);
    (void)batch;
    *status = EXIT_INPUT;
    for (int s = 0; s < in->states.count; s++) {
        int v = variable_of(engine, &in->states.at[s]);
        if (v < 0 || in->states.count != engine->variables.count) {
            diag_error(engine->c->diags, "internal", (Span){0},
                       "the compiled model carries another state than its equations");
            return false;
        }
        own[s] = rows[v];
    }
    side->load = own;
    return true;
}

const TrainEngineKind train_c = {.open = c_open,
                                 .init = c_init,
                                 .reset = c_reset,
                                 .gradient = c_gradient,
                                 .losses = c_losses,
                                 .save = c_save,
                                 .load = c_load};
