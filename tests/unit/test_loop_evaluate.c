/* The Loop evaluator: exact arithmetic, control flow, and that it catches what a program must not
 * do. */
#include "test_loop.h"

#include <fenv.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* ---- arithmetic ---- */

enum { CHAINS = 16, LENGTH = 240 };

/* A dot product of CHAINS chains, as vectors of `lanes`, summed in the order of the chains. */
static float dot(int lanes, const float *a, const float *b) {
    Fixture *x = fixture(lanes, true, LT_VOID);
    int ba = array(x, "a", LT_F32, num(x, LENGTH), false),
        bb = array(x, "b", LT_F32, num(x, LENGTH), false);
    int by = array(x, "y", LT_F32, num(x, 1), true);
    int acc[CHAINS];
    for (int i = 0; i < CHAINS; i += lanes)
        acc[i] = loop_mutable(x->m, x->f, x->body, "acc", loop_splat(x->m, flt(x, 0), lanes));
    LStmt *loop = loop_for(x->m, x->f, x->body, "k", num(x, 0), num(x, LENGTH), CHAINS);
    for (int i = 0; i < CHAINS; i += lanes) {
        LExpr *k = loop_add(x->m, var(x, loop->var), num(x, i));
        loop_set(x->m, &loop->body, acc[i],
                 OP(x, FMA, load(x, ba, k, lanes), load(x, bb, k, lanes), var(x, acc[i])));
    }
    int sum = loop_mutable(x->m, x->f, x->body, "sum", flt(x, 0));
    for (int i = 0; i < CHAINS; i++)
        loop_set(x->m, x->body, sum,
                 OP(x, ADD, var(x, sum), loop_lane(x->m, var(x, acc[i / lanes * lanes]), i % lanes),
                    NULL));
    loop_store(x->m, x->body, by, num(x, 0), var(x, sum), false);
    float y[1] = {0}, a2[LENGTH], b2[LENGTH];
    memcpy(a2, a, sizeof a2);
    memcpy(b2, b, sizeof b2);
    LoopValue args[] = {POINTER(a2), POINTER(b2), POINTER(y)};
    if (!run(x, args, 3, NULL)) fail_msg("%s", x->error);
    done(x);
    return y[0];
}

static void lanes_do_not_change_bits(void **state) {
    (void)state;
    float a[LENGTH], b[LENGTH], chains[CHAINS] = {0}, want = 0;
    srand(1);
    for (int i = 0; i < LENGTH; i++) {
        a[i] = (float)rand() / (float)RAND_MAX - 0.5f;
        b[i] = (float)rand() / (float)RAND_MAX - 0.5f;
        chains[i % CHAINS] = fmaf(a[i], b[i], chains[i % CHAINS]);
    }
    for (int i = 0; i < CHAINS; i++) want += chains[i];
    for (int lanes = 1; lanes <= 16; lanes *= 2) {
        float got = dot(lanes, a, b);
        assert_memory_equal(&got, &want, sizeof want);
    }
}

static uint32_t bits(float value) {
    uint32_t b;
    memcpy(&b, &value, 4);
    return b;
}

/* (1 + e)^2 - (1 + 2e) with e = 2^-12 is e^2 when rounded once and 0 when the product is rounded
 * first. */
static void fma_is_not_mul_and_add(void **state) {
    (void)state;
    for (int fused = 0; fused < 2; fused++) {
        Fixture *x = fixture(1, fused, LT_VOID);
        int ba = array(x, "a", LT_F32, num(x, 2), false),
            by = array(x, "y", LT_F32, num(x, 1), true);
        LExpr *a = load(x, ba, num(x, 0), 1), *c = load(x, ba, num(x, 1), 1);
        LExpr *value = fused ? OP(x, FMA, a, a, c) : OP(x, ADD, OP(x, MUL, a, a, NULL), c, NULL);
        loop_store(x->m, x->body, by, num(x, 0), value, false);
        float in[2] = {0x1.001p0f, -0x1.002p0f}, y[1] = {7};
        LoopValue args[] = {POINTER(in), POINTER(y)};
        if (!run(x, args, 2, NULL)) fail_msg("%s", x->error);
        assert_int_equal(bits(y[0]), fused ? bits(0x1p-24f) : bits(0.0f));
        done(x);
    }
}

