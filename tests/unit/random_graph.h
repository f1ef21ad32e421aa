/* A small generator of random Graphs over op_info[], and the interpreter on one. Every operation
 * but INPUT and PARAM is tried with random operands and attributes; what graph_type refuses is
 * dropped. */
#ifndef RNNC_TESTS_RANDOM_GRAPH_H
#define RNNC_TESTS_RANDOM_GRAPH_H

#include <math.h>

#include "graph/interpret.h"
#include "graph_case.h"

enum { RANDOM_BATCH = 2, RANDOM_STEPS = 5, RANDOM_FIXED = 3 };

typedef struct RandomGraph {
    Graph *graph;
    uint32_t seed;
    VEC(int) pool; /* nodes that may be read at their own position */
    int states[2]; /* VARs whose value is found at the end */
    int state_count;
    int used[OP_COUNT];
} RandomGraph;

static inline uint32_t random_next(RandomGraph *r) {
    r->seed = r->seed * 1664525u + 1013904223u;
    return r->seed >> 9;
}

static inline int random_below(RandomGraph *r, int n) {
    return (int)(random_next(r) % (uint32_t)n);
}

static inline int random_pool(RandomGraph *r) {
    return r->pool.at[random_below(r, r->pool.count)];
}

static const Span random_span = {0};

static inline int random_const(RandomGraph *r, double value, Type type) {
    Attr attr = {.number = value};
    return graph_add(r->graph, OP_CONST, type, 0, NULL, 0, NULL, &attr, random_span);
}

/* Axes t (run), u (fixed); indices t and s in t, u in u; inputs and parameters of a few shapes. */
static inline void random_head(RandomGraph *r) {
    static const char text[] =
        "graph random train\naxis t run most 8\naxis u run fixed 3\n"
        "index t in t\nindex s in t\nindex u in u\n"
        "input x[t]: f[3] = %0\ninput a[t]: f[] = %1\ninput w[t]: int(3)[] = %2\n"
        "input z[u]: f[3] = %3\ninput m[t]: bool[3] = %4\ninput y: f[3, 1] = %5\n"
        "input b[s]: f[3] = %6\ninput p[t]: past(t)[] = %7\ninput l[u]: int(3)[] = %18\n"
        "param W: f[3, 3] ~ glorot\nparam V: f[4, 3] ~ glorot\nparam K: f[2, 3, 3] ~ glorot\n"
        "param v: f[3] ~ glorot\n"
        "%0 x[t]: f[3] = input x\n%1 a[t]: f[] = input a\n%2 w[t]: int(3)[] = input w\n"
        "%3 z[u]: f[3] = input z\n%4 m[t]: bool[3] = input m\n%5 y: f[3, 1] = input y\n"
        "%6 b[s]: f[3] = input b\n%7 p[t]: past(t)[] = input p\n"
        "%8: f[3, 3] = param W\n%9: f[4, 3] = param V\n%10: f[2, 3, 3] = param K\n"
        "%11: f[3] = param v\n%12: f[] = const 0.0\n%13: f[] = const 1.0\n%14: f[] = const -0.0\n"
        "%15: f[3] = const 0.5\n%16: bool[] = const 1.0\n%17: int[] = const 2.0\n"
        "%18 l[u]: int(3)[] = input l\n";
    GraphCase c = {.arena = r->graph->arena, .names = r->graph->names};
    Source *source = ARENA_NEW(c.arena, Source);
    *source = (Source){"<random>", text, sizeof text - 1};
    r->graph = graph_parse(c.arena, c.names, source, diags_new(c.arena));
    assert_non_null(r->graph);
    for (int i = 0; i < r->graph->nodes.count; i++) vec_push(r->graph->arena, &r->pool, i);
}

static inline Shape random_shape(RandomGraph *r) {
    static const Shape shapes[] = {{0, {0}},       {1, {3}},    {1, {1}},       {2, {3, 1}},
                                   {2, {1, 3}},    {2, {3, 3}}, {3, {2, 3, 3}}, {1, {4}},
                                   {3, {1, 3, 1}}, {1, {9}}};
    return shapes[random_below(r, 10)];
}

static inline Bound random_bound(RandomGraph *r, int index) {
    Bound bound = {(BoundKind)random_below(r, 4), 0, random_below(r, 5) - 2};
    bound.index = index == 0 ? 1 : 0;
    if (index == 2 && bound.kind == BOUND_INDEX) bound.kind = BOUND_NONE;
    return bound;
}

