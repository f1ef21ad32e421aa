/* Random data for a model, parts of it, and poison behind the ends of its sequences. */
#include "numeric.h"

#include <float.h>
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

static int64_t length_on(const Data *data, int a, int64_t b) {
    const Axis *axis = &data->graph->axes.at[a];
    if (data->lengths[a]) return data->lengths[a][b];
    if (axis->kind == AXIS_SLOW)
        return (length_on(data, axis->base, b) + axis->every - 1) / axis->every;
    return data->extent[a];
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

/* Walks over the rows of a port: position by position, sequence by sequence. */
typedef struct Walk {
    const Data *data;
    const GraphPort *port;
    int64_t at[MAX_DOMAIN], b, row;
    bool done;
} Walk;

static int walk_axis(const Walk *w, int d) {
    return w->data->graph->indices.at[w->port->indices[d]].axis;
}

static Walk walk_first(const Data *data, const GraphPort *port) {
    Walk w = {.data = data, .port = port};
    w.done = port_count(data, port) == 0;
    return w;
}

static void walk_next(Walk *w) {
    w->row++;
    if (++w->b < w->data->batch) return;
    w->b = 0;
    for (int d = w->port->index_count - 1; d >= 0; d--) {
        if (++w->at[d] < w->data->extent[walk_axis(w, d)]) return;
        w->at[d] = 0;
    }
    w->done = true;
}

/* The position of axis `a` where the part of `axis` from `from` begins. */
static int64_t part_from(const Graph *graph, int a, int axis, int64_t from) {
    int64_t every = 1;
    for (; a != axis && graph->axes.at[a].kind == AXIS_SLOW; a = graph->axes.at[a].base)
        every *= graph->axes.at[a].every;
    return a == axis ? from / every : 0;
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
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        int64_t n = shape_count(port->type.shape);
        if (!data->inputs[i]) continue;
        part->inputs[i] = ARENA_ARRAY(arena, port_count(part, port), double);
        for (Walk w = walk_first(part, port); !w.done; walk_next(&w)) {
            int64_t row = 0;
            for (int d = 0; d < port->index_count; d++)
                row = row * data->extent[walk_axis(&w, d)] + w.at[d] +
                      part_from(graph, walk_axis(&w, d), axis, from);
            row = row * data->batch + first + w.b;
            memcpy(part->inputs[i] + w.row * n, data->inputs[i] + row * n,
                   (size_t)n * sizeof(double));
        }
    }
    return part;
}

Data *data_poisoned(Arena *arena, const Data *data) {
    Data *bad = ARENA_NEW(arena, Data);
    *bad = *data;
    bad->inputs = ARENA_ARRAY(arena, data->graph->inputs.count + 1, double *);
    for (int i = 0; i < data->graph->inputs.count; i++) {
        const GraphPort *port = &data->graph->inputs.at[i];
        int64_t n = shape_count(port->type.shape);
        if (!data->inputs[i]) continue;
        bad->inputs[i] =
            arena_copy(arena, data->inputs[i], (size_t)port_count(data, port) * sizeof(double));
        for (Walk w = walk_first(data, port); !w.done; walk_next(&w)) {
            bool inside = true;
            for (int d = 0; d < port->index_count; d++)
                inside = inside && w.at[d] < length_on(data, walk_axis(&w, d), w.b);
            for (int64_t e = 0; !inside && e < n; e++)
                bad->inputs[i][w.row * n + e] = port->type.dtype == DT_FLOAT ? (double)NAN
                                                : port->type.dtype == DT_INT
                                                    ? (e + w.row) % 2 ? 2147483647.0 : -2147483648.0
                                                    : 77;
        }
    }
    return bad;
}

const char *compare_padding(Arena *arena, const Data *data, const Outcome *a) {
    Data found = *data;
    found.lengths = ARENA_ARRAY(arena, data->graph->axes.count + 1, int64_t *);
    for (int x = 0; x < data->graph->axes.count; x++)
        found.lengths[x] = a->lengths && a->lengths[x] ? a->lengths[x] : data->lengths[x];
    for (int o = 0; o < data->graph->outputs.count; o++) {
        const GraphPort *port = &data->graph->outputs.at[o];
        int64_t n = shape_count(port->type.shape);
        for (Walk w = walk_first(data, port); !w.done; walk_next(&w)) {
            bool inside = true;
            for (int d = 0; d < port->index_count; d++)
                inside = inside && w.at[d] < length_on(&found, walk_axis(&w, d), w.b);
            for (int64_t e = 0; !inside && e < n; e++)
                if (a->outputs[o][w.row * n + e] != 0)
                    return arena_printf(arena, "%s is %g behind the end of sequence %lld",
                                        port->name, a->outputs[o][w.row * n + e], (long long)w.b);
        }
    }
    return NULL;
}

