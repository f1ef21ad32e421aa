/* The expansion of math: where it puts the code, edge cases, and that lanes change no bit.
 *
 * RNNC_EXPAND_FULL=1 takes the root of every float from 1 to 4, and so of every fraction. */
#include "expand_case.h"

#include "loop/expand.h"

#include <float.h>

/* Both types, with fma and without. */
typedef struct Configuration {
    LoopType type;
    bool fma;
} Configuration;

static const Configuration configurations[] = {
    {LT_F32, true}, {LT_F64, true}, {LT_F32, false}, {LT_F64, false}};

enum { CONFIGURATIONS = 4 };

/* ---- edge cases ---- */

typedef struct Edge {
    ScalarOp op;
    double a, b, want; /* exactly, with its sign; b of pairs */
} Edge;

static const Edge edges[] = {
    {SOP_EXP, 0, 0, 1},
    {SOP_EXP, -0.0, 0, 1},
    {SOP_EXP, INFINITY, 0, INFINITY},
    {SOP_EXP, -INFINITY, 0, 0},
    {SOP_EXP, 1e6, 0, INFINITY},
    {SOP_EXP, -1e6, 0, 0},
    {SOP_EXP, NAN, 0, NAN},
    {SOP_LOG, 1, 0, 0},
    {SOP_LOG, 0, 0, -INFINITY},
    {SOP_LOG, -0.0, 0, -INFINITY},
    {SOP_LOG, -1, 0, NAN},
    {SOP_LOG, -0x1p-126, 0, NAN},
    {SOP_LOG, -INFINITY, 0, NAN},
    {SOP_LOG, INFINITY, 0, INFINITY},
    {SOP_LOG, NAN, 0, NAN},
    {SOP_SIGMOID, 0, 0, 0.5},
    {SOP_SIGMOID, -0.0, 0, 0.5},
    {SOP_SIGMOID, INFINITY, 0, 1},
    {SOP_SIGMOID, 1e6, 0, 1},
    {SOP_SIGMOID, NAN, 0, NAN},
    {SOP_TANH, 0, 0, 0},
    {SOP_TANH, -0.0, 0, -0.0},
    {SOP_TANH, 0x1p-149, 0, 0x1p-149},
    {SOP_TANH, -0x3p-149, 0, -0x3p-149},
    {SOP_TANH, INFINITY, 0, 1},
    {SOP_TANH, -INFINITY, 0, -1},
    {SOP_TANH, NAN, 0, NAN},
    {SOP_SOFTPLUS, INFINITY, 0, INFINITY},
    {SOP_SOFTPLUS, -INFINITY, 0, 0},
    {SOP_SOFTPLUS, 1e6, 0, 1e6},
    {SOP_SOFTPLUS, NAN, 0, NAN},
    {SOP_LOGADDEXP, -INFINITY, -INFINITY, -INFINITY},
    {SOP_LOGADDEXP, INFINITY, INFINITY, INFINITY},
    {SOP_LOGADDEXP, INFINITY, -INFINITY, INFINITY},
    {SOP_LOGADDEXP, -INFINITY, INFINITY, INFINITY},
    {SOP_LOGADDEXP, -INFINITY, 3, 3},
    {SOP_LOGADDEXP, 3, -INFINITY, 3},
    {SOP_LOGADDEXP, 3, INFINITY, INFINITY},
    {SOP_LOGADDEXP, 1e6, -1e6, 1e6},
    {SOP_LOGADDEXP, NAN, 0, NAN},
    {SOP_LOGADDEXP, 0, NAN, NAN},
    {SOP_LOGADDEXP, INFINITY, NAN, NAN},
    {SOP_LOGADDEXP, -INFINITY, NAN, NAN},
    {SOP_SQRT, 0, 0, 0},
    {SOP_SQRT, -0.0, 0, -0.0},
    {SOP_SQRT, 1, 0, 1},
    {SOP_SQRT, 4, 0, 2},
    {SOP_SQRT, 0x1p-148, 0, 0x1p-74},
    {SOP_SQRT, 0x9p-148, 0, 0x3p-74},
    {SOP_SQRT, INFINITY, 0, INFINITY},
    {SOP_SQRT, -INFINITY, 0, NAN},
    {SOP_SQRT, -0x1p-149, 0, NAN},
    {SOP_SQRT, NAN, 0, NAN},
    {SOP_FLOOR, 0, 0, 0},
    {SOP_FLOOR, -0.0, 0, -0.0},
    {SOP_FLOOR, 0.5, 0, 0},
    {SOP_FLOOR, -0.5, 0, -1},
    {SOP_FLOOR, 0x1p-149, 0, 0},
    {SOP_FLOOR, -0x1p-149, 0, -1},
    {SOP_FLOOR, 0x1.fffffep-1, 0, 0},
    {SOP_FLOOR, 1.5, 0, 1},
    {SOP_FLOOR, 2.5, 0, 2},
    {SOP_FLOOR, -2.5, 0, -3},
    {SOP_FLOOR, -3, 0, -3},
    {SOP_FLOOR, 0x1.fffffep22, 0, 0x1.fffffcp22},
    {SOP_FLOOR, -0x1.fffffep22, 0, -0x1p23},
    {SOP_FLOOR, 0x1.fffffep23, 0, 0x1.fffffep23},
    {SOP_FLOOR, -0x1p100, 0, -0x1p100},
    {SOP_FLOOR, INFINITY, 0, INFINITY},
    {SOP_FLOOR, -INFINITY, 0, -INFINITY},
    {SOP_FLOOR, NAN, 0, NAN},
    {SOP_ERF, 0, 0, 0},
    {SOP_ERF, -0.0, 0, -0.0},
    {SOP_ERF, INFINITY, 0, 1},
    {SOP_ERF, -INFINITY, 0, -1},
    {SOP_ERF, NAN, 0, NAN},
    {SOP_SIN, 0, 0, 0},
    {SOP_SIN, -0.0, 0, -0.0},
    {SOP_SIN, -0x1p-149, 0, -0x1p-149},
    {SOP_SIN, 0x1p31, 0, NAN},
    {SOP_SIN, INFINITY, 0, NAN},
    {SOP_SIN, NAN, 0, NAN},
    {SOP_COS, 0, 0, 1},
    {SOP_COS, -0.0, 0, 1},
    {SOP_COS, -0x1p31, 0, NAN},
    {SOP_COS, -INFINITY, 0, NAN},
    {SOP_COS, NAN, 0, NAN},
};

