/* Arithmetic on balls. Monotone functions are bounded by their steepest place within the ball, or
 * by their own range; those that compiled code makes of others, by those. */
#include "graph/interpret_ball.h"

#include <float.h>
#include <math.h>

/* Errors of compiled functions in units roundoff: twice the ulp of docs/accuracy.md. */
static const double units_exp = 2.2, units_log = 2, units_sigmoid = 4.2, units_tanh = 4.2,
                    units_softplus = 3.8, units_logaddexp = 3.4, units_pow = 2.8, units_erf = 3.2,
                    units_sin = 3.4;

static double farthest(double a, double b) {
    return a > b ? a : b;
}

static double nearest(double a, double b) {
    return a < b ? a : b;
}

Ball ball_leaf(const Rounding *r, double v) {
    if (!r->single || !isfinite(v)) return (Ball){v, 0};
    if (fabs(v) > r->limit) return (Ball){v, INFINITY};
    return (Ball){v, fabs(v - (double)(float)v)};
}

static bool holds(const Rounding *r, double v) {
    return !r->single || (double)(float)v == v;
}

Ball ball_round(const Rounding *r, double v, double e, double units, bool sure) {
    if (!isfinite(v)) return (Ball){v, sure ? 0 : INFINITY};
    if (v != 0 || e != 0) e += units * r->unit * (fabs(v) + e) + (units + 1) * r->tiny;
    return (Ball){v, fabs(v) + e <= r->limit ? e : INFINITY};
}

bool ball_grained(const Rounding *r, double v, double mass) {
    return v * 256 == rint(v * 256) && mass <= (r->single ? 0x1p15 : 0x1p44);
}

static Ball unknown(double v) {
    return (Ball){v, INFINITY};
}

/* ---- Arithmetic ---- */

Ball ball_add(const Rounding *r, Ball a, Ball b) {
    double v = a.v + b.v, mass = fabs(a.v) + fabs(b.v);
    if (isinf(a.e) || isinf(b.e)) return unknown(v);
    if (a.e + b.e == 0 && ball_grained(r, a.v, mass) && ball_grained(r, b.v, mass))
        return (Ball){v, 0};
    return ball_round(r, v, a.e + b.e, 1, !isfinite(a.v) || !isfinite(b.v) || a.e + b.e == 0);
}

/* Whether an infinity times this has one sign. */
static bool signed_(Ball a) {
    return a.e == 0 || fabs(a.v) > a.e;
}

Ball ball_mul(const Rounding *r, Ball a, Ball b) {
    double v = a.v * b.v;
    if (isinf(a.e) || isinf(b.e)) return unknown(v);
    if (a.e + b.e == 0 && holds(r, v) && fma(a.v, b.v, -v) == 0) return (Ball){v, 0};
    double e = fabs(a.v) * b.e + fabs(b.v) * a.e + a.e * b.e;
    return ball_round(r, v, isfinite(v) ? e : 0, 1, isnan(v) || (signed_(a) && signed_(b)));
}

Ball ball_div(const Rounding *r, Ball a, Ball b) {
    double v = a.v / b.v, down = fabs(b.v) - b.e;
    if (isinf(a.e) || isinf(b.e)) return unknown(v);
    if (a.e + b.e == 0 && holds(r, v) && fma(v, b.v, -a.v) == 0) return (Ball){v, 0};
    if (b.v != 0 && down <= 0) return unknown(v);
    /* The sign of a zero is that of nothing: a sum of zeros has it as its order is. */
    if (b.v == 0 && (b.e > 0 || a.v != 0)) return unknown(v);
    if (isinf(b.v)) return (Ball){v, 0};
    double e = isfinite(v) ? (a.e + fabs(v) * b.e) / down : 0;
    return ball_round(r, v, e, 1, signed_(a));
}

Ball ball_extreme(bool most, Ball a, Ball b) {
    if (isnan(a.v)) return a;
    if (isnan(b.v)) return b;
    if (isinf(a.e) || isinf(b.e)) return unknown(most ? farthest(a.v, b.v) : nearest(a.v, b.v));
    bool second = most ? b.v > a.v : b.v < a.v;
    Ball won = second ? b : a, lost = second ? a : b;
    if (fabs(won.v - lost.v) <= won.e + lost.e) won.e = farthest(won.e, lost.e);
    return won;
}

static Ball absolute(Ball a) {
    return (Ball){fabs(a.v), a.e};
}

Ball ball_clip(Ball a, Ball low, Ball high, bool *jumps) {
    if (low.v + low.e > high.v - high.e && low.v > high.v && fabs(a.v - low.v) <= a.e + low.e &&
        a.e + low.e > 0)
        *jumps = true;
    if (a.v < low.v && low.v > high.v) return low;
    return ball_extreme(false, ball_extreme(true, a, low), high);
}

double ball_share(double y, double others, double d) {
    double up = expm1(d), down = -expm1(-d);
    if (isinf(up)) return farthest(others, y);
    return y * others * farthest(up / (1 + y * up), down / (others + y * (1 - down)));
}

/* ---- Functions ---- */