/* One F32 operation on two numbers. */
static float apply(ScalarOp op, float a, float b) {
    Fixture *x = fixture(1, true, LT_VOID);
    int ba = array(x, "a", LT_F32, num(x, 2), false), by = array(x, "y", LT_F32, num(x, 1), true);
    LExpr *second = scalar_op_info[op].operands == 2 ? load(x, ba, num(x, 1), 1) : NULL;
    loop_store(x->m, x->body, by, num(x, 0),
               loop_op(x->m, op, load(x, ba, num(x, 0), 1), second, NULL), false);
    float in[2] = {a, b}, y[1] = {7};
    LoopValue args[] = {POINTER(in), POINTER(y)};
    if (!run(x, args, 2, NULL)) fail_msg("%s", x->error);
    done(x);
    return y[0];
}

static void single_operations(void **state) {
    (void)state;
    assert_true(isnan(apply(SOP_MIN, NAN, 1)) && isnan(apply(SOP_MAX, NAN, 1)));
    assert_int_equal(bits(apply(SOP_MIN, 1, NAN)), bits(1));
    assert_int_equal(bits(apply(SOP_MAX, 2, 3)), bits(3));
    assert_int_equal(bits(apply(SOP_MIN, -0.0f, 0.0f)), bits(-0.0f));
    assert_int_equal(bits(apply(SOP_NEG, 0.0f, 0)), bits(-0.0f));
    assert_int_equal(bits(apply(SOP_ABS, -0.0f, 0)), bits(0.0f));
    assert_int_equal(bits(apply(SOP_DIV, 1, 3)), bits(1.0f / 3.0f));
    assert_int_equal(bits(apply(SOP_SUB, 1, 0x1p-25f)), bits(1.0f));
    /* Denormals are kept. */
    assert_int_equal(bits(apply(SOP_MUL, 0x1p-100f, 0x1p-40f)), bits(0x1p-140f));
    assert_int_equal(bits(apply(SOP_SQRT, 2, 0)), bits(sqrtf(2)));
    assert_int_equal(bits(apply(SOP_FLOOR, -1.5f, 0)), bits(-2.0f));
    assert_true(fabs((double)apply(SOP_SIGMOID, 1, 0) - 1 / (1 + exp(-1.0))) < 6e-8);
    assert_true(fabs((double)apply(SOP_SOFTPLUS, -3, 0) - log1p(exp(-3.0))) < 6e-8);
    assert_true(fabs((double)apply(SOP_LOGADDEXP, -1, 2) - log(exp(-1.0) + exp(2.0))) < 3e-7);
    assert_int_equal(bits(apply(SOP_LOGADDEXP, -INFINITY, -INFINITY)), bits(-INFINITY));
    assert_int_equal(bits(apply(SOP_LOGADDEXP, INFINITY, -INFINITY)), bits(INFINITY));
    assert_int_equal(bits(apply(SOP_POW, 3, 2)), bits(9));
}

/* Returns the value of an I64 expression made of two I64 arguments. */
static int64_t integer(ScalarOp op, int64_t a, int64_t b) {
    Fixture *x = fixture(1, true, LT_I64);
    int va = loop_arg_scalar(x->m, x->f, "a", LT_I64, NULL),
        vb = loop_arg_scalar(x->m, x->f, "b", LT_I64, NULL);
    loop_return(x->m, x->body, loop_op(x->m, op, var(x, va), var(x, vb), NULL));
    LoopValue args[] = {INTEGER(a), INTEGER(b)};
    int64_t result = -1;
    if (!run(x, args, 2, &result)) fail_msg("%s", x->error);
    done(x);
    return result;
}

