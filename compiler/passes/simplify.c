/* Local rewrites, until none applies. Values stay what they are, bit for bit, with two exceptions:
 * constants are folded in double, and a parameter times a one-hot vector becomes the row or column
 * that it picks (an infinity elsewhere in the matrix would have made a NaN). x + 0 goes only where
 * x cannot be -0, and x * 0 stays (x may be a NaN). */
#include "passes/fold.h"
#include "passes/passes.h"
#include "passes/rewrite.h"

#include <math.h>
#include <string.h>

typedef struct Simplify {
    Rewrite rewrite;
    bool *state;   /* VARs that a recurrence goes through */
    bool *carried; /* sources of a READ that keeps state: known outside by name */
    int room;      /* nodes that there may be */
} Simplify;

static Node *node_at(const Simplify *s, int id) {
    return s->rewrite.graph->nodes.at[id];
}

static Node *operand(const Simplify *s, const Node *node, int k) {
    return node_at(s, node->in[k]);
}

static bool is_number(const Node *node, double value) {
    return node->op == OP_CONST &&
           memcmp(&node->attr.number, &value, sizeof value) == 0; /* 0 is not -0 */
}

/* Carried state keeps the node that has its name; what is read by a recurrence stays known as
 * such. */
static bool replace_by(Simplify *s, const Node *node, int with) {
    const Node *value = node_at(s, rewrite_find(&s->rewrite, with));
    bool carried = s->carried[node->id];
    if (carried && (value->name || op_info[value->op].class_ == CLASS_LEAF)) return false;
    if (!rewrite_become(&s->rewrite, node->id, value->id)) return false;
    if (s->rewrite.as.at[node->id] == node->id) return true;
    s->carried[value->id] = s->carried[value->id] || carried;
    s->state[value->id] = s->state[value->id] || s->state[node->id];
    return true;
}

/* A new operation with the type of `node`, where the operands alone do not tell it. */
static bool change(Simplify *s, Node *node, Op op, int in) {
    node->op = op;
    node->in_count = 1;
    node->in[0] = in;
    node->attr = (Attr){0};
    s->rewrite.changed = true;
    return true;
}

static bool forward_var(Simplify *s, Node *node) {
    const Node *value = operand(s, node, 0);
    if (value->id == node->id) return false;
    if (node->op == OP_DETACH && s->rewrite.graph->mode != MODE_INFER) return false;
    if (node->op == OP_VAR && s->state[node->id]) return false;
    if (value->domain_count != node->domain_count) return false;
    return replace_by(s, node, value->id);
}

static bool fold(Simplify *s, Node *node) {
    OpClass class_ = op_info[node->op].class_;
    bool moves = node->op == OP_BROADCAST || node->op == OP_RESHAPE || node->op == OP_TRANSPOSE ||
                 node->op == OP_SLICE;
    double in[3] = {0}, value;
    const Type *types[3] = {0};
    if (class_ != CLASS_UNARY && class_ != CLASS_BINARY && class_ != CLASS_SELECTION && !moves)
        return false;
    if (s->state[node->id] || s->carried[node->id] ||
        (node->op == OP_VAR && node->domain_count > 0))
        return false;
    for (int k = 0; k < node->in_count; k++) {
        const Node *from = operand(s, node, k);
        if (from->op != OP_CONST) return false;
        in[k] = from->attr.number;
        types[k] = &from->type;
    }
    if (moves)
        value = in[0];
    else if (!fold_constant(node->op, node->in_count, in, types, node->type, &value))
        return false;
    node->op = OP_CONST;
    node->in_count = 0;
    node->attr = (Attr){.number = value};
    s->rewrite.changed = true;
    return true;
}

/* A read at the reader's own position is its source. */
static bool drop_read(Simplify *s, Node *node) {
    const Node *source = operand(s, node, 0);
    if (source->id == node->id) return false;
    for (int i = 0; i < node->attr.at_count; i++) {
        const At *at = &node->attr.at[i];
        if (at->kind != AT_INDEX || at->offset != 0 || at->index != source->domain[i]) return false;
    }
    return replace_by(s, node, source->id);
}

/* Operations whose result is never -0, so that adding 0 changes nothing. */
static bool never_minus_zero(const Simplify *s, const Node *node) {
    switch ((int)node->op) {
    case OP_EXP:
    case OP_SIGMOID:
    case OP_SOFTPLUS:
    case OP_ABS:
    case OP_SQUARE:
    case OP_FLOAT: return true;
    case OP_ADD: {
        const Node *a = operand(s, node, 0), *b = operand(s, node, 1);
        return (a->op == OP_CONST && !is_number(a, -0.0)) ||
               (b->op == OP_CONST && !is_number(b, -0.0));
    }
    }
    return node->type.dtype == DT_INT;
}

