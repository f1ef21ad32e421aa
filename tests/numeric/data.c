/* Random data for a model, parts of it, and poison behind the ends of its sequences. */
#include "walk.h"

#include <math.h>

#include "rnn_rt.h"

int64_t port_count(const Data *data, const GraphPort *port) {
    int64_t count = data->batch * shape_count(port->type.shape);
    for (int d = 0; d < port->index_count; d++)
        count *= data->extent[data->graph->indices.at[port->indices[d]].axis];
    return count;
}

static void slow_extents(const Graph *graph, int64_t *extent) {
    for (int round = 0; round < graph->axes.count; round++)
        for (int a = 0; a < graph->axes.count; a++) {
            const Axis *axis = &graph->axes.at[a];
            if (axis->kind == AXIS_SLOW)
                extent[a] = (extent[axis->base] + axis->every - 1) / axis->every;
        }
}

/* The scale of a parameter: sums of products stay of order one. */
static double scale_of(Shape shape) {
    int64_t last = shape.rank > 1 ? shape.dim[shape.rank - 1] : 1;
    return shape.rank > 1 ? sqrt(2.0 / (double)last) : 0.6;
}

/* A position that a pointer may have: of a port over one index, which stands on its axis or not. */
static double pointer(const Data *data, const GraphPort *port, int64_t e, double u) {
    int64_t row = data->batch * shape_count(port->type.shape);
    int64_t b = e / shape_count(port->type.shape) % data->batch, at = e / row;
    bool own =
        port->index_count == 1 && data->graph->indices.at[port->indices[0]].axis == port->type.axis;
    if (port->type.pointer == PTR_PAST) return own ? floor(u * (double)(at + 1)) - 1 : -1;
    return floor(u * (double)length_on(data, port->type.axis, b));
}

Data *data_new(Arena *arena, const Graph *graph, int64_t batch, int64_t steps,
               const int64_t *lengths, int count, uint64_t seed) {
    Data *data = ARENA_NEW(arena, Data);
    *data = (Data){.graph = graph,
                   .batch = batch,
                   .extent = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t),
                   .lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *),
                   .inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *),
                   .params = ARENA_ARRAY(arena, graph->params.count + 1, double *)};
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        data->extent[a] = axis->fixed                        ? axis->fixed
                          : axis->most && axis->most < steps ? axis->most
                                                             : steps;
    }
    slow_extents(graph, data->extent);
    for (int a = 0; a < graph->axes.count; a++) {
        if (graph->axes.at[a].kind != AXIS_RUN || graph->axes.at[a].fixed) continue;
        data->lengths[a] = ARENA_ARRAY(arena, batch, int64_t);
        for (int64_t b = 0; b < batch; b++) {
            int64_t length = count ? lengths[(b + a) % count] : data->extent[a];
            data->lengths[a][b] = length < data->extent[a] ? length : data->extent[a];
        }
    }
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        int64_t n = port_count(data, port);
        data->inputs[i] = ARENA_ARRAY(arena, n, double);
        for (int64_t e = 0; e < n; e++) {
            double u = rt_uniform(seed, (uint64_t)(1000 + i), 0, NULL, 0, (uint64_t)e);
            int64_t bound = port->type.bound ? port->type.bound : 1;
            data->inputs[i][e] = port->type.dtype == DT_FLOAT ? (double)(float)(2 * u - 1)
                                 : port->type.dtype == DT_INT ? floor(u * (double)bound)
                                                              : u < 0.5;
            if (port->type.pointer != PTR_NONE) data->inputs[i][e] = pointer(data, port, e, u);
            int blank = graph_blank(graph, i);
            if (blank && data->inputs[i][e] == (double)blank - 1)
                data->inputs[i][e] = blank < bound ? blank : 0;
        }
    }
    for (int i = 0; i < graph->params.count; i++) {
        Shape shape = graph->params.at[i].shape;
        int64_t n = shape_count(shape);
        data->params[i] = ARENA_ARRAY(arena, n, double);
        for (int64_t e = 0; e < n; e++) {
            double u = rt_uniform(seed, (uint64_t)(2000 + i), 0, NULL, 0, (uint64_t)e);
            data->params[i][e] = (double)(float)((2 * u - 1) * scale_of(shape));
        }
    }
    return data;
}

static double *drawn(Arena *arena, int64_t count, uint64_t seed, int stream) {
    double *to = ARENA_ARRAY(arena, count + 1, double);
    for (int64_t e = 0; e < count; e++)
        to[e] =
            (double)(float)(2 * rt_uniform(seed, (uint64_t)stream, 0, NULL, 0, (uint64_t)e) - 1);
    return to;
}

