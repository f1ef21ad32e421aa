/* One call of a function of a model, by the roles of loop/interface.h, with guards around
 * everything that it may write. */
#include "call.h"

#include <math.h>

#include "guards.h"

enum { GUARD = 192 }; /* bytes before and behind each array */

/* Room for `bytes`, `shift` bytes off a boundary of 64, filled with `fill`, between guards. */
static int block(Call *c, const char *name, size_t bytes, size_t shift, int fill, bool written) {
    Array b = {.bytes = bytes, .written = written, .name = name};
    b.base = arena_alloc(c->arena, bytes + 2 * GUARD + 128);
    memset(b.base, 0xA5, bytes + 2 * GUARD + 128);
    b.at = b.base + GUARD;
    b.at += (64 - (uintptr_t)b.at % 64) % 64 + shift;
    memset(b.at, fill, bytes);
    vec_push(c->arena, &c->blocks, b);
    return c->blocks.count - 1;
}

static const char *check_guards(Call *c) {
    for (int i = 0; i < c->blocks.count; i++) {
        Array *b = &c->blocks.at[i];
        size_t low = (size_t)(b->at - b->base);
        for (size_t k = 0; k < b->bytes + 2 * GUARD + 128; k++)
            if ((k < low || k >= low + b->bytes) && b->base[k] != 0xA5)
                return arena_printf(c->arena, "%s was written %s its bounds", b->name,
                                    k < low ? "before" : "behind");
        if (b->before && memcmp(b->before, b->at, b->bytes) != 0)
            return arena_printf(c->arena, "%s was changed", b->name);
    }
    return NULL;
}

static void close_guards(const Call *c, bool closed) {
    for (const Array *b = c->blocks.at; b < c->blocks.at + c->blocks.count; b++)
        guard_close(b->base, b->at, b->bytes, 2 * GUARD + 128, closed);
}

/* What a call must leave, or must leave where it refuses. */
static void remember(Call *c, int i) {
    Array *b = &c->blocks.at[i];
    unsigned char *bytes = arena_copy(c->arena, b->at, b->bytes);
    *(b->written ? &b->initial : &b->before) = bytes;
}

static void narrow(LoopType type, const double *from, int64_t count, void *to) {
    for (int64_t i = 0; i < count; i++) switch (type) {
        case LT_F32: ((float *)to)[i] = (float)from[i]; break;
        case LT_F64: ((double *)to)[i] = from[i]; break;
        case LT_I8: ((int8_t *)to)[i] = (int8_t)from[i]; break;
        case LT_I32: ((int32_t *)to)[i] = (int32_t)from[i]; break;
        case LT_I64: ((int64_t *)to)[i] = (int64_t)from[i]; break;
        case LT_U16:
        case LT_M32:
        case LT_M64:
        case LT_VOID: break;
        }
}

static void narrow_integers(const int64_t *from, int64_t count, void *to) {
    for (int64_t i = 0; i < count; i++) ((int32_t *)to)[i] = (int32_t)from[i];
}

double *call_widen(const Call *c, LoopType type, int block, int64_t count) {
    double *to = ARENA_ARRAY(c->arena, count + 1, double);
    const void *from = c->blocks.at[block].at;
    for (int64_t i = 0; i < count; i++) switch (type) {
        case LT_F32: to[i] = (double)((const float *)from)[i]; break;
        case LT_F64: to[i] = ((const double *)from)[i]; break;
        case LT_I8: to[i] = ((const int8_t *)from)[i]; break;
        case LT_I32: to[i] = ((const int32_t *)from)[i]; break;
        case LT_I64: to[i] = (double)((const int64_t *)from)[i]; break;
        case LT_U16:
        case LT_M32:
        case LT_M64:
        case LT_VOID: break;
        }
    return to;
}

/* ---- one call ---- */

/* Elements of a port in this call. */
static int64_t elements(const Call *c, const GraphPort *port, const Rows *rows) {
    return rows->step ? c->data->batch * shape_count(port->type.shape) : port_count(c->data, port);
}

static int64_t every_of(const Graph *graph, int axis) {
    int64_t every = 1;
    for (; graph->axes.at[axis].kind == AXIS_SLOW; axis = graph->axes.at[axis].base)
        every *= graph->axes.at[axis].every;
    return every;
}

