/* Composite operations become primitive ones, with the definitions of ops.def and language.md, so
 * that schedule and lowering know few kinds. Then every elementwise operation has operands of its
 * own shape or scalars, and of one type: what repeats is a BROADCAST, what counts as a number a
 * FLOAT. */
#include "passes/passes.h"
#include "passes/expand.h"

#include <math.h>

static const double sqrt_half = 0.70710678118654752440;

/* clang-format off */
bool op_primitive(Op op) {
    switch (op) {
    case OP_INPUT: case OP_GIVEN: case OP_PARAM: case OP_CONST: case OP_IOTA: case OP_INDEX:
    case OP_LENGTH:
    case OP_DRAW: case OP_READ: case OP_TSUM: case OP_TMAX: case OP_TARGMAX: case OP_TCONCAT:
    case OP_HOLD: case OP_VAR: case OP_DETACH: case OP_FLOAT: case OP_NEG:
    case OP_NOT: case OP_SIGMOID: case OP_TANH: case OP_RELU: case OP_SOFTPLUS: case OP_EXP:
    case OP_LOG: case OP_SQRT: case OP_ABS: case OP_SIGN: case OP_FLOOR: case OP_ERF: case OP_SIN:
    case OP_COS: case OP_ADD: case OP_SUB: case OP_MUL: case OP_DIV: case OP_MOD: case OP_POW:
    case OP_MIN: case OP_MAX: case OP_LOGADDEXP: case OP_LT: case OP_LE: case OP_GT: case OP_GE:
    case OP_EQ: case OP_NE: case OP_AND: case OP_OR: case OP_SELECT: case OP_CLIP: case OP_MATMUL:
    case OP_TRANSPOSE: case OP_RESHAPE:
    case OP_BROADCAST: case OP_CONCAT: case OP_SLICE: case OP_GATHER: case OP_ARGMAX: case OP_SUM:
    case OP_BSUM: case OP_RMAX: case OP_RMIN: case OP_ONEHOT:
        return true;
    case OP_CONV: case OP_MAXPOOL: case OP_AVGPOOL:
    case OP_CTC: case OP_TMEAN: case OP_TLOGSUMEXP: case OP_TSOFTMAX: case OP_GELU: case OP_SILU:
    case OP_SOFTSIGN: case OP_HARD_SIGMOID: case OP_HARD_TANH: case OP_RSQRT: case OP_SQUARE:
    case OP_LEAKY_RELU: case OP_ELU: case OP_DOT: case OP_OUTER: case OP_SOFTMAX:
    case OP_LOG_SOFTMAX: case OP_LOGSUMEXP: case OP_LAYERNORM: case OP_MEAN: case OP_XENT:
    case OP_NLL: case OP_MSE: case OP_BCE: case OP_COUNT:
        return false;
    }
    return false;
}
/* clang-format on */

const Type *expand_type(const Expand *e, int id) {
    return &e->rewrite.graph->nodes.at[id]->type;
}

int expand_op(Expand *e, Op op, int a, int b, int c) {
    int in[3] = {a, b, c};
    return rewrite_node(&e->rewrite, op, c >= 0 ? 3 : b >= 0 ? 2 : 1, in, NULL, e->span);
}

int expand_shaped(Expand *e, Op op, int a, Shape shape) {
    Graph *graph = e->rewrite.graph;
    const Node *from = graph->nodes.at[a];
    Type type = from->type;
    if (shape_equal(type.shape, shape)) return a;
    type.shape = shape;
    /* A constant stays one in another shape: `%` by a constant has a bound. */
    int id =
        from->op == OP_CONST
            ? graph_const(graph, from->attr.number, type.dtype, shape, e->span)
            : graph_add(graph, op, type, from->domain_count, from->domain, 1, &a, NULL, e->span);
    vec_push(graph->arena, &e->rewrite.as, id);
    e->rewrite.changed = true;
    return id;
}

int expand_const(Expand *e, double value, DType dtype) {
    int id = graph_const(e->rewrite.graph, value, dtype, (Shape){0}, e->span);
    vec_push(e->rewrite.graph->arena, &e->rewrite.as, id);
    return id;
}

int expand_over_dim(Expand *e, Op op, int a, int dim) {
    Attr attr = {.dim = dim};
    return rewrite_node(&e->rewrite, op, 1, &a, &attr, e->span);
}

static int number(Expand *e, double value) {
    return expand_const(e, value, DT_FLOAT);
}