static bool drop_neutral(Simplify *s, Node *node) {
    for (int k = 0; k < 2; k++) {
        const Node *neutral = operand(s, node, k), *other = operand(s, node, 1 - k);
        if (neutral->op != OP_CONST) continue;
        bool drops = false;
        if (node->op == OP_ADD)
            drops =
                is_number(neutral, -0.0) || (is_number(neutral, 0.0) && never_minus_zero(s, other));
        if (node->op == OP_SUB && k == 1) drops = is_number(neutral, 0.0);
        if (node->op == OP_MUL) drops = is_number(neutral, 1.0);
        if (node->op == OP_DIV && k == 1) drops = is_number(neutral, 1.0);
        if (node->op == OP_AND) drops = neutral->attr.number != 0;
        if (node->op == OP_OR) drops = neutral->attr.number == 0;
        if (drops && replace_by(s, node, other->id)) return true;
        /* `false and x`, `true or x`. */
        if (!drops && (node->op == OP_AND || node->op == OP_OR) && replace_by(s, node, neutral->id))
            return true;
    }
    return false;
}

/* f(f(x)) = x. */
static bool drop_double(Simplify *s, Node *node) {
    const Node *inner = operand(s, node, 0);
    return inner->op == node->op && replace_by(s, node, inner->in[0]);
}

static bool drop_select(Simplify *s, Node *node) {
    const Node *condition = operand(s, node, 0);
    if (condition->op != OP_CONST) return false;
    int taken = node->in[condition->attr.number != 0 ? 1 : 2];
    if (replace_by(s, node, taken)) return true;
    const Node *value = node_at(s, taken);
    if (value->type.dtype != node->type.dtype || value->type.bound != node->type.bound ||
        value->type.pointer != node->type.pointer || value->domain_count != node->domain_count)
        return false;
    return change(s, node, OP_BROADCAST, taken);
}

static bool same_shape(Simplify *s, Node *node) {
    const Node *inner = operand(s, node, 0);
    if (shape_equal(inner->type.shape, node->type.shape)) return replace_by(s, node, inner->id);
    if (node->op == OP_TRANSPOSE || inner->op != node->op) return false;
    if (node->op == OP_BROADCAST) {
        /* The dims that the inner one repeats must still be 1 or alone for the outer. */
        const Shape from = operand(s, inner, 0)->type.shape;
        if (from.rank != 0 && from.rank != node->type.shape.rank) return false;
    }
    return change(s, node, node->op, inner->in[0]);
}

static bool drop_slice(Simplify *s, Node *node) {
    const Node *inner = operand(s, node, 0);
    if (node->attr.drop || !shape_equal(inner->type.shape, node->type.shape)) return false;
    return replace_by(s, node, inner->id);
}

static bool is_matrix(const Simplify *s, const Node *node) {
    if (node->op == OP_TRANSPOSE) node = operand(s, node, 0);
    return node->op == OP_PARAM && node->type.shape.rank == 2;
}

/* A parameter times onehot(w) is the column w; onehot(w) times it, the row. */
static bool pick_column(Simplify *s, Node *node) {
    const Node *a = operand(s, node, 0), *b = operand(s, node, 1);
    bool row = a->op == OP_ONEHOT && is_matrix(s, b);
    if (!row && !(b->op == OP_ONEHOT && is_matrix(s, a))) return false;
    const Node *hot = row ? a : b;
    int matrix = node->in[row ? 1 : 0], label = hot->in[0];
    const Type *type = &node_at(s, label)->type;
    if (type->pointer != PTR_NONE || type->bound < 1 || type->bound > hot->type.shape.dim[0])
        return false;
    if (!row && s->rewrite.graph->nodes.count >= s->room) return false;
    if (!row) matrix = rewrite_node(&s->rewrite, OP_TRANSPOSE, 1, &matrix, NULL, node->span);
    node = node_at(s, node->id);
    node->op = OP_GATHER;
    node->in[0] = matrix;
    node->in[1] = label;
    s->rewrite.changed = true;
    return true;
}

static bool drop_concat(Simplify *s, Node *node) {
    if (node->in_count > 1) return false;
    return replace_by(s, node, node->in[0]) || change(s, node, OP_RESHAPE, node->in[0]);
}

/* What a variable holds that has a value for each position and is the same at all: `a[t] = p * q`.
 */