static bool same(double got, double want) {
    if (isnan(want)) return isnan(got);
    return got == want && !signbit(got) == !signbit(want);
}

/* got[i] = op(a[i], b[i]) for i below count <= CASE_POINTS. */
static void apply_all(Case *c, const double *a, const double *b, double *got, int count) {
    static double wide[3][CASE_POINTS];
    static float narrow[3][CASE_POINTS];
    for (int i = 0; i < CASE_POINTS; i++) {
        wide[0][i] = i < count ? a[i] : 1;
        wide[1][i] = i < count ? b[i] : 1;
        narrow[0][i] = (float)wide[0][i];
        narrow[1][i] = (float)wide[1][i];
    }
    bool is_wide = c->type == LT_F64;
    if (is_wide)
        case_run(c, wide[0], wide[1], wide[2]);
    else
        case_run(c, narrow[0], narrow[1], narrow[2]);
    for (int i = 0; i < count; i++) got[i] = is_wide ? wide[2][i] : (double)narrow[2][i];
}

static double apply(Case *c, double a, double b) {
    double got;
    apply_all(c, &a, &b, &got, 1);
    return got;
}

static void check_edges(const Edge *of, int count, LoopType type, bool fma) {
    double a[64] = {0}, b[64] = {0}, got[64];
    Case c;
    assert_true(count <= 64);
    for (int i = 0; i < count; i++) {
        a[i] = of[i].a;
        b[i] = of[i].b;
    }
    case_open(&c, of->op, type, 8, fma);
    apply_all(&c, a, b, got, count);
    case_close(&c);
    for (int i = 0; i < count; i++)
        if (!same(got[i], of[i].want))
            fail_msg("%s %s %s of %a %a is %a", scalar_op_info[of->op].text, loop_type_text(type),
                     fma ? "fma" : "no fma", a[i], b[i], got[i]);
}