static void integers_wrap(void **state) {
    (void)state;
    assert_true(integer(SOP_ADD, INT64_MAX, 1) == INT64_MIN);
    assert_true(integer(SOP_MUL, INT64_MAX, 2) == -2);
    assert_true(integer(SOP_SUB, INT64_MIN, 1) == INT64_MAX);
    assert_true(integer(SOP_DIV, 7, 2) == 3 && integer(SOP_MOD, 7, 2) == 1);
    assert_true(integer(SOP_MIN, -3, 2) == -3 && integer(SOP_MAX, -3, 2) == 2);
    assert_true(integer(SOP_XOR, 6, 3) == 5 && integer(SOP_AND, 6, 3) == 2 &&
                integer(SOP_OR, 6, 3) == 7);
}

/* The upper half of a product without sign: 0xffffffff^2 = 0xfffffffe00000001. */
static void upper_products(void **state) {
    (void)state;
    static const int32_t of[][3] = {
        {-1, -1, -2},          {-1, 2, 1}, {INT32_MIN, INT32_MIN, 0x40000000}, {0x7fffffff, 2, 0},
        {0x10000, 0x10000, 1}, {-1, 0, 0}};
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) {
        Fixture *x = fixture(1, true, LT_I32);
        LExpr *a = loop_int_of(x->m, LT_I32, of[i][0]), *b = loop_int_of(x->m, LT_I32, of[i][1]);
        loop_return(x->m, x->body, loop_op(x->m, SOP_MULHI, a, b, NULL));
        int64_t result = -1;
        assert_true(run(x, NULL, 0, &result));
        assert_int_equal(result, of[i][2]);
        done(x);
    }
}

static void division_by_zero_is_caught(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    int va = loop_arg_scalar(x->m, x->f, "a", LT_I64, NULL);
    loop_return(x->m, x->body, OP(x, DIV, num(x, 4), var(x, va), NULL));
    LoopValue args[] = {INTEGER(0)};
    assert_false(run(x, args, 1, NULL));
    assert_string_equal(x->error, "function f: return div(4, a.0): integer division of 4 by 0");
    done(x);
}

/* s = bits(m) << 23, bf16 by shifting, masks and selects on 8 lanes. */
static void bits_masks_selects(void **state) {
    (void)state;
    Fixture *x = fixture(8, true, LT_VOID);
    int ba = array(x, "a", LT_F32, num(x, 8), false), by = array(x, "y", LT_F32, num(x, 8), true);
    int bh = array(x, "h", LT_U16, num(x, 8), false), bi = array(x, "i", LT_I32, num(x, 8), true);
    LExpr *a = load(x, ba, num(x, 0), 8), *zero = loop_splat(x->m, flt(x, 0), 8);
    LExpr *half = loop_convert(x->m, SOP_CONVERT, LT_I32, load(x, bh, num(x, 0), 8));
    LExpr *sixteen = loop_splat(x->m, loop_int_of(x->m, LT_I32, 16), 8);
    LExpr *wide = loop_convert(x->m, SOP_BITCAST, LT_F32, OP(x, SHL, half, sixteen, NULL));
    LExpr *inside = OP(x, MAND, OP(x, GT, a, zero, NULL),
                       OP(x, MNOT, OP(x, GE, a, wide, NULL), NULL, NULL), NULL);
    int mask = loop_let(x->m, x->f, x->body, "inside", inside);
    loop_store(x->m, x->body, by, num(x, 0), OP(x, SELECT, var(x, mask), a, wide), false);
    LExpr *one = loop_splat(x->m, loop_int_of(x->m, LT_I32, 1), 8);
    LExpr *top = OP(x, SHR, loop_convert(x->m, SOP_BITCAST, LT_I32, a),
                    loop_splat(x->m, loop_int_of(x->m, LT_I32, 31), 8), NULL);
    loop_store(x->m, x->body, bi, num(x, 0), OP(x, SUB, top, one, NULL), false);
    float in[8] = {1, -1, 3, 0, NAN, 1.5f, 100, -0.0f}, y[8];
    uint16_t h[8];
    int32_t sign[8];
    for (int i = 0; i < 8; i++) h[i] = 0x4000; /* 2.0 in bfloat16 */
    LoopValue args[] = {POINTER(in), POINTER(y), POINTER(h), POINTER(sign)};
    if (!run(x, args, 4, NULL)) fail_msg("%s", x->error);
    float want[8] = {1, 2, 2, 2, 2, 1.5f, 2, 2};
    int32_t want_sign[8] = {-1, 0, -1, -1, -1, -1, -1, 0};
    want_sign[4] = (int32_t)(bits(NAN) >> 31) - 1;
    assert_memory_equal(y, want, sizeof want);
    assert_memory_equal(sign, want_sign, sizeof want_sign);
    done(x);
}

