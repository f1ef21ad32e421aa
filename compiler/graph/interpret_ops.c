/* The meaning of elementwise operations and of draws, one formula each. A formula is computed in
 * double and rounded once when the result is narrow; ints and bools are exact. */
#include "graph/interpret_run.h"

#include <math.h>

#include "rnn_rt.h"

static double sigmoid(double a) {
    if (a >= 0) return 1 / (1 + exp(-a));
    double e = exp(a);
    return e / (1 + e);
}

static double clip(double a, double low, double high) {
    return a < low ? low : a > high ? high : a;
}

static double softplus(double a) {
    return a > 0 ? a + log1p(exp(-a)) : log1p(exp(a));
}

static double log_add(double a, double b) {
    if (a != a || b != b) return a + b;
    if (a == b) return a + log(2.0); /* infinities, too */
    return a > b ? a + log1p(exp(b - a)) : b + log1p(exp(a - b));
}

static double unary(Op op, double a) {
    switch ((int)op) {
    case OP_VAR:
    case OP_DETACH:
    case OP_FLOAT: return a;
    case OP_NEG: return -a;
    case OP_NOT: return a == 0;
    case OP_SIGMOID: return sigmoid(a);
    case OP_TANH: return tanh(a);
    case OP_RELU: return a < 0 ? 0 : a;
    case OP_GELU: return a / 2 * erfc(-a / sqrt(2.0));
    case OP_SILU: return a * sigmoid(a);
    case OP_SOFTPLUS: return softplus(a);
    case OP_SOFTSIGN: return a / (1 + fabs(a));
    case OP_HARD_SIGMOID: return clip(a / 6 + 0.5, 0, 1);
    case OP_HARD_TANH: return clip(a, -1, 1);
    case OP_EXP: return exp(a);
    case OP_LOG: return log(a);
    case OP_SQRT: return sqrt(a);
    case OP_RSQRT: return 1 / sqrt(a);
    case OP_ABS: return fabs(a);
    case OP_SIGN: return a > 0 ? 1 : a < 0 ? -1 : a == 0 ? 0 : a;
    case OP_FLOOR: return floor(a);
    case OP_ERF: return erf(a);
    case OP_SIN: return sin(a);
    case OP_COS: return cos(a);
    case OP_SQUARE: return a * a;
    }
    return NAN; /* not a unary operation */
}

/* a - b*floor(a/b), each step rounded; exact for ints below 2^53. */
static double modulo(bool narrow, double a, double b) {
    double whole = floor(interp_round(narrow, a / b));
    return a - interp_round(narrow, b * whole);
}

static double binary(Op op, bool narrow, double a, double b) {
    switch ((int)op) {
    case OP_LEAKY_RELU: return a < 0 ? b * a : a;
    case OP_ELU: return a < 0 ? b * expm1(a) : a;
    case OP_ADD: return a + b;
    case OP_SUB: return a - b;
    case OP_MUL: return a * b;
    case OP_DIV: return a / b;
    case OP_MOD: return modulo(narrow, a, b);
    case OP_POW: return a != a || b != b ? a + b : pow(a, b); /* pow(1, NaN) is 1 */
    case OP_MIN: return a != a ? a : b != b || b < a ? b : a;
    case OP_MAX: return a != a ? a : b != b || b > a ? b : a;
    case OP_LOGADDEXP: return log_add(a, b);
    case OP_LT: return a < b;
    case OP_LE: return a <= b;
    case OP_GT: return a > b;
    case OP_GE: return a >= b;
    case OP_EQ: return a == b;
    case OP_NE: return a != b;
    case OP_AND: return a != 0 && b != 0;
    case OP_OR: return a != 0 || b != 0;
    }
    return NAN; /* not a binary operation */
}

int64_t interp_element(const Shape *from, const Shape *to, int64_t i) {
    int64_t place = 0, step = 1;
    if (from->rank == 0) return 0;
    for (int d = to->rank; d-- > 0;) {
        if (from->dim[d] != 1) place += i % to->dim[d] * step;
        i /= to->dim[d];
        step *= from->dim[d];
    }
    return place;
}