static void edge_cases(void **state) {
    (void)state;
    enum { EDGES = (int)(sizeof edges / sizeof *edges) };
    for (int n = 0; n < CONFIGURATIONS; n++)
        for (int from = 0, to; from < EDGES; from = to) {
            for (to = from; to < EDGES && edges[to].op == edges[from].op;) to++;
            check_edges(&edges[from], to - from, configurations[n].type, configurations[n].fma);
        }
}

static void sigmoid_is_0_where_it_would_be_subnormal(void **state) {
    (void)state;
    for (int n = 0; n < CONFIGURATIONS; n++) {
        LoopType type = configurations[n].type;
        bool fma = configurations[n].fma;
        Case c;
        case_open(&c, SOP_SIGMOID, type, 1, fma);
        double last = type == LT_F64 ? -0x1.6232p9 : -0x1.5d58p6,
               normal = type == LT_F64 ? DBL_MIN : (double)FLT_MIN;
        double next =
            type == LT_F64 ? nextafter(last, -1e6) : (double)nextafterf((float)last, -1e6f);
        assert_true(apply(&c, -INFINITY, 0) == 0);
        assert_true(apply(&c, -1e30, 0) == 0);
        assert_true(apply(&c, next, 0) == 0);
        assert_true(apply(&c, last, 0) >= normal && apply(&c, last, 0) < 1.01 * normal);
        case_close(&c);
    }
}

/* The largest results and the least. */
static void exp_at_the_ends_of_the_range(void **state) {
    (void)state;
    for (int n = 0; n < CONFIGURATIONS; n++) {
        LoopType type = configurations[n].type;
        bool fma = configurations[n].fma;
        Case c;
        double most = type == LT_F64 ? 0x1.62e42fefa39efp9 : 0x1.62e42ep6;
        double next = type == LT_F64 ? nextafter(most, 1e6) : (double)nextafterf((float)most, 1e6f);
        double least = type == LT_F64 ? -0x1.74385446d71c3p9 : -0x1.9d1d9ep6;
        case_open(&c, SOP_EXP, type, 4, fma);
        assert_true(apply(&c, most, 0) < INFINITY);
        assert_true(apply(&c, most, 0) > (type == LT_F64 ? 1.79e308 : 3.402e38));
        assert_true(apply(&c, next, 0) == INFINITY);
        assert_true(apply(&c, least, 0) == (type == LT_F64 ? 0x1p-1074 : 0x1p-149));
        case_close(&c);
    }
}

/* All pairs of numbers with something to them against the C library. */
static void pow_is_that_of_c(void **state) {
    (void)state;
    static const double numbers[] = {0,
                                     0.5,
                                     1,
                                     1.5,
                                     2,
                                     3,
                                     4,
                                     7,
                                     0x1p23,
                                     0x1p24,
                                     0x1p25,
                                     0x1p52,
                                     0x1p53,
                                     1e30,
                                     0.1,
                                     0x1p-149,
                                     0x1p-126,
                                     0x1p127,
                                     INFINITY,
                                     100.5,
                                     NAN,
                                     17,
                                     0x1.8p22,
                                     0x1.000002p0,
                                     0x1.fffffep-1,
                                     8388607.5,
                                     16777215,
                                     0x1.fffffep127};
    enum { N = (int)(sizeof numbers / sizeof *numbers), PAIRS = 4 * N * N };
    static double a[PAIRS], b[PAIRS], got[PAIRS];
    assert_true((int)PAIRS <= (int)CASE_POINTS);
    for (int n = 0; n < CONFIGURATIONS; n++) {
        bool is_wide = configurations[n].type == LT_F64;
        for (int k = 0; k < PAIRS; k++) {
            double first = numbers[k / 4 % N], second = numbers[k / 4 / N];
            a[k] = is_wide ? first : (double)(float)first;
            b[k] = is_wide ? second : (double)(float)second;
            if (k & 1) a[k] = -a[k];
            if (k & 2) b[k] = -b[k];
        }
        Case c;
        case_open(&c, SOP_POW, configurations[n].type, 16, configurations[n].fma);
        apply_all(&c, a, b, got, PAIRS);
        case_close(&c);
        for (int k = 0; k < PAIRS; k++) {
            double want = pow(a[k], b[k]);
            if (!is_wide) want = (double)(float)want;
            double unit = is_wide ? 0x1p-51 : 0x1p-22, least = is_wide ? 0x1p-1074 : 0x1p-149;
            bool near = fabs(got[k] - want) <= fmax(unit * fabs(want), least) &&
                        !signbit(want) == !signbit(got[k]);
            if (!same(got[k], want) && !(near && isfinite(want)))
                fail_msg("pow %s %s of %a %a is %a, not %a", is_wide ? "f64" : "f32",
                         configurations[n].fma ? "fma" : "no fma", a[k], b[k], got[k], want);
        }
    }
}

