/* sin and cos: a = n pi/2 + r by pi/2 in three parts, then the one or the other polynomial of r.
 *
 * |a| may be 2^20 (f32) or 2^30 (f64), so that n times the first part loses nothing; beyond, where
 * the digits of pi/2 would not do, the result is NaN rather than some number between -1 and 1. */
#include "loop/expand.h"
#include "loop/expand_coefs.h"

#define TWO_OVER_PI 0x1.45f306dc9c883p-1

/* sin (quadrant 0) or cos (quadrant 1), which is sin a quarter later. */
static LExpr *expand_wave(Expander *x, LExpr *a, int quadrant) {
    ExTable half_pi = EX_TABLE(x, half_pi);
    LExpr *magic = ex_real(x, ex_pick(x, 0x1.8p23, 0x1.8p52));
    LExpr *sum = ex_fma(x, a, ex_real(x, TWO_OVER_PI), magic);
    LExpr *n = ex_sub(x, sum, magic);
    LExpr *r = ex_exact_fma(x, n, ex_real(x, -half_pi.at[0]), a);
    r = ex_exact_fma(x, n, ex_real(x, -half_pi.at[1]), r);
    r = ex_fma(x, n, ex_real(x, -half_pi.at[2]), r);
    LExpr *z = ex_mul(x, r, r);
    LExpr *sine = ex_fma(x, ex_mul(x, r, z), ex_poly(x, z, NULL, EX_TABLE(x, sin_rest)), r);
    LExpr *one = ex_real(x, 1), *cosine = ex_fma(x, z, ex_real(x, -0.5), one);
    cosine = ex_fma(x, ex_mul(x, z, z), ex_poly(x, z, NULL, EX_TABLE(x, cos_rest)), cosine);
    LExpr *bits = ex_bits(x, sum);
    if (quadrant) bits = ex_add(x, bits, ex_int(x, quadrant));
    LExpr *low = ex_op(x, SOP_AND, bits, ex_int(x, 1), NULL);
    LExpr *odd = ex_op(x, SOP_NE, low, ex_int(x, 0), NULL);
    LExpr *sign = ex_op(x, SOP_AND, bits, ex_int(x, 2), NULL);
    sign = ex_shift(x, SOP_SHL, sign, x->wide ? 62 : 30);
    LExpr *result = ex_bits(x, ex_select(x, odd, cosine, sine));
    result = ex_from_bits(x, ex_op(x, SOP_XOR, result, sign, NULL));
    LExpr *size = ex_abs(x, a);
    if (!quadrant) { /* keeps -0 */
        LExpr *least = ex_real(x, ex_pick(x, 0x1p-13, 0x1p-28));
        result = ex_select(x, ex_op(x, SOP_LT, size, least, NULL), a, result);
    }
    LExpr *bound = ex_real(x, ex_pick(x, 0x1p20, 0x1p30));
    return ex_select(x, ex_op(x, SOP_LE, size, bound, NULL), result, ex_nan(x));
}

LExpr *expand_sin(Expander *x, LExpr *a) {
    return expand_wave(x, a, 0);
}

LExpr *expand_cos(Expander *x, LExpr *a) {
    return expand_wave(x, a, 1);
}