/* The row of an input that a step is given; what it must not read is NaN, and no label. */
static const double *step_input(const Call *c, int slot, const Rows *rows, int64_t n) {
    const Graph *graph = c->built->in->graph;
    const GraphPort *port = &graph->inputs.at[slot];
    int axis = graph->indices.at[port->indices[0]].axis;
    int64_t every = every_of(graph, axis), row = n / c->data->batch;
    double *given = ARENA_ARRAY(c->arena, n + 1, double);
    for (int64_t i = 0; i < n; i++) {
        bool read = rows->at % every == 0 && !(rows->ended && rows->ended[i / row]);
        double spoilt = port->type.dtype == DT_INT    ? 1 << 30
                        : port->type.dtype == DT_BOOL ? 1
                                                      : NAN;
        given[i] = read ? c->data->inputs[slot][rows->at / every * n + i] : spoilt;
    }
    return given;
}

/* Calls function `index`; outputs are blocks out_block[slot] (-1: none), lengths found in
 * found_block[axis]. */
LoopType call_type(const Interface *in, int index, ArgRole role, int slot) {
    const InterfaceFunction *described = &in->functions.at[index];
    for (int i = 0; i < described->args.count; i++)
        if (described->args.at[i].role == role && described->args.at[i].slot == slot)
            return in->module->functions.at[described->function]->args.at[i].type;
    return LT_VOID;
}

static int *none(Arena *arena, int count) {
    int *list = ARENA_ARRAY(arena, count + 1, int);
    for (int i = 0; i < count; i++) list[i] = -1;
    return list;
}

Written call_written(const Call *c) {
    const Graph *graph = c->built->in->graph;
    int states = c->built->in->states.count, outputs = graph->outputs.count;
    return (Written){.outputs = none(c->arena, outputs > states ? outputs : states),
                     .found = none(c->arena, graph->axes.count),
                     .at = none(c->arena, graph->axes.count),
                     .in_grads = none(c->arena, graph->inputs.count),
                     .loss = -1,
                     .grads = -1};
}

/* The functions over whole sequences. */
static bool is_sequence(const Interface *in, int index) {
    return index == in->forward || index == in->loss || index == in->grad;
}

/* `count` elements, at an address that no more than one element is aligned to. */
static int elements_block(Call *c, const char *name, LoopType type, int64_t count, int fill,
                          bool written) {
    size_t size = (size_t)loop_type_size(type);
    return block(c, name, (size_t)count * size, size, fill, written);
}

static int parameters(Call *c, LoopType type, double *const *values, const char *name,
                      bool written) {
    const Interface *in = c->built->in;
    int b = elements_block(c, name, type, in->param_count, 0, written);
    for (int p = 0; p < in->graph->params.count; p++)
        narrow(type, values[p], shape_count(in->graph->params.at[p].shape),
               c->blocks.at[b].at + in->param_offsets.at[p] * loop_type_size(type));
    return b;
}

/* The block of a tensor that is given; -1: NULL. */
static int given(Call *c, const char *name, LoopType type, const double *values, int64_t count,
                 bool written) {
    if (!values) return -1;
    int b = elements_block(c, name, type, count, 0, written);
    narrow(type, values, count, c->blocks.at[b].at);
    return b;
}

static int input(Call *c, int index, int slot, LoopType type, const Rows *rows) {
    const Interface *in = c->built->in;
    if (index == in->import_state) {
        const InterfaceState *state = &in->states.at[slot];
        return given(c, "state row", type, rows->import[slot],
                     state->lags * c->data->batch * state->count, false);
    }
    const GraphPort *port = &in->graph->inputs.at[slot];
    const double *from = c->data->inputs[slot];
    int64_t n = elements(c, port, rows);
    if (from && rows->step && port->index_count) from = step_input(c, slot, rows, n);
    return given(c, port->name, type, from, n, false);
}

static int output(Call *c, int index, int slot, LoopType type, const Rows *rows) {
    const Interface *in = c->built->in;
    if (index == in->export_state) {
        const InterfaceState *state = &in->states.at[slot];
        return elements_block(c, "state row", type, state->lags * c->data->batch * state->count,
                              c->options->fill, true);
    }
    const GraphPort *port = &in->graph->outputs.at[slot];
    if (c->options->no_outputs) return -1;
    return elements_block(c, port->name, type, elements(c, port, rows), c->options->fill, true);
}

static int lengths(Call *c, int axis) {
    if (!c->data->lengths[axis] || c->options->lengths_missing) return -1;
    int b = elements_block(c, "lengths", LT_I32, c->data->batch, 0, false);
    narrow_integers(c->data->lengths[axis], c->data->batch, c->blocks.at[b].at);
    return b;
}

