/* pow: exp(b log a) with log a in two numbers, so that b log a has some 10 bits more than the type.
 *
 * log(1 + f) = 2 s + w (2/3 + z q(z)), s = f / (2 + f), z = s^2, w = s z: the division and all
 * products but q are carried with their rests. Zeros, infinities and signs follow C. */
#include "loop/expand.h"
#include "loop/expand_coefs.h"

/* high + low, low below an ulp of high. */
typedef struct Pair {
    LExpr *high, *low;
} Pair;

static Pair product(Expander *x, LExpr *a, LExpr *b) {
    LExpr *high = ex_mul(x, a, b);
    return (Pair){high, ex_product_rest(x, a, b, high)};
}

/* log a of positive finite a. */
static Pair log_pair(Expander *x, LExpr *a) {
    ExTable ln2 = EX_TABLE(x, ln2), two_thirds = EX_TABLE(x, two_thirds);
    ExSplit of = ex_log_split(x, a);
    LExpr *two = ex_real(x, 2), *k = of.k;
    /* s = f / (2 + f) */
    LExpr *d = ex_add(x, of.f, two), *d_low = ex_sub(x, of.f, ex_sub(x, d, two));
    LExpr *s = ex_div(x, of.f, d), *minus_s = ex_neg(x, s);
    LExpr *rest = ex_exact_fma(x, minus_s, d, of.f);
    LExpr *s_low = ex_div(x, ex_fma(x, minus_s, d_low, rest), d);
    LExpr *s2 = ex_add(x, s, s), *s2_low = ex_add(x, s_low, s_low);
    /* z = s^2, w = s z */
    Pair z = product(x, s, s);
    z.low = ex_fma(x, s2, s_low, z.low);
    Pair w = product(x, z.high, s);
    w.low = ex_fma(x, z.high, s_low, ex_fma(x, z.low, s, w.low));
    /* c = 2/3 + z q(z) */
    LExpr *q = ex_poly(x, z.high, NULL, EX_TABLE(x, pow_rest));
    LExpr *third = ex_real(x, two_thirds.at[0]);
    Pair c = {ex_fma(x, z.high, q, third), NULL};
    c.low = ex_fma(x, z.high, q, ex_sub(x, third, c.high));
    c.low = ex_add(x, c.low, ex_real(x, two_thirds.at[1]));
    /* k ln 2 + 2 s + w c: the larger ones first, each with what its rounding lost. */
    LExpr *ln2_high = ex_real(x, ln2.at[0]);
    LExpr *sum = ex_fma(x, k, ln2_high, s2);
    LExpr *lost = ex_sub(x, s2, ex_fma(x, ex_neg(x, k), ln2_high, sum));
    LExpr *total = ex_fma(x, w.high, c.high, sum);
    LExpr *lost_too = ex_exact_fma(x, w.high, c.high, ex_sub(x, sum, total));
    LExpr *low = ex_fma(x, w.high, c.low, ex_fma(x, w.low, c.high, s2_low));
    low = ex_fma(x, k, ex_real(x, ln2.at[1]), low);
    low = ex_add(x, low, ex_add(x, lost, lost_too));
    LExpr *high = ex_add(x, total, low);
    return (Pair){high, ex_sub(x, low, ex_sub(x, high, total))};
}

/* Whether b / parts is an integer, b >= 0: below 2^23 (2^52) tried by a sum, above always. */
static LExpr *is_integer(Expander *x, LExpr *b, int parts) {
    LExpr *magic = ex_real(x, ex_pick(x, 0x1p23, 0x1p52)), *part = ex_real(x, 1.0 / parts);
    LExpr *near = ex_sub(x, ex_fma(x, b, part, magic), magic);
    if (parts > 1) b = ex_mul(x, b, part);
    LExpr *small = ex_op(x, SOP_EQ, near, b, NULL);
    return ex_op(x, SOP_MOR, small, ex_op(x, SOP_GE, b, magic, NULL), NULL);
}

/* exp(b log) for log a in two numbers. */
static LExpr *exp_of_product(Expander *x, LExpr *b, Pair log) {
    LExpr *high = ex_mul(x, b, log.high);
    LExpr *low = ex_fma(x, b, log.low, ex_product_rest(x, b, log.high, high));
    /* Far outside, and of infinities, the rest is not a number or means nothing. */
    LExpr *near = ex_op(x, SOP_LT, ex_abs(x, high), ex_real(x, 1000), NULL);
    return ex_exp_sum(x, high, ex_select(x, near, low, ex_real(x, 0)));
}

LExpr *expand_pow(Expander *x, LExpr *a, LExpr *b) {
    LExpr *zero = ex_real(x, 0), *one = ex_real(x, 1), *infinity = ex_infinity(x, false);
    LExpr *size = ex_abs(x, a), *b_size = ex_abs(x, b);
    Pair log = log_pair(x, size);
    LExpr *is_zero = ex_op(x, SOP_EQ, a, zero, NULL);
    log.high = ex_select(x, ex_op(x, SOP_EQ, size, infinity, NULL), infinity, log.high);
    log.high = ex_select(x, is_zero, ex_infinity(x, true), log.high);
    LExpr *result = exp_of_product(x, b, log);
    /* The power of -1 or 1, which an infinite b does not change. */
    result = ex_select(x, ex_op(x, SOP_EQ, size, one, NULL), one, result);
    /* b is odd where it is an integer and its half is not. */
    LExpr *whole = is_integer(x, b_size, 1);
    LExpr *halves = is_integer(x, b_size, 2);
    LExpr *odd = ex_op(x, SOP_MAND, whole, ex_op(x, SOP_MNOT, halves, NULL, NULL), NULL);
    result = ex_select(x, odd, ex_with_sign(x, result, a), result);
    LExpr *negative = ex_op(x, SOP_LT, a, zero, NULL);
    LExpr *finite = ex_op(x, SOP_LT, size, infinity, NULL);
    LExpr *fraction = ex_op(x, SOP_MNOT, whole, NULL, NULL);
    LExpr *none = ex_op(x, SOP_MAND, negative, finite, NULL);
    none = ex_op(x, SOP_MAND, none, fraction, NULL);
    /* NaN, unless b is 0 or a is 1. */
    none = ex_op(x, SOP_MOR, none, ex_op(x, SOP_NE, a, a, NULL), NULL);
    none = ex_op(x, SOP_MOR, none, ex_op(x, SOP_NE, b, b, NULL), NULL);
    result = ex_select(x, none, ex_nan(x), result);
    LExpr *always = ex_op(x, SOP_EQ, b, zero, NULL);
    always = ex_op(x, SOP_MOR, always, ex_op(x, SOP_EQ, a, one, NULL), NULL);
    return ex_select(x, always, one, result);
}