static inline void random_attr(RandomGraph *r, Op op, Attr *attr, Type *type) {
    attr->index = random_below(r, op == OP_CTC ? 2 : 3);
    attr->index2 = 2;
    attr->slot = op == OP_CTC ? 0 : random_below(r, 2);
    attr->dim = random_below(r, 4) - 1;
    attr->every = 1 + random_below(r, 3);
    attr->drop = op == OP_SLICE ? (unsigned)random_below(r, 4) : 0;
    for (int d = 0; d < MAX_RANK; d++) {
        attr->dims[d] = op == OP_SLICE ? random_below(r, 2) : 1 + random_below(r, 2);
        attr->ends[d] = attr->dims[d] + 1 + (attr->drop >> d & 1u ? 0 : random_below(r, 3));
        attr->pads[d] = random_below(r, 3);
    }
    if (op_info[op].class_ == CLASS_TIME && op != OP_HOLD && op != OP_TCONCAT && op != OP_CTC &&
        op != OP_READ && random_below(r, 2)) {
        attr->low = random_bound(r, attr->index);
        attr->high = random_bound(r, attr->index);
    }
    attr->mirrored = op_info[op].class_ == CLASS_TIME && op != OP_READ && random_below(r, 4) == 0;
    type->shape = random_shape(r);
    if (op == OP_CONST) attr->number = (random_below(r, 9) - 4) * 0.5;
    if (op == OP_IOTA && random_below(r, 2)) {
        type->dtype = DT_INT;
        type->bound = type->shape.dim[0];
    }
    if (op == OP_DRAW) {
        At *at = ARENA_NEW(r->graph->arena, At);
        *at = (At){.kind = random_below(r, 2) ? AT_INDEX : AT_MIRROR, .index = random_below(r, 2)};
        attr->at = at;
        attr->at_count = random_below(r, 2);
        attr->draw = (DrawKind)random_below(r, 4);
        static const char *const sites[] = {"d#0", "d#1"};
        attr->site = name_of(r->graph->names, sites[random_below(r, 2)]);
    }
}

/* Where a read reaches; the operands are source, boundary, pointer. */
static inline int random_read(RandomGraph *r, Attr *attr, int in[3]) {
    const Node *source = r->graph->nodes.at[in[0]];
    At *at = ARENA_ARRAY(r->graph->arena, MAX_DOMAIN, At);
    Type type = source->type;
    int count = 2, pointer = random_pool(r);
    for (int i = 0; i < source->domain_count; i++) {
        at[i].index = source->domain[i] == 2 ? 2 : random_below(r, 2);
        int kind = random_below(r, 6);
        const Type *p = &r->graph->nodes.at[pointer]->type;
        if (kind < 3) {
            at[i].offset = kind - 1;
        } else if (kind == 3) {
            at[i] = (At){.kind = AT_FIRST};
        } else if (kind == 4) {
            at[i] = (At){.kind = AT_LAST};
        } else if (source->domain[i] < 2 && p->dtype == DT_INT && p->pointer != PTR_NONE &&
                   p->shape.rank == 0 && count == 2) {
            at[i] = (At){.kind = AT_POINTER, .operand = 2};
            in[count++] = pointer;
        }
    }
    if (random_below(r, 2)) type.shape = (Shape){0};
    if (type.pointer != PTR_NONE) type.pointer = PTR_PAST;
    in[1] = random_const(r, type.dtype == DT_INT && type.pointer == PTR_NONE ? 1 : 0, type);
    attr->at = at;
    attr->at_count = source->domain_count;
    return count;
}

/* Operands in the range that keeps results finite. */
static inline void random_clip(RandomGraph *r, Op op, int count, int *in) {
    if (op_info[op].low == 0 && op_info[op].high == 0) return;
    if (op == OP_VAR || op == OP_SELECT || random_below(r, 2)) return;
    for (int k = 0; k < count; k++) {
        if (in[k] < 0 || r->graph->nodes.at[in[k]]->type.dtype != DT_FLOAT) continue;
        int ends[3] = {in[k], random_const(r, op_info[op].low, (Type){0}),
                       random_const(r, op_info[op].high, (Type){0})};
        in[k] = graph_node(r->graph, OP_CLIP, 3, ends, NULL, random_span);
    }
}

/* One more node, or none. */
static inline void random_step(RandomGraph *r) {
    Op op = (Op)(OP_CONST + random_below(r, OP_COUNT - OP_CONST));
    int in[3], domain[MAX_DOMAIN], most = op_info[op].most < 3 ? op_info[op].most : 3;
    for (int tries = 0; tries < 40; tries++) {
        Attr attr = {0};
        Type type = {0};
        const char *why = "";
        int count = op_info[op].least + random_below(r, most - op_info[op].least + 1);
        random_attr(r, op, &attr, &type);
        for (int k = 0; k < count; k++) in[k] = random_pool(r);
        if (op == OP_READ) count = random_read(r, &attr, in);
        if (op == OP_INDEX || op == OP_LENGTH) type = (Type){.dtype = DT_INT};
        if (!graph_type(r->graph, op, count, in, &attr, &type, &why)) continue;
        if (shape_count(type.shape) > 60) continue;
        random_clip(r, op, count, in);
        int domain_count = graph_domain(r->graph, op, count, in, &attr, domain);
        if (domain_count < 0 || domain_count > 3) continue;
        int id = graph_add(r->graph, op, type, domain_count, domain, count, in, &attr, random_span);
        r->graph->nodes.at[id]->name =
            random_below(r, 3) ? NULL : name_of(r->graph->names, op_info[op].text);
        vec_push(r->graph->arena, &r->pool, id);
        r->used[op]++;
        return;
    }
}