/* The block of a pointer, -1 for NULL; `mark` is where its number is noted, or NULL. */
static int pointer(Call *c, int index, const InterfaceArg *arg, LoopType type, const Rows *rows,
                   Written *to) {
    const Interface *in = c->built->in;
    const CallOptions *o = c->options;
    const Data *data = c->data;
    int *mark = NULL, b = -1, slot = arg->slot;
    switch (arg->role) {
    case ROLE_PARAMS: b = parameters(c, type, data->params, "params", false); break;
    case ROLE_WEIGHTS: b = c->weights; break;
    case ROLE_LENGTHS: b = lengths(c, slot); break;
    case ROLE_OUT_LENGTHS:
        b = elements_block(c, "out lengths", LT_I32, data->batch, o->fill, true);
        mark = &to->found[slot];
        break;
    case ROLE_INPUT: b = input(c, index, slot, type, rows); break;
    case ROLE_OUTPUT:
        b = output(c, index, slot, type, rows);
        mark = &to->outputs[slot];
        break;
    case ROLE_UPSTREAM:
        b = given(c, "upstream", type, data->upstream[slot],
                  port_count(data, &in->graph->outputs.at[slot]), false);
        break;
    case ROLE_LOSS:
        if (!o->no_loss) b = elements_block(c, "loss", type, 1, o->fill, true);
        mark = &to->loss;
        break;
    case ROLE_GRADS:
        if (!o->no_params) b = parameters(c, type, data->d_params, "d_params", true);
        mark = &to->grads;
        break;
    case ROLE_INPUT_GRAD:
        if (!o->no_in_grads)
            b = given(c, "gradient of an input", type, data->d_inputs[slot],
                      port_count(data, &in->graph->inputs.at[slot]), true);
        mark = &to->in_grads[slot];
        break;
    case ROLE_STATE:
        if (!is_sequence(in, index) || o->with_state) b = c->state;
        break;
    case ROLE_ENDED:
        b = elements_block(c, "ended", LT_I8, data->batch, 0, false);
        memcpy(c->blocks.at[b].at, rows->ended, (size_t)data->batch);
        break;
    case ROLE_AT:
        b = elements_block(c, "at", LT_I64, data->batch, o->fill, true);
        mark = &to->at[slot];
        break;
    case ROLE_WORK: b = c->work; break;
    case ROLE_BATCH:
    case ROLE_STEPS:
    case ROLE_FIRST:
    case ROLE_COUNT:
    case ROLE_SEED:
    case ROLE_WORK_BYTES:
    case ROLE_POOL: break;
    }
    if (mark) *mark = b;
    return b;
}

static int64_t scalar(const Call *c, const InterfaceArg *arg, const Rows *rows) {
    switch (arg->role) {
    case ROLE_BATCH: return c->data->batch;
    case ROLE_STEPS: return c->data->extent[arg->slot];
    case ROLE_FIRST: return rows->first;
    case ROLE_COUNT: return rows->count;
    case ROLE_SEED: return CALL_SEED;
    case ROLE_WORK_BYTES: return c->work_bytes - c->options->work_less;
    case ROLE_PARAMS:
    case ROLE_WEIGHTS:
    case ROLE_LENGTHS:
    case ROLE_OUT_LENGTHS:
    case ROLE_INPUT:
    case ROLE_OUTPUT:
    case ROLE_UPSTREAM:
    case ROLE_LOSS:
    case ROLE_GRADS:
    case ROLE_INPUT_GRAD:
    case ROLE_STATE:
    case ROLE_ENDED:
    case ROLE_AT:
    case ROLE_WORK:
    case ROLE_POOL: break;
    }
    return 0;
}

/* A call that was refused has written to nothing but the workspace. */
static void check_refused(Call *c, int first, const char *name, int64_t result) {
    for (int b = 0; b < c->blocks.count && !c->out->error; b++)
        if ((b >= first || b == c->state) && c->blocks.at[b].written &&
            memcmp(c->blocks.at[b].at, c->blocks.at[b].initial, c->blocks.at[b].bytes) != 0)
            c->out->error = arena_printf(c->arena, "%s returned %lld and has written to %s", name,
                                         (long long)result, c->blocks.at[b].name);
}

