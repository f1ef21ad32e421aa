/* The same calls by the interpreter. */
#include <math.h>

#include "numeric.h"
#include "graph/interpret.h"

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

static void take_status(Outcome *out, const InterpResult *result) {
    switch (result->status) {
    case INTERP_OK: out->status = LOOP_OK; break;
    case INTERP_LENGTH: out->status = LOOP_BAD_LENGTH; break;
    case INTERP_VALUE: out->status = LOOP_BAD_VALUE; break;
    case INTERP_PER: out->status = LOOP_BAD_LOSS; break;
    case INTERP_CYCLE:
    case INTERP_MISSING:
    case INTERP_MEMORY: out->error = result->message; break;
    }
}

/* What an array holds, cut to the longest sequence, as the interpreter wants it. */
static double *cut(Arena *arena, const Data *data, const GraphPort *port, const double *values,
                   int64_t *longest) {
    Data short_ = *data;
    short_.extent = longest;
    double *rows = ARENA_ARRAY(arena, port_count(&short_, port) + 1, double);
    copy_rows(data, port, values, data->extent, rows, longest);
    return rows;
}

static InterpCall call_of(Arena *arena, const Data *data, bool single, double roundoff,
                          int64_t *longest) {
    const Graph *graph = data->graph;
    for (int a = 0; a < graph->axes.count; a++) longest[a] = longest_of(data, data->lengths, a);
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, const double *);
    for (int i = 0; i < graph->inputs.count; i++)
        if (data->inputs[i])
            inputs[i] = cut(arena, data, &graph->inputs.at[i], data->inputs[i], longest);
    return (InterpCall){.seed = CALL_SEED,
                        .single = single,
                        .roundoff = roundoff,
                        .batch = data->batch,
                        .lengths = data->lengths,
                        .inputs = inputs,
                        .params = (const double **)data->params};
}

/* Lengths as found, outputs and their bounds; `longest` becomes that of these lengths. */
static void take_outputs(Arena *arena, const Data *data, const InterpResult *result, bool bounds,
                         int64_t *longest, Outcome *out) {
    const Graph *graph = data->graph;
    out->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    for (int a = 0; a < graph->axes.count; a++) {
        if (graph->axes.at[a].generated && graph->axes.at[a].kind == AXIS_RUN)
            out->lengths[a] = result->lengths[a];
        longest[a] = longest_of(data, result->lengths, a);
    }
    out->outputs = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    out->bounds = bounds ? ARENA_ARRAY(arena, graph->outputs.count + 1, double *) : NULL;
    out->fragile = result->fragile_message;
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        out->outputs[o] = ARENA_ARRAY(arena, port_count(data, port) + 1, double);
        copy_rows(data, port, result->outputs[o], longest, out->outputs[o], data->extent);
        if (!bounds) continue;
        out->bounds[o] = ARENA_ARRAY(arena, port_count(data, port) + 1, double);
        copy_rows(data, port, result->bounds[o], longest, out->bounds[o], data->extent);
    }
}

static Outcome *interpreted(Arena *arena, const Built *built, const Data *data, bool single,
                            double roundoff) {
    Outcome *out = ARENA_NEW(arena, Outcome);
    int64_t *longest = ARENA_ARRAY(arena, built->graph->axes.count + 1, int64_t);
    InterpCall call = call_of(arena, data, single, roundoff, longest);
    InterpResult *result = interpret(arena, built->graph, &call);
    take_status(out, result);
    if (result->status == INTERP_OK) take_outputs(arena, data, result, roundoff > 0, longest, out);
    return out;
}

Outcome *run_interpreter(Arena *arena, const Built *built, const Data *data, bool single) {
    return interpreted(arena, built, data, single, 0);
}

static double roundoff_of(LoopType real) {
    return real == LT_F32 ? INTERP_ROUNDOFF_F32 : INTERP_ROUNDOFF_F64;
}

Outcome *run_bounded(Arena *arena, const Built *built, const Data *data, LoopType real) {
    return interpreted(arena, built, data, false, roundoff_of(real));
}