/* Repeats a result over the last dim along it again. */
static int along_last(Expand *e, int reduced, Shape whole) {
    Shape kept = whole;
    if (whole.rank == 1) return reduced;
    kept.dim[whole.rank - 1] = 1;
    return expand_shaped(e, OP_BROADCAST, expand_shaped(e, OP_RESHAPE, reduced, kept), whole);
}

int expand_finite(Expand *e, int maximum) {
    int infinite =
        expand_op(e, OP_EQ, expand_op(e, OP_ABS, maximum, -1, -1), number(e, (double)INFINITY), -1);
    return expand_op(e, OP_SELECT, infinite, number(e, 0), maximum);
}

/* The value that an exponential is shifted by. The result does not depend on it, so no gradient
 * goes through it: without this one would come back, the sum of rounding errors. */
int expand_shift(Expand *e, int maximum) {
    if (e->rewrite.graph->mode == MODE_INFER) return maximum;
    return expand_op(e, OP_DETACH, maximum, -1, -1);
}

/* The logarithm of a sum of shifted exponentials, which is at least 1, or 0 where there are none or
 * all are. Then it is -inf, and no gradient goes on, as of logaddexp: 1/0 times 0 would be NaN. */
int expand_log_sum(Expand *e, int sum) {
    if (e->rewrite.graph->mode == MODE_INFER) return expand_op(e, OP_LOG, sum, -1, -1);
    int none = expand_op(e, OP_EQ, sum, number(e, 0), -1);
    int less = expand_op(e, OP_SELECT, none, number(e, -(double)INFINITY), number(e, 0));
    int some = expand_op(e, OP_MAX, sum, number(e, 0.5), -1);
    return expand_op(e, OP_ADD, expand_op(e, OP_LOG, some, -1, -1), less, -1);
}

/* log Σ e^(a − max) + max, with the maximum 0 where it is infinite: no inf − inf arises. `alone`:
 * it may be -inf; a cross entropy would be NaN then. */
static int log_sum_exp(Expand *e, int a, bool alone) {
    Shape shape = expand_type(e, a)->shape;
    int maximum = expand_shift(e, expand_finite(e, expand_over_dim(e, OP_RMAX, a, shape.rank - 1)));
    int shifted = expand_op(e, OP_SUB, a, along_last(e, maximum, shape), -1);
    int sum = expand_over_dim(e, OP_SUM, expand_op(e, OP_EXP, shifted, -1, -1), shape.rank - 1);
    int logarithm = alone ? expand_log_sum(e, sum) : expand_op(e, OP_LOG, sum, -1, -1);
    return expand_op(e, OP_ADD, logarithm, maximum, -1);
}

static int softmax(Expand *e, int a, bool logarithm) {
    Shape shape = expand_type(e, a)->shape;
    int maximum =
        along_last(e, expand_shift(e, expand_over_dim(e, OP_RMAX, a, shape.rank - 1)), shape);
    int shifted = expand_op(e, OP_SUB, a, maximum, -1);
    int power = expand_op(e, OP_EXP, shifted, -1, -1);
    int sum = expand_over_dim(e, OP_SUM, power, shape.rank - 1);
    if (!logarithm) return expand_op(e, OP_DIV, power, along_last(e, sum, shape), -1);
    return expand_op(e, OP_SUB, shifted, along_last(e, expand_op(e, OP_LOG, sum, -1, -1), shape),
                     -1);
}

static int mean(Expand *e, int a, int dim) {
    Shape shape = expand_type(e, a)->shape;
    int64_t count = dim < 0 ? shape_count(shape) : shape.dim[dim];
    return expand_op(e, OP_DIV, expand_over_dim(e, OP_SUM, a, dim), number(e, (double)count), -1);
}

static int layernorm(Expand *e, int a) {
    Shape shape = expand_type(e, a)->shape;
    int last = shape.rank - 1;
    int centred = expand_op(e, OP_SUB, a, along_last(e, mean(e, a, last), shape), -1);
    int variance = mean(e, expand_op(e, OP_MUL, centred, centred, -1), last);
    int deviation =
        expand_op(e, OP_SQRT, expand_op(e, OP_ADD, variance, number(e, 1e-5), -1), -1, -1);
    return expand_op(e, OP_DIV, centred, along_last(e, deviation, shape), -1);
}

static int outer(Expand *e, int a, int b) {
    int64_t m = expand_type(e, a)->shape.dim[0], n = expand_type(e, b)->shape.dim[0];
    Shape whole = {.rank = 2, .dim = {m, n}};
    int column = expand_shaped(e, OP_RESHAPE, a, (Shape){.rank = 2, .dim = {m, 1}});
    int row = expand_shaped(e, OP_RESHAPE, b, (Shape){.rank = 2, .dim = {1, n}});
    return expand_op(e, OP_MUL, expand_shaped(e, OP_BROADCAST, column, whole),
                     expand_shaped(e, OP_BROADCAST, row, whole), -1);
}