/* ---- roots ---- */

static void roots_of_floats_are_rounded_correctly(void **state) {
    (void)state;
    static float a[CASE_POINTS], got[CASE_POINTS];
    uint32_t stride = getenv("RNNC_EXPAND_FULL") ? 1 : 61;
    for (int fma = 0; fma < 2; fma++) {
        Case c;
        case_open(&c, SOP_SQRT, LT_F32, 16, fma);
        for (uint32_t k = 0; k < 1u << 24; k += stride * CASE_POINTS) {
            for (uint32_t i = 0; i < CASE_POINTS; i++) {
                uint32_t bits = 0x3f800000 + ((k + i * stride) & 0xffffff);
                memcpy(&a[i], &bits, 4);
            }
            case_run(&c, a, a, got);
            for (int i = 0; i < CASE_POINTS; i++)
                if (got[i] != sqrtf(a[i])) fail_msg("the root of %a is not %a", a[i], got[i]);
        }
        case_close(&c);
    }
}

/* Numbers whose roots lie next to the middle between two doubles, where rounding is hardest. */
static void roots_of_doubles_near_ties_are_rounded_correctly(void **state) {
    (void)state;
    static double a[CASE_POINTS], got[CASE_POINTS];
    for (int fma = 0; fma < 2; fma++) {
        Case c;
        case_open(&c, SOP_SQRT, LT_F64, 8, fma);
        for (uint64_t k = 0; k < 100 * CASE_POINTS; k += CASE_POINTS) {
            for (uint64_t i = 0; i < CASE_POINTS; i++) {
                double s = 1 + ldexp((double)(case_random(k + i) >> 12), -52);
                long double middle = (long double)s + 0x1p-53L;
                a[i] = (double)(middle * middle);
                if (i % 3 == 1) a[i] = nextafter(a[i], 0);
                if (i % 3 == 2) a[i] = nextafter(a[i], 8);
                a[i] = ldexp(a[i], (int)(i % 64 - 32) * 2);
            }
            case_run(&c, a, a, got);
            for (int i = 0; i < CASE_POINTS; i++)
                if (got[i] != sqrt(a[i])) fail_msg("the root of %a is not %a", a[i], got[i]);
        }
        case_close(&c);
    }
}

/* ---- lanes ---- */

static void lanes_change_no_bit(void **state) {
    (void)state;
    static double a[CASE_POINTS], b[CASE_POINTS], one[CASE_POINTS], more[CASE_POINTS];
    for (int i = 0; i < CASE_POINTS; i++) {
        a[i] = case_uniform((uint64_t)i, -12, 12);
        b[i] = case_uniform((uint64_t)i + 77777, -12, 12);
    }
    float a32[2 * CASE_POINTS], b32[2 * CASE_POINTS];
    for (int i = 0; i < CASE_POINTS; i++) {
        a32[i] = (float)a[i];
        b32[i] = (float)b[i];
    }
    for (int op = SOP_EXP; op < SOP_COUNT; op++) {
        for (int n = 0; n < CONFIGURATIONS; n++) {
            LoopType type = configurations[n].type;
            bool fma = configurations[n].fma;
            const void *first = type == LT_F64 ? (void *)a : (void *)a32;
            const void *second = type == LT_F64 ? (void *)b : (void *)b32;
            Case c;
            case_open(&c, (ScalarOp)op, type, 1, fma);
            case_run(&c, first, second, one);
            case_close(&c);
            for (int lanes = 4; lanes <= 16; lanes *= 2) {
                memset(more, 0, sizeof more);
                case_open(&c, (ScalarOp)op, type, lanes, fma);
                case_run(&c, first, second, more);
                case_close(&c);
                size_t bytes = (size_t)CASE_POINTS * (size_t)loop_type_size(type);
                assert_memory_equal(one, more, bytes);
            }
        }
    }
}

