/* erf: below 1 an odd polynomial, above 1 - exp(-a^2) q(1 / (a + 2)). */
#include "loop/expand.h"
#include "loop/expand_coefs.h"

LExpr *expand_erf(Expander *x, LExpr *a) {
    LExpr *one = ex_real(x, 1), *size = ex_abs(x, a);
    LExpr *near = ex_fma(x, a, ex_poly(x, ex_mul(x, a, a), NULL, EX_TABLE(x, erf_near)), a);
    /* From here on erf is 1. */
    LExpr *b = ex_op(x, SOP_MIN, size, ex_real(x, ex_pick(x, 4, 6)), NULL);
    LExpr *t = ex_div(x, one, ex_add(x, b, ex_real(x, 2)));
    LExpr *q = ex_poly(x, t, NULL, EX_TABLE(x, erf_far));
    LExpr *e = ex_exp_near(x, ex_mul(x, ex_neg(x, b), b));
    LExpr *far = ex_with_sign(x, ex_fma(x, ex_neg(x, e), q, one), a);
    return ex_select(x, ex_op(x, SOP_LT, size, one, NULL), near, far);
}