/* Whether two numbers are equal, or nearer than a tolerance or bound allows. */
static bool alike(double x, double y, double within) {
    if (memcmp(&x, &y, sizeof x) == 0 || (isnan(x) && isnan(y))) return true;
    return within > 0 && (x == y || fabs(x - y) <= within);
}

const char *compare_part(Arena *arena, const Data *whole_data, const Outcome *whole,
                         const Data *part_data, const Outcome *part, int64_t first, int axis,
                         int64_t from, const Outcome *bounded) {
    if (bounded && bounded->fragile) return NULL;
    for (int o = 0; o < whole_data->graph->outputs.count; o++) {
        const GraphPort *port = &whole_data->graph->outputs.at[o];
        int64_t n = shape_count(port->type.shape);
        for (Walk w = walk_first(part_data, port); !w.done; walk_next(&w)) {
            int64_t row = 0;
            bool inside = true;
            for (int d = 0; d < port->index_count; d++) {
                int a = walk_axis(&w, d);
                inside = inside && w.at[d] < length_on(part_data, a, w.b);
                row = row * whole_data->extent[a] + w.at[d] + (a == axis ? from : 0);
            }
            row = row * whole_data->batch + first + w.b;
            for (int64_t e = 0; inside && e < n; e++) {
                double x = part->outputs[o][w.row * n + e], y = whole->outputs[o][row * n + e];
                /* Twice the bound: each of the two may use it. */
                double within = bounded ? 2 * bounded->bounds[o][row * n + e] + DBL_MIN : 0;
                if (!alike(x, y, within))
                    return arena_printf(
                        arena,
                        "%s row %lld (sequence %lld), element %lld: %.9g, and %.9g in the whole",
                        port->name, (long long)w.row, (long long)(first + w.b), (long long)e, x, y);
            }
        }
    }
    return NULL;
}

/* ---- whole outcomes ---- */

/* With `used` b's bounds instead of the tolerance. */
static const char *compare(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                           double tolerance, double *used) {
    if (a->error) return a->error;
    if (b->error) return b->error;
    if (a->status != b->status)
        return arena_printf(arena, "status %lld, should be %lld", (long long)a->status,
                            (long long)b->status);
    if (a->status != LOOP_OK) return NULL;
    for (int x = 0; x < data->graph->axes.count; x++)
        for (int64_t s = 0; a->lengths[x] && b->lengths[x] && s < data->batch; s++)
            if (a->lengths[x][s] != b->lengths[x][s])
                return arena_printf(arena, "sequence %lld stops at %lld, should be %lld",
                                    (long long)s, (long long)a->lengths[x][s],
                                    (long long)b->lengths[x][s]);
    for (int o = 0; o < data->graph->outputs.count; o++) {
        const GraphPort *port = &data->graph->outputs.at[o];
        int64_t n = port_count(data, port), wrong = 0, where = -1;
        for (int64_t e = 0; e < n; e++) {
            double x = a->outputs[o][e], y = b->outputs[o][e], within = 0;
            /* A zero may have another sign. */
            if (used)
                within = b->bounds[o][e] > 0 ? b->bounds[o][e] : DBL_MIN;
            else if (port->type.dtype == DT_FLOAT)
                within = tolerance * fmax(1, fabs(y));
            if (used && x != y && fabs(x - y) > *used * within) *used = fabs(x - y) / within;
            if (alike(x, y, within)) continue;
            wrong++;
            if (where < 0) where = e;
        }
        if (wrong)
            return arena_printf(
                arena, "%s differs at %lld of %lld, first element %lld: %.17g, should be %.17g%s%g",
                port->name, (long long)wrong, (long long)n, (long long)where, a->outputs[o][where],
                b->outputs[o][where], used ? ", bound " : ", tolerance ",
                used ? b->bounds[o][where] : tolerance);
    }
    return NULL;
}

const char *compare_exact(Arena *arena, const Data *data, const Outcome *a, const Outcome *b) {
    return compare(arena, data, a, b, 0, NULL);
}

const char *compare_near(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                         double tolerance) {
    return compare(arena, data, a, b, tolerance, NULL);
}

const char *compare_bound(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                          double *used) {
    if (b->fragile && !a->error) return NULL;
    return compare(arena, data, a, b, 0, used);
}