static bool convert_to(LoopType to, double from, void *y, size_t bytes) {
    Fixture *x = fixture(1, true, LT_VOID);
    int ba = array(x, "a", LT_F64, num(x, 1), false), by = array(x, "y", to, num(x, 1), true);
    loop_store(x->m, x->body, by, num(x, 0),
               loop_convert(x->m, SOP_CONVERT, to, load(x, ba, num(x, 0), 1)), false);
    double in[1] = {from};
    LoopValue args[] = {POINTER(in), {.pointer = y, .bytes = bytes}};
    bool fine = run(x, args, 2, NULL);
    done(x);
    return fine;
}

static void conversions(void **state) {
    (void)state;
    float f;
    int32_t i;
    int64_t l;
    int8_t s;
    assert_true(convert_to(LT_F32, 0.1, &f, 4) && bits(f) == bits(0.1f));
    assert_true(convert_to(LT_F32, 1e300, &f, 4) && isinf(f));
    assert_true(convert_to(LT_I32, -2.9, &i, 4) && i == -2);
    assert_true(convert_to(LT_I32, 2147483647.5, &i, 4) && i == 2147483647);
    assert_false(convert_to(LT_I32, 2147483648.0, &i, 4));
    assert_false(convert_to(LT_I32, NAN, &i, 4));
    assert_true(convert_to(LT_I64, -0x1p63, &l, 8) && l == INT64_MIN);
    assert_false(convert_to(LT_I64, 0x1p63, &l, 8));
    assert_true(convert_to(LT_I8, -128.9, &s, 1) && s == -128);
    assert_false(convert_to(LT_I8, 128, &s, 1));
}

/* A large integer is rounded once on its way to f32, not through double. */
static void integer_to_float(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_VOID);
    int n = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL),
        by = array(x, "y", LT_F32, num(x, 1), true);
    loop_store(x->m, x->body, by, num(x, 0), loop_convert(x->m, SOP_CONVERT, LT_F32, var(x, n)),
               false);
    float y[1];
    int64_t value =
        (INT64_C(1) << 60) + (INT64_C(1) << 36) + 1; /* just above the middle of two floats */
    LoopValue args[] = {INTEGER(value), POINTER(y)};
    if (!run(x, args, 2, NULL)) fail_msg("%s", x->error);
    assert_int_equal(bits(y[0]), bits((float)value));
    assert_int_not_equal(bits(y[0]), bits((float)(double)value));
    done(x);
}

/* ---- control ---- */

