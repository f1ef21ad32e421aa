/* The error of each expanded operation against libm in a wider type, over floats spread through all
 * bit patterns and over the range where the function lives.
 *
 * RNNC_EXPAND_STRIDE=n tries every n-th float (1: all of them; the default is about a million);
 * RNNC_EXPAND_RANGE="0.01 10" every float between two of one sign, and no doubles;
 * RNNC_EXPAND_OPS="exp log" only these; RNNC_EXPAND_REPORT=1 prints what was found. */
#include "expand_case.h"

typedef struct Bound {
    ScalarOp op;
    LoopType type;
    double fma, split; /* ulp, with fma and without */
    double low, high;  /* where half of the points lie */
} Bound;

static const Bound bounds[] = {
    {SOP_EXP, LT_F32, 1.1, 1.1, -105, 90},
    {SOP_EXP, LT_F64, 1.1, 1.1, -750, 711},
    {SOP_LOG, LT_F32, 0.95, 1, 0, 4},
    {SOP_LOG, LT_F64, 0.95, 1, 0, 4},
    {SOP_SIGMOID, LT_F32, 2, 2, -88, 20},
    {SOP_SIGMOID, LT_F64, 2.1, 2.1, -710, 40},
    {SOP_TANH, LT_F32, 2, 2.1, -10, 10},
    {SOP_TANH, LT_F64, 2.1, 2.1, -20, 20},
    {SOP_SOFTPLUS, LT_F32, 1.9, 1.9, -105, 20},
    {SOP_SOFTPLUS, LT_F64, 1.9, 1.9, -750, 40},
    {SOP_LOGADDEXP, LT_F32, 1.7, 1.7, -20, 20},
    {SOP_LOGADDEXP, LT_F64, 1.7, 1.7, -40, 40},
    {SOP_POW, LT_F32, 1.4, 1.4, 0, 4},
    {SOP_POW, LT_F64, 1.4, 1.4, 0, 4},
    {SOP_SQRT, LT_F32, 0, 0, 0, 4},
    {SOP_SQRT, LT_F64, 0, 0, 0, 4},
    {SOP_FLOOR, LT_F32, 0, 0, -100, 100},
    {SOP_FLOOR, LT_F64, 0, 0, -100, 100},
    {SOP_ERF, LT_F32, 1.5, 1.6, -4, 4},
    {SOP_ERF, LT_F64, 1.4, 1.5, -6, 6},
    {SOP_SIN, LT_F32, 1.7, 1.7, -1000, 1000},
    {SOP_SIN, LT_F64, 1.7, 1.7, -1000, 1000},
    {SOP_COS, LT_F32, 1.7, 1.7, -1000, 1000},
    {SOP_COS, LT_F64, 1.7, 1.7, -1000, 1000},
};

static long double log_add_exp(long double a, long double b) {
    long double most = a > b ? a : b, least = a > b ? b : a;
    if (isnan(a) || isnan(b)) return NAN;
    return most == least || isinf(most) ? most + (most == least ? logl(2) : 0)
                                        : most + log1pl(expl(least - most));
}

static double log_add_exp_double(double a, double b) {
    double most = a > b ? a : b, least = a > b ? b : a;
    if (isnan(a) || isnan(b)) return NAN;
    return most == least || isinf(most) ? most + (most == least ? log(2) : 0)
                                        : most + log1p(exp(least - most));
}

/* Doubles are enough for floats. */
static long double reference_f32(ScalarOp op, double a, double b) {
    if (op != SOP_POW && isnan(a)) return NAN; /* fmin and fmax drop it */
    switch ((int)op) {
    case SOP_EXP: return exp(a);
    case SOP_LOG: return log(a);
    case SOP_SIGMOID: return a < -0x1.5d58p6 ? 0 : 1 / (1 + exp(-a));
    case SOP_TANH: return tanh(a);
    case SOP_SOFTPLUS: return fmax(a, 0) + log1p(exp(-fabs(a)));
    case SOP_LOGADDEXP: return log_add_exp_double(a, b);
    case SOP_POW: return pow(a, b);
    case SOP_SQRT: return sqrtf((float)a);
    case SOP_FLOOR: return floor(a);
    case SOP_ERF: return erf(a);
    case SOP_SIN: return fabs(a) <= 0x1p20 ? sin(a) : NAN;
    case SOP_COS: return fabs(a) <= 0x1p20 ? cos(a) : NAN;
    }
    return 0;
}