/* The least magnitude within. */
static double inner(Ball a) {
    return fabs(a.v) > a.e ? fabs(a.v) - a.e : 0;
}

static double logistic(double x) {
    if (x >= 0) return 1 / (1 + exp(-x));
    return exp(x) / (1 + exp(x));
}

static Ball sigmoid(const Rounding *r, Ball a) {
    double v = logistic(a.v), m = exp(-inner(a));
    double e = nearest(a.e * m / ((1 + m) * (1 + m)), 1);
    /* Compiled code has 0 where the result is subnormal. */
    if (isfinite(a.v) && a.v - a.e < (r->single ? -87 : -708)) e += r->single ? FLT_MIN : DBL_MIN;
    return ball_round(r, v, e, units_sigmoid, true);
}

static Ball hyperbolic(const Rounding *r, Ball a) {
    double v = tanh(a.v), m = inner(a), s = m > 300 ? 0 : 1 / cosh(m);
    return ball_round(r, v, nearest(a.e * s * s, 2), units_tanh, true);
}

static Ball exponential(const Rounding *r, Ball a) {
    double v = exp(a.v);
    return ball_round(r, v, v > 0 && isfinite(v) ? v * expm1(a.e) : 0, units_exp,
                      a.e == 0 || isinf(exp(a.v - a.e)));
}

static Ball logarithm(const Rounding *r, Ball a) {
    double v = log(a.v);
    if (a.e == 0) return ball_round(r, v, 0, units_log, true);
    if (a.v + a.e < 0) return (Ball){v, 0};
    if (a.v - a.e <= 0) return unknown(v);
    return ball_round(r, v, -log1p(-a.e / a.v), units_log, true);
}

static Ball root(const Rounding *r, Ball a) {
    double v = sqrt(a.v), low = a.v - a.e;
    if (a.e == 0)
        return holds(r, v) && fma(v, v, -a.v) == 0 ? (Ball){v, 0} : ball_round(r, v, 0, 1, true);
    if (a.v + a.e < 0) return (Ball){v, 0};
    if (low < 0) return unknown(v);
    return ball_round(r, v, a.e / (v + sqrt(low)), 1, true);
}

static Ball error_function(const Rounding *r, Ball a) {
    double m = inner(a);
    return ball_round(r, erf(a.v), nearest(a.e * 1.1283791670955126 * exp(-m * m), 2), units_erf,
                      true);
}

static Ball soft_plus(const Rounding *r, Ball a) {
    double v = a.v > 0 ? a.v + log1p(exp(-a.v)) : log1p(exp(a.v));
    return ball_round(r, v, a.e * logistic(a.v + a.e), units_softplus, true);
}

static Ball soft_sign(const Rounding *r, Ball a) {
    double under = 1 + inner(a);
    return ball_round(r, a.v / (1 + fabs(a.v)), nearest(a.e / (under * under), 2), 2, false);
}

/* Beyond the range of the reduction compiled code gives NaN. */
static Ball wave(const Rounding *r, Ball a, double v) {
    if (isfinite(a.v) && fabs(a.v) + a.e > (r->single ? 0x1p20 : 0x1p30)) return unknown(v);
    return ball_round(r, v, nearest(a.e, 2), units_sin, true);
}

static Ball whole(Ball a, bool *jumps) {
    double v = floor(a.v);
    if (a.e > 0 && isfinite(a.v) && floor(a.v - a.e) != floor(a.v + a.e)) *jumps = true;
    return (Ball){v, 0};
}

static Ball gelu(const Rounding *r, Ball a) {
    Ball one = {1, 0}, half = {0.5, 0};
    Ball x = error_function(r, ball_mul(r, a, ball_leaf(r, 0.70710678118654752440)));
    return ball_mul(r, ball_mul(r, a, half), ball_add(r, one, x));
}

Ball ball_unary(const Rounding *r, Op op, Ball a, bool *jumps) {
    const Ball zero = {0, 0}, one = {1, 0};
    if (isinf(a.e)) {
        if (op == OP_FLOOR || op == OP_SIGN) *jumps = true;
        return unknown(a.v);
    }
    if (isnan(a.v)) return (Ball){a.v, 0};
    switch ((int)op) {
    case OP_VAR:
    case OP_DETACH:
    case OP_FLOAT: return a;
    case OP_NEG: return (Ball){-a.v, a.e};
    case OP_SIGMOID: return sigmoid(r, a);
    case OP_TANH: return hyperbolic(r, a);
    case OP_RELU: return ball_extreme(true, a, zero);
    case OP_GELU: return gelu(r, a);
    case OP_SILU: return ball_mul(r, a, sigmoid(r, a));
    case OP_SOFTPLUS: return soft_plus(r, a);
    case OP_SOFTSIGN: return soft_sign(r, a);
    case OP_HARD_SIGMOID: {
        Ball x = ball_add(r, ball_div(r, a, (Ball){6, 0}), (Ball){0.5, 0});
        return ball_clip(x, zero, one, jumps);
    }
    case OP_HARD_TANH: return ball_clip(a, (Ball){-1, 0}, one, jumps);
    case OP_EXP: return exponential(r, a);
    case OP_LOG: return logarithm(r, a);
    case OP_SQRT: return root(r, a);
    case OP_RSQRT: return ball_div(r, one, root(r, a));
    case OP_ABS: return absolute(a);
    case OP_SIGN:
        if (a.e > 0 && fabs(a.v) <= a.e) *jumps = true;
        return (Ball){a.v, 0};
    case OP_FLOOR: return whole(a, jumps);
    case OP_ERF: return error_function(r, a);
    case OP_SIN: return wave(r, a, sin(a.v));
    case OP_COS: return wave(r, a, cos(a.v));
    case OP_SQUARE: return ball_mul(r, a, a);
    }
    return unknown(a.v); /* not a unary operation */
}

