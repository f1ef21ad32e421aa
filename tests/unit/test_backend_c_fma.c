/* The software fma of emitted C against the libm's: 10^6 triples a type and compiler, 2*10^7 where
 * RNNC_TEST_ALL is set, among them subnormals, overflow, cancellation and ties. */
#include "backend_c_case.h"

#include <math.h>

enum { BLOCK = 4096 };

static uint64_t next(uint64_t *state) {
    *state += 0x9e3779b97f4a7c15u;
    uint64_t z = (*state ^ (*state >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* f(a, b, c, out, count): out[i] = fma(a[i], b[i], c[i]). */
static Case *fma_module(LoopType real) {
    Case *x = case_new("soft", 1, true, real);
    LoopModule *m = x->m;
    LFunction *f = loop_function(m, "f", LT_VOID, true);
    int buffers[4], args[4];
    for (int i = 0; i < 4; i++)
        args[i] = loop_arg_pointer(m, f, (const char *const[]){"a", "b", "c", "out"}[i], real,
                                   i == 3, false, NULL);
    LExpr *count = loop_var(m, f, loop_arg_scalar(m, f, "count", LT_I64, NULL));
    for (int i = 0; i < 4; i++)
        buffers[i] = loop_buffer(m, f,
                                 (LBuffer){.name = f->args.at[i].name,
                                           .type = real,
                                           .arg = args[i],
                                           .count = count,
                                           .written = i == 3});
    LStmt *loop = loop_for(m, f, &f->body, "i", loop_int(m, 0), count, 1);
    LExpr *i = loop_var(m, f, loop->var), *at[3];
    for (int k = 0; k < 3; k++) at[k] = loop_load(m, f, buffers[k], i, 1, false);
    loop_store(m, &loop->body, buffers[3], i, loop_op(m, SOP_FMA, at[0], at[1], at[2]), false);
    return x;
}

static float float_of(uint32_t bits) {
    float value;
    memcpy(&value, &bits, 4);
    return value;
}

static double double_of(uint64_t bits) {
    double value;
    memcpy(&value, &bits, 8);
    return value;
}

/* Bits of few ones, now and then: products that end early and so give ties. */
static uint64_t digits(uint64_t *state) {
    uint64_t bits = next(state), kind = next(state) % 4;
    if (kind == 0) return bits & next(state) & next(state) & next(state) & next(state);
    return kind == 1 ? bits & ~(uint64_t)0 << (next(state) % 52) : bits;
}

static void triple32(uint64_t *s, float *a, float *b, float *c) {
    int kind = (int)(next(s) % 6);
    *a = float_of((uint32_t)((next(s) & 0xff800000) | (digits(s) & 0x7fffff)));
    *b = float_of((uint32_t)((next(s) & 0xff800000) | (digits(s) & 0x7fffff)));
    *c = float_of((uint32_t)((next(s) & 0xff800000) | (digits(s) & 0x7fffff)));
    double product = (double)*a * (double)*b;
    if (kind == 1) *c = (float)-product;
    if (kind == 2) *c = nextafterf((float)-product, next(s) & 1 ? INFINITY : -INFINITY);
    if (kind == 3 && isfinite(product)) *c = (float)ldexp(product, (int)(next(s) % 120) - 60);
    if (kind == 4) *b = float_of((uint32_t)(126 + next(s) % 3) << 23);
    if (kind == 5) { /* the product below the smallest number, around its half */
        int exponent;
        double part = frexp((double)*a, &exponent);
        *a = (float)ldexp(part, -60 - (int)(next(s) % 3));
        part = frexp((double)*b, &exponent);
        *b = (float)ldexp(part, -85 - (int)(next(s) % 8));
        *c = next(s) & 1 ? float_of((uint32_t)(next(s) & 0x80000007)) : *c;
    }
}

static void triple64(uint64_t *s, double *a, double *b, double *c) {
    int kind = (int)(next(s) % 6);
    const uint64_t top = 0xfffull << 52, low = (1ull << 52) - 1;
    *a = double_of((next(s) & top) | (digits(s) & low));
    *b = double_of((next(s) & top) | (digits(s) & low));
    *c = double_of((next(s) & top) | (digits(s) & low));
    if (kind >= 1 && kind <= 4) { /* exponents so that the product is a number */
        int exponent;
        *a = ldexp(frexp(*a, &exponent), (int)(next(s) % 900) - 450);
        *b = ldexp(frexp(*b, &exponent), (int)(next(s) % 900) - 450);
    }
    double product = *a * *b;
    if (kind == 1) *c = -product;
    if (kind == 2) *c = nextafter(-product, next(s) & 1 ? INFINITY : -INFINITY);
    if (kind == 3) {
        int exponent;
        *c = frexp(*c, &exponent);
        frexp(product, &exponent);
        *c = ldexp(*c, exponent + (int)(next(s) % 260) - 130);
    }
    if (kind == 4)
        *c = ldexp(-product, (int)(next(s) % 3) - 1) + (next(s) & 1 ? 0 : ldexp(product, -53));
    if (kind == 5) {
        int exponent;
        *a = ldexp(frexp(*a, &exponent), -500 - (int)(next(s) % 3));
        *b = ldexp(frexp(*b, &exponent), -490 - (int)(next(s) % 90));
        *c = next(s) & 1 ? double_of(next(s) & ((1ull << 63) | (next(s) & 1 ? 7 : low))) : *c;
        if (next(s) % 8 == 0) { /* sums of exactly a half of the smallest number, and next to it */
            *a = ldexp((double)(2 * (next(s) % 4) + 1), -500);
            *b = ldexp(next(s) & 1 ? 1 : 1 + 0x1p-52, -575);
            *c = -double_of(next(s) % 4);
        }
    }
}

typedef void Soft(const void *, const void *, const void *, void *, int64_t);

static void check_numbers(LoopType real, Soft *soft, const char *what, int count) {
    static _Alignas(64) char in[3][8 * BLOCK], out[8 * BLOCK];
    uint64_t state = 11;
    int overflows = 0, subnormals = 0, zeros = 0;
    for (int done = 0; done < count; done += BLOCK) {
        for (int i = 0; i < BLOCK; i++)
            if (real == LT_F32)
                triple32(&state, (float *)(void *)in[0] + i, (float *)(void *)in[1] + i,
                         (float *)(void *)in[2] + i);
            else
                triple64(&state, (double *)(void *)in[0] + i, (double *)(void *)in[1] + i,
                         (double *)(void *)in[2] + i);
        soft(in[0], in[1], in[2], out, BLOCK);
        for (int i = 0; i < BLOCK; i++) {
            double a, b, c, want, got;
            bool equal;
            if (real == LT_F32) {
                float fa = ((float *)(void *)in[0])[i], fb = ((float *)(void *)in[1])[i],
                      fc = ((float *)(void *)in[2])[i];
                float fw = fmaf(fa, fb, fc), fg = ((float *)(void *)out)[i];
                equal = memcmp(&fw, &fg, 4) == 0;
                a = (double)fa, b = (double)fb, c = (double)fc, want = (double)fw, got = (double)fg;
                subnormals += fpclassify(fw) == FP_SUBNORMAL;
            } else {
                a = ((double *)(void *)in[0])[i], b = ((double *)(void *)in[1])[i],
                c = ((double *)(void *)in[2])[i];
                want = fma(a, b, c), got = ((double *)(void *)out)[i];
                equal = memcmp(&want, &got, 8) == 0;
                subnormals += fpclassify(want) == FP_SUBNORMAL;
            }
            overflows += isinf(want) && isfinite(a) && isfinite(b) && isfinite(c);
            zeros += want == 0;
            if (!equal && !(isnan(want) && isnan(got)))
                fail_msg("%s: fma(%a, %a, %a) is %a when it should be %a", what, a, b, c, got,
                         want);
        }
    }
    /* The corners were really met. */
    assert_true(overflows > count / 1000);
    assert_true(subnormals > count / 1000);
    assert_true(zeros > count / 1000);
}

static void check_soft(LoopType real) {
    /* As on a target without the instruction. */
#define NO_FMA "-U__FMA__", "-U__AVX512F__", "-U__ARM_FEATURE_FMA", "-U__FP_FAST_FMA"
    static const char *const gcc[] = {"-shared", "-fPIC", "-std=c99", "-O2", NO_FMA, NULL};
    static const char *const unoptimized[] = {"-shared", "-fPIC", "-std=c99", "-O0", NO_FMA, NULL};
    static const char *const tcc[] = {"-shared", NULL};
    const struct {
        const char *compiler;
        const char *const *flags;
        bool strict;
    } all[] = {{"gcc", gcc, true},
               {"clang", gcc, true},
               {"clang", unoptimized, true},
               {"tcc", tcc, false}};
    Case *x = fma_module(real);
    const char *code = emit(x);
    assert_non_null(
        strstr(code, real == LT_F32 ? "static float fma_f32(" : "static double fma_f64("));
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        if (!has_program(x, all[i].compiler)) continue;
        compile_file(x, all[i].compiler, all[i].flags, all[i].strict, "m.c", "m.so");
        Library library = load(x, "soft_f");
        Soft *soft;
        memcpy(&soft, &library.function, sizeof soft);
        check_numbers(real, soft, all[i].compiler, getenv("RNNC_TEST_ALL") ? 20000000 : 1000000);
        dlclose(library.handle);
    }
    case_done(x);
}

static void single(void **state) {
    (void)state;
    check_soft(LT_F32);
}

static void real(void **state) {
    (void)state;
    check_soft(LT_F64);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(single), cmocka_unit_test(real)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