static long double reference_f64(ScalarOp op, long double a, long double b) {
    if (op != SOP_POW && isnan(a)) return NAN;
    switch ((int)op) {
    case SOP_EXP: return expl(a);
    case SOP_LOG: return logl(a);
    case SOP_SIGMOID: return a < -0x1.6232p9L ? 0 : 1 / (1 + expl(-a));
    case SOP_TANH: return tanhl(a);
    case SOP_SOFTPLUS: return fmaxl(a, 0) + log1pl(expl(-fabsl(a)));
    case SOP_LOGADDEXP: return log_add_exp(a, b);
    case SOP_POW: return powl(a, b);
    case SOP_SQRT: return sqrt((double)a);
    case SOP_FLOOR: return floorl(a);
    case SOP_ERF: return erfl(a);
    case SOP_SIN: return fabsl(a) <= 0x1p30 ? sinl(a) : NAN;
    case SOP_COS: return fabsl(a) <= 0x1p30 ? cosl(a) : NAN;
    }
    return 0;
}

/* |got - want| in units of the last place of want; infinite where only one is a number. */
static double ulps(LoopType type, ScalarOp op, double got, long double want) {
    int digits = type == LT_F64 ? 53 : 24, least = type == LT_F64 ? -1021 : -125, exponent;
    long double rounded = type == LT_F64 ? (long double)(double)want : (long double)(float)want;
    if (isnan(want) || isnan(got)) return isnan(want) && isnan(got) ? 0 : INFINITY;
    if (isinf(want)) return (long double)got == want ? 0 : INFINITY;
    /* Just below the largest number, infinity is off by as much as the power of two behind it. */
    long double value = isinf(got) ? copysignl(ldexpl(1, type == LT_F64 ? 1024 : 128), got) : got;
    if (isinf(rounded) && isinf(got)) return (long double)got == rounded ? 0 : INFINITY;
    long double scale = fabsl(want);
    if (op == SOP_LOGADDEXP && scale < 0.5L) scale = 0.5L; /* where the two parts cancel */
    frexpl(scale, &exponent);
    if (exponent < least || want == 0) exponent = least;
    return (double)ldexpl(fabsl(value - want), digits - exponent);
}

/* Half of the points over all bit patterns, half in the range of interest. */
static void points(const Bound *of, uint64_t from, uint32_t first, uint64_t stride, double *a,
                   double *b) {
    for (uint64_t i = 0; i < CASE_POINTS; i++) {
        uint64_t k = from + i, bits = case_random(3 * k);
        if (stride > 1 && k % 2) {
            a[i] = case_uniform(5 * k, of->low, of->high);
            b[i] = case_uniform(5 * k + 1, of->low, of->high);
        } else if (of->type == LT_F64) {
            memcpy(&a[i], &bits, 8);
        } else {
            uint32_t narrow = first + (uint32_t)((stride > 1 ? k / 2 : k) * stride);
            float single;
            memcpy(&single, &narrow, 4);
            a[i] = (double)single;
        }
        if (of->op == SOP_LOGADDEXP && k % 2 == 0) b[i] = a[i] + case_uniform(5 * k, -110, 110);
        /* An exponent that brings the power anywhere between the least and the largest number. */
        if (of->op == SOP_POW) {
            double most = of->type == LT_F64 ? 750 : 105, log_a = log(fabs(a[i]));
            b[i] = case_uniform(7 * k, -most, most) / (fabs(log_a) > 0 ? log_a : 1);
            if (k % 4 == 0) b[i] = rint(b[i]);
        }
        if (of->type == LT_F32) {
            a[i] = (double)(float)a[i];
            b[i] = (double)(float)b[i];
        }
    }
}

typedef struct Worst {
    double ulp, a, b, got;
} Worst;

static void compare(const Case *c, const double *a, const double *b, const double *got,
                    Worst *worst) {
    for (int i = 0; i < CASE_POINTS; i++) {
        long double want =
            c->type == LT_F64 ? reference_f64(c->op, a[i], b[i]) : reference_f32(c->op, a[i], b[i]);
        double ulp = ulps(c->type, c->op, got[i], want);
        if (c->op == SOP_SQRT || c->op == SOP_FLOOR) /* one result is right */
            ulp = ulps(c->type, c->op, got[i], c->type == LT_F64 ? (double)want : (float)want);
        if (ulp > worst->ulp) *worst = (Worst){ulp, a[i], b[i], got[i]};
    }
}

static void run(Case *c, const double *a, const double *b, double *got) {
    static float a32[CASE_POINTS], b32[CASE_POINTS], got32[CASE_POINTS];
    if (c->type == LT_F64) {
        case_run(c, a, b, got);
        return;
    }
    for (int i = 0; i < CASE_POINTS; i++) {
        a32[i] = (float)a[i];
        b32[i] = (float)b[i];
    }
    case_run(c, a32, b32, got32);
    for (int i = 0; i < CASE_POINTS; i++) got[i] = (double)got32[i];
}

/* The floats from one that is tried to the next: about a million in each check. */
#ifdef RNNC_ARENA_MALLOC /* a build for sanitizers, which is slower */
enum { STRIDE = 100003 };
#else
enum { STRIDE = 8209 };
#endif