/* ---- gradients ---- */

/* A gradient and its bound become what an array holds that it was added to. */
static void add_to(const double *held, int64_t count, double roundoff, double *values,
                   double *bounds) {
    for (int64_t e = 0; e < count; e++) {
        bool nothing = values[e] == 0 && bounds[e] == 0;
        values[e] += held[e];
        if (!nothing) bounds[e] += roundoff * (fabs(values[e]) + bounds[e]);
    }
}

static void take_gradients(Arena *arena, const Built *built, const Data *data,
                           const InterpResult *result, double roundoff, const int64_t *longest,
                           Outcome *out) {
    const Graph *graph = built->graph, *from = built->gradient->graph;
    out->grads = ARENA_ARRAY(arena, graph->params.count + 1, double *);
    out->grad_bounds = ARENA_ARRAY(arena, graph->params.count + 1, double *);
    out->in_grads = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    out->in_grad_bounds = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    for (int o = 0; o < from->outputs.count; o++) {
        const GraphPort *port = &from->outputs.at[o];
        int of = port->of;
        if (port->kind == PORT_PARAM_GRAD) {
            int64_t count = shape_count(port->type.shape);
            out->grads[of] = result->outputs[o];
            out->grad_bounds[of] = result->bounds[o];
            add_to(data->d_params[of], count, roundoff, out->grads[of], out->grad_bounds[of]);
        } else if (port->kind == PORT_INPUT_GRAD && data->d_inputs[of]) {
            Data own = *data; /* indices are those of the gradient */
            own.graph = from;
            int64_t count = port_count(&own, port);
            double *values = ARENA_ARRAY(arena, count + 1, double),
                   *bounds = ARENA_ARRAY(arena, count + 1, double);
            copy_rows(&own, port, result->outputs[o], longest, values, data->extent);
            copy_rows(&own, port, result->bounds[o], longest, bounds, data->extent);
            add_to(data->d_inputs[of], count, roundoff, values, bounds);
            out->in_grads[of] = values;
            out->in_grad_bounds[of] = bounds;
        }
    }
    /* A parameter that has no gradient at all: what was held. */
    for (int p = 0; p < graph->params.count; p++) {
        if (out->grads[p]) continue;
        out->grads[p] = data->d_params[p];
        out->grad_bounds[p] =
            ARENA_ARRAY(arena, shape_count(graph->params.at[p].shape) + 1, double);
    }
}

Outcome *run_gradient_bounded(Arena *arena, const Built *built, const Data *data, LoopType real,
                              const double *const *states) {
    const Interface *in = built->in;
    const Graph *graph = built->graph;
    Outcome *out = ARENA_NEW(arena, Outcome);
    int64_t *longest = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t);
    double roundoff = roundoff_of(real);
    InterpCall call = call_of(arena, data, false, roundoff, longest);
    double **upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        if (data->upstream[o])
            upstream[o] = cut(arena, data, &graph->outputs.at[o], data->upstream[o], longest);
    InterpState *state = ARENA_ARRAY(arena, in->states.count + 1, InterpState);
    for (int s = 0; states && s < in->states.count; s++)
        state[s] = (InterpState){.name = in->states.at[s].name,
                                 .lags = in->states.at[s].lags,
                                 .count = in->states.at[s].count,
                                 .values = (double *)(uintptr_t)states[s]};
    call.reduce_sum = built->c->options->reduce_sum;
    call.state = states ? state : NULL;
    call.state_count = states ? in->states.count : 0;
    InterpResult *result = gradient_interpret(arena, built->gradient, &call, upstream);
    take_status(out, result);
    if (result->status != INTERP_OK) return out;
    take_outputs(arena, data, result, true, longest, out);
    take_gradients(arena, built, data, result, roundoff, longest, out);
    if (graph->losses.count) {
        out->loss = &result->loss;
        out->loss_bound = result->loss_bound;
    }
    return out;
}
