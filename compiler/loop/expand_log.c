/* log, and softplus and logaddexp, which need log(1 + t) of an exponential t.
 *
 * log(1 + f) = 2 atanh(s) with s = f / (2 + f), which is f - s (f - R), R = z (2/3 + 2/5 z + ...),
 * z = s^2: f is exact, and what is subtracted from it is small. */
#include "loop/expand.h"
#include "loop/expand_coefs.h"

ExSplit ex_log_split(Expander *x, LExpr *a) {
    int digits = x->wide ? 52 : 23;
    LExpr *least = ex_real(x, ex_pick(x, 0x1p-126, 0x1p-1022));
    LExpr *tiny = ex_op(x, SOP_LT, a, least, NULL);
    LExpr *larger = ex_mul(x, a, ex_real(x, ex_pick(x, 0x1p24, 0x1p54)));
    LExpr *bits = ex_bits(x, ex_select(x, tiny, larger, a));
    /* Moved so that the exponent changes at sqrt(1/2); the fraction is moved back. */
    int64_t one = ex_pick_int(x, 0x3f800000, 0x3ff0000000000000);
    int64_t root = ex_pick_int(x, 0x3f3504f3, 0x3fe6a09e667f3bcd);
    bits = ex_add(x, bits, ex_int(x, one - root));
    LExpr *fraction = ex_op(x, SOP_AND, bits, ex_int(x, ((int64_t)1 << digits) - 1), NULL);
    LExpr *m = ex_from_bits(x, ex_add(x, fraction, ex_int(x, root)));
    /* k as a float: as the last digits of 2^23 + k + 127 (2^52 + k + 1023). */
    int64_t base = ex_pick_int(x, 0x4b000000, 0x4330000000000000);
    double bias = ex_pick(x, 0x1p23 + 127, 0x1p52 + 1023), scaled = ex_pick(x, 24, 54);
    LExpr *k = ex_add(x, ex_shift(x, SOP_SHR, bits, digits), ex_int(x, base));
    LExpr *less = ex_select(x, tiny, ex_real(x, bias + scaled), ex_real(x, bias));
    return (ExSplit){ex_sub(x, m, ex_real(x, 1)), ex_sub(x, ex_from_bits(x, k), less)};
}

/* k ln 2 + log(1 + f), -1/4 <= f <= 1/2; k times the first part of ln 2 is exact. */
static LExpr *log_of_split(Expander *x, ExSplit of) {
    ExTable ln2 = EX_TABLE(x, ln2);
    LExpr *s = ex_div(x, of.f, ex_add(x, of.f, ex_real(x, 2)));
    LExpr *z = ex_mul(x, s, s);
    LExpr *rest = ex_poly(x, z, NULL, EX_TABLE(x, log_rest));
    LExpr *inner = ex_fma(x, ex_neg(x, z), rest, of.f);
    LExpr *low = ex_mul(x, of.k, ex_real(x, -ln2.at[1]));
    LExpr *high = ex_sub(x, of.f, ex_fma(x, s, inner, low));
    return ex_fma(x, of.k, ex_real(x, ln2.at[0]), high);
}

LExpr *expand_log(Expander *x, LExpr *a) {
    LExpr *result = log_of_split(x, ex_log_split(x, a)), *zero = ex_real(x, 0);
    result = ex_select(x, ex_op(x, SOP_LT, a, ex_infinity(x, false), NULL), result, a);
    result = ex_select(x, ex_op(x, SOP_EQ, a, zero, NULL), ex_infinity(x, true), result);
    return ex_select(x, ex_op(x, SOP_LT, a, zero, NULL), ex_nan(x), result);
}

/* log(1 + t) of t from 0 to 1: above 1/2 as ln 2 + log(1 + (t - 1)/2); t - 1 is exact there. */
static LExpr *log1p_small(Expander *x, LExpr *t) {
    LExpr *half = ex_real(x, 0.5);
    LExpr *above = ex_op(x, SOP_GT, t, half, NULL);
    LExpr *f = ex_select(x, above, ex_fma(x, t, half, ex_real(x, -0.5)), t);
    LExpr *k = ex_select(x, above, ex_real(x, 1), ex_real(x, 0));
    return log_of_split(x, (ExSplit){f, k});
}

LExpr *expand_softplus(Expander *x, LExpr *a) {
    LExpr *t = expand_exp(x, ex_neg(x, ex_abs(x, a)));
    LExpr *most = ex_op(x, SOP_MAX, a, ex_real(x, 0), NULL);
    return ex_add(x, most, log1p_small(x, t));
}

/* The larger one + log(1 + exp(-|a - b|)); equal infinities have no difference. */
LExpr *expand_logaddexp(Expander *x, LExpr *a, LExpr *b) {
    LExpr *equal = ex_op(x, SOP_EQ, a, b, NULL);
    LExpr *apart = ex_select(x, equal, ex_real(x, 0), ex_sub(x, a, b));
    LExpr *t = expand_exp(x, ex_neg(x, ex_abs(x, apart)));
    return ex_add(x, ex_op(x, SOP_MAX, a, b, NULL), log1p_small(x, t));
}