/* A variable over t that is read one step before; its value comes at the end. */
static inline void random_state(RandomGraph *r) {
    int t = 0, none = -1;
    Type type = {.shape = {.rank = 1, .dim = {3}}};
    int var = graph_add(r->graph, OP_VAR, type, 1, &t, 1, &none, NULL, random_span);
    r->states[r->state_count++] = var;
    r->graph->nodes.at[var]->name = name_of(r->graph->names, r->state_count == 1 ? "h" : "c");
    At at = {.kind = AT_INDEX, .offset = -1};
    Attr attr = {.at_count = 1, .at = &at};
    int in[2] = {var, 15};
    int read = graph_add(r->graph, OP_READ, type, 1, &t, 2, in, &attr, random_span);
    for (int i = 0; i < 8; i++) vec_push(r->graph->arena, &r->pool, read);
}

static inline void random_output(RandomGraph *r, int id) {
    const Node *node = r->graph->nodes.at[id];
    GraphPort port = {
        .type = node->type, .node = id, .fallback = -1, .index_count = node->domain_count};
    port.name = name_of(r->graph->names, arena_printf(r->graph->arena, "o%d", id));
    for (int i = 0; i < node->domain_count; i++) port.indices[i] = node->domain[i];
    vec_push(r->graph->arena, &r->graph->outputs, port);
}

static inline RandomGraph random_graph(Arena *arena, Names *names, uint32_t seed, int steps) {
    RandomGraph r = {.graph = graph_new(arena, names, NULL, MODE_TRAIN),
                     .seed = seed * 2654435761u};
    random_head(&r);
    for (int states = random_below(&r, 3); states > 0; states--) random_state(&r);
    for (int i = 0; i < steps; i++) random_step(&r);
    int t = 0;
    for (int k = 0; k < r.state_count; k++) {
        /* The last value that fits; else the input. */
        int value = 0;
        for (int i = 0; i < r.pool.count; i++) {
            const Node *node = r.graph->nodes.at[r.pool.at[i]];
            if (type_equal(node->type, r.graph->nodes.at[0]->type) && node->domain_count == 1 &&
                node->domain[0] == t && node->id != r.states[k])
                value = node->id;
        }
        r.graph->nodes.at[r.states[k]]->in[0] = value;
        random_output(&r, r.states[k]);
    }
    for (int i = 19; i < r.graph->nodes.count; i++)
        if (random_below(&r, 3) == 0 && i != r.states[0] && i != r.states[1]) random_output(&r, i);
    return r;
}

/* On two sequences of lengths 5 and 3. Inputs depend on the seed alone. */
static inline InterpResult *random_run(Arena *arena, const Graph *graph, uint32_t seed) {
    RandomGraph r = {.seed = seed};
    InterpCall *call = ARENA_NEW(arena, InterpCall);
    call->batch = RANDOM_BATCH;
    call->seed = seed;
    call->lengths = ARENA_ARRAY(arena, graph->axes.count, int64_t *);
    if (graph->axes.count > 0) call->lengths[0] = ARENA_ARRAY(arena, RANDOM_BATCH, int64_t);
    for (int i = 0; graph->axes.count > 0 && i < RANDOM_BATCH; i++)
        call->lengths[0][i] = RANDOM_STEPS - 2 * i;
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count, const double *);
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        bool fixed = port->index_count && port->indices[0] == 2;
        int64_t steps = port->index_count ? (fixed ? RANDOM_FIXED : RANDOM_STEPS) : 1;
        int64_t count = shape_count(port->type.shape) * RANDOM_BATCH;
        double *values = ARENA_ARRAY(arena, steps * count, double);
        for (int64_t k = 0; k < steps * count; k++) {
            double x = random_below(&r, 2001) * 0.001 - 1;
            if (port->type.dtype == DT_BOOL)
                x = x > 0;
            else if (port->type.pointer != PTR_NONE)
                x = (double)random_below(&r, (int)(k / count) + 1) - 1;
            else if (port->type.dtype == DT_INT)
                x = (double)random_below(&r, (int)port->type.bound);
            values[k] = x;
        }
        inputs[i] = values;
    }
    const double **params = ARENA_ARRAY(arena, graph->params.count, const double *);
    for (int i = 0; i < graph->params.count; i++) {
        int64_t count = shape_count(graph->params.at[i].shape);
        double *values = ARENA_ARRAY(arena, count, double);
        for (int64_t k = 0; k < count; k++) values[k] = random_below(&r, 2001) * 0.001 - 1;
        params[i] = values;
    }
    call->inputs = inputs;
    call->params = params;
    return interpret(arena, graph, call);
}

static inline int64_t random_output_size(const GraphPort *port) {
    int64_t size = shape_count(port->type.shape) * RANDOM_BATCH;
    for (int i = 0; i < port->index_count; i++)
        size *= port->indices[i] == 2 ? RANDOM_FIXED : RANDOM_STEPS;
    return size;
}

#endif