static int expand_loss(Expand *e, Op op, int a, int b) {
    int picked;
    switch ((int)op) {
    case OP_XENT:
        picked = expand_op(e, OP_GATHER, a, b, -1);
        return expand_op(e, OP_SUB, log_sum_exp(e, a, false), picked, -1);
    case OP_NLL: return expand_op(e, OP_NEG, expand_op(e, OP_GATHER, a, b, -1), -1, -1);
    case OP_MSE:
        picked = expand_op(e, OP_SUB, a, b, -1);
        return mean(e, expand_op(e, OP_MUL, picked, picked, -1), -1);
    case OP_BCE:
        picked = expand_op(e, OP_MUL, a, b, -1);
        return mean(e, expand_op(e, OP_SUB, expand_op(e, OP_SOFTPLUS, a, -1, -1), picked, -1), -1);
    }
    return -1;
}

static int expand_elementwise(Expand *e, Op op, int a, int b) {
    int x;
    switch ((int)op) {
    case OP_SQUARE: return expand_op(e, OP_MUL, a, a, -1);
    case OP_RSQRT: return expand_op(e, OP_DIV, number(e, 1), expand_op(e, OP_SQRT, a, -1, -1), -1);
    case OP_SILU: return expand_op(e, OP_MUL, a, expand_op(e, OP_SIGMOID, a, -1, -1), -1);
    case OP_SOFTSIGN:
        x = expand_op(e, OP_ADD, number(e, 1), expand_op(e, OP_ABS, a, -1, -1), -1);
        return expand_op(e, OP_DIV, a, x, -1);
    case OP_HARD_SIGMOID:
        x = expand_op(e, OP_ADD, expand_op(e, OP_DIV, a, number(e, 6), -1), number(e, 0.5), -1);
        return expand_op(e, OP_CLIP, x, number(e, 0), number(e, 1));
    case OP_HARD_TANH: return expand_op(e, OP_CLIP, a, number(e, -1), number(e, 1));
    case OP_GELU:
        x = expand_op(e, OP_ERF, expand_op(e, OP_MUL, a, number(e, sqrt_half), -1), -1, -1);
        x = expand_op(e, OP_ADD, number(e, 1), x, -1);
        return expand_op(e, OP_MUL, expand_op(e, OP_MUL, a, number(e, 0.5), -1), x, -1);
    case OP_LEAKY_RELU:
    case OP_ELU:
        x = op == OP_ELU ? expand_op(e, OP_SUB, expand_op(e, OP_EXP, a, -1, -1), number(e, 1), -1)
                         : a;
        x = expand_op(e, OP_MUL, b, x, -1);
        return expand_op(e, OP_SELECT, expand_op(e, OP_LT, a, number(e, 0), -1), x, a);
    }
    return -1;
}

/* An input whose default is computed is a choice between what was given and that; so is one whose
 * default is a parameter, where gradients are wanted. Then 0 stands for what is not given. */
static int expand_default(Expand *e, const Node *node) {
    Graph *graph = e->rewrite.graph;
    int slot = node->attr.slot, fallback = graph->inputs.at[slot].fallback;
    if (fallback < 0 || graph->inputs.at[slot].node != node->id) return -1;
    Op by = graph->nodes.at[fallback]->op;
    if (by == OP_CONST || (by == OP_PARAM && graph->mode == MODE_INFER)) return -1;
    size_t size = (size_t)graph->inputs.count * sizeof *graph->inputs.at;
    graph->inputs.at = arena_copy(graph->arena, graph->inputs.at, size);
    Attr attr = {.slot = slot};
    GraphPort *port = &graph->inputs.at[slot];
    int own = rewrite_node(&e->rewrite, OP_INPUT, 0, NULL, &attr, e->span);
    int given = rewrite_node(&e->rewrite, OP_GIVEN, 0, NULL, &attr, e->span);
    graph->nodes.at[own]->name = node->name;
    port->node = own;
    port->fallback = expand_const(e, 0, port->type.dtype);
    return expand_op(e, OP_SELECT, given, own, fallback);
}