static int behind(const Simplify *s, int id) {
    const Node *node = node_at(s, id);
    while (node->op == OP_VAR && !s->state[node->id] && !s->carried[node->id] &&
           operand(s, node, 0)->domain_count < node->domain_count)
        node = operand(s, node, 0);
    return node->id;
}

/* Reads what is the same at all positions where it is: an equation of its own, with the indices of
 * its reader, decides no bits. An operation that then has fewer positions, too, becomes a variable
 * of its own, so that its readers may do the same. */
static bool read_behind(Simplify *s, Node *node) {
    OpClass class_ = op_info[node->op].class_;
    Graph *graph = s->rewrite.graph;
    int domain[MAX_DOMAIN], *in = ARENA_ARRAY(graph->arena, node->in_count + 1, int);
    bool some = false;
    if (class_ == CLASS_LEAF || class_ == CLASS_TIME || node->op == OP_VAR) return false;
    for (int k = 0; k < node->in_count; k++) {
        in[k] = behind(s, node->in[k]);
        some = some || in[k] != node->in[k];
    }
    if (!some || graph->nodes.count >= s->room) return false;
    int count = graph_domain(graph, node->op, node->in_count, in, &node->attr, domain);
    s->rewrite.changed = true;
    if (count == node->domain_count) {
        memcpy(node->in, in, (size_t)node->in_count * sizeof *in);
        return true;
    }
    int id = graph_add(graph, node->op, node->type, count, domain, node->in_count, in, &node->attr,
                       node->span);
    vec_push(graph->arena, &s->rewrite.as, id);
    return change(s, node, OP_VAR, id);
}

static bool rewrite_one(Simplify *s, Node *node) {
    if (fold(s, node) || read_behind(s, node)) return true;
    switch ((int)node->op) {
    case OP_VAR:
    case OP_DETACH: return forward_var(s, node);
    case OP_FLOAT: return replace_by(s, node, node->in[0]); /* of a float */
    case OP_READ: return drop_read(s, node);
    case OP_HOLD: return node->attr.every == 1 && replace_by(s, node, node->in[0]);
    case OP_ADD:
    case OP_SUB:
    case OP_MUL:
    case OP_DIV:
    case OP_AND:
    case OP_OR: return drop_neutral(s, node);
    case OP_NEG:
    case OP_NOT: return drop_double(s, node);
    case OP_TRANSPOSE: return drop_double(s, node);
    case OP_SELECT: return drop_select(s, node);
    case OP_RESHAPE:
    case OP_BROADCAST: return same_shape(s, node);
    case OP_SLICE: return drop_slice(s, node);
    case OP_CONCAT: return drop_concat(s, node);
    case OP_MATMUL: return pick_column(s, node);
    }
    return false;
}

/* A recurrence keeps the variables that it is written with: what it reads at other positions. */
static void find_state(Simplify *s, int room) {
    const Graph *graph = s->rewrite.graph;
    int count = graph->nodes.count;
    int *component = ARENA_ARRAY(graph->arena, count + 1, int);
    graph_components(graph, component);
    s->state = ARENA_ARRAY(graph->arena, room, bool);
    s->carried = ARENA_ARRAY(graph->arena, room, bool);
    for (int i = 0; i < count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op != OP_READ) continue;
        if (component[i] == component[node->in[0]]) s->state[node->in[0]] = true;
        if (node->attr.carry) s->carried[node->in[0]] = true;
    }
}

Graph *pass_simplify(const Graph *graph, bool *changed) {
    Simplify s = {.rewrite = rewrite_begin(graph)};
    int count = graph->nodes.count;
    s.room = 4 * count;
    find_state(&s, s.room + 2); /* a rewriting adds one node at most */
    bool again = true;
    for (int round = 0; again && round < 100; round++) {
        again = false;
        for (int i = 0; i < s.rewrite.graph->nodes.count; i++) {
            if (s.rewrite.as.at[i] != i) continue;
            Node *node = node_at(&s, i);
            for (int k = 0; k < node->in_count; k++)
                node->in[k] = rewrite_find(&s.rewrite, node->in[k]);
            /* At most once for each level of nesting; a rewritten node may allow another. */
            for (int tries = 0; tries < 8 && s.rewrite.as.at[i] == i; tries++) {
                if (!rewrite_one(&s, node)) break;
                again = true;
            }
        }
    }
    *changed = s.rewrite.changed;
    return s.rewrite.changed ? rewrite_end(&s.rewrite, false) : (Graph *)graph;
}