void interp_elementwise(Run *run, const Plan *plan, const double *const *in, double *out) {
    const Node *node = plan->node;
    const Shape *to = &node->type.shape;
    const Shape *shape[3] = {to, to, to};
    bool same[3] = {true, true, true};
    for (int j = 0; j < node->in_count && j < 3; j++) {
        shape[j] = &run->graph->nodes.at[node->in[j]]->type.shape;
        same[j] = shape_equal(*shape[j], *to);
    }
    OpClass class_ = op_info[node->op].class_;
    for (int64_t i = 0; i < plan->count; i++) {
        double x[3] = {0, 0, 0};
        for (int j = 0; j < node->in_count && j < 3; j++)
            x[j] = in[j][same[j] ? i : interp_element(shape[j], to, i)];
        double y = class_ == CLASS_UNARY    ? unary(node->op, x[0])
                   : class_ == CLASS_BINARY ? binary(node->op, plan->narrow, x[0], x[1])
                   : node->op == OP_SELECT  ? (x[0] != 0 ? x[1] : x[2])
                                            : clip(x[0], x[1], x[2]);
        /* Integers have no -0, and modulo what is not positive they are 0. */
        if (node->type.dtype == DT_INT) y = node->op == OP_MOD && !(x[1] > 0) ? 0 : y + 0.0;
        out[i] = interp_round(plan->narrow, y);
    }
}

/* Inverse of the distribution function of softmax(z), in double. */
static int64_t categorical(const double *z, int64_t count, double u) {
    double top = -INFINITY, all = 0, sum = 0;
    for (int64_t v = 0; v < count; v++)
        if (z[v] > top) top = z[v];
    for (int64_t v = 0; v < count; v++) all += exp(z[v] - top);
    int64_t last = 0;
    for (int64_t v = 0; v < count; v++) {
        double e = exp(z[v] - top);
        if (e > 0) last = v; /* rounding never picks what has no probability */
        sum += e;
        if (u * all < sum) return v;
    }
    return last;
}

void interp_draw(Run *run, const Plan *plan, const int64_t *at, const double *const *in,
                 double *out) {
    const Node *node = plan->node;
    const Shape *to = &node->type.shape;
    int positions = node->attr.at_count;
    uint64_t seed = run->call->seed, site = rt_hash_name(node->attr.site);
    uint64_t b = (uint64_t)run->b;
    bool single = run->call->single || (run->rounding && run->rounding->single);
    for (int64_t i = 0; i < plan->count; i++) {
        uint64_t e = (uint64_t)i;
        double x[2] = {0, 0}, y = 0, u;
        for (int j = 0; j < node->in_count && j < 2; j++)
            x[j] = in[j][interp_element(&run->graph->nodes.at[node->in[j]]->type.shape, to, i)];
        switch (node->attr.draw) {
        case DRAW_NORMAL:
            y = interp_round(plan->narrow, rt_normal(seed, site, b, at, positions, e));
            y *= node->in_count > 0 ? x[0] : 1;
            break;
        case DRAW_UNIFORM:
            y = single ? (double)rt_uniform24(seed, site, b, at, positions, e)
                       : rt_uniform(seed, site, b, at, positions, e);
            if (node->in_count > 1) {
                double width = interp_round(plan->narrow, x[1] - x[0]);
                y = x[0] + interp_round(plan->narrow, width * y);
            }
            break;
        case DRAW_BERNOULLI:
            u = (double)rt_uniform24(seed, site, b, at, positions, e);
            y = u < x[0];
            if (run->rounding) interp_bound_drawn(run, plan, in[0], i, u);
            break;
        case DRAW_CATEGORICAL:
            u = rt_uniform(seed, site, b, at, positions, e);
            y = (double)categorical(in[0], run->plans[node->in[0]].count, u);
            if (run->rounding) interp_bound_drawn(run, plan, in[0], i, u);
            break;
        }
        out[i] = interp_round(plan->narrow, y);
    }
}
