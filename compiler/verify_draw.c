/* Random inputs for --verify-each and `rnnc verify`: few steps, lengths that differ, ints below
 * their bounds, numbers of order one. */
#include <math.h>

#include "rnn_rt.h"
#include "verify_each.h"

/* Operations of the interpreter that one case may take, a tenth of a second or less: a case that
 * needs more is left out. */
static const double most_work = 2e7;

static const VerifySize sizes[VERIFY_CASES] = {
    {1, {0, 0, 0}}, {1, {1, 1, 1}}, {1, {2, 2, 2}}, {3, {5, 1, 3}}};

static double uniform(uint64_t seed, int array, int64_t element) {
    return rt_uniform(seed, (uint64_t)array, 0, NULL, 0, (uint64_t)element);
}

static int64_t longest(const Graph *graph, const VerifyCase *drawn, int a) {
    const Axis *axis = &graph->axes.at[a];
    int64_t most = 0;
    if (axis->kind == AXIS_SLOW) {
        int64_t n = longest(graph, drawn, axis->base);
        return n / axis->every + (n % axis->every != 0);
    }
    if (axis->fixed > 0) return axis->fixed;
    for (int64_t b = 0; b < drawn->call.batch; b++)
        if (drawn->call.lengths[a][b] > most) most = drawn->call.lengths[a][b];
    return most;
}

/* A position: before the own one (-1: none), or any that all sequences have. */
static double draw_pointer(const Graph *graph, const VerifyCase *drawn, const GraphPort *port,
                           int64_t row, double u) {
    int64_t least = longest(graph, drawn, port->type.axis), own = -1;
    const int64_t *lengths = drawn->call.lengths[port->type.axis];
    for (int64_t b = 0; lengths && b < drawn->call.batch; b++)
        if (lengths[b] < least) least = lengths[b];
    for (int k = port->index_count; k-- > 0;) {
        int axis = graph->indices.at[port->indices[k]].axis;
        int64_t extent = longest(graph, drawn, axis);
        if (axis == port->type.axis) own = row % extent;
        row /= extent;
    }
    if (port->type.pointer == PTR_POS) return floor(u * (double)least);
    return floor(u * (double)((own >= 0 ? own : least) + 1)) - 1;
}

static int64_t length_of(const Graph *graph, const VerifyCase *drawn, int a, int64_t b) {
    const Axis *axis = &graph->axes.at[a];
    if (axis->kind != AXIS_SLOW) return axis->fixed > 0 ? axis->fixed : drawn->call.lengths[a][b];
    int64_t n = length_of(graph, drawn, axis->base, b);
    return n / axis->every + (n % axis->every != 0);
}

/* Whether element e of an input lies within the length of its sequence. */
static bool inside(const Graph *graph, const VerifyCase *drawn, const GraphPort *port, int64_t e) {
    int64_t row = e / shape_count(port->type.shape), b = row % drawn->call.batch;
    row /= drawn->call.batch;
    for (int k = port->index_count; k-- > 0;) {
        int axis = graph->indices.at[port->indices[k]].axis;
        int64_t extent = longest(graph, drawn, axis);
        if (row % extent >= length_of(graph, drawn, axis, b)) return false;
        row /= extent;
    }
    return true;
}

static double *draw_input(Arena *arena, const Graph *graph, const VerifyCase *drawn, int i,
                          uint64_t seed) {
    const GraphPort *port = &graph->inputs.at[i];
    int64_t count = drawn->call.batch * shape_count(port->type.shape), bound = port->type.bound;
    for (int k = 0; k < port->index_count; k++)
        count *= longest(graph, drawn, graph->indices.at[port->indices[k]].axis);
    double *values = ARENA_ARRAY(arena, count + 1, double);
    int blank = graph_blank(graph, i);
    for (int64_t e = 0; e < count; e++) {
        double u = uniform(seed, 1000 + i, e);
        int64_t row = e / shape_count(port->type.shape) / drawn->call.batch;
        if (port->type.pointer != PTR_NONE) {
            values[e] = draw_pointer(graph, drawn, port, row, u);
            continue;
        }
        switch (port->type.dtype) {
        case DT_FLOAT:
            values[e] = inside(graph, drawn, port, e) ? (double)(float)(2 * u - 1) : NAN;
            break;
        case DT_INT:
            values[e] = bound > 0 ? floor(u * (double)bound) : 0;
            if (blank && values[e] == (double)blank - 1) values[e] = blank < bound ? blank : 0;
            break;
        case DT_BOOL: values[e] = u < 0.5; break;
        }
    }
    return values;
}