/* The first k in [0, n) with k*k >= limit, else -1; through break, if, return. */
static void control_flow(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    int n = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL),
        limit = loop_arg_scalar(x->m, x->f, "limit", LT_I32, NULL);
    LExpr *wide = loop_convert(x->m, SOP_CONVERT, LT_I64, var(x, limit));
    LStmt *early = loop_if(x->m, x->body, OP(x, LT, wide, num(x, 0), NULL));
    loop_return(x->m, &early->body, num(x, -2));
    int found = loop_mutable(x->m, x->f, x->body, "found", num(x, -1));
    int turns = loop_mutable(x->m, x->f, x->body, "turns", num(x, 0));
    LStmt *loop = loop_for(x->m, x->f, x->body, "k", num(x, 0), var(x, n), 1);
    loop_set(x->m, &loop->body, turns, loop_add(x->m, var(x, turns), num(x, 1)));
    LExpr *k = var(x, loop->var);
    LStmt *hit = loop_if(x->m, &loop->body, OP(x, GE, loop_mul(x->m, k, k), wide, NULL));
    loop_set(x->m, &hit->body, found, k);
    loop_break(x->m, &hit->body);
    LStmt *none = loop_if(x->m, x->body, OP(x, EQ, var(x, found), num(x, -1), NULL));
    loop_set(x->m, &none->body, turns, num(x, 0));
    LStmt *inner = loop_for(x->m, x->f, &none->otherwise, "i", num(x, 5), num(x, 0), 1);
    loop_set(x->m, &inner->body, found, num(x, 77)); /* never: 5 is above 0 */
    loop_return(x->m, x->body,
                loop_add(x->m, loop_mul(x->m, var(x, found), num(x, 100)), var(x, turns)));
    int64_t cases[][3] = {{10, 9, 304}, {10, 0, 1}, {2, 50, -100}, {0, 1, -100}, {3, -1, -2}};
    for (int i = 0; i < 5; i++) {
        LoopValue args[] = {INTEGER(cases[i][0]), INTEGER(cases[i][1])};
        int64_t result = 0;
        if (!run(x, args, 2, &result)) fail_msg("%s", x->error);
        assert_int_equal(result, cases[i][2]);
    }
    done(x);
}

/* set v = splat(lane(v, 1), 4): the lane is taken before the variable changes. */
static void splat_of_an_own_lane(void **state) {
    (void)state;
    Fixture *x = fixture(4, true, LT_VOID);
    int by = array(x, "y", LT_F32, num(x, 4), true);
    int v = loop_mutable(x->m, x->f, x->body, "v", load(x, by, num(x, 0), 4));
    loop_set(x->m, x->body, v, loop_splat(x->m, loop_lane(x->m, var(x, v), 1), 4));
    loop_store(x->m, x->body, by, num(x, 0), var(x, v), false);
    float y[4] = {1, 2, 3, 4}, want[4] = {2, 2, 2, 2};
    LoopValue args[] = {POINTER(y)};
    if (!run(x, args, 1, NULL)) fail_msg("%s", x->error);
    assert_memory_equal(y, want, sizeof want);
    done(x);
}

/* f calls g on each of two rows within a parallel region; g returns how much it wrote. */
static void calls_and_threads(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    LFunction *f = x->f, *g = loop_function(x->m, "g", LT_I32, false);
    x->f = g;
    int n = loop_arg_scalar(x->m, g, "n", LT_I64, NULL),
        row = array(x, "row", LT_F32, var(x, n), true);
    LStmt *loop = loop_for(x->m, g, &g->body, "i", num(x, 0), var(x, n), 1);
    LExpr *i = var(x, loop->var);
    loop_store(x->m, &loop->body, row, i, loop_convert(x->m, SOP_CONVERT, LT_F32, i), false);
    loop_return(x->m, &g->body, loop_convert(x->m, SOP_CONVERT, LT_I32, var(x, n)));
    x->f = f;
    int y = array(x, "y", LT_F32, num(x, 6), true);
    LStmt *region = loop_parallel(x->m, f, x->body);
    LStmt *rows = loop_for(x->m, f, &region->body, "r", var(x, region->var), num(x, 2), 1);
    LExpr *args[2] = {num(x, 3), load(x, y, loop_mul(x->m, var(x, rows->var), num(x, 3)), 1)};
    int got = loop_call(x->m, f, &rows->body, 1, args, 2);
    LStmt *bad =
        loop_if(x->m, &rows->body, OP(x, NE, var(x, got), loop_int_of(x->m, LT_I32, 3), NULL));
    loop_store(x->m, &bad->body, y, num(x, 0), flt(x, -1), false);
    loop_barrier(x->m, &region->body);
    loop_return(x->m, x->body, num(x, 5));
    float out[6] = {9, 9, 9, 9, 9, 9}, want[6] = {0, 1, 2, 0, 1, 2};
    LoopValue values[] = {POINTER(out)};
    int64_t result = 0;
    if (!run(x, values, 1, &result)) fail_msg("%s", x->error);
    assert_int_equal(result, 5);
    assert_memory_equal(out, want, sizeof want);
    done(x);
}

