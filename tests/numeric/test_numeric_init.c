/* First values of parameters by emitted code: against the runtime's, the same bits where no normal
 * number is in it, else within roundings of log and cos; and by compilers, the same bits as by the
 * Loop evaluator. Numbers are drawn by seed, name and index, so lanes change nothing. */
#include "numeric.h"

#include <float.h>
#include <math.h>

#include "rnn_rt.h"

static const char *const file = "tests/numeric/programs/init.rnn";
static const int64_t seeds[] = {0, 1, INT64_C(0x5EED0123456789AB), -1};
enum { SEEDS = (int)(sizeof seeds / sizeof *seeds), GUARD = 64 };

static Built *build(Arena *arena, const char *model, LoopType real, Target target) {
    Spec spec = {.file = file, .model = model, .real = real, .target = target, .init = true};
    Built *built = model_build(arena, &spec);
    if (built->result != BUILT) fail_msg("%s: %s", model, built->words);
    assert_true(built->in->init >= 0);
    return built;
}

static int64_t invoke(Engine *engine, Arena *arena, const Built *built, int index,
                      const LoopValue *args, int count) {
    int64_t result = -99;
    const char *error = NULL;
    if (!engine->call(engine, arena, built, index, args, count, &result, &error))
        fail_msg("%s", error);
    return result;
}

/* The flat parameters, as doubles; `fill` is what was in the arrays. `less`: bytes that the
 * workspace is too small, when the call is refused and nothing written. */
static double *draw(Engine *engine, Arena *arena, const Built *built, int64_t seed, int fill,
                    int64_t less) {
    const Interface *in = built->in;
    bool single = in->module->real == LT_F32;
    size_t width = single ? 4 : 8, count = (size_t)in->param_count;
    int64_t bytes = in->init_work < 0 ? 0 : invoke(engine, arena, built, in->init_work, NULL, 0);
    int arguments = in->functions.at[in->init].args.count;
    unsigned char *room = arena_alloc(arena, count * width + 2 * GUARD),
                  *work = arena_alloc(arena, (size_t)bytes + 2 * GUARD);
    memset(room, fill, count * width + 2 * GUARD);
    memset(work, fill, (size_t)bytes + 2 * GUARD);
    unsigned char *at = work + (GUARD - (uintptr_t)work % GUARD) % GUARD, *params = room + GUARD;
    LoopValue args[] = {{.pointer = params, .bytes = count * width},
                        {.integer = seed},
                        {.pointer = at, .bytes = (size_t)bytes},
                        {.integer = bytes - less}};
    assert_int_equal(arguments, bytes ? 4 : 2);
    int64_t status = invoke(engine, arena, built, in->init, args, arguments);
    assert_int_equal(status, less ? LOOP_BAD_SPACE : LOOP_OK);
    for (size_t i = 0; i < GUARD; i++) {
        assert_int_equal(room[i], fill);
        assert_int_equal(params[count * width + i], fill);
        assert_int_equal(at[(size_t)bytes + i], fill);
    }
    for (size_t i = 0; less && i < count * width; i++) assert_int_equal(params[i], fill);
    double *result = ARENA_ARRAY(arena, count, double);
    for (size_t i = 0; i < count; i++)
        result[i] = single ? (double)((float *)params)[i] : ((double *)params)[i];
    return result;
}

/* How far a number may be from the runtime's. The error of a normal draw is some units in the last
 * place; a row of an orthogonal matrix is turned by that of its draws over the smallest of the
 * lengths that are left of the rows, which is above 0.01 for these matrices and seeds. */
static double bound(const GraphParam *param, double value, LoopType real) {
    double unit = real == LT_F32 ? FLT_EPSILON / 2 : DBL_EPSILON / 2;
    switch (param->initial) {
    case INITIAL_VALUES:
    case INITIAL_GLOROT:
    case INITIAL_UNIFORM: return 0;
    case INITIAL_HE:
    case INITIAL_NORMAL: return 16 * DBL_EPSILON + (real == LT_F32 ? 2 * unit * fabs(value) : 0);
    case INITIAL_ORTHOGONAL: return 1e-12 + (real == LT_F32 ? 2 * unit * fabs(value) : 0);
    }
    return 0;
}

static double *of_runtime(Arena *arena, const GraphParam *param, int64_t seed, LoopType real) {
    static const RtInitKind kinds[] = {RT_INIT_CONSTANT,   RT_INIT_GLOROT, RT_INIT_HE,
                                       RT_INIT_ORTHOGONAL, RT_INIT_NORMAL, RT_INIT_UNIFORM};
    RtInit init = {kinds[param->initial], param->a, param->b};
    int64_t count = shape_count(param->shape);
    double *to = ARENA_ARRAY(arena, count, double);
    float *single = ARENA_ARRAY(arena, count, float);
    char error[256];
    int rank = param->shape.rank;
    const int64_t *shape = param->shape.dim;
    RtStatus status = real == LT_F64 ? rt_init_f64(init, (uint64_t)seed, param->name, rank, shape,
                                                   to, error, sizeof error)
                                     : rt_init_f32(init, (uint64_t)seed, param->name, rank, shape,
                                                   single, error, sizeof error);
    assert_int_equal(status, RT_OK);
    for (int64_t i = 0; i < count; i++) {
        if (real == LT_F32) to[i] = (double)single[i];
        if (param->values) to[i] = real == LT_F64 ? param->values[i] : (float)param->values[i];
    }
    return to;
}

