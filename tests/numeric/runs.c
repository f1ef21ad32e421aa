/* Whole sequences and steps, by an engine. */
#include <math.h>

#include "call.h"

static int run_axis(const Graph *graph, int axis) {
    while (graph->axes.at[axis].kind == AXIS_SLOW) axis = graph->axes.at[axis].base;
    return axis;
}

static int64_t length_of(const Data *data, int axis, int64_t b) {
    return data->lengths[axis] ? data->lengths[axis][b] : data->extent[axis];
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

/* Outputs, gradients, the state, after a call of function `index`. */
static void take_all(Call *c, int index, const Written *to) {
    const Interface *in = c->built->in;
    const Graph *graph = c->built->graph;
    const Data *data = c->data;
    Outcome *out = c->out;
    LoopType real = in->module->real;
    take(c, to->found);
    out->outputs = ARENA_ARRAY(c->arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        if (to->outputs[o] >= 0)
            out->outputs[o] = call_widen(c, call_type(in, index, ROLE_OUTPUT, o), to->outputs[o],
                                         port_count(data, &graph->outputs.at[o]));
    if (to->loss >= 0) out->loss = call_widen(c, real, to->loss, 1);
    out->in_grads = ARENA_ARRAY(c->arena, graph->inputs.count + 1, double *);
    for (int i = 0; i < graph->inputs.count; i++)
        if (to->in_grads[i] >= 0)
            out->in_grads[i] =
                call_widen(c, real, to->in_grads[i], port_count(data, &graph->inputs.at[i]));
    if (to->grads < 0) return;
    double *flat = call_widen(c, real, to->grads, in->param_count);
    out->grads = ARENA_ARRAY(c->arena, graph->params.count + 1, double *);
    for (int p = 0; p < graph->params.count; p++) out->grads[p] = flat + in->param_offsets.at[p];
}

static Outcome *run_sequence(Engine *engine, Arena *arena, const Built *built, const Data *data,
                             const CallOptions *options, int index, int size) {
    static const CallOptions plain = {.fill = 0xFF};
    if (!options) options = &plain;
    const Interface *in = built->in;
    Call c = call_begin(engine, arena, built, data, options, size, options->with_state);
    Outcome *out = c.out;
    if (out->error) return out;
    Rows rows = {.count = data->batch, .import = options->states};
    if (options->states && call_invoke(&c, in->import_state, &rows, NULL) != LOOP_OK && !out->error)
        out->error = "import_state refused";
    if (out->error) return out;
    Written to = call_written(&c);
    out->status = call_invoke(&c, index, &rows, &to);
    if (out->error || out->status != LOOP_OK) return out;
    take_all(&c, index, &to);
    if (options->with_state && in->export_state >= 0) out->states = call_export(&c);
    return out;
}

Outcome *run_forward(Engine *engine, Arena *arena, const Built *built, const Data *data,
                     const CallOptions *options) {
    return run_sequence(engine, arena, built, data, options, built->in->forward,
                        built->in->forward_work);
}

Outcome *run_loss(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const CallOptions *options) {
    return run_sequence(engine, arena, built, data, options, built->in->loss, built->in->loss_work);
}

Outcome *run_gradient(Engine *engine, Arena *arena, const Built *built, const Data *data,
                      const CallOptions *options) {
    return run_sequence(engine, arena, built, data, options, built->in->grad, built->in->grad_work);
}

/* The state goes through plain arrays into another one. */
static void move_state(Call *c) {
    double *const *from = call_export(c);
    const Rows rows = {.count = c->data->batch, .import = (const double *const *)from};
    if (c->out->error) return;
    memset(c->blocks.at[c->state].at, 0x5A, c->blocks.at[c->state].bytes);
    if ((call_invoke(c, c->built->in->reset, &rows, NULL) != LOOP_OK ||
         call_invoke(c, c->built->in->import_state, &rows, NULL) != LOOP_OK) &&
        !c->out->error)
        c->out->error = "a state is refused";
}

Outcome *run_rows(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const StepOptions *how) {
    const Interface *in = built->in;
    const Graph *graph = built->graph;
    const CallOptions options = {.fill = how->fill};
    Call c = call_begin(engine, arena, built, data, &options, in->step_work, true);
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
                     .ended = ended};
        for (int64_t b = 0; b < data->batch && in->latency; b++)
            ended[b] = t >= length_of(data, axis, b) ? 0x80 : 0;
        Written to = call_written(&c);
        memset(c.blocks.at[c.work].at, how->fill,
               c.blocks.at[c.work].bytes); /* nothing lives in it between calls */
        if (how->reset_at && how->reset_at == t) {
            out->status = call_invoke(&c, in->reset, &rows, NULL);
            if (out->error || out->status != LOOP_OK) return out;
            memset(c.blocks.at[c.work].at, how->fill, c.blocks.at[c.work].bytes);
        }
        if (how->move_at && how->move_at == t) move_state(&c);
        if (out->error) return out;
        out->status = call_invoke(&c, in->step, &rows, &to);
        if (out->error || out->status != LOOP_OK) return out;
        for (int o = 0; o < graph->outputs.count; o++) {
            int64_t n = data->batch * shape_count(graph->outputs.at[o].type.shape);
            double *row = call_widen(&c, call_type(in, in->step, ROLE_OUTPUT, o), to.outputs[o], n);
            memcpy(out->outputs[o] + t * n, row, (size_t)n * sizeof(double));
        }
        for (int a = 0; a < graph->axes.count; a++) {
            if (to.at[a] < 0) continue;
            if (!out->at[a]) out->at[a] = ARENA_ARRAY(arena, steps * data->batch + 1, int64_t);
            memcpy(out->at[a] + t * data->batch, c.blocks.at[to.at[a]].at, (size_t)data->batch * 8);
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
