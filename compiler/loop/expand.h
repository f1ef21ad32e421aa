/* Inside the expansion of math: builders of straight-line code for one operation. Each result is
 * put in a variable of its own, so that an expression can be used many times and a backend whose
 * fma is a macro never nests one. What an expander emits works alike on every lane, and its result
 * is no product: the program around may add to it. */
#ifndef RNNC_LOOP_EXPAND_H
#define RNNC_LOOP_EXPAND_H

#include "loop/loop.h"

/* A constant in all lanes, kept in a variable to the end of the block that declares it. */
typedef struct ExConst {
    LoopType type;
    int lanes, var;
    uint64_t bits;
} ExConst;

typedef struct Expander {
    LoopModule *module;
    LFunction *function;
    LBlock *block;    /* where the code goes */
    const char *name; /* for variables */
    LoopType type;    /* F32 or F64 */
    LoopType ints;    /* the integer of that width */
    bool wide;        /* F64 */
    bool fma;         /* the target has it: a*b + c is exact before the last rounding */
    int lanes;
    VEC(ExConst) consts; /* those in scope */
} Expander;

typedef struct ExTable {
    const double *at;
    int count;
} ExTable;

/* A table of expand_coefs.h for the type at hand. */
#define EX_TABLE(x, name)                                                            \
    ((x)->wide ? (ExTable){name##_f64, (int)(sizeof name##_f64 / sizeof *name##_f64)} \
               : (ExTable){name##_f32, (int)(sizeof name##_f32 / sizeof *name##_f32)})

/* What differs between the types. */
static inline double ex_pick(const Expander *x, double f32, double f64) {
    return x->wide ? f64 : f32;
}

static inline int64_t ex_pick_int(const Expander *x, int64_t f32, int64_t f64) {
    return x->wide ? f64 : f32;
}

/* ---- expand_build.c ---- */

LExpr *ex_keep(Expander *x, LExpr *e); /* e in a variable, unless it is one or a constant */
LExpr *ex_op(Expander *x, ScalarOp op, LExpr *a, LExpr *b, LExpr *c);
LExpr *ex_real(Expander *x, double value);  /* finite */
LExpr *ex_int(Expander *x, int64_t value);
LExpr *ex_shift(Expander *x, ScalarOp op, LExpr *a, int by);
LExpr *ex_bits(Expander *x, LExpr *a);      /* the float's bits as an integer */
LExpr *ex_from_bits(Expander *x, LExpr *a); /* and back */
LExpr *ex_infinity(Expander *x, bool negative);
LExpr *ex_nan(Expander *x);
LExpr *ex_select(Expander *x, LExpr *mask, LExpr *then, LExpr *otherwise);

LExpr *ex_add(Expander *x, LExpr *a, LExpr *b);
LExpr *ex_sub(Expander *x, LExpr *a, LExpr *b);
LExpr *ex_mul(Expander *x, LExpr *a, LExpr *b);
LExpr *ex_div(Expander *x, LExpr *a, LExpr *b);
LExpr *ex_fma(Expander *x, LExpr *a, LExpr *b, LExpr *c);
LExpr *ex_neg(Expander *x, LExpr *a);
LExpr *ex_abs(Expander *x, LExpr *a);

/* The magnitude of `a` with the sign of `sign`. */
LExpr *ex_with_sign(Expander *x, LExpr *a, LExpr *sign);

/* a*b + c with the product exact: fma, or the product in two parts, hi and lo, and (c + hi) + lo,
 * which is rounded once only where c + hi is exact; no part may overflow. */
LExpr *ex_exact_fma(Expander *x, LExpr *a, LExpr *b, LExpr *c);

/* The part of a*b that the product `hi` lacks, exactly. */
LExpr *ex_product_rest(Expander *x, LExpr *a, LExpr *b, LExpr *hi);

/* The polynomial of `table` at a, by Estrin's scheme; square is a*a, or NULL. */
LExpr *ex_poly(Expander *x, LExpr *a, LExpr *square, ExTable table);

/* ---- the operations ---- */

LExpr *expand_exp(Expander *x, LExpr *a);
LExpr *expand_sigmoid(Expander *x, LExpr *a);
LExpr *expand_tanh(Expander *x, LExpr *a);
LExpr *expand_log(Expander *x, LExpr *a);
LExpr *expand_softplus(Expander *x, LExpr *a);
LExpr *expand_logaddexp(Expander *x, LExpr *a, LExpr *b);
LExpr *expand_pow(Expander *x, LExpr *a, LExpr *b);
LExpr *expand_sqrt(Expander *x, LExpr *a);
LExpr *expand_floor(Expander *x, LExpr *a);
LExpr *expand_erf(Expander *x, LExpr *a);
LExpr *expand_sin(Expander *x, LExpr *a);
LExpr *expand_cos(Expander *x, LExpr *a);

/* exp(a + rest), |rest| below 1 ulp of a or NULL; overflow is infinity, underflow is gradual. */
LExpr *ex_exp_sum(Expander *x, LExpr *a, LExpr *rest);

/* exp(a) where neither the result nor its last place is subnormal: |a| at most 80. */
LExpr *ex_exp_near(Expander *x, LExpr *a);

/* a = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2), of positive finite a, also subnormal; f exact. */
typedef struct ExSplit {
    LExpr *f, *k;
} ExSplit;
ExSplit ex_log_split(Expander *x, LExpr *a);

#endif