/* What stands for the node; -1: it is primitive. */
static int expand_node(Expand *e, const Node *node) {
    Op op = node->op;
    int a = node->in_count > 0 ? node->in[0] : -1, b = node->in_count > 1 ? node->in[1] : -1;
    if (op == OP_INPUT) return expand_default(e, node);
    if (op_primitive(op)) return -1;
    if (op_info[op].class_ == CLASS_LOSS) return expand_loss(e, op, a, b);
    if (op == OP_CTC) return expand_ctc(e, node);
    if (op_info[op].class_ == CLASS_TIME) return expand_time(e, node);
    switch ((int)op) {
    case OP_DOT: return expand_over_dim(e, OP_SUM, expand_op(e, OP_MUL, a, b, -1), -1);
    case OP_OUTER: return outer(e, a, b);
    case OP_SOFTMAX: return softmax(e, a, false);
    case OP_LOG_SOFTMAX: return softmax(e, a, true);
    case OP_LOGSUMEXP: return log_sum_exp(e, a, true);
    case OP_LAYERNORM: return layernorm(e, a);
    case OP_MEAN: return mean(e, a, node->attr.dim);
    case OP_CONV:
    case OP_MAXPOOL:
    case OP_AVGPOOL: return expand_conv(e, node);
    }
    return expand_elementwise(e, op, a, b);
}

/* Whether operand k of the node has to be a float. */
static bool wants_float(const Expand *e, const Node *node, int k) {
    Op op = node->op;
    OpClass class_ = op_info[op].class_;
    if (op == OP_DRAW) return true;
    if (op >= OP_LT && op <= OP_NE)
        return expand_type(e, node->in[0])->dtype != expand_type(e, node->in[1])->dtype;
    if (op == OP_ARGMAX || op == OP_TARGMAX) return true;
    if (node->type.dtype != DT_FLOAT || op == OP_READ || op == OP_ONEHOT || op == OP_FLOAT)
        return false;
    if (op == OP_XENT || op == OP_NLL || op == OP_CTC || op == OP_GATHER) return k == 0;
    return op != OP_SELECT ? class_ != CLASS_LEAF : k > 0;
}

static void convert_operands(Expand *e, Node *node) {
    for (int k = 0; k < node->in_count; k++) {
        if (node->in[k] < 0) continue;
        DType dtype = expand_type(e, node->in[k])->dtype;
        if (dtype != DT_FLOAT && wants_float(e, node, k)) {
            node->in[k] = expand_op(e, OP_FLOAT, node->in[k], -1, -1);
        } else if (dtype == DT_BOOL && node->type.dtype == DT_INT &&
                   op_info[node->op].class_ >= CLASS_UNARY && !(node->op == OP_SELECT && k == 0)) {
            const Node *operand = e->rewrite.graph->nodes.at[node->in[k]];
            if (operand->op == OP_CONST) {
                Shape shape = operand->type.shape;
                node->in[k] = expand_shaped(e, OP_BROADCAST,
                                            expand_const(e, operand->attr.number, DT_INT), shape);
                continue;
            }
            int one = expand_const(e, 1, DT_INT), zero = expand_const(e, 0, DT_INT);
            node->in[k] = expand_op(e, OP_SELECT, node->in[k], one, zero);
        }
    }
}

/* Operands that repeat along a dim are made to; scalars stay. */
static void broadcast_operands(Expand *e, Node *node) {
    OpClass class_ = op_info[node->op].class_;
    bool elementwise = class_ == CLASS_BINARY || class_ == CLASS_SELECTION || node->op == OP_DRAW;
    for (int k = 0; k < node->in_count; k++) {
        if (!elementwise && !(node->op == OP_READ && k == 1)) continue;
        if (node->op == OP_DRAW && node->attr.draw == DRAW_CATEGORICAL) continue;
        if (node->in[k] < 0 || expand_type(e, node->in[k])->shape.rank == 0) continue;
        node->in[k] = expand_shaped(e, OP_BROADCAST, node->in[k], node->type.shape);
    }
}

Graph *pass_expand(const Graph *graph, bool *changed) {
    Expand e = {.rewrite = rewrite_begin(graph)};
    /* New nodes come behind, and are looked at in their turn: expansions may hold others. */
    for (int i = 0; i < e.rewrite.graph->nodes.count; i++) {
        Node *node = e.rewrite.graph->nodes.at[i];
        e.span = node->span;
        convert_operands(&e, node);
        broadcast_operands(&e, node);
        int with = expand_node(&e, node);
        if (with >= 0) rewrite_replace(&e.rewrite, i, with);
    }
    *changed = e.rewrite.changed;
    return e.rewrite.changed ? rewrite_end(&e.rewrite, false) : (Graph *)graph;
}