/* ---- what is caught ---- */

static void bounds(void **state) {
    (void)state;
    Fixture *x = fixture(4, true, LT_VOID);
    int i = loop_arg_scalar(x->m, x->f, "i", LT_I64, NULL),
        n = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL);
    int by = array(x, "y", LT_F32, var(x, n), true);
    loop_store(x->m, x->body, by, var(x, i), loop_splat(x->m, flt(x, 1), 4), false);
    float y[8] = {0};
    struct {
        int64_t i, n;
        const char *error;
    } cases[] = {
        {0, 8, NULL},
        {4, 8, NULL},
        {5, 8, "index 5 with 4 lanes is outside of y, which has 8 elements"},
        {-1, 8, "index -1 with 4 lanes is outside of y, which has 8 elements"},
        {INT64_MAX, 8,
         "index 9223372036854775807 with 4 lanes is outside of y, which has 8 elements"},
        {0, 9, "y needs 9 elements of 4 bytes, but y has 32 bytes there"},
        {0, INT64_MAX, "y needs 9223372036854775807 elements of 4 bytes, but y has 32 bytes there"},
        {0, -1, "index 0 with 4 lanes is outside of y, which has -1 elements"},
    };
    for (size_t k = 0; k < sizeof cases / sizeof *cases; k++) {
        LoopValue args[] = {INTEGER(cases[k].i), INTEGER(cases[k].n), POINTER(y)};
        bool fine = run(x, args, 3, NULL);
        assert_int_equal(fine, cases[k].error == NULL);
        if (cases[k].error && !strstr(x->error, cases[k].error)) fail_msg("%s", x->error);
    }
    LoopValue null_args[] = {INTEGER(0), INTEGER(8), {.pointer = NULL}};
    assert_false(run(x, null_args, 3, NULL));
    assert_non_null(strstr(x->error, "NULL"));
    LoopValue wrong[] = {INTEGER(0)};
    assert_false(run(x, wrong, 1, NULL));
    done(x);
}

/* Two buffers of one argument, the second at byte `offset`. */
static bool overlapping(int64_t offset, bool alias, bool written, char *message) {
    Fixture *x = fixture(1, true, LT_VOID);
    int at = loop_arg_scalar(x->m, x->f, "at", LT_I64, NULL);
    int work = loop_arg_pointer(x->m, x->f, "work", LT_VOID, true, false, NULL);
    LBuffer b = {.name = name_of(x->names, "first"), .type = LT_F32, .base = LB_ARG, .arg = work};
    b.count = num(x, 4);
    b.written = written;
    int first = loop_buffer(x->m, x->f, b);
    b.name = name_of(x->names, "second");
    b.offset = var(x, at);
    b.alias = alias ? first + 1 : 0;
    int second = loop_buffer(x->m, x->f, b);
    int read = loop_let(x->m, x->f, x->body, "v", load(x, first, num(x, 3), 1));
    if (written)
        loop_store(x->m, x->body, second, num(x, 0), var(x, read), false);
    else
        loop_let(x->m, x->f, x->body, "w", load(x, second, num(x, 0), 1));
    float memory[16] = {0};
    LoopValue args[] = {INTEGER(offset), POINTER(memory)};
    bool fine = run(x, args, 2, NULL);
    strcpy(message, x->error);
    done(x);
    return fine;
}