/* ---- where the code goes ---- */

static LExpr *op1(Case *c, ScalarOp op, LExpr *a) {
    return loop_op(c->module, op, a, NULL, NULL);
}

static LExpr *op2(Case *c, ScalarOp op, LExpr *a, LExpr *b) {
    return loop_op(c->module, op, a, b, NULL);
}

static LExpr *f32(Case *c, double value) {
    return loop_float(c->module, LT_F32, value);
}

static LExpr *to_i64(Case *c, LExpr *a) {
    return loop_convert(c->module, SOP_CONVERT, LT_I64, op1(c, SOP_FLOOR, a));
}

/* g(n, p): p[0] = exp(p[0]) where sqrt(n) > 1, and gives n + 1. */
static void build_callee(Case *c) {
    LFunction *g = loop_function(c->module, "g", LT_I64, false);
    int n = loop_arg_scalar(c->module, g, "n", LT_I64, NULL);
    int arg = loop_arg_pointer(c->module, g, "p", LT_F32, true, false, NULL);
    int p = loop_buffer(c->module, g,
                        (LBuffer){.name = "p",
                                  .type = LT_F32,
                                  .base = LB_ARG,
                                  .arg = arg,
                                  .count = loop_int(c->module, 1),
                                  .written = true});
    LExpr *real = loop_convert(c->module, SOP_CONVERT, LT_F32, loop_var(c->module, g, n));
    LStmt *s = loop_if(c->module, &g->body, op2(c, SOP_GT, op1(c, SOP_SQRT, real), f32(c, 1)));
    LExpr *zero = loop_int(c->module, 0);
    loop_store(c->module, &s->body, p, zero,
               op1(c, SOP_EXP, loop_load(c->module, g, p, zero, 1, false)), false);
    loop_return(c->module, &g->body,
                loop_add(c->module, loop_var(c->module, g, n), loop_int(c->module, 1)));
}

/* A function with math in every kind of statement, its result in out and as a return value. */
static void build_everything(Case *c, bool fma) {
    case_build(c, SOP_EXP, LT_F32, 4, fma);
    LoopModule *m = c->module;
    build_callee(c);
    LFunction *f = loop_function(m, "h", LT_I64, true);
    int a = case_buffer(c, f, "a", false), b = case_buffer(c, f, "b", false);
    int out = case_buffer(c, f, "out", true);
    LExpr *x = loop_load(m, f, a, loop_int(m, 0), 1, false);
    /* nested, and a node used three times */
    LExpr *e = op1(c, SOP_TANH, op2(c, SOP_ADD, op1(c, SOP_SIGMOID, x), op1(c, SOP_EXP, x)));
    int total = loop_mutable(m, f, &f->body, "total", loop_op(m, SOP_FMA, e, e, e));
    LExpr *sum = loop_var(m, f, total);
    LStmt *s = loop_if(m, &f->body, op2(c, SOP_LT, op1(c, SOP_LOG, x), f32(c, 0)));
    loop_set(m, &s->body, total, op1(c, SOP_SOFTPLUS, sum));
    loop_set(m, &s->otherwise, total, op1(c, SOP_ERF, sum));
    LExpr *high = to_i64(c, op1(c, SOP_EXP, f32(c, 3.5))); /* 33 */
    LStmt *loop = loop_for(m, f, &f->body, "i", loop_int(m, 0), high, 1);
    LExpr *i = loop_var(m, f, loop->var);
    LExpr *v = loop_load(m, f, a, loop_mul(m, i, loop_int(m, 4)), 4, false);
    LExpr *w = loop_splat(m, op1(c, SOP_COS, loop_load(m, f, b, i, 1, false)), 4);
    LExpr *place =
        to_i64(c, op1(c, SOP_SQRT, loop_convert(m, SOP_CONVERT, LT_F32, loop_mul(m, i, i))));
    loop_store(m, &loop->body, out, loop_mul(m, place, loop_int(m, 4)),
               loop_op(m, SOP_FMA, op1(c, SOP_EXP, v), w, op1(c, SOP_SIN, v)), false);
    LStmt *stop =
        loop_if(m, &loop->body,
                op2(c, SOP_GT, op1(c, SOP_SQRT, loop_load(m, f, b, i, 1, false)), f32(c, 1.25)));
    loop_break(m, &stop->body);
    LExpr *lane = loop_lane(m, op1(c, SOP_EXP, v), 2);
    loop_set(m, &loop->body, total, op2(c, SOP_LOGADDEXP, sum, lane));
    LExpr *args[] = {to_i64(c, op1(c, SOP_EXP, f32(c, 2))),
                     loop_load(m, f, out, loop_int(m, 0), 1, false)};
    int called = loop_call(m, f, &f->body, 1, args, 2);
    LExpr *scaled = op2(c, SOP_MUL, op2(c, SOP_POW, sum, f32(c, 1.5)), f32(c, 1000));
    loop_return(m, &f->body, loop_add(m, to_i64(c, scaled), loop_var(m, f, called)));
}

