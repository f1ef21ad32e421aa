/* Nodes of the gradient, and sums over what an operand does not have. */
#include <string.h>

#include "adjoint/internal.h"

const Node *adjoint_node(const Adjoint *a, int id) {
    return a->graph->nodes.at[id];
}

int adjoint_op(Adjoint *a, Op op, int x, int y, int z) {
    int in[3] = {x, y, z};
    return rewrite_node(&a->rewrite, op, z >= 0 ? 3 : y >= 0 ? 2 : 1, in, NULL, a->span);
}

int adjoint_attr(Adjoint *a, Op op, int x, const Attr *attr) {
    return rewrite_node(&a->rewrite, op, x >= 0 ? 1 : 0, &x, attr, a->span);
}

static int constant(Adjoint *a, double value, DType dtype, Shape shape) {
    int id = graph_const(a->graph, value, dtype, shape, a->span);
    vec_push(a->arena, &a->rewrite.as, id);
    return id;
}

int adjoint_number(Adjoint *a, double value) {
    return constant(a, value, DT_FLOAT, (Shape){0});
}

int adjoint_whole(Adjoint *a, int64_t value) {
    return constant(a, (double)value, DT_INT, (Shape){0});
}

int adjoint_zeros(Adjoint *a, Shape shape) {
    return constant(a, 0, DT_FLOAT, shape);
}

int adjoint_shaped(Adjoint *a, Op op, int x, Shape shape) {
    const Node *from = adjoint_node(a, x);
    Type type = op == OP_ONEHOT ? (Type){.dtype = DT_FLOAT} : from->type;
    if (op != OP_ONEHOT && shape_equal(type.shape, shape)) return x;
    type.shape = shape;
    int id = graph_add(a->graph, op, type, from->domain_count, from->domain, 1, &x, NULL, a->span);
    vec_push(a->arena, &a->rewrite.as, id);
    return id;
}

int adjoint_index(Adjoint *a, int index, bool mirrored, int carry) {
    Attr attr = {.index = index, .mirrored = mirrored, .carry = carry};
    return adjoint_attr(a, OP_INDEX, -1, &attr);
}

int adjoint_length(Adjoint *a, int axis) {
    Attr attr = {.slot = axis};
    return adjoint_attr(a, OP_LENGTH, -1, &attr);
}

int adjoint_both(Adjoint *a, int x, int y) {
    return x < 0 ? y : y < 0 ? x : adjoint_op(a, OP_AND, x, y, -1);
}

int adjoint_where(Adjoint *a, int mask, int x) {
    return mask < 0 ? x : adjoint_op(a, OP_SELECT, mask, x, adjoint_number(a, 0));
}

int adjoint_widen(Adjoint *a, int x, int domain_count, const int *domain) {
    const Node *node = adjoint_node(a, x);
    if (node->domain_count == domain_count &&
        memcmp(node->domain, domain, (size_t)domain_count * sizeof *domain) == 0)
        return x;
    int id = graph_add(a->graph, OP_VAR, node->type, domain_count, domain, 1, &x, NULL, a->span);
    vec_push(a->arena, &a->rewrite.as, id);
    return id;
}

int adjoint_over(Adjoint *a, int x, int index) {
    Attr attr = {.index = index};
    return adjoint_attr(a, OP_TSUM, x, &attr);
}

bool adjoint_has(const Node *node, int index) {
    for (int i = 0; i < node->domain_count; i++)
        if (node->domain[i] == index) return true;
    return false;
}

int adjoint_fresh_index(Adjoint *a, int axis) {
    Graph *graph = a->graph;
    const char *base = graph->axes.at[axis].name;
    const char *name = arena_printf(a->arena, "%s.d", base);
    for (int i = 0, n = 2; i < graph->indices.count; i++)
        if (strcmp(graph->indices.at[i].name, name) == 0) {
            name = arena_printf(a->arena, "%s.d%d", base, n++);
            i = -1;
        }
    vec_push(a->arena, &graph->indices, (Index){name_of(graph->names, name), axis});
    return graph->indices.count - 1;
}

