/* sqrt, correctly rounded, and floor, exact. */
#include "loop/expand.h"

/* The inverse square root of m by the halved exponent, and Newton's iteration. */
static LExpr *inverse_root(Expander *x, LExpr *m, LExpr *m_bits) {
    LExpr *magic = ex_int(x, ex_pick_int(x, 0x5f3759df, 0x5fe6eb50c7b537a9));
    LExpr *y = ex_from_bits(x, ex_sub(x, magic, ex_shift(x, SOP_SHR, m_bits, 1)));
    LExpr *minus_half = ex_mul(x, m, ex_real(x, -0.5)), *three_halves = ex_real(x, 1.5);
    for (int i = 0; i < (x->wide ? 3 : 2); i++) {
        LExpr *yy = ex_mul(x, y, y);
        y = ex_mul(x, y, ex_fma(x, minus_half, yy, three_halves));
    }
    return y;
}

/* The root of m in [1, 4), from y near its inverse. After one more step s is less than an ulp u
 * away: the step squares a relative error below 2^-17 (2^-34). Then s is the nearest number unless
 * the root lies beyond s + u/2 or s - u/2, that is, unless m - s^2 is above s u + u^2/4 or below
 * -s u + u^2/4. m, s^2 and s u are multiples of u^2: unless m - s^2 > s u or <= -s u. These are
 * told right, since the difference is exact where it is near s u, and rounding is monotone. (The
 * root of no m is a tie.) */
static LExpr *round_root(Expander *x, LExpr *m, LExpr *y) {
    LExpr *s = ex_mul(x, m, y);
    LExpr *rest = ex_exact_fma(x, ex_neg(x, s), s, m);
    s = ex_fma(x, rest, ex_mul(x, y, ex_real(x, 0.5)), s);
    s = ex_op(x, SOP_MAX, s, ex_real(x, 1), NULL);
    rest = ex_exact_fma(x, ex_neg(x, s), s, m);
    LExpr *ulp = ex_real(x, ex_pick(x, 0x1p-23, 0x1p-52));
    LExpr *bound = ex_mul(x, s, ulp);
    LExpr *up = ex_add(x, s, ulp), *down = ex_sub(x, s, ulp);
    LExpr *low = ex_op(x, SOP_LE, rest, ex_neg(x, bound), NULL);
    LExpr *high = ex_op(x, SOP_GT, rest, bound, NULL);
    return ex_select(x, high, up, ex_select(x, low, down, s));
}

LExpr *expand_sqrt(Expander *x, LExpr *a) {
    int digits = x->wide ? 52 : 23;
    /* Subnormals are brought among the normal numbers by an even power of two. */
    LExpr *least = ex_real(x, ex_pick(x, 0x1p-126, 0x1p-1022));
    LExpr *tiny = ex_op(x, SOP_LT, a, least, NULL);
    LExpr *larger = ex_mul(x, a, ex_real(x, ex_pick(x, 0x1p24, 0x1p54)));
    LExpr *bits = ex_bits(x, ex_select(x, tiny, larger, a));
    /* m: the fraction with the exponent's last bit, turned: with the bias, odd is an even power. */
    LExpr *fraction = ex_int(x, ex_pick_int(x, 0x00ffffff, 0x001fffffffffffff));
    LExpr *turn = ex_int(x, (int64_t)1 << digits);
    LExpr *one = ex_int(x, ex_pick_int(x, 0x3f800000, 0x3ff0000000000000));
    LExpr *m_bits = ex_op(x, SOP_AND, bits, fraction, NULL);
    m_bits = ex_add(x, ex_op(x, SOP_XOR, m_bits, turn, NULL), one);
    LExpr *m = ex_from_bits(x, m_bits);
    LExpr *s = round_root(x, m, inverse_root(x, m, m_bits));
    LExpr *exponent = ex_shift(x, SOP_SHR, bits, digits);
    exponent = ex_add(x, exponent, ex_int(x, x->wide ? 1023 : 127));
    exponent = ex_shift(x, SOP_SHL, ex_shift(x, SOP_SHR, exponent, 1), digits);
    LExpr *root = ex_mul(x, s, ex_from_bits(x, exponent));
    LExpr *smaller = ex_mul(x, root, ex_real(x, ex_pick(x, 0x1p-12, 0x1p-27)));
    root = ex_select(x, tiny, smaller, root);
    LExpr *zero = ex_real(x, 0);
    root = ex_select(x, ex_op(x, SOP_LT, a, ex_infinity(x, false), NULL), root, a);
    root = ex_select(x, ex_op(x, SOP_EQ, a, zero, NULL), a, root);
    return ex_select(x, ex_op(x, SOP_LT, a, zero, NULL), ex_nan(x), root);
}

/* Below 2^23 (2^52) a sum with that number has no digits behind the point. */
LExpr *expand_floor(Expander *x, LExpr *a) {
    LExpr *magic = ex_real(x, ex_pick(x, 0x1p23, 0x1p52));
    LExpr *size = ex_abs(x, a);
    LExpr *near = ex_with_sign(x, ex_sub(x, ex_add(x, size, magic), magic), a);
    LExpr *below = ex_sub(x, near, ex_real(x, 1));
    near = ex_select(x, ex_op(x, SOP_GT, near, a, NULL), below, near);
    return ex_select(x, ex_op(x, SOP_LT, size, magic, NULL), near, a);
}