static int64_t run_everything(Case *c, float *out) {
    static float a[CASE_POINTS], b[CASE_POINTS];
    for (int i = 0; i < CASE_POINTS; i++) {
        a[i] = (float)(0.6 + 0.01 * (i % 40));
        b[i] = (float)(i == 20 ? 2 : 0.02 * (i % 50)); /* breaks at 20 */
        out[i] = -1;
    }
    LoopValue args[] = {{.pointer = a, .bytes = sizeof a},
                        {.pointer = b, .bytes = sizeof b},
                        {.pointer = out, .bytes = sizeof a}};
    int64_t result = 0;
    const char *error = NULL;
    if (!loop_evaluate(c->arena, c->module, "h", args, 3, &result, &error)) fail_msg("%s", error);
    return result;
}

static void every_statement_keeps_its_meaning(void **state) {
    (void)state;
    static float want[CASE_POINTS], got[CASE_POINTS];
    for (int fma = 0; fma < 2; fma++) {
        Case c;
        build_everything(&c, true);
        int64_t result = run_everything(&c, want);
        case_close(&c);
        build_everything(&c, fma);
        loop_expand_math(c.module);
        case_verify(&c);
        int64_t expanded = run_everything(&c, got);
        case_close(&c);
        assert_in_range(expanded, result - 1, result + 1); /* of some thousands */
        for (int i = 0; i < CASE_POINTS; i++)
            assert_true(fabsf(got[i] - want[i]) <= 1e-5f * fabsf(want[i]));
        assert_true(want[4 * 20] != -1 && want[4 * 21] == -1);
    }
}

static void what_is_shared_is_expanded_once(void **state) {
    (void)state;
    Case once, twice;
    case_open(&once, SOP_EXP, LT_F32, 4, true);
    case_build(&twice, SOP_EXP, LT_F32, 4, true);
    LStmt *store = twice.module->functions.at[0]->body.at[0]->body.at[0];
    store->value = op2(&twice, SOP_ADD, store->value, store->value);
    loop_expand_math(twice.module);
    case_verify(&twice);
    int count = case_count_block(&twice.module->functions.at[0]->body);
    assert_int_equal(count, once.operations + 1);
    case_close(&once);
    case_close(&twice);
}

/* Results are no products, which a sum around the operation must not be fed. */
static void results_may_be_added_to(void **state) {
    (void)state;
    for (int op = SOP_EXP; op < SOP_COUNT; op++) {
        Case c;
        case_build(&c, (ScalarOp)op, LT_F32, 1, true);
        LStmt *store = c.module->functions.at[0]->body.at[0]->body.at[0];
        store->value = op2(&c, SOP_ADD, store->value, f32(&c, 1));
        loop_expand_math(c.module);
        case_verify(&c);
        case_close(&c);
    }
}

static void a_module_without_math_stays_as_it_is(void **state) {
    (void)state;
    Case c;
    case_build(&c, SOP_ADD, LT_F64, 4, true);
    Text before = text_new(c.arena), after = text_new(c.arena);
    loop_print(c.module, &before);
    loop_expand_math(c.module);
    loop_print(c.module, &after);
    assert_string_equal(text_string(&before), text_string(&after));
    case_close(&c);
}

/* What an operation costs once it is expanded. A change that is meant changes a number here; one
 * that only costs time is seen nowhere else. */