/* Sums of products stay of order one; or what the model begins with, given values a little off. */
static double *draw_param(Arena *arena, const GraphParam *param, int i, bool initial,
                          uint64_t seed) {
    int64_t count = shape_count(param->shape);
    int rank = param->shape.rank;
    double scale = rank > 1 ? sqrt(2.0 / (double)param->shape.dim[rank - 1]) : 0.6;
    double *values = ARENA_ARRAY(arena, count, double);
    for (int64_t e = 0; e < count; e++) {
        double u = uniform(seed, 2000 + i, e), v = scale * (2 * u - 1);
        if (initial && param->initial == INITIAL_UNIFORM) v = param->a + (param->b - param->a) * u;
        if (initial && param->initial == INITIAL_VALUES)
            v = (param->values ? param->values[e] : param->a) + v / 8;
        values[e] = (double)(float)v;
    }
    return values;
}

static double elements(Shape shape) {
    double count = 1;
    for (int d = 0; d < shape.rank; d++) count *= (double)shape.dim[d];
    return count;
}

/* Operations of one element of a node. */
static double work_of(const Graph *graph, const VerifyCase *drawn, const Node *node) {
    const Shape *first = node->in_count > 0 && node->in[0] >= 0
                             ? &graph->nodes.at[node->in[0]]->type.shape
                             : &node->type.shape;
    OpClass class_ = op_info[node->op].class_;
    double work = 1;
    if (node->op == OP_MATMUL)
        work = (double)first->dim[first->rank - 1];
    else if (node->op == OP_CONV)
        work = elements(*first) / (double)first->dim[0];
    else if (class_ == CLASS_TENSOR)
        work = elements(*first) / 4 + 1;
    else if (class_ == CLASS_TIME && node->op != OP_READ && node->op != OP_HOLD)
        work = (double)longest(graph, drawn, graph->indices.at[node->attr.index].axis);
    return work;
}

/* How many operations the interpreter needs for a case, nearly. Sizes may be beyond int64. */
static double cost_of(const Graph *graph, const VerifyCase *drawn) {
    double all = 0;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        double positions = (double)drawn->call.batch;
        for (int k = 0; k < node->domain_count; k++)
            positions *= (double)longest(graph, drawn, graph->indices.at[node->domain[k]].axis);
        all += positions * (50 + elements(node->type.shape) * work_of(graph, drawn, node));
    }
    for (int i = 0; i < graph->params.count; i++) all += elements(graph->params.at[i].shape);
    return all;
}

VerifyCase verify_draw(Arena *arena, const Graph *graph, int which, uint64_t seed) {
    return verify_draw_sized(arena, graph, &sizes[which], which % 2 != 0, false, most_work, seed);
}

VerifyCase verify_draw_sized(Arena *arena, const Graph *graph, const VerifySize *size, bool even,
                             bool initial, double most, uint64_t seed) {
    VerifyCase drawn = {.carries = graph->carries.count > 0};
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, const double *);
    const double **params = ARENA_ARRAY(arena, graph->params.count + 1, const double *);
    drawn.call = (InterpCall){.batch = size->batch,
                              .lengths = ARENA_ARRAY(arena, graph->axes.count + 1, int64_t *),
                              .inputs = inputs,
                              .params = params,
                              .seed = seed,
                              .want_state = drawn.carries,
                              .memory_limit = (size_t)256 << 20};
    for (int a = 0; a < graph->axes.count; a++) {
        const Axis *axis = &graph->axes.at[a];
        if (axis->kind == AXIS_SLOW || axis->fixed > 0) continue;
        drawn.call.lengths[a] = ARENA_ARRAY(arena, size->batch, int64_t);
        for (int64_t b = 0; b < size->batch; b++) {
            int64_t length = size->length[(b + a) % 3];
            drawn.call.lengths[a][b] = axis->most && length > axis->most ? axis->most : length;
        }
    }
    drawn.work = cost_of(graph, &drawn);
    /* To draw a parameter takes longer than to read it. */
    drawn.large = drawn.work > most;
    for (int i = 0; i < graph->params.count; i++)
        drawn.large = drawn.large || elements(graph->params.at[i].shape) * 10 > most;
    if (drawn.large) return drawn;
    for (int i = 0; i < graph->inputs.count; i++)
        /* Every other input that has a default is left to it. */
        if (graph->inputs.at[i].fallback < 0 || (even + i) % 2)
            inputs[i] = draw_input(arena, graph, &drawn, i, seed);
    for (int i = 0; i < graph->params.count; i++)
        params[i] = draw_param(arena, &graph->params.at[i], i, initial, seed);
    return drawn;
}