/* a - b*floor(a/b) */
static Ball modulo(const Rounding *r, Ball a, Ball b, bool *jumps) {
    Ball q = whole(ball_div(r, a, b), jumps);
    if (isinf(a.e) || isinf(b.e)) *jumps = true;
    Ball product = ball_mul(r, b, q);
    product.v = -product.v;
    return ball_add(r, a, product);
}

static Ball power(const Rounding *r, Ball a, Ball b) {
    double v = pow(a.v, b.v), low = fabs(a.v) - a.e, high = fabs(a.v) + a.e;
    bool integer = b.e == 0 && b.v == rint(b.v);
    if (a.e + b.e == 0) return ball_round(r, v, 0, units_pow, true);
    if (b.e == 0 && b.v >= 1 && (integer || a.v - a.e >= 0))
        return ball_round(r, v, b.v * pow(high, b.v - 1) * a.e, units_pow, false);
    if (b.e == 0 && b.v >= 0 && a.v - a.e >= 0)
        return ball_round(
            r, v, nearest(pow(a.e, b.v), low > 0 ? b.v * pow(low, b.v - 1) * a.e : INFINITY),
            units_pow, false);
    if (low <= 0 || (a.v < 0 && !integer)) return unknown(v);
    double top = farthest(fabs(log(low)), fabs(log(high)));
    double e = (fabs(b.v) + b.e) * -log1p(-a.e / fabs(a.v)) + top * b.e;
    return ball_round(r, v, fabs(v) * expm1(e), units_pow, false);
}

static Ball log_add(const Rounding *r, Ball a, Ball b) {
    double v, p = logistic(a.v - b.v);
    if (isinf(a.v) || isinf(b.v)) {
        v = farthest(a.v, b.v);
        return isinf(v) ? (Ball){v, 0} : (Ball){v, a.v == v ? a.e : b.e};
    }
    v = a.v > b.v ? a.v + log1p(exp(b.v - a.v)) : b.v + log1p(exp(a.v - b.v));
    double most = farthest(a.e, b.e), e = log1p(p * expm1(a.e) + (1 - p) * expm1(b.e));
    if (!(e < most)) e = most;
    return ball_round(r, v, e + units_logaddexp * r->unit * farthest(0.5 - fabs(v), 0),
                      units_logaddexp, true);
}

/* Linear pieces, or exp below 0: `b` times something of slope 1 at most. */
static Ball leak(const Rounding *r, Op op, Ball a, Ball b) {
    Ball low = ball_mul(r, b, a);
    if (op == OP_ELU) low = ball_mul(r, b, ball_add(r, exponential(r, a), (Ball){-1, 0}));
    if (a.v - a.e >= 0) return a;
    if (a.v + a.e >= 0) {
        double slope = farthest(1, fabs(b.v) + b.e), e = low.e;
        low.e = farthest(e, slope * a.e * (op == OP_ELU ? exp(farthest(a.v + a.e, 0)) : 1) + e);
    }
    return low;
}

Ball ball_binary(const Rounding *r, Op op, Ball a, Ball b, bool *jumps) {
    switch ((int)op) {
    case OP_LT:
    case OP_LE:
    case OP_GT:
    case OP_GE:
    case OP_EQ:
    case OP_NE:
        if (isinf(a.e) || isinf(b.e) || (a.e + b.e > 0 && fabs(a.v - b.v) <= a.e + b.e))
            *jumps = true;
        return (Ball){0, 0};
    case OP_MOD: return modulo(r, a, b, jumps);
    }
    if (isinf(a.e) || isinf(b.e)) return unknown(a.v);
    if (isnan(a.v) || isnan(b.v)) return (Ball){(double)NAN, 0};
    switch ((int)op) {
    case OP_LEAKY_RELU:
    case OP_ELU: return leak(r, op, a, b);
    case OP_ADD: return ball_add(r, a, b);
    case OP_SUB: return ball_add(r, a, (Ball){-b.v, b.e});
    case OP_MUL: return ball_mul(r, a, b);
    case OP_DIV: return ball_div(r, a, b);
    case OP_POW: return power(r, a, b);
    case OP_MIN:
    case OP_MAX: return ball_extreme(op == OP_MAX, a, b);
    case OP_LOGADDEXP: return log_add(r, a, b);
    }
    return (Ball){0, 0}; /* of bools */
}