static void operations_cost_what_they_did(void **state) {
    static const struct {
        ScalarOp op;
        int f32, f64, f32_without_fma;
    } costs[] = {
        {SOP_EXP, 18, 25, 28},    {SOP_LOG, 30, 35, 36},      {SOP_SIGMOID, 18, 25, 27},
        {SOP_TANH, 23, 33, 33},   {SOP_SOFTPLUS, 39, 51, 56}, {SOP_LOGADDEXP, 42, 54, 59},
        {SOP_POW, 118, 131, 214}, {SOP_SQRT, 44, 47, 79},     {SOP_FLOOR, 11, 11, 11},
        {SOP_ERF, 41, 63, 63},    {SOP_SIN, 29, 36, 71},      {SOP_COS, 28, 35, 70},
    };
    (void)state;
    for (size_t i = 0; i < sizeof costs / sizeof *costs; i++) {
        Case f32, f64, without;
        case_open(&f32, costs[i].op, LT_F32, 4, true);
        case_open(&f64, costs[i].op, LT_F64, 4, true);
        case_open(&without, costs[i].op, LT_F32, 4, false);
        if (f32.operations != costs[i].f32 || f64.operations != costs[i].f64 ||
            without.operations != costs[i].f32_without_fma)
            fail_msg("%s: %d, %d, %d", scalar_op_info[costs[i].op].text, f32.operations,
                     f64.operations, without.operations);
        case_close(&f32);
        case_close(&f64);
        case_close(&without);
    }
}

/* The longest chain of operations up to an expression; variables are those of `body`. */
static int depth_of(const LBlock *body, const LExpr *e) {
    int most = 0;
    if (!e) return 0;
    if (e->kind == LE_VAR)
        for (int i = 0; i < body->count; i++)
            if (body->at[i]->var == e->var) return depth_of(body, body->at[i]->value);
    const LExpr *operands[] = {e->a, e->b, e->c};
    for (int i = 0; i < 3; i++) {
        int depth = depth_of(body, operands[i]);
        if (depth > most) most = depth;
    }
    return most + (e->kind == LE_OP);
}

/* The order of a polynomial decides bits, so it stays as it is: how deep, how many operations. An
 * odd last term joins its neighbour on every level but the first. */
static void polynomials_keep_their_order(void **state) {
    static const double table[12] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    static const struct {
        int depth, operations;
    } want[13] = {{0, 0}, {0, 0}, {1, 1},  {2, 3},  {2, 4},  {3, 5}, {3, 6},
                  {3, 8}, {3, 9}, {4, 10}, {4, 11}, {4, 12}, {4, 13}};
    (void)state;
    for (int count = 1; count <= 12; count++) {
        Case c;
        case_build(&c, SOP_ADD, LT_F32, 1, true);
        LFunction *f = c.module->functions.at[0];
        LBlock *body = &f->body.at[0]->body;
        int before = case_count_block(body);
        Expander x = {.module = c.module,
                      .function = f,
                      .block = body,
                      .name = "p",
                      .type = LT_F32,
                      .ints = LT_I32,
                      .fma = true,
                      .lanes = 1};
        LExpr *a = loop_load(c.module, f, 0, loop_int(c.module, 0), 1, false);
        LExpr *p = ex_poly(&x, ex_keep(&x, a), NULL, (ExTable){table, count});
        int depth = depth_of(body, p), operations = case_count_block(body) - before;
        if (depth != want[count].depth || operations != want[count].operations)
            fail_msg("%d coefficients: {%d, %d}", count, depth, operations);
        case_close(&c);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(edge_cases),
        cmocka_unit_test(sigmoid_is_0_where_it_would_be_subnormal),
        cmocka_unit_test(exp_at_the_ends_of_the_range),
        cmocka_unit_test(pow_is_that_of_c),
        cmocka_unit_test(roots_of_floats_are_rounded_correctly),
        cmocka_unit_test(roots_of_doubles_near_ties_are_rounded_correctly),
        cmocka_unit_test(lanes_change_no_bit),
        cmocka_unit_test(every_statement_keeps_its_meaning),
        cmocka_unit_test(what_is_shared_is_expanded_once),
        cmocka_unit_test(results_may_be_added_to),
        cmocka_unit_test(a_module_without_math_stays_as_it_is),
        cmocka_unit_test(operations_cost_what_they_did),
        cmocka_unit_test(polynomials_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
