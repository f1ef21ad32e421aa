/* One call of a model: by the interpreter, or of its functions by the roles of loop/interface.h,
 * with guards around everything that they may write. */
#include "numeric.h"

#include <math.h>

#include "graph/interpret.h"
#include "guards.h"

enum { GUARD = 192 }; /* bytes before and behind each array */

typedef struct Array {
    unsigned char *base, *at;
    size_t bytes;
    bool written; /* by the call: else its bytes stay */
    unsigned char *before;
    const char *name;
} Array;

typedef struct Call {
    Engine *engine;
    Arena *arena;
    const Built *built;
    const Data *data;
    const CallOptions *options;
    VEC(Array) blocks;
    int weights, state, work; /* blocks, or -1 */
    int64_t state_bytes, work_bytes, reset_bytes;
    Outcome *out;
} Call;

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

/* What must not change is remembered. */
static void remember(Call *c, int i) {
    Array *b = &c->blocks.at[i];
    b->before = arena_copy(c->arena, b->at, b->bytes);
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

static double *widen(Arena *arena, LoopType type, const void *from, int64_t count) {
    double *to = ARENA_ARRAY(arena, count + 1, double);
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

typedef struct Rows { /* what a step sees: one row of each port */
    bool step;
    int64_t at;
    const double *const *import; /* [states] */
    int64_t first, count;        /* reset */
    const unsigned char *ended;  /* [batch] */
    int *at_block;               /* [axes]: where `at` is written */
} Rows;

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

static int run_axis(const Graph *graph, int axis) {
    while (graph->axes.at[axis].kind == AXIS_SLOW) axis = graph->axes.at[axis].base;
    return axis;
}

static int64_t length_of(const Data *data, int axis, int64_t b) {
    return data->lengths[axis] ? data->lengths[axis][b] : data->extent[axis];
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
static int64_t invoke(Call *c, int index, const Rows *rows, int *out_block, int *found_block) {
    const Interface *in = c->built->in;
    const InterfaceFunction *described = &in->functions.at[index];
    const LFunction *function = in->module->functions.at[described->function];
    LoopValue *args = ARENA_ARRAY(c->arena, described->args.count + 1, LoopValue);
    bool transfer = index == in->export_state || index == in->import_state;
    const CallOptions *o = c->options;
    bool spoilt = index == in->forward || index == in->step;
    int first_block = c->blocks.count;
    for (int i = 0; i < described->args.count; i++) {
        const InterfaceArg *arg = &described->args.at[i];
        const LArg *formal = &function->args.at[i];
        const Graph *graph = in->graph;
        int b = -1;
        switch (arg->role) {
        case ROLE_PARAMS: {
            b = block(c, "params", (size_t)(in->param_count * loop_type_size(formal->type)),
                      (size_t)loop_type_size(formal->type), 0, false);
            for (int p = 0; p < graph->params.count; p++)
                narrow(formal->type, c->data->params[p], shape_count(graph->params.at[p].shape),
                       c->blocks.at[b].at + in->param_offsets.at[p] * loop_type_size(formal->type));
            break;
        }
        case ROLE_WEIGHTS: b = c->weights; break;
        case ROLE_BATCH: args[i].integer = c->data->batch; break;
        case ROLE_STEPS: args[i].integer = c->data->extent[arg->slot]; break;
        case ROLE_LENGTHS:
            if (!c->data->lengths[arg->slot] || o->lengths_missing) break;
            b = block(c, "lengths", (size_t)c->data->batch * 4, 4, 0, false);
            for (int64_t s = 0; s < c->data->batch; s++)
                ((int32_t *)(void *)c->blocks.at[b].at)[s] =
                    (int32_t)c->data->lengths[arg->slot][s];
            break;
        case ROLE_OUT_LENGTHS:
            b = block(c, "out lengths", (size_t)c->data->batch * 4, 4, o->fill, true);
            if (found_block) found_block[arg->slot] = b;
            break;
        case ROLE_INPUT: {
            if (transfer) {
                const InterfaceState *state = &in->states.at[arg->slot];
                int64_t n = state->lags * c->data->batch * state->count;
                b = block(c, "state row", (size_t)(n * loop_type_size(formal->type)),
                          (size_t)loop_type_size(formal->type), 0, false);
                narrow(formal->type, rows->import[arg->slot], n, c->blocks.at[b].at);
                break;
            }
            const GraphPort *port = &graph->inputs.at[arg->slot];
            const double *from = c->data->inputs[arg->slot];
            if (!from) break;
            int64_t n = elements(c, port, rows);
            if (rows->step && port->index_count) from = step_input(c, arg->slot, rows, n);
            b = block(c, port->name, (size_t)(n * loop_type_size(formal->type)),
                      (size_t)loop_type_size(formal->type), 0, false);
            narrow(formal->type, from, n, c->blocks.at[b].at);
            break;
        }
        case ROLE_OUTPUT: {
            int64_t n = transfer ? in->states.at[arg->slot].lags * c->data->batch *
                                       in->states.at[arg->slot].count
                                 : elements(c, &graph->outputs.at[arg->slot], rows);
            if (o->no_outputs && spoilt) break;
            b = block(c, transfer ? "state row" : graph->outputs.at[arg->slot].name,
                      (size_t)(n * loop_type_size(formal->type)),
                      (size_t)loop_type_size(formal->type), o->fill, true);
            if (out_block) out_block[arg->slot] = b;
            break;
        }
        case ROLE_STATE:
            if (index == in->forward && !o->with_state) break;
            b = c->state;
            break;
        case ROLE_FIRST: args[i].integer = rows->first; break;
        case ROLE_COUNT: args[i].integer = rows->count; break;
        case ROLE_ENDED:
            b = block(c, "ended", (size_t)c->data->batch, 1, 0, false);
            memcpy(c->blocks.at[b].at, rows->ended, (size_t)c->data->batch);
            break;
        case ROLE_AT:
            b = block(c, "at", (size_t)c->data->batch * 8, 8, o->fill, true);
            if (rows->at_block) rows->at_block[arg->slot] = b;
            break;
        case ROLE_SEED: args[i].integer = CALL_SEED; break;
        case ROLE_UPSTREAM:
        case ROLE_LOSS:
        case ROLE_GRADS:
        case ROLE_INPUT_GRAD: break;
        case ROLE_WORK: b = c->work; break;
        case ROLE_WORK_BYTES: args[i].integer = c->work_bytes - o->work_less; break;
        }
        if (b >= 0)
            args[i] = (LoopValue){.pointer = c->blocks.at[b].at, .bytes = c->blocks.at[b].bytes};
        if (b >= 0 && arg->role == ROLE_WORK && spoilt && o->work_shift)
            args[i] = (LoopValue){.pointer = c->blocks.at[b].at + o->work_shift,
                                  .bytes = c->blocks.at[b].bytes - (size_t)o->work_shift};
        if (spoilt && o->null_arg == i + 1 && formal->pointer) args[i] = (LoopValue){0};
    }
    for (int b = first_block; b < c->blocks.count; b++)
        if (!c->blocks.at[b].written) remember(c, b);
    int64_t result = -1;
    const char *error = NULL;
    close_guards(c, true);
    if (!c->engine->call(c->engine, c->arena, c->built, index, args, described->args.count, &result,
                         &error))
        c->out->error = arena_printf(c->arena, "%s: %s", function->name, error);
    close_guards(c, false);
    if (!c->out->error && (error = check_guards(c)) != NULL)
        c->out->error = arena_printf(c->arena, "%s: %s", function->name, error);
    if (result != LOOP_OK && spoilt && !c->out->error)
        for (int b = first_block; b < c->blocks.count; b++)
            for (size_t k = 0; c->blocks.at[b].written && k < c->blocks.at[b].bytes; k++)
                if (c->blocks.at[b].at[k] != (unsigned char)o->fill) {
                    c->out->error =
                        arena_printf(c->arena, "%s returned %lld and has written to %s",
                                     function->name, (long long)result, c->blocks.at[b].name);
                    return result;
                }
    return result;
}

static Call begin(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const CallOptions *options, bool step) {
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
    if (in->pack >= 0) c.out->status = invoke(&c, in->pack, &all, NULL, NULL);
    if (!c.out->error) remember(&c, c.weights);
    int size = step ? in->step_work : in->forward_work;
    if (!c.out->error) c.work_bytes = invoke(&c, size, &all, NULL, NULL);
    if (c.out->error) return c;
    if (in->step_work >= 0) { /* a reset may need that of a step */
        int64_t other = invoke(&c, in->step_work, &all, NULL, NULL);
        if (c.out->error) return c;
        c.reset_bytes = other > c.work_bytes ? other : c.work_bytes;
    }
    if (c.work_bytes == -1)
        c.work_bytes = 4096; /* arguments out of range: to be refused for that */
    if (c.work_bytes < 0 || c.work_bytes > 1 << 28) {
        c.out->error = arena_printf(arena, "%lld bytes of workspace", (long long)c.work_bytes);
        return c;
    }
    int64_t own = c.work_bytes;
    bool resets = in->state_bytes >= 0 && (step || options->with_state);
    if (resets && c.reset_bytes > own) c.work_bytes = c.reset_bytes;
    c.work =
        block(&c, "work", (size_t)(c.work_bytes + options->work_shift), 0, options->fill, true);
    if (resets) {
        c.state_bytes = invoke(&c, in->state_bytes, &all, NULL, NULL);
        if (c.out->error) return c;
        c.state = block(&c, "state", (size_t)c.state_bytes, 0, options->fill, true);
        int64_t status = invoke(&c, in->reset, &all, NULL, NULL);
        if (status != LOOP_OK && !c.out->error) c.out->error = "reset refused";
        c.work_bytes = own;
    }
    return c;
}

static void take(Call *c, const int *found) {
    const Graph *graph = c->built->graph;
    c->out->lengths = ARENA_ARRAY(c->arena, graph->axes.count + 1, int64_t *);
    for (int a = 0; a < graph->axes.count; a++) {
        if (found[a] < 0) continue;
        c->out->lengths[a] = ARENA_ARRAY(c->arena, c->data->batch, int64_t);
        for (int64_t b = 0; b < c->data->batch; b++)
            c->out->lengths[a][b] = ((int32_t *)(void *)c->blocks.at[found[a]].at)[b];
    }
}

static LoopType argument_type(const Interface *in, int index, ArgRole role, int slot) {
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

static double **export_rows(Call *c) {
    const Interface *in = c->built->in;
    const Rows rows = {.count = c->data->batch};
    int *states = none(c->arena, in->states.count);
    double **to = ARENA_ARRAY(c->arena, in->states.count + 1, double *);
    if (invoke(c, in->export_state, &rows, states, NULL) != LOOP_OK && !c->out->error)
        c->out->error = "export_state refused";
    for (int s = 0; s < in->states.count && !c->out->error; s++)
        to[s] = widen(c->arena, argument_type(in, in->export_state, ROLE_OUTPUT, s),
                      c->blocks.at[states[s]].at,
                      in->states.at[s].lags * c->data->batch * in->states.at[s].count);
    return to;
}

Outcome *run_forward(Engine *engine, Arena *arena, const Built *built, const Data *data,
                     const CallOptions *options) {
    static const CallOptions plain = {.fill = 0xFF};
    if (!options) options = &plain;
    const Interface *in = built->in;
    const Graph *graph = built->graph;
    Call c = begin(engine, arena, built, data, options, false);
    Outcome *out = c.out;
    if (out->error) return out;
    Rows rows = {.count = data->batch, .import = options->states};
    if (options->states && invoke(&c, in->import_state, &rows, NULL, NULL) != LOOP_OK &&
        !out->error)
        out->error = "import_state refused";
    if (out->error) return out;
    int *outputs = none(arena, graph->outputs.count), *found = none(arena, graph->axes.count);
    out->status = invoke(&c, in->forward, &rows, outputs, found);
    if (out->error || out->status != LOOP_OK) return out;
    take(&c, found);
    out->outputs = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        if (outputs[o] >= 0)
            out->outputs[o] =
                widen(arena, argument_type(in, in->forward, ROLE_OUTPUT, o),
                      c.blocks.at[outputs[o]].at, port_count(data, &graph->outputs.at[o]));
    if (options->with_state && in->export_state >= 0) out->states = export_rows(&c);
    return out;
}

/* The state goes through plain arrays into another one. */
static void move_state(Call *c) {
    double *const *from = export_rows(c);
    const Rows rows = {.count = c->data->batch, .import = (const double *const *)from};
    if (c->out->error) return;
    memset(c->blocks.at[c->state].at, 0x5A, c->blocks.at[c->state].bytes);
    if ((invoke(c, c->built->in->reset, &rows, NULL, NULL) != LOOP_OK ||
         invoke(c, c->built->in->import_state, &rows, NULL, NULL) != LOOP_OK) &&
        !c->out->error)
        c->out->error = "a state is refused";
}

Outcome *run_rows(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const StepOptions *how) {
    const Interface *in = built->in;
    const Graph *graph = built->graph;
    const CallOptions options = {.fill = how->fill};
    Call c = begin(engine, arena, built, data, &options, true);
    Outcome *out = c.out;
    int axis = in->step_axis;
    int64_t steps = data->extent[axis] + in->latency;
    unsigned char *ended = ARENA_ARRAY(arena, data->batch + 1, unsigned char);
    if (out->error) return out;
    out->calls = steps;
    out->at = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    out->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    out->outputs = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++) {
        int64_t n = data->batch * shape_count(graph->outputs.at[o].type.shape);
        out->outputs[o] = ARENA_ARRAY(arena, steps * n + 1, double);
    }
    for (int64_t t = 0; t < steps; t++) {
        Rows rows = {.step = true,
                     .at = t,
                     .first = how->reset_first,
                     .count = how->reset_count,
                     .ended = ended,
                     .at_block = none(arena, graph->axes.count)};
        for (int64_t b = 0; b < data->batch && in->latency; b++)
            ended[b] = t >= length_of(data, axis, b) ? 0x80 : 0;
        int *outputs = none(arena, graph->outputs.count);
        memset(c.blocks.at[c.work].at, how->fill,
               c.blocks.at[c.work].bytes); /* nothing lives in it between calls */
        if (how->reset_at && how->reset_at == t) {
            out->status = invoke(&c, in->reset, &rows, NULL, NULL);
            if (out->error || out->status != LOOP_OK) return out;
            memset(c.blocks.at[c.work].at, how->fill, c.blocks.at[c.work].bytes);
        }
        if (how->move_at && how->move_at == t) move_state(&c);
        if (out->error) return out;
        out->status = invoke(&c, in->step, &rows, outputs, NULL);
        if (out->error || out->status != LOOP_OK) return out;
        for (int o = 0; o < graph->outputs.count; o++) {
            int64_t n = data->batch * shape_count(graph->outputs.at[o].type.shape);
            double *row = widen(arena, argument_type(in, in->step, ROLE_OUTPUT, o),
                                c.blocks.at[outputs[o]].at, n);
            memcpy(out->outputs[o] + t * n, row, (size_t)n * sizeof(double));
        }
        for (int a = 0; a < graph->axes.count; a++) {
            if (rows.at_block[a] < 0) continue;
            if (!out->at[a]) out->at[a] = ARENA_ARRAY(arena, steps * data->batch + 1, int64_t);
            memcpy(out->at[a] + t * data->batch, c.blocks.at[rows.at_block[a]].at,
                   (size_t)data->batch * 8);
        }
    }
    return out;
}

/* The rows of steps where forward has them: by the positions that the steps told, else by their
 * number; of an output without time the last. */
static double *gather(Arena *arena, const Built *built, const Data *data, const Outcome *rows,
                      int o, const char **error) {
    const Graph *graph = built->graph;
    const GraphPort *port = &graph->outputs.at[o];
    int64_t n = shape_count(port->type.shape), batch = data->batch;
    double *whole = ARENA_ARRAY(arena, port_count(data, port) + 1, double);
    int axis = port->index_count ? graph->indices.at[port->indices[0]].axis : -1, run = -1;
    for (int a = 0; a < graph->axes.count; a++)
        if (rows->at[a] && run < 0) run = run_axis(graph, a);
    const int64_t *told = axis >= 0 ? rows->at[axis] : run >= 0 ? rows->at[run] : NULL;
    for (int64_t t = 0; t < rows->calls; t++)
        for (int64_t b = 0; b < batch; b++) {
            const double *row = rows->outputs[o] + (t * batch + b) * n;
            int64_t p = told ? told[t * batch + b] : t;
            bool empty = true;
            for (int64_t i = 0; i < n; i++) empty = empty && row[i] == 0;
            if (p < 0 && !empty) *error = "a row that is none is not 0";
            if (p < 0) continue;
            memcpy(whole + ((axis >= 0 ? p : 0) * batch + b) * n, row, (size_t)n * sizeof(double));
        }
    return whole;
}

Outcome *run_steps(Engine *engine, Arena *arena, const Built *built, const Data *data,
                   const StepOptions *how) {
    Outcome *out = run_rows(engine, arena, built, data, how);
    if (out->error || out->status != LOOP_OK) return out;
    double **rows = ARENA_ARRAY(arena, built->graph->outputs.count + 1, double *);
    for (int o = 0; o < built->graph->outputs.count; o++)
        rows[o] = gather(arena, built, data, out, o, &out->error);
    out->outputs = rows;
    return out;
}

/* ---- the interpreter ---- */

static int64_t longest_of(const Data *data, int64_t *const *lengths, int a) {
    const Axis *axis = &data->graph->axes.at[a];
    int64_t most = 0;
    if (axis->kind == AXIS_SLOW)
        return (longest_of(data, lengths, axis->base) + axis->every - 1) / axis->every;
    if (!lengths[a]) return data->extent[a];
    for (int64_t b = 0; b < data->batch; b++)
        if (lengths[a][b] > most) most = lengths[a][b];
    return most;
}

/* Copies the rows that two arrays have in common. */
static void copy_rows(const Data *data, const GraphPort *port, const double *from,
                      const int64_t *from_extent, double *to, const int64_t *to_extent) {
    int64_t at[MAX_DOMAIN] = {0}, n = data->batch * shape_count(port->type.shape);
    for (int d = 0; d < port->index_count; d++) {
        int a = data->graph->indices.at[port->indices[d]].axis;
        if (from_extent[a] == 0 || to_extent[a] == 0) return;
    }
    for (;;) {
        int64_t x = 0, y = 0;
        for (int d = 0; d < port->index_count; d++) {
            int a = data->graph->indices.at[port->indices[d]].axis;
            x = x * from_extent[a] + at[d];
            y = y * to_extent[a] + at[d];
        }
        memcpy(to + y * n, from + x * n, (size_t)n * sizeof(double));
        int d = port->index_count - 1;
        for (; d >= 0; d--) {
            int a = data->graph->indices.at[port->indices[d]].axis;
            if (++at[d] < (from_extent[a] < to_extent[a] ? from_extent[a] : to_extent[a])) break;
            at[d] = 0;
        }
        if (d < 0) return;
    }
}

static Outcome *interpreted(Arena *arena, const Built *built, const Data *data, bool single,
                            double roundoff) {
    const Graph *graph = built->graph;
    Outcome *out = ARENA_NEW(arena, Outcome);
    int64_t *longest = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t);
    for (int a = 0; a < graph->axes.count; a++) longest[a] = longest_of(data, data->lengths, a);
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, const double *);
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        if (!data->inputs[i]) continue;
        Data cut = *data;
        cut.extent = longest;
        double *rows = ARENA_ARRAY(arena, port_count(&cut, port) + 1, double);
        copy_rows(data, port, data->inputs[i], data->extent, rows, longest);
        inputs[i] = rows;
    }
    InterpCall call = {.seed = CALL_SEED,
                       .single = single,
                       .roundoff = roundoff,
                       .batch = data->batch,
                       .lengths = data->lengths,
                       .inputs = inputs,
                       .params = (const double **)data->params};
    InterpResult *result = interpret(arena, graph, &call);
    switch (result->status) {
    case INTERP_OK: out->status = LOOP_OK; break;
    case INTERP_LENGTH: out->status = LOOP_BAD_LENGTH; break;
    case INTERP_VALUE: out->status = LOOP_BAD_VALUE; break;
    case INTERP_PER: out->status = LOOP_BAD_LOSS; break;
    case INTERP_CYCLE:
    case INTERP_MISSING:
    case INTERP_MEMORY: out->error = result->message; break;
    }
    if (result->status != INTERP_OK) return out;
    out->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    for (int a = 0; a < graph->axes.count; a++) {
        if (graph->axes.at[a].generated && graph->axes.at[a].kind == AXIS_RUN)
            out->lengths[a] = result->lengths[a];
        longest[a] = longest_of(data, result->lengths, a);
    }
    out->outputs = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    out->bounds = roundoff > 0 ? ARENA_ARRAY(arena, graph->outputs.count + 1, double *) : NULL;
    out->fragile = result->fragile_message;
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        out->outputs[o] = ARENA_ARRAY(arena, port_count(data, port) + 1, double);
        copy_rows(data, port, result->outputs[o], longest, out->outputs[o], data->extent);
        if (roundoff == 0) continue;
        out->bounds[o] = ARENA_ARRAY(arena, port_count(data, port) + 1, double);
        copy_rows(data, port, result->bounds[o], longest, out->bounds[o], data->extent);
    }
    return out;
}

Outcome *run_interpreter(Arena *arena, const Built *built, const Data *data, bool single) {
    return interpreted(arena, built, data, single, 0);
}

Outcome *run_bounded(Arena *arena, const Built *built, const Data *data, LoopType real) {
    return interpreted(arena, built, data, false,
                       real == LT_F32 ? INTERP_ROUNDOFF_F32 : INTERP_ROUNDOFF_F64);
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