static void aliases(void **state) {
    (void)state;
    char message[300];
    assert_true(overlapping(16, false, true, message));
    assert_false(overlapping(12, false, true, message));
    assert_non_null(strstr(message, "second overlaps first, which is not its alias"));
    assert_true(overlapping(12, true, true, message));
    assert_true(overlapping(12, false, false, message));
    assert_false(overlapping(18, false, true, message));
    assert_non_null(strstr(message, "not aligned to 4 bytes"));
    assert_false(overlapping(-4, false, true, message));
    assert_false(overlapping(49, false, true, message));
}

static bool aligned_access(char *memory, int64_t index, bool access_aligned) {
    Fixture *x = fixture(4, true, LT_VOID);
    int i = loop_arg_scalar(x->m, x->f, "i", LT_I64, NULL);
    int arg = loop_arg_pointer(x->m, x->f, "w", LT_F32, false, false, NULL);
    LBuffer b = {
        .name = name_of(x->names, "w"), .type = LT_F32, .base = LB_ARG, .arg = arg, .align = 64};
    b.count = num(x, 32);
    int w = loop_buffer(x->m, x->f, b);
    loop_let(x->m, x->f, x->body, "v", loop_load(x->m, x->f, w, var(x, i), 4, access_aligned));
    LoopValue args[] = {INTEGER(index), {.pointer = memory, .bytes = 128}};
    bool fine = run(x, args, 2, NULL);
    done(x);
    return fine;
}

static void alignment(void **state) {
    (void)state;
    _Alignas(64) char memory[256] = {0};
    assert_true(aligned_access(memory, 4, true));
    assert_false(aligned_access(memory, 2, true));
    assert_true(aligned_access(memory, 2, false));
    assert_false(aligned_access(memory + 32, 4, false));
}

static void unwritten_locals(void **state) {
    (void)state;
    Fixture *x = fixture(4, true, LT_VOID);
    int count = loop_arg_scalar(x->m, x->f, "count", LT_I64, NULL);
    int tmp = local(x, "tmp", LT_F32, 8), by = array(x, "y", LT_F32, num(x, 4), true);
    LStmt *loop = loop_for(x->m, x->f, x->body, "i", num(x, 0), var(x, count), 1);
    loop_store(x->m, &loop->body, tmp, var(x, loop->var), flt(x, 2), false);
    loop_store(x->m, x->body, by, num(x, 0), loop_load(x->m, x->f, tmp, num(x, 4), 4, true), false);
    float y[4];
    for (int64_t n = 8; n >= 7; n--) { /* the full write comes first: a second call begins anew */
        LoopValue args[] = {INTEGER(n), POINTER(y)};
        assert_int_equal(run(x, args, 2, NULL), n == 8);
    }
    assert_non_null(strstr(x->error, "function f: store y#1[0]"));
    assert_non_null(strstr(x->error, "read of tmp[4], which was not written"));
    done(x);
}

static void locals_begin_anew(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I32);
    int write = loop_arg_scalar(x->m, x->f, "write", LT_I32, NULL),
        tmp = local(x, "tmp", LT_I32, 1);
    LStmt *maybe =
        loop_if(x->m, x->body, OP(x, NE, var(x, write), loop_int_of(x->m, LT_I32, 0), NULL));
    loop_store(x->m, &maybe->body, tmp, num(x, 0), var(x, write), false);
    loop_return(x->m, x->body, load(x, tmp, num(x, 0), 1));
    const char *error = NULL;
    LoopProgram *program = loop_program_new(x->arena, x->m, &error);
    assert_non_null(program);
    LoopValue args[] = {INTEGER(3)};
    int64_t result = 0;
    assert_true(loop_program_call(program, x->arena, "f", args, 1, &result, &error));
    assert_int_equal(result, 3);
    args[0].integer = 0;
    assert_false(loop_program_call(program, x->arena, "f", args, 1, &result, &error));
    args[0].integer = INT64_C(1) << 40;
    assert_false(loop_program_call(program, x->arena, "f", args, 1, &result, &error));
    assert_non_null(strstr(error, "argument write is no i32"));
    assert_false(loop_program_call(program, x->arena, "g", args, 1, &result, &error));
    done(x);
}

