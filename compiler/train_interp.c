/* Training by the interpreter: slow, and the meaning of what the other engines compute. */
#include <string.h>

#include "gradient.h"
#include "run_data.h"
#include "train_engine.h"

/* What one mode carries from call to call. */
typedef struct Carried {
    Arena *arena; /* renewed by each reset */
    InterpState *states;
    int count;
    bool fresh; /* nothing went before */
} Carried;

typedef struct Interp {
    Gradient gradient;
    Carried carried[2]; /* train, eval */
} Interp;

static Carried *carried_of(TrainEngine *engine, Mode mode) {
    Interp *own = engine->own;
    return &own->carried[mode == MODE_EVAL];
}

static bool interp_reset(TrainEngine *engine, Mode mode, int64_t batch, ExitStatus *status) {
    Carried *carried = carried_of(engine, mode);
    (void)batch;
    (void)status;
    if (carried->arena) arena_free(carried->arena);
    *carried = (Carried){.arena = arena_new_in(engine->c->arena), .fresh = true};
    return true;
}

static bool interp_open(TrainEngine *engine, ExitStatus *status) {
    Interp *own = ARENA_NEW(engine->c->arena, Interp);
    engine->own = own;
    engine->by = "interp";
    const AdjointOptions wanted = {
        .losses = true, .reduce_sum = engine->c->options->reduce_sum, .of_params = true};
    *status = EXIT_INPUT;
    return gradient_build(engine->train, &wanted, engine->c->options->verify_each, &own->gradient,
                          engine->c->diags) &&
           interp_reset(engine, MODE_TRAIN, 1, status) &&
           interp_reset(engine, MODE_EVAL, 1, status);
}

/* ---- First values ---- */

static bool fill(TrainEngine *engine, uint64_t seed, const GraphParam *param, unsigned char *to) {
    static const RtInitKind kinds[] = {
        [INITIAL_VALUES] = RT_INIT_CONSTANT, [INITIAL_GLOROT] = RT_INIT_GLOROT,
        [INITIAL_HE] = RT_INIT_HE,           [INITIAL_ORTHOGONAL] = RT_INIT_ORTHOGONAL,
        [INITIAL_NORMAL] = RT_INIT_NORMAL,   [INITIAL_UNIFORM] = RT_INIT_UNIFORM};
    RtInit init = {kinds[param->initial], param->a, param->b};
    bool single = engine->real == RT_F32;
    char error[256];
    int64_t count = shape_count(param->shape);
    if (param->initial == INITIAL_VALUES && param->values) {
        for (int64_t i = 0; i < count; i++) {
            float narrow = (float)param->values[i];
            if (single)
                memcpy(to + (size_t)i * sizeof narrow, &narrow, sizeof narrow);
            else
                memcpy(to + (size_t)i * sizeof(double), &param->values[i], sizeof(double));
        }
        return true;
    }
    RtStatus status = single ? rt_init_f32(init, seed, param->name, param->shape.rank,
                                           param->shape.dim, (void *)to, error, sizeof error)
                             : rt_init_f64(init, seed, param->name, param->shape.rank,
                                           param->shape.dim, (void *)to, error, sizeof error);
    if (status == RT_ERR_NOMEM) arena_exhausted(engine->c->arena);
    if (status != RT_OK)
        diag_error(engine->c->diags, "E-RUN", param->span, "cannot initialise %s: %s", param->name,
                   error);
    return status == RT_OK;
}

/* By the runtime: what generated code computes, but for roundings in normal draws. */
static bool interp_init(TrainEngine *engine, uint64_t seed, void *params, ExitStatus *status) {
    *status = EXIT_INPUT;
    for (int i = 0; i < engine->train->params.count; i++) {
        size_t at = (size_t)engine->param_offsets.at[i] * rt_dtype_size(engine->real);
        if (!fill(engine, seed, &engine->train->params.at[i], (unsigned char *)params + at))
            return false;
    }
    return true;
}

/* ---- One call ---- */

