/* Building a Graph: the arrays, the nodes, and the two questions about shapes and batches that
 * every reader asks. Rules of types and domains are in types.c. */
#include "graph/graph.h"

#include <string.h>

const OpInfo op_info[OP_COUNT] = {
#define OP(id, text, least, most, class_, low, high)                                               \
    [OP_##id] = {text, least, most, CLASS_##class_, low, high},
#include "graph/ops.def"
#undef OP
};

Graph *graph_new(Arena *arena, Names *names, Name model, Mode mode) {
    Graph *graph = ARENA_NEW(arena, Graph);
    graph->arena = arena;
    graph->names = names;
    graph->model = model;
    graph->mode = mode;
    return graph;
}

int graph_add(Graph *graph, Op op, Type type, int domain_count, const int *domain, int count,
              const int *in, const Attr *attr, Span span) {
    Node *node = ARENA_NEW(graph->arena, Node);
    node->id = graph->nodes.count;
    node->op = op;
    node->type = type;
    node->domain_count = domain_count;
    for (int i = 0; i < domain_count && i < MAX_DOMAIN; i++) node->domain[i] = domain[i];
    node->in_count = count;
    node->in = ARENA_ARRAY(graph->arena, count > 0 ? count : 1, int);
    for (int i = 0; i < count; i++) node->in[i] = in[i];
    if (attr) node->attr = *attr;
    if (node->attr.at_count > 0)
        node->attr.at =
            arena_copy(graph->arena, node->attr.at, (size_t)node->attr.at_count * sizeof(At));
    node->span = span;
    vec_push(graph->arena, &graph->nodes, node);
    return node->id;
}

int graph_node(Graph *graph, Op op, int count, const int *in, const Attr *attr, Span span) {
    Type type = {0};
    const char *why = NULL;
    Attr none = {0};
    int domain[MAX_DOMAIN];
    if (!attr) attr = &none;
    /* Operands that do not fit leave an empty type behind, for the verifier to find. */
    if (!graph_type(graph, op, count, in, attr, &type, &why)) type = (Type){0};
    int domain_count = graph_domain(graph, op, count, in, attr, domain);
    if (domain_count < 0) domain_count = 0;
    return graph_add(graph, op, type, domain_count, domain, count, in, attr, span);
}

int graph_const(Graph *graph, double value, DType dtype, Shape shape, Span span) {
    Type type = {.dtype = dtype, .shape = shape};
    Attr attr = {.number = value};
    return graph_add(graph, OP_CONST, type, 0, NULL, 0, NULL, &attr, span);
}

int64_t shape_count(Shape shape) {
    int64_t count = 1;
    for (int d = 0; d < shape.rank; d++) {
        if (shape.dim[d] != 0 && count > INT64_MAX / shape.dim[d]) return INT64_MAX;
        count *= shape.dim[d];
    }
    return count;
}

bool shape_equal(Shape a, Shape b) {
    if (a.rank != b.rank) return false;
    for (int d = 0; d < a.rank; d++)
        if (a.dim[d] != b.dim[d]) return false;
    return true;
}

bool type_equal(Type a, Type b) {
    if (a.dtype != b.dtype || !shape_equal(a.shape, b.shape)) return false;
    if (a.dtype != DT_INT) return true;
    if (a.pointer != b.pointer) return false;
    return a.pointer == PTR_NONE ? a.bound == b.bound : a.axis == b.axis;
}

int graph_copied_input(const Graph *graph, int id) {
    const Node *node = graph->nodes.at[id];
    while (node->op == OP_VAR) node = graph->nodes.at[node->in[0]];
    return node->op == OP_INPUT ? node->attr.slot : -1;
}

int graph_blank(const Graph *graph, int slot) {
    int blank = graph->inputs.at[slot].blank;
    for (int i = 0; i < graph->nodes.count && !blank; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op == OP_CTC && graph_copied_input(graph, node->in[1]) == slot)
            blank = 1 + node->attr.slot;
    }
    return blank;
}

/* A slow axis has equal lengths when its base has. */
static bool fixed_axis(const Graph *graph, int axis) {
    for (int steps = 0; steps <= graph->axes.count; steps++) {
        if (axis < 0 || axis >= graph->axes.count) return false;
        const Axis *a = &graph->axes.at[axis];
        if (a->fixed > 0) return !a->generated; /* a stop may come before the bound */
        if (a->kind == AXIS_RUN) return false;
        axis = a->base;
    }
    return false;
}

static bool reads_length(const Graph *graph, int index) {
    return index < 0 || index >= graph->indices.count ||
           !fixed_axis(graph, graph->indices.at[index].axis);
}

/* Whether the operation itself, whatever its operands, sees the length or the state of a
 * sequence. */
static bool batched_alone(const Graph *graph, const Node *node) {
    const Attr *attr = &node->attr;
    if (node->op == OP_INPUT || node->op == OP_DRAW) return true;
    if (node->op == OP_LENGTH) return !fixed_axis(graph, attr->slot);
    if (node->op == OP_INDEX || node->op == OP_HOLD)
        return attr->carry != 0 || (attr->mirrored && reads_length(graph, attr->index));
    if (node->op == OP_READ) {
        if (attr->carry) return true;
        const Node *source = graph->nodes.at[node->in[0]];
        for (int i = 0; i < attr->at_count && i < source->domain_count; i++) {
            const At *at = &attr->at[i];
            bool ahead = (at->kind == AT_INDEX || at->kind == AT_SCALE) && at->offset > 0;
            if ((ahead || at->kind == AT_LAST) && reads_length(graph, source->domain[i]))
                return true;
        }
        return false;
    }
    if (op_info[node->op].class_ == CLASS_TIME) return reads_length(graph, attr->index);
    return false;
}

void graph_batched(const Graph *graph, bool *batched) {
    int count = graph->nodes.count;
    /* Users of each node, as chains through one entry for each operand. */
    int edges = 0;
    for (int i = 0; i < count; i++) edges += graph->nodes.at[i]->in_count;
    int *first = ARENA_ARRAY(graph->arena, count + 1, int);
    int *next = ARENA_ARRAY(graph->arena, edges + 1, int);
    int *user = ARENA_ARRAY(graph->arena, edges + 1, int);
    int *work = ARENA_ARRAY(graph->arena, count + 1, int);
    int edge = 0, waiting = 0;
    for (int i = 0; i < count; i++) first[i] = -1;
    for (int i = 0; i < count; i++) {
        const Node *node = graph->nodes.at[i];
        for (int k = 0; k < node->in_count; k++) {
            if (node->in[k] < 0) continue;
            user[edge] = i;
            next[edge] = first[node->in[k]];
            first[node->in[k]] = edge++;
        }
        batched[i] = batched_alone(graph, node);
        if (batched[i]) work[waiting++] = i;
    }
    while (waiting > 0) {
        int from = work[--waiting];
        for (int e = first[from]; e >= 0; e = next[e]) {
            if (batched[user[e]] || graph->nodes.at[user[e]]->op == OP_BSUM) continue;
            batched[user[e]] = true;
            work[waiting++] = user[e];
        }
    }
}