Data *data_trained(Arena *arena, const Data *data, unsigned without, uint64_t seed) {
    const Graph *graph = data->graph;
    Data *to = arena_copy(arena, data, sizeof *data);
    to->upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    to->d_params = ARENA_ARRAY(arena, graph->params.count + 1, double *);
    to->d_inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        if (graph->outputs.at[o].type.dtype == DT_FLOAT && !(without >> o & 1))
            to->upstream[o] = drawn(arena, port_count(data, &graph->outputs.at[o]), seed, 3000 + o);
    for (int p = 0; p < graph->params.count; p++)
        to->d_params[p] = drawn(arena, shape_count(graph->params.at[p].shape), seed, 4000 + p);
    for (int i = 0; i < graph->inputs.count; i++)
        if (graph->inputs.at[i].type.dtype == DT_FLOAT)
            to->d_inputs[i] = drawn(arena, port_count(data, &graph->inputs.at[i]), seed, 5000 + i);
    return to;
}

/* The position of axis `a` where the part of `axis` from `from` begins. */
static int64_t part_from(const Graph *graph, int a, int axis, int64_t from) {
    int64_t every = 1;
    for (; a != axis && graph->axes.at[a].kind == AXIS_SLOW; a = graph->axes.at[a].base)
        every *= graph->axes.at[a].every;
    return a == axis ? from / every : 0;
}

typedef struct Cut {
    int64_t first; /* sequence */
    int axis;
    int64_t from; /* position on it */
} Cut;

static double *part_of(Arena *arena, const Data *data, const Data *part, const GraphPort *port,
                       const double *whole, Cut cut) {
    int64_t n = shape_count(port->type.shape);
    if (!whole) return NULL;
    double *to = ARENA_ARRAY(arena, port_count(part, port) + 1, double);
    for (Walk w = walk_first(part, port); !w.done; walk_next(&w)) {
        int64_t row = 0;
        for (int d = 0; d < port->index_count; d++)
            row = row * data->extent[walk_axis(&w, d)] + w.at[d] +
                  part_from(data->graph, walk_axis(&w, d), cut.axis, cut.from);
        row = row * data->batch + cut.first + w.b;
        memcpy(to + w.row * n, whole + row * n, (size_t)n * sizeof(double));
    }
    return to;
}

Data *data_part(Arena *arena, const Data *data, int64_t first, int64_t count, int axis,
                int64_t from, int64_t steps) {
    const Graph *graph = data->graph;
    Data *part = ARENA_NEW(arena, Data);
    *part = *data;
    part->batch = count;
    part->extent =
        arena_copy(arena, data->extent, (size_t)(graph->axes.count + 1) * sizeof(int64_t));
    if (axis >= 0) part->extent[axis] = steps;
    slow_extents(graph, part->extent);
    part->lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *);
    part->inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    for (int a = 0; a < graph->axes.count; a++) {
        if (!data->lengths[a]) continue;
        part->lengths[a] = ARENA_ARRAY(arena, count, int64_t);
        for (int64_t b = 0; b < count; b++) {
            int64_t length = data->lengths[a][first + b] - (a == axis ? from : 0);
            length = length < 0 ? 0 : length;
            part->lengths[a][b] = length < part->extent[a] ? length : part->extent[a];
        }
    }
    for (int i = 0; i < graph->inputs.count; i++)
        part->inputs[i] = part_of(arena, data, part, &graph->inputs.at[i], data->inputs[i],
                                  (Cut){first, axis, from});
    if (!data->upstream) return part;
    part->upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    part->d_inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        part->upstream[o] = part_of(arena, data, part, &graph->outputs.at[o], data->upstream[o],
                                    (Cut){first, axis, from});
    for (int i = 0; i < graph->inputs.count; i++)
        part->d_inputs[i] = part_of(arena, data, part, &graph->inputs.at[i], data->d_inputs[i],
                                    (Cut){first, axis, from});
    return part;
}

static double *poisoned(Arena *arena, const Data *data, const GraphPort *port,
                        const double *values) {
    int64_t n = shape_count(port->type.shape);
    if (!values) return NULL;
    double *bad = arena_copy(arena, values, (size_t)port_count(data, port) * sizeof(double));
    for (Walk w = walk_first(data, port); !w.done; walk_next(&w))
        for (int64_t e = 0; !walk_inside(&w, data) && e < n; e++)
            bad[w.row * n + e] = port->type.dtype == DT_FLOAT ? (double)NAN
                                 : port->type.dtype == DT_INT
                                     ? (e + w.row) % 2 ? 2147483647.0 : -2147483648.0
                                     : 77;
    return bad;
}

Data *data_poisoned(Arena *arena, const Data *data) {
    const Graph *graph = data->graph;
    Data *bad = ARENA_NEW(arena, Data);
    *bad = *data;
    bad->inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *);
    for (int i = 0; i < graph->inputs.count; i++)
        bad->inputs[i] = poisoned(arena, data, &graph->inputs.at[i], data->inputs[i]);
    if (!data->upstream) return bad;
    bad->upstream = ARENA_ARRAY(arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++)
        bad->upstream[o] = poisoned(arena, data, &graph->outputs.at[o], data->upstream[o]);
    return bad;
}