static double *widen(Arena *arena, RtDtype dtype, const void *from, int64_t count) {
    double *to = ARENA_ARRAY(arena, count, double);
    for (int64_t i = 0; i < count; i++)
        to[i] = dtype == RT_F32   ? (double)((const float *)from)[i]
                : dtype == RT_F64 ? ((const double *)from)[i]
                : dtype == RT_I32 ? ((const int32_t *)from)[i]
                : dtype == RT_I64 ? (double)((const int64_t *)from)[i]
                                  : ((const unsigned char *)from)[i];
    return to;
}

/* The batch as the interpreter takes it, everything in `arena`. */
static InterpCall make_call(TrainEngine *engine, Arena *arena, const Graph *graph,
                            const TrainBatch *batch, const void *params) {
    const Graph *train = engine->train;
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, const double *);
    const double **tensors = ARENA_ARRAY(arena, graph->params.count + 1, const double *);
    int64_t **lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    for (int i = 0; i < train->inputs.count; i++) {
        const GraphPort *port = &train->inputs.at[i];
        int64_t count = batch->batch * shape_count(port->type.shape);
        for (int k = 0; k < port->index_count; k++)
            count *= batch->extent[train->indices.at[port->indices[k]].axis];
        RtDtype dtype = port->type.dtype == DT_FLOAT ? engine->real
                        : port->type.dtype == DT_INT ? RT_I32
                                                     : RT_BOOL;
        if (batch->inputs[i]) inputs[i] = widen(arena, dtype, batch->inputs[i], count);
    }
    for (int i = 0; i < graph->params.count; i++)
        tensors[i] = widen(arena, engine->real,
                           (const char *)params +
                               (size_t)engine->param_offsets.at[i] * rt_dtype_size(engine->real),
                           shape_count(graph->params.at[i].shape));
    for (int a = 0; a < graph->axes.count; a++) {
        int from = graph == train ? a : engine->eval_axis[a];
        if (from >= 0) lengths[a] = batch->lengths[from];
    }
    return (InterpCall){.single = engine->real == RT_F32,
                        .reduce_sum = engine->c->options->reduce_sum,
                        .batch = batch->batch,
                        .lengths = lengths,
                        .inputs = inputs,
                        .params = tensors,
                        .seed = batch->seed};
}

static void give_state(const Carried *carried, InterpCall *call) {
    if (carried->fresh) return;
    call->state = carried->states;
    call->state_count = carried->count;
}

static void keep_state(TrainEngine *engine, Carried *carried, const InterpResult *result,
                       int64_t batch) {
    Arena *arena = arena_new_in(engine->c->arena);
    InterpState *states = ARENA_ARRAY(arena, result->state_count + 1, InterpState);
    for (int i = 0; i < result->state_count; i++) {
        const InterpState *state = &result->state[i];
        size_t count = (size_t)(state->lags * batch * state->count);
        states[i] = *state;
        states[i].values = arena_copy(arena, state->values, count * sizeof *state->values);
        states[i].bounds = NULL;
    }
    arena_free(carried->arena);
    *carried = (Carried){arena, states, result->state_count, false};
}

static bool refused(TrainEngine *engine, const InterpResult *result, ExitStatus *status) {
    RunData data = {.arena = engine->c->arena, .c = engine->c};
    *status = EXIT_INPUT;
    return run_interp_refused(&data, result, status);
}

/* The result of one call and, for those that carry, the state behind it. NULL: refused. */
static InterpResult *forward(TrainEngine *engine, Arena *arena, const Graph *graph,
                             const InterpCall *call, ExitStatus *status) {
    Carried *carried = carried_of(engine, graph->mode);
    InterpCall own = *call;
    own.want_state = graph->carries.count > 0;
    InterpResult *result = interpret(arena, graph, &own);
    if (refused(engine, result, status)) return NULL;
    if (own.want_state) keep_state(engine, carried, result, call->batch);
    return result;
}

static void add_gradients(TrainEngine *engine, const InterpResult *result, void *grads) {
    const Interp *own = engine->own;
    const Graph *graph = own->gradient.graph;
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        if (port->kind != PORT_PARAM_GRAD) continue;
        int64_t count = shape_count(engine->train->params.at[port->of].shape);
        size_t at = (size_t)engine->param_offsets.at[port->of];
        for (int64_t k = 0; k < count; k++) {
            if (engine->real == RT_F32)
                ((float *)grads)[at + (size_t)k] += (float)result->outputs[o][k];
            else
                ((double *)grads)[at + (size_t)k] += result->outputs[o][k];
        }
    }
}