int64_t call_invoke(Call *c, int index, const Rows *rows, Written *to) {
    const Interface *in = c->built->in;
    const InterfaceFunction *described = &in->functions.at[index];
    const LFunction *function = in->module->functions.at[described->function];
    LoopValue *args = ARENA_ARRAY(c->arena, described->args.count + 1, LoopValue);
    bool spoilt = is_sequence(in, index) || index == in->step;
    int first_block = c->blocks.count;
    Written unused = call_written(c);
    for (int i = 0; i < described->args.count; i++) {
        const InterfaceArg *arg = &described->args.at[i];
        const LArg *formal = &function->args.at[i];
        if (!formal->pointer) {
            args[i].integer = scalar(c, arg, rows);
            continue;
        }
        if (formal->pool) {
            args[i].integer = c->built->c->options->threads;
            continue;
        }
        int b = pointer(c, index, arg, formal->type, rows, to ? to : &unused);
        size_t shift = spoilt && arg->role == ROLE_WORK ? (size_t)c->options->work_shift : 0;
        if (b >= 0 && !(spoilt && c->options->null_arg == i + 1))
            args[i] = (LoopValue){.pointer = c->blocks.at[b].at + shift,
                                  .bytes = c->blocks.at[b].bytes - shift};
    }
    for (int b = first_block; b < c->blocks.count; b++) remember(c, b);
    if (c->state >= 0 && spoilt) remember(c, c->state);
    int64_t result = -1;
    const char *error = NULL;
    close_guards(c, true);
    if (!c->engine->call(c->engine, c->arena, c->built, index, args, described->args.count, &result,
                         &error))
        c->out->error = arena_printf(c->arena, "%s: %s", function->name, error);
    close_guards(c, false);
    if (!c->out->error && (error = check_guards(c)) != NULL)
        c->out->error = arena_printf(c->arena, "%s: %s", function->name, error);
    if (result != LOOP_OK && spoilt) check_refused(c, first_block, function->name, result);
    return result;
}

/* Bytes by a size function, at least `least`; what it refuses is to be refused by the call, too. */
static int64_t work_bytes(Call *c, int size, int64_t least) {
    const Rows all = {.count = c->data->batch};
    int64_t bytes = size >= 0 && !c->out->error ? call_invoke(c, size, &all, NULL) : 0;
    if (bytes == -1) bytes = 4096;
    if (!c->out->error && (bytes < 0 || bytes > 1 << 28))
        c->out->error = arena_printf(c->arena, "%lld bytes of workspace", (long long)bytes);
    return bytes > least ? bytes : least;
}

Call call_begin(Engine *engine, Arena *arena, const Built *built, const Data *data,
                const CallOptions *options, int size, bool state) {
    const Interface *in = built->in;
    Call c = {.engine = engine,
              .arena = arena,
              .built = built,
              .data = data,
              .options = options,
              .weights = -1,
              .state = -1,
              .work = -1,
              .out = ARENA_NEW(arena, Outcome)};
    const Rows all = {.count = data->batch};
    c.weights = block(&c, "weights", (size_t)in->weight_bytes, 0, options->fill, true);
    if (in->pack >= 0) c.out->status = call_invoke(&c, in->pack, &all, NULL);
    c.blocks.at[c.weights].written = false;
    remember(&c, c.weights);
    int64_t own = work_bytes(&c, size, 0);
    bool resets = in->state_bytes >= 0 && state;
    c.work_bytes = resets ? work_bytes(&c, in->reset_work, own) : own;
    if (c.out->error) return c;
    c.work =
        block(&c, "work", (size_t)(c.work_bytes + options->work_shift), 0, options->fill, true);
    if (resets) {
        c.state_bytes = call_invoke(&c, in->state_bytes, &all, NULL);
        if (c.out->error) return c;
        c.state = block(&c, "state", (size_t)c.state_bytes, 0, options->fill, true);
        int64_t status = call_invoke(&c, in->reset, &all, NULL);
        if (status != LOOP_OK && !c.out->error) c.out->error = "reset refused";
    }
    c.work_bytes = own;
    return c;
}

double **call_export(Call *c) {
    const Interface *in = c->built->in;
    const Rows rows = {.count = c->data->batch};
    Written to = call_written(c);
    double **states = ARENA_ARRAY(c->arena, in->states.count + 1, double *);
    if (call_invoke(c, in->export_state, &rows, &to) != LOOP_OK && !c->out->error)
        c->out->error = "export_state refused";
    for (int s = 0; s < in->states.count && !c->out->error; s++)
        states[s] = call_widen(c, call_type(in, in->export_state, ROLE_OUTPUT, s), to.outputs[s],
                               in->states.at[s].lags * c->data->batch * in->states.at[s].count);
    return states;
}

/* ---- the evaluator ---- */

static bool evaluate(Engine *engine, Arena *arena, const Built *built, int index,
                     const LoopValue *args, int count, int64_t *result, const char **error) {
    const Interface *in = built->in;
    (void)engine;
    return loop_program_call(built->program, arena,
                             in->module->functions.at[in->functions.at[index].function]->name, args,
                             count, result, error);
}

Engine evaluator = {"evaluator", evaluate, NULL, NULL};