static void against_runtime(Test *test, const Built *built, int64_t seed, const double *got) {
    const Graph *graph = built->graph;
    LoopType real = built->in->module->real;
    for (int p = 0; p < graph->params.count; p++) {
        const GraphParam *param = &graph->params.at[p];
        const double *here = got + built->in->param_offsets.at[p];
        double *want = of_runtime(test->arena, param, seed, real);
        const char *wrong = NULL;
        for (int64_t i = 0; i < shape_count(param->shape) && !wrong; i++)
            if (!(fabs(here[i] - want[i]) <= bound(param, want[i], real)))
                wrong = arena_printf(test->arena, "element %lld is %.17g, the runtime's %.17g",
                                     (long long)i, here[i], want[i]);
        test_expect(test, arena_printf(test->arena, "%s, seed %lld", param->name, (long long)seed),
                    wrong);
    }
}

static void test_runtime(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    const Target targets[] = {target_generic, target_4, target_8, target_16};
    const char *const models[] = {"Initialisers", "Constants"};
    for (int r = 0; r < 4; r++) {
        LoopType real = r % 2 ? LT_F64 : LT_F32;
        for (int s = 0; s < SEEDS; s++) {
            double *first = NULL;
            for (int t = 0; t < 4; t++) {
                Built *built = build(test.arena, models[r / 2], real, targets[t]);
                double *got = draw(&evaluator, test.arena, built, seeds[s], t % 2 ? 0xFF : 0, 0);
                against_runtime(&test, built, seeds[s], got);
                if (t == 1) first = got;
                if (t > 1) /* those with fma */
                    assert_memory_equal(got, first, (size_t)built->in->param_count * sizeof *got);
                if (built->in->init_work >= 0)
                    (void)draw(&evaluator, test.arena, built, seeds[s], 0x5A, 1);
            }
        }
    }
    test_close(&test);
}

/* The largest product of two rows (or columns), and of one with itself less 1. */
static double skew(const double *w, int64_t m, int64_t n) {
    int64_t count = m < n ? m : n, length = m < n ? n : m;
    int64_t down = m < n ? n : 1, along = m < n ? 1 : n;
    double most = 0;
    for (int64_t i = 0; i < count; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = i == j ? -1 : 0;
            for (int64_t k = 0; k < length; k++)
                sum += w[i * down + k * along] * w[j * down + k * along];
            most = fmax(most, fabs(sum));
        }
    return most;
}

/* To the last bits, for any seed: some of these matrices are nearly singular at first. */
static void test_orthogonal(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    Built *built = build(test.arena, "Initialisers", LT_F64, target_8);
    for (int seed = 0; seed < 60; seed++) {
        double *got = draw(&evaluator, test.arena, built, seed, 0, 0);
        int matrices = 0;
        for (int p = 0; p < built->graph->params.count; p++) {
            const GraphParam *param = &built->graph->params.at[p];
            if (param->initial != INITIAL_ORTHOGONAL) continue;
            int64_t m = param->shape.dim[0], n = shape_count(param->shape) / m;
            double most = skew(got + built->in->param_offsets.at[p], m, n);
            test_expect(&test, arena_printf(test.arena, "%s, seed %d", param->name, seed),
                        most < 3e-15 ? NULL : arena_printf(test.arena, "skew by %g", most));
            matrices++;
        }
        assert_int_equal(matrices, 5);
    }
    test_close(&test);
}

static void same_as_evaluator(Test *test, Target target, LoopType real, const char *program,
                              const char *const *flags) {
    Compiler compiler = {program, flags};
    Built *built = build(test->arena, "Initialisers", real, target);
    bool missing = false;
    const char *error = NULL;
    Engine *engine = compiled_engine(test->arena, &compiler, &built, 1, &missing, &error);
    if (missing) {
        printf("skipped: %s is not installed\n", program);
        return;
    }
    if (!engine) fail_msg("%s: %s", program, error);
    double *want = draw(&evaluator, test->arena, built, 7, 0, 0);
    double *got = draw(engine, test->arena, built, 7, 0xFF, 0);
    bool same = memcmp(got, want, (size_t)built->in->param_count * sizeof *got) == 0;
    test_expect(test, program, same ? NULL : "other bits than the evaluator's");
    engine_close(engine);
}

static void test_compilers(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    static const char *const o2[] = {"-O2", NULL}, *const plain[] = {"-O2", "-std=c99", NULL},
                             *const tcc[] = {"-w", NULL};
    same_as_evaluator(&test, target_generic, LT_F32, "tcc", tcc);
    same_as_evaluator(&test, target_generic, LT_F64, "gcc", plain);
    same_as_evaluator(&test, target_generic, LT_F64, "llvm", o2);
    same_as_evaluator(&test, target_generic, LT_F32, "clang", plain);
    test_close(&test);
}

/* Lanes of this processor, where it has them. */
static void test_lanes(void **state) {
    (void)state;
#if defined(__x86_64__)
    Test test;
    static const char *const avx2[] = {"-O2", "-std=c99", "-mavx2", "-mfma", NULL}, *const o2[] = {
                                                                                        "-O2",
                                                                                        NULL};
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return;
    TEST_OPEN(&test);
    same_as_evaluator(&test, target_8, LT_F32, "llvm", o2);
    same_as_evaluator(&test, target_8, LT_F64, "clang", avx2);
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512vl") &&
        __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512dq"))
        same_as_evaluator(&test, target_16, LT_F64, "llvm", o2);
    test_close(&test);
#endif
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_runtime), cmocka_unit_test(test_orthogonal),
        cmocka_unit_test(test_compilers), cmocka_unit_test(test_lanes)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