void adjoint_refuse(Adjoint *a, const Node *node, const char *why) {
    a->failed = true;
    diag_error(a->diags, "E-GRAD", node->span, "%s has no gradient yet%s", op_info[node->op].text,
               why);
}

static int guarded(Adjoint *a, int d, int product) {
    const Node *node = a->current;
    if (!node || !a->under[node->id] || !a->risky[node->id]) return product;
    int nothing = adjoint_op(a, OP_EQ, d, adjoint_number(a, 0), -1);
    return adjoint_op(a, OP_SELECT, nothing, adjoint_number(a, 0), product);
}

int adjoint_times(Adjoint *a, int d, int x) {
    return guarded(a, d, adjoint_op(a, OP_MUL, d, x, -1));
}

int adjoint_by(Adjoint *a, int d, int x) {
    return guarded(a, d, adjoint_op(a, OP_DIV, d, x, -1));
}

int adjoint_outer(Adjoint *a, int d, int x, bool first) {
    int product = adjoint_op(a, OP_OUTER, first ? d : x, first ? x : d, -1);
    Shape whole = adjoint_node(a, product)->type.shape, kept = whole;
    kept.dim[first ? 1 : 0] = 1;
    int rows = adjoint_shaped(a, OP_BROADCAST, adjoint_shaped(a, OP_RESHAPE, d, kept), whole);
    return guarded(a, rows, product);
}

/* The sum over `extra` of what the current node contributes: only where its own values are wanted,
 * so that a sum inside of a recurrence does not ask for positions that are computed later. */
static int sum_over(Adjoint *a, int x, int extra) {
    Attr attr = {.index = extra};
    const Node *node = a->current;
    for (int d = 0; node && d < node->domain_count; d++) {
        Relation relation = a->relations[node->id][d];
        int own = node->domain[d], other = relation.partner;
        bool turned = other == extra && adjoint_has(adjoint_node(a, x), own);
        if (!turned && !(own == extra && other >= 0 && adjoint_has(adjoint_node(a, x), other)))
            continue;
        int rest = turned ? own : other;
        RelationKind kind = relation.kind;
        bool less = kind == RELATION_LT || kind == RELATION_LE;
        bool more = kind == RELATION_GT || kind == RELATION_GE;
        int64_t strict = kind == RELATION_LT || kind == RELATION_GT;
        if (kind == RELATION_EQ) {
            attr.low = (Bound){BOUND_INDEX, rest, 0};
            attr.high = (Bound){BOUND_INDEX, rest, 1};
        } else if (turned ? less : more) {
            attr.low = (Bound){BOUND_INDEX, rest, strict};
        } else if (turned ? more : less) {
            attr.high = (Bound){BOUND_INDEX, rest, 1 - strict};
        }
        break;
    }
    return adjoint_attr(a, OP_TSUM, x, &attr);
}

void adjoint_add(Adjoint *a, int to, int x) {
    const Node *target = adjoint_node(a, to);
    if (to >= a->forward || !a->wanted[to]) return;
    /* The last index first: what is left has the smaller domain. */
    for (const Node *node = adjoint_node(a, x);; node = adjoint_node(a, x)) {
        int extra = -1;
        for (int i = 0; i < node->domain_count; i++)
            if (!adjoint_has(target, node->domain[i])) extra = node->domain[i];
        if (extra < 0) break;
        x = sum_over(a, x, extra);
    }
    const Shape *own = &adjoint_node(a, x)->type.shape, *shape = &target->type.shape;
    if (shape->rank == 0 && own->rank > 0) {
        Attr attr = {.dim = -1};
        x = adjoint_attr(a, OP_SUM, x, &attr);
    } else if (shape->rank > 0 && own->rank == 0) {
        x = adjoint_shaped(a, OP_BROADCAST, x, *shape);
    }
    if (a->alone[to] && (a->user < 0 || !a->alone[a->user])) x = adjoint_op(a, OP_BSUM, x, -1, -1);
    vec_push(a->arena, &a->terms[to].nodes, x);
}
