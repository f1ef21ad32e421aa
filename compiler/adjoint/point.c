/* Gradients of elementwise operations. y: the result, x and z: the operands, d: the adjoint of y.
 * Where a rule needs the result it uses it, so that nothing is computed twice. */
#include <math.h>

#include "adjoint/internal.h"

static int two(Adjoint *a, Op op, int x, int y) {
    return adjoint_op(a, op, x, y, -1);
}

static int one(Adjoint *a, Op op, int x) {
    return adjoint_op(a, op, x, -1, -1);
}

/* d (k - y y) */
static int less_square(Adjoint *a, int d, int k, int y) {
    return adjoint_times(a, d, two(a, OP_SUB, k, two(a, OP_MUL, y, y)));
}

/* What one operand gets, as a factor of d or whole. */
static void unary(Adjoint *a, const Node *node, int d) {
    int x = node->in[0], y = node->id, to = -1, f;
    switch (node->op) {
    case OP_VAR: to = d; break;
    case OP_NEG: to = one(a, OP_NEG, d); break;
    case OP_SIGMOID: to = less_square(a, d, y, y); break;
    case OP_TANH: to = less_square(a, d, adjoint_number(a, 1), y); break;
    case OP_RELU: to = adjoint_where(a, two(a, OP_GT, x, adjoint_number(a, 0)), d); break;
    case OP_SOFTPLUS: to = adjoint_times(a, d, one(a, OP_SIGMOID, x)); break;
    case OP_EXP: to = adjoint_times(a, d, y); break;
    case OP_LOG: to = adjoint_by(a, d, x); break;
    case OP_SQRT: to = adjoint_by(a, d, two(a, OP_ADD, y, y)); break;
    case OP_ABS: to = adjoint_times(a, d, one(a, OP_SIGN, x)); break;
    case OP_ERF:
        f = one(a, OP_EXP, one(a, OP_NEG, two(a, OP_MUL, x, x)));
        to = adjoint_times(a, d, two(a, OP_MUL, f, adjoint_number(a, 2 / sqrt(acos(-1)))));
        break;
    case OP_SIN: to = adjoint_times(a, d, one(a, OP_COS, x)); break;
    case OP_COS: to = one(a, OP_NEG, adjoint_times(a, d, one(a, OP_SIN, x))); break;
    default: return; /* DETACH, FLOAT, NOT, SIGN, FLOOR: none */
    }
    adjoint_add(a, x, to);
}

/* e^(x - y), 0 where y is -inf: then both operands are. */
static int share(Adjoint *a, int d, int x, int y) {
    int nothing = two(a, OP_EQ, y, adjoint_number(a, -(double)INFINITY));
    int part = adjoint_times(a, d, one(a, OP_EXP, two(a, OP_SUB, x, y)));
    return adjoint_op(a, OP_SELECT, nothing, adjoint_number(a, 0), part);
}

static void power(Adjoint *a, const Node *node, int d) {
    int x = node->in[0], z = node->in[1], y = node->id;
    if (a->wanted[x]) {
        int less = two(a, OP_SUB, z, adjoint_number(a, 1));
        adjoint_add(a, x, adjoint_times(a, d, two(a, OP_MUL, z, two(a, OP_POW, x, less))));
    }
    if (!a->wanted[z]) return;
    /* y log x; where x is 0, and y with it, nothing. */
    int log = two(a, OP_MUL, y, one(a, OP_LOG, x));
    int positive = two(a, OP_GT, x, adjoint_number(a, 0));
    adjoint_add(a, z, adjoint_where(a, positive, adjoint_times(a, d, log)));
}

static void chosen(Adjoint *a, int mask, int x, int z, int d) {
    adjoint_add(a, x, adjoint_where(a, mask, d));
    if (a->wanted[z]) adjoint_add(a, z, adjoint_op(a, OP_SELECT, mask, adjoint_number(a, 0), d));
}

static void binary(Adjoint *a, const Node *node, int d) {
    int x = node->in[0], z = node->in[1], y = node->id;
    switch (node->op) {
    case OP_ADD:
        adjoint_add(a, x, d);
        adjoint_add(a, z, d);
        break;
    case OP_SUB:
        adjoint_add(a, x, d);
        if (a->wanted[z]) adjoint_add(a, z, one(a, OP_NEG, d));
        break;
    case OP_MUL:
        if (a->wanted[x]) adjoint_add(a, x, adjoint_times(a, d, z));
        if (a->wanted[z]) adjoint_add(a, z, adjoint_times(a, d, x));
        break;
    case OP_DIV:
        if (a->wanted[x]) adjoint_add(a, x, adjoint_by(a, d, z));
        if (a->wanted[z])
            adjoint_add(a, z, one(a, OP_NEG, adjoint_times(a, d, two(a, OP_DIV, y, z))));
        break;
    case OP_MOD: /* x - z floor(x/z) */
        adjoint_add(a, x, d);
        if (a->wanted[z])
            adjoint_add(
                a, z, one(a, OP_NEG, adjoint_times(a, d, one(a, OP_FLOOR, two(a, OP_DIV, x, z)))));
        break;
    case OP_POW: power(a, node, d); break;
    case OP_MIN: chosen(a, two(a, OP_LE, x, z), x, z, d); break;
    case OP_MAX: chosen(a, two(a, OP_GE, x, z), x, z, d); break;
    case OP_LOGADDEXP:
        if (a->wanted[x]) adjoint_add(a, x, share(a, d, x, y));
        if (a->wanted[z]) adjoint_add(a, z, share(a, d, z, y));
        break;
    default: break; /* comparisons, and, or: none */
    }
}

static bool wants(const Adjoint *a, int id) {
    return id < a->forward && a->wanted[id];
}

void adjoint_point(Adjoint *a, const Node *node, int d) {
    if (node->in_count == 1) {
        unary(a, node, d);
    } else if (node->in_count == 2) {
        binary(a, node, d);
    } else if (node->op == OP_SELECT) {
        if (wants(a, node->in[1])) adjoint_add(a, node->in[1], adjoint_where(a, node->in[0], d));
        if (wants(a, node->in[2]))
            adjoint_add(a, node->in[2],
                        adjoint_op(a, OP_SELECT, node->in[0], adjoint_number(a, 0), d));
    } else { /* CLIP: x < lo ? lo : x > hi ? hi : x */
        int x = node->in[0], low = node->in[1], high = node->in[2];
        int below = two(a, OP_LT, x, low);
        int above = two(a, OP_AND, one(a, OP_NOT, below), two(a, OP_GT, x, high));
        int outside = two(a, OP_OR, below, above);
        adjoint_add(a, x, adjoint_where(a, one(a, OP_NOT, outside), d));
        adjoint_add(a, low, adjoint_where(a, below, d));
        adjoint_add(a, high, adjoint_where(a, above, d));
    }
}