/* A NULL array that the function asks for first is no defect. */
static void nullable(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I32);
    int arg = loop_arg_pointer(x->m, x->f, "y", LT_F32, true, true, NULL);
    int by = loop_buffer(x->m, x->f,
                         (LBuffer){.name = name_of(x->names, "y"),
                                   .type = LT_F32,
                                   .base = LB_ARG,
                                   .arg = arg,
                                   .count = num(x, 1),
                                   .written = true});
    LExpr *given = var(x, x->f->args.at[arg].var);
    LStmt *there = loop_if(x->m, x->body, OP(x, NE, given, loop_int_of(x->m, LT_I32, 0), NULL));
    loop_store(x->m, &there->body, by, num(x, 0), flt(x, 4), false);
    loop_return(x->m, x->body, given);
    float y[1] = {0};
    LoopValue args[] = {{.pointer = NULL}};
    int64_t result = -1;
    assert_true(run(x, args, 1, &result));
    assert_int_equal(result, 0);
    args[0] = POINTER(y);
    assert_true(run(x, args, 1, &result));
    assert_true(result == 1 && y[0] == 4);
    done(x);
}

static void tables(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I32);
    static const double numbers[] = {5, -7, 2147483647};
    int i = loop_arg_scalar(x->m, x->f, "i", LT_I64, NULL);
    int table = loop_buffer(x->m, x->f,
                            (LBuffer){.name = name_of(x->names, "t"),
                                      .type = LT_I32,
                                      .base = LB_TABLE,
                                      .arg = -1,
                                      .count = num(x, 3),
                                      .align = 64,
                                      .table = numbers});
    loop_return(x->m, x->body, load(x, table, var(x, i), 1));
    for (int k = 0; k < 4; k++) {
        LoopValue args[] = {INTEGER(k)};
        int64_t result = 0;
        assert_int_equal(run(x, args, 1, &result), k < 3);
        if (k < 3) assert_int_equal(result, (int64_t)numbers[k]);
    }
    done(x);
}

/* A deep expression, and one with much sharing, are no trouble. */
static void depth(void **state) {
    (void)state;
    Fixture *x = fixture(1, true, LT_I64);
    int n = loop_arg_scalar(x->m, x->f, "n", LT_I64, NULL);
    LExpr *deep = var(x, n), *shared = var(x, n);
    for (int i = 0; i < 500; i++) deep = OP(x, XOR, deep, num(x, i), NULL);
    for (int i = 0; i < 12; i++) shared = OP(x, ADD, shared, shared, NULL);
    loop_return(x->m, x->body, OP(x, SUB, deep, shared, NULL));
    LoopValue args[] = {INTEGER(3)};
    int64_t result = 0, want = 3;
    if (!run(x, args, 1, &result)) fail_msg("%s", x->error);
    for (int i = 0; i < 500; i++) want ^= i;
    assert_int_equal(result, want - 3 * 4096);
    done(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lanes_do_not_change_bits),
        cmocka_unit_test(fma_is_not_mul_and_add),
        cmocka_unit_test(single_operations),
        cmocka_unit_test(integers_wrap),
        cmocka_unit_test(upper_products),
        cmocka_unit_test(division_by_zero_is_caught),
        cmocka_unit_test(bits_masks_selects),
        cmocka_unit_test(conversions),
        cmocka_unit_test(integer_to_float),
        cmocka_unit_test(control_flow),
        cmocka_unit_test(splat_of_an_own_lane),
        cmocka_unit_test(calls_and_threads),
        cmocka_unit_test(bounds),
        cmocka_unit_test(aliases),
        cmocka_unit_test(alignment),
        cmocka_unit_test(unwritten_locals),
        cmocka_unit_test(locals_begin_anew),
        cmocka_unit_test(nullable),
        cmocka_unit_test(tables),
        cmocka_unit_test(depth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
