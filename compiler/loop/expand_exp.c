/* exp, sigmoid and tanh from one formula: a = n ln 2 + r, exp(a) = 2^n (1 + p), p = r + r^2 q(r).
 *
 * n is read off the low bits of a sum with 1.5 times 2^(digits - 1), to which a bias is added, so
 * that a shift makes 2^n of it. sigmoid and tanh clamp their argument first. */
#include "loop/expand.h"
#include "loop/expand_coefs.h"

#define LOG2_E 0x1.71547652b82fep+0

/* The sum whose low bits hold n + bias, and p. */
typedef struct Reduced {
    LExpr *sum, *p;
} Reduced;

/* rest: a small number to be added to a, or NULL. exact: p gets what the rounding of r lost. */
static Reduced reduce(Expander *x, LExpr *a, LExpr *rest, bool exact, int bias) {
    LExpr *magic = ex_real(x, ex_pick(x, 0x1.8p23, 0x1.8p52) + bias);
    LExpr *sum = ex_fma(x, a, ex_real(x, LOG2_E), magic);
    LExpr *n = ex_sub(x, sum, magic);
    /* fma takes ln 2 with all digits; without, n times the first part must be exact. */
    ExTable ln2 = EX_TABLE(x, ln2);
    double hi = x->fma ? ex_pick(x, 0x1.62e43p-1, 0x1.62e42fefa39efp-1) : ln2.at[0];
    double lo = x->fma ? ex_pick(x, -0x1.05c61p-29, 0x1.abc9e3b39803fp-56) : ln2.at[1];
    LExpr *first = ex_fma(x, n, ex_real(x, -hi), a);
    LExpr *r = ex_fma(x, n, ex_real(x, -lo), first);
    if (rest) r = ex_add(x, r, rest);
    LExpr *r2 = ex_mul(x, r, r);
    LExpr *q = ex_poly(x, r, r2, EX_TABLE(x, expm1));
    if (!exact) return (Reduced){sum, ex_fma(x, q, r2, r)};
    LExpr *lost = ex_fma(x, n, ex_real(x, -lo), ex_sub(x, first, r));
    return (Reduced){sum, ex_add(x, ex_fma(x, q, r2, lost), r)};
}

static int digits(const Expander *x) {
    return x->wide ? 52 : 23;
}

static int exponent_bias(const Expander *x) {
    return x->wide ? 1023 : 127;
}

static LExpr *clamp_below(Expander *x, LExpr *a, double low) {
    return ex_op(x, SOP_MAX, a, ex_real(x, low), NULL);
}

static LExpr *clamp_above(Expander *x, LExpr *a, double high) {
    return ex_op(x, SOP_MIN, a, ex_real(x, high), NULL);
}

/* 2^n from a sum with the exponent's bias. */
static LExpr *scale(Expander *x, LExpr *sum) {
    return ex_from_bits(x, ex_shift(x, SOP_SHL, ex_bits(x, sum), digits(x)));
}

LExpr *ex_exp_sum(Expander *x, LExpr *a, LExpr *rest) {
    a = clamp_below(x, a, ex_pick(x, -104, -746));
    a = clamp_above(x, a, ex_pick(x, 89, 710));
    /* 2^n as two factors, the one from half of n + 2 bias, so that both are normal numbers. */
    Reduced e = reduce(x, a, rest, false, 2 * exponent_bias(x));
    LExpr *whole = ex_bits(x, e.sum);
    LExpr *half = ex_shift(x, SOP_SHR, whole, 1);
    LExpr *s1 = ex_from_bits(x, ex_shift(x, SOP_SHL, half, digits(x)));
    LExpr *s2 = ex_from_bits(x, ex_shift(x, SOP_SHL, ex_sub(x, whole, half), digits(x)));
    /* fma with 0 where a product would do: what is returned may feed a sum. */
    return ex_fma(x, ex_fma(x, s1, e.p, s1), s2, ex_real(x, 0));
}

LExpr *expand_exp(Expander *x, LExpr *a) {
    return ex_exp_sum(x, a, NULL);
}

LExpr *ex_exp_near(Expander *x, LExpr *a) {
    Reduced e = reduce(x, a, NULL, false, exponent_bias(x));
    LExpr *s = scale(x, e.sum);
    return ex_fma(x, s, e.p, s);
}

/* 1 / (1 + exp(-a)); 0 where that would be subnormal, so that it is 0 of -infinity. */
LExpr *expand_sigmoid(Expander *x, LExpr *a) {
    LExpr *least = ex_real(x, ex_pick(x, -0x1.5d58p6, -0x1.6232p9));
    LExpr *b = clamp_above(x, a, ex_pick(x, 87, 708));
    Reduced e = reduce(x, ex_neg(x, b), NULL, false, exponent_bias(x));
    LExpr *s = scale(x, e.sum), *one = ex_real(x, 1);
    LExpr *result = ex_div(x, one, ex_add(x, ex_fma(x, s, e.p, one), s));
    return ex_select(x, ex_op(x, SOP_LT, a, least, NULL), ex_real(x, 0), result);
}

/* (exp(2 y) - 1) / (exp(2 y) + 1) at y = -|a|, then the sign of a. The plain form stays
 * below 2 ulp of floats; of doubles it passes that, near 0.22, so there r is carried exactly. */
LExpr *expand_tanh(Expander *x, LExpr *a) {
    LExpr *y = clamp_below(x, ex_neg(x, ex_abs(x, a)), ex_pick(x, -9.25, -20));
    Reduced e = reduce(x, ex_add(x, y, y), NULL, x->wide, exponent_bias(x));
    LExpr *s = scale(x, e.sum), *one = ex_real(x, 1);
    LExpr *over = ex_fma(x, s, e.p, ex_sub(x, s, one));
    LExpr *under = ex_fma(x, s, e.p, ex_add(x, s, one));
    return ex_with_sign(x, ex_div(x, over, under), a);
}
