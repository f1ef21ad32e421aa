/* Constants are folded in double with the definitions of ops.def: a result is rounded once, to the
 * type that the program runs in. */
#include "passes/fold.h"

#include <math.h>

static double sigmoid(double a) {
    return a < 0 ? exp(a) / (1 + exp(a)) : 1 / (1 + exp(-a));
}

static double smaller(double a, double b) {
    return isnan(a) ? a : isnan(b) || b < a ? b : a;
}

static double larger(double a, double b) {
    return isnan(a) ? a : isnan(b) || b > a ? b : a;
}

static double log_add(double a, double b) {
    double high = larger(a, b);
    if (isnan(high) || isinf(high)) return high;
    if (a == b) return a + log(2.0);
    return high + log1p(exp(-fabs(a - b)));
}

static double clip(double a, double low, double high) {
    return a < low ? low : a > high ? high : a;
}

static bool fold_unary(Op op, double a, double *to) {
    switch ((int)op) {
    case OP_VAR:
    case OP_DETACH:
    case OP_FLOAT: *to = a; return true;
    case OP_NEG: *to = -a; return true;
    case OP_NOT: *to = a == 0; return true;
    case OP_SIGMOID: *to = sigmoid(a); return true;
    case OP_TANH: *to = tanh(a); return true;
    case OP_RELU: *to = a < 0 ? 0 : a; return true;
    case OP_GELU: *to = a / 2 * erfc(-a / sqrt(2.0)); return true;
    case OP_SILU: *to = a * sigmoid(a); return true;
    case OP_SOFTPLUS: *to = larger(a, 0) + log1p(exp(-fabs(a))); return true;
    case OP_SOFTSIGN: *to = a / (1 + fabs(a)); return true;
    case OP_HARD_SIGMOID: *to = clip(a / 6 + 0.5, 0, 1); return true;
    case OP_HARD_TANH: *to = clip(a, -1, 1); return true;
    case OP_EXP: *to = exp(a); return true;
    case OP_LOG: *to = log(a); return true;
    case OP_SQRT: *to = sqrt(a); return true;
    case OP_RSQRT: *to = 1 / sqrt(a); return true;
    case OP_ABS: *to = fabs(a); return true;
    case OP_SIGN: *to = isnan(a) ? a : (double)((a > 0) - (a < 0)); return true;
    case OP_FLOOR: *to = floor(a); return true;
    case OP_ERF: *to = erf(a); return true;
    case OP_SIN: *to = sin(a); return true;
    case OP_COS: *to = cos(a); return true;
    case OP_SQUARE: *to = a * a; return true;
    }
    return false;
}

static bool fold_binary(Op op, double a, double b, double *to) {
    switch ((int)op) {
    case OP_LEAKY_RELU: *to = a < 0 ? b * a : a; return true;
    case OP_ELU: *to = a < 0 ? b * expm1(a) : a; return true;
    case OP_ADD: *to = a + b; return true;
    case OP_SUB: *to = a - b; return true;
    case OP_MUL: *to = a * b; return true;
    case OP_DIV: *to = a / b; return true;
    case OP_MOD: *to = a - b * floor(a / b); return true;
    case OP_POW: *to = isnan(a) || isnan(b) ? (double)NAN : pow(a, b); return true;
    case OP_MIN: *to = smaller(a, b); return true;
    case OP_MAX: *to = larger(a, b); return true;
    case OP_LOGADDEXP: *to = log_add(a, b); return true;
    case OP_LT: *to = a < b; return true;
    case OP_LE: *to = a <= b; return true;
    case OP_GT: *to = a > b; return true;
    case OP_GE: *to = a >= b; return true;
    case OP_EQ: *to = a == b; return true;
    case OP_NE: *to = a != b; return true;
    case OP_AND: *to = a != 0 && b != 0; return true;
    case OP_OR: *to = a != 0 || b != 0; return true;
    }
    return false;
}

bool fold_constant(Op op, int count, const double *in, const Type *const *types, Type type,
                   double *value) {
    bool done = count == 1   ? fold_unary(op, in[0], value)
                : count == 2 ? fold_binary(op, in[0], in[1], value)
                             : false;
    if (op == OP_SELECT) {
        *value = in[0] != 0 ? in[1] : in[2];
        done = true;
    } else if (op == OP_CLIP) {
        *value = clip(in[0], in[1], in[2]);
        done = true;
    }
    if (!done || type.dtype != DT_INT) return done;
    for (int i = 0; i < count; i++)
        if (types[i]->dtype == DT_INT && fabs(in[i]) > 9007199254740992.0) return false;
    return fabs(*value) <= 9007199254740992.0 && floor(*value) == *value;
}