/* How many floats there are from the one number to the other, and the bits of the one. */
static uint64_t range(const char *text, uint32_t *first) {
    char *rest;
    float low = strtof(text, &rest), high = strtof(rest, NULL);
    uint32_t last;
    memcpy(first, &low, 4);
    memcpy(&last, &high, 4);
    assert_true(last >= *first);
    return (uint64_t)(last - *first) + 1;
}

/* Whether the errors are within the bound. */
static bool check(const Bound *of, bool fma) {
    static double a[CASE_POINTS], b[CASE_POINTS], got[CASE_POINTS];
    const char *only = getenv("RNNC_EXPAND_OPS"), *stride_text = getenv("RNNC_EXPAND_STRIDE");
    if (only && !strstr(only, scalar_op_info[of->op].text)) return true;
    uint64_t stride = stride_text ? strtoull(stride_text, NULL, 10) : STRIDE;
    uint64_t count = ((uint64_t)1 << 32) / stride * (stride > 1 ? 2 : 1);
    uint32_t first = 0;
    if (getenv("RNNC_EXPAND_RANGE")) {
        if (of->type == LT_F64) return true;
        stride = 1;
        count = range(getenv("RNNC_EXPAND_RANGE"), &first);
    }
    Worst worst = {0};
    Case c;
    case_open(&c, of->op, of->type, 16, fma);
    for (uint64_t k = 0; k < count; k += CASE_POINTS) {
        points(of, k, first, stride, a, b);
        run(&c, a, b, got);
        compare(&c, a, b, got, &worst);
    }
    double bound = fma ? of->fma : of->split;
    if (getenv("RNNC_EXPAND_REPORT"))
        printf("%-10s %s %-6s %3d operations, %.3f ulp at %a %a\n", scalar_op_info[of->op].text,
               loop_type_text(of->type), fma ? "fma" : "no fma", c.operations, worst.ulp, worst.a,
               worst.b);
    if (worst.ulp > bound)
        print_error("%s %s %s: %.3f ulp, bound %.3f, at %a %a: %a\n", scalar_op_info[of->op].text,
                    loop_type_text(of->type), fma ? "fma" : "no fma", worst.ulp, bound, worst.a,
                    worst.b, worst.got);
    case_close(&c);
    return worst.ulp <= bound;
}

static void check_all(bool fma) {
    int failed = 0;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++) failed += !check(&bounds[i], fma);
    assert_int_equal(failed, 0);
}

/* The floats next to multiples of pi/2, where the reduction loses most: all of them below 2^20, and
 * as many doubles below 2^30. */
static void check_near_quarters(ScalarOp op, LoopType type, bool fma) {
    static double a[CASE_POINTS], got[CASE_POINTS];
    const long double quarter = 1.57079632679489661923L;
    double most = (double)floorl((type == LT_F64 ? 0x1p30L : 0x1p20L) / quarter) - 1;
    Worst worst = {0};
    Case c;
    case_open(&c, op, type, 16, fma);
    for (uint64_t k = 0; k < 668000; k += CASE_POINTS) {
        for (uint64_t i = 0; i < CASE_POINTS; i++) {
            double n = type == LT_F64 ? rint(case_uniform(k + i, 1, most)) : (double)(k + i);
            long double near = (long double)fmin(n, most) * quarter;
            a[i] = type == LT_F64 ? (double)near : (double)(float)near;
        }
        run(&c, a, a, got);
        compare(&c, a, a, got, &worst);
    }
    if (getenv("RNNC_EXPAND_REPORT"))
        printf("%s %s %s near quarters: %.3f ulp at %a\n", scalar_op_info[op].text,
               loop_type_text(type), fma ? "fma" : "no fma", worst.ulp, worst.a);
    if (worst.ulp > 1.7)
        fail_msg("%s %s %s: %.3f ulp at %a: %a", scalar_op_info[op].text, loop_type_text(type),
                 fma ? "fma" : "no fma", worst.ulp, worst.a, worst.got);
    case_close(&c);
}

static void sin_and_cos_next_to_multiples_of_quarters(void **state) {
    (void)state;
    for (int n = 0; n < 8; n++)
        check_near_quarters(n & 1 ? SOP_COS : SOP_SIN, n & 2 ? LT_F64 : LT_F32, n & 4);
}

static void errors_are_within_bounds_with_fma(void **state) {
    (void)state;
    check_all(true);
}

static void errors_are_within_bounds_without_fma(void **state) {
    (void)state;
    check_all(false);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_are_within_bounds_with_fma),
        cmocka_unit_test(errors_are_within_bounds_without_fma),
        cmocka_unit_test(sin_and_cos_next_to_multiples_of_quarters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