static bool interp_gradient(TrainEngine *engine, const TrainBatch *batch, const void *params,
                            void *grads, double *loss, ExitStatus *status) {
    Interp *own = engine->own;
    Arena *arena = arena_new_in(engine->c->arena);
    InterpCall call = make_call(engine, arena, engine->train, batch, params);
    give_state(carried_of(engine, MODE_TRAIN), &call);
    InterpResult *result = gradient_interpret(arena, &own->gradient, &call, NULL);
    bool good = !refused(engine, result, status);
    if (good) {
        add_gradients(engine, result, grads);
        *loss = result->loss;
        /* The gradient's graph does not say what is carried. */
        if (engine->train->carries.count > 0)
            good = forward(engine, arena, engine->train, &call, status) != NULL;
    }
    arena_free(arena);
    return good;
}

static double summed(const double *values, int64_t batch) {
    double sum = 0;
    for (int64_t b = 0; b < batch; b++) sum += values[b];
    return sum;
}

static bool interp_losses(TrainEngine *engine, const TrainBatch *batch, const void *params,
                          double *sums, double *pers, ExitStatus *status) {
    Arena *arena = arena_new_in(engine->c->arena);
    InterpCall call = make_call(engine, arena, engine->eval, batch, params);
    give_state(carried_of(engine, MODE_EVAL), &call);
    InterpResult *result = forward(engine, arena, engine->eval, &call, status);
    for (int i = 0; result && i < engine->losses.count; i++) {
        const TrainLoss *loss = &engine->losses.at[i];
        sums[i] = summed(result->outputs[loss->sum], batch->batch);
        pers[i] =
            loss->per < 0 ? (double)batch->batch : summed(result->outputs[loss->per], batch->batch);
    }
    arena_free(arena);
    return result != NULL;
}

/* ---- Carried state in and out ---- */

static int find_state(const Carried *carried, const char *name) {
    for (int i = 0; i < carried->count; i++)
        if (strcmp(carried->states[i].name, name) == 0) return i;
    return -1;
}

static void interp_save(TrainEngine *engine, int64_t batch, void *const *rows) {
    const Carried *carried = carried_of(engine, MODE_TRAIN);
    for (int v = 0; v < engine->variables.count; v++) {
        const TrainVariable *variable = &engine->variables.at[v];
        int at = carried->fresh ? -1 : find_state(carried, variable->name);
        int64_t count = train_variable_elements(variable, batch);
        for (int64_t i = 0; i < count; i++) {
            double value = at < 0 ? 0 : carried->states[at].values[i];
            switch (variable->dtype) {
            case RT_F32: ((float *)rows[v])[i] = (float)value; break;
            case RT_F64: ((double *)rows[v])[i] = value; break;
            case RT_I64: ((int64_t *)rows[v])[i] = (int64_t)value; break;
            case RT_I32: ((int32_t *)rows[v])[i] = (int32_t)value; break;
            default: ((unsigned char *)rows[v])[i] = value != 0;
            }
        }
    }
}

static bool interp_load(TrainEngine *engine, int64_t batch, void *const *rows, ExitStatus *status) {
    Carried *carried = carried_of(engine, MODE_TRAIN);
    (void)status;
    carried->count = engine->variables.count;
    carried->states = ARENA_ARRAY(carried->arena, carried->count + 1, InterpState);
    for (int v = 0; v < carried->count; v++) {
        const TrainVariable *variable = &engine->variables.at[v];
        carried->states[v] =
            (InterpState){.name = name_of(engine->c->names, variable->name),
                          .lags = variable->lags,
                          .count = variable->count,
                          .values = widen(carried->arena, variable->dtype, rows[v],
                                          train_variable_elements(variable, batch))};
    }
    carried->fresh = false;
    return true;
}

const TrainEngineKind train_interp = {.open = interp_open,
                                      .init = interp_init,
                                      .reset = interp_reset,
                                      .gradient = interp_gradient,
                                      .losses = interp_losses,
                                      .save = interp_save,
                                      .load = interp_load};
