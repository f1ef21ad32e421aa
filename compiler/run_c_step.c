/* A compiled model step by step: each row of the inputs in turn, and what comes out put where
 * forward has it. */
#include <string.h>

#include "run_compiled.h"

/* Steps of the axis of a step between two positions of another one. */
static int64_t every_of(const Graph *graph, int axis) {
    int64_t every = 1;
    for (; graph->axes.at[axis].kind == AXIS_SLOW; axis = graph->axes.at[axis].base)
        every *= graph->axes.at[axis].every;
    return every;
}

static int port_axis(const Graph *graph, const GraphPort *port) {
    return port->index_count ? graph->indices.at[port->indices[0]].axis : -1;
}

static int64_t row_count(const RunData *data, const GraphPort *port) {
    return data->batch * shape_count(port->type.shape);
}

/* What a step does not read is all ones: NaN, and no label. */
static void *spoilt(Arena *arena, int64_t bytes) {
    void *at = compiled_aligned(arena, bytes);
    return bytes > 0 ? memset(at, 0xFF, (size_t)bytes) : at;
}

static void choose_rows(Compiled *r, int64_t t, void **unread) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        LoopType type = compiled_type(r, r->in->step, ROLE_INPUT, i);
        int axis = port_axis(graph, port);
        r->row_in[i] = r->inputs[i];
        if (type == LT_VOID || axis < 0 || !r->inputs[i]) continue;
        int64_t every = every_of(graph, axis), bytes = row_count(data, port) * loop_type_size(type);
        if (!unread[i]) unread[i] = spoilt(data->arena, bytes);
        bool read = t % every == 0 && t / every < data->extent[axis];
        r->row_in[i] = read ? (char *)r->inputs[i] + t / every * bytes : unread[i];
    }
}

/* The position of an output of sequence b that step t told; -1: none. */
static int64_t told(const Compiled *r, int axis, int64_t t, int64_t b) {
    if (axis < 0) axis = r->in->step_axis;
    return r->at[axis] ? r->at[axis][b] : t;
}

static void take_rows(Compiled *r, int64_t t) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        LoopType type = compiled_type(r, r->in->step, ROLE_OUTPUT, o);
        int64_t n = shape_count(port->type.shape);
        int axis = port_axis(graph, port);
        if (type == LT_VOID) continue;
        double *row = compiled_widen(data->arena, type, r->row_out[o], row_count(data, port));
        for (int64_t b = 0; b < data->batch; b++) {
            int64_t p = told(r, axis, t, b);
            if (p < 0 || (axis >= 0 && p >= data->extent[axis])) continue;
            memcpy(data->outputs[o] + ((axis >= 0 ? p : 0) * data->batch + b) * n, row + b * n,
                   (size_t)n * sizeof *row);
        }
    }
}

static void make_rows(Compiled *r) {
    RunData *data = r->data;
    const Graph *graph = data->graph;
    r->row_in = ARENA_ARRAY(data->arena, graph->inputs.count, void *);
    r->row_out = ARENA_ARRAY(data->arena, graph->outputs.count, void *);
    data->outputs = ARENA_ARRAY(data->arena, graph->outputs.count, double *);
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort *port = &graph->outputs.at[o];
        r->row_out[o] = compiled_aligned(data->arena, row_count(data, port) * 8);
        data->outputs[o] = ARENA_ARRAY(
            data->arena,
            run_count(data, port->index_count, port->indices, data->extent, port->type.shape),
            double);
    }
    for (int a = 0; a < graph->axes.count; a++)
        if (compiled_type(r, r->in->step, ROLE_AT, a) != LT_VOID)
            r->at[a] = ARENA_ARRAY(data->arena, data->batch, int64_t);
}

bool run_c_steps(Compiled *r, RunData *data, ExitStatus *status) {
    const Interface *in = r->in;
    void **unread = ARENA_ARRAY(data->arena, data->graph->inputs.count, void *);
    if (!compiled_begin(r, data, status)) return false;
    if (!compiled_space(r, in->step_work, in->state_bytes >= 0, status)) return false;
    make_rows(r);
    r->ended = ARENA_ARRAY(data->arena, data->batch, unsigned char);
    for (int64_t t = 0; t < data->extent[in->step_axis] + in->latency; t++) {
        if (t >= data->extent[in->step_axis]) memset(r->ended, 1, (size_t)data->batch);
        choose_rows(r, t, unread);
        if (!compiled_checked(r, in->step, status)) return false;
        take_rows(r, t);
    }
    return true;
}
