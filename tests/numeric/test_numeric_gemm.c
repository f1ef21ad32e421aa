/* Models whose products over all positions are a library's (--gemm=blas), however small: by the
 * Loop evaluator, whose products are plain loops, and by LLVM with the library, where both are
 * built in; outputs and gradients within the bounds of the interpreter, which hold for sums in any
 * order. One
 * model in EVERY, with NUMERIC_ALL=1 all. */
#include "numeric.h"

#include "backends/machine.h"
#include "guards.h"
#include "list.h"

enum { MOST = 800, MOST_BUILT = 300, EVERY = 19 };

static const int64_t ragged[] = {5, 0, 3, 1, 4}, filled[] = {5, 1, 3, 4};

typedef struct Sizes {
    int64_t batch, steps;
    const int64_t *lengths;
    int count;
} Sizes;

static const Sizes sizes[] = {
    {1, 6, NULL, 0}, {5, 5, ragged, 5}, {4, 5, filled, 4}, {2, 0, NULL, 0}};
enum { SIZES = sizeof sizes / sizeof *sizes };

/* The models that have such products; in all of them a step has none. */
static int some_models(Test *test, LoopType real, Target target, int offset, Built **to) {
    static Case list[MOST];
    int count = list_folder(test->arena, "tests/numeric/programs", false, list, MOST), built = 0;
    count += list_folder(test->arena, "tests/golden/programs", true, list + count, MOST - count);
    for (int i = 0; i < 2 * count && built < MOST_BUILT; i++) {
        const Case *one = &list[i / 2];
        bool trained = i % 2;
        if (one->mode != MODE_INFER || (one->swept && one->defines->value != 17)) continue;
        if (!getenv("NUMERIC_ALL") && !getenv("NUMERIC_MODEL") && i % EVERY != offset) continue;
        if (getenv("NUMERIC_MODEL") && !strstr(one->what, getenv("NUMERIC_MODEL"))) continue;
        Spec spec = {.file = one->file,
                     .model = one->model,
                     .mode = trained ? MODE_TRAIN : MODE_INFER,
                     .training = trained,
                     .real = real,
                     .target = target,
                     .threads = i % 3 == 1 ? 3 : 1,
                     .blas = true,
                     .prefix = arena_printf(test->arena, "m%d", i),
                     .defines = one->defines,
                     .define_count = one->define_count};
        Built *model = model_build(test->arena, &spec);
        if (model->result == BROKEN) test_expect(test, one->what, model->words);
        if (model->result != BUILT || !loop_has_gemm(model->in->module)) continue;
        model->words = arena_printf(test->arena, "%s%s, %s", one->what, trained ? ", trained" : "",
                                    loop_type_text(real));
        to[built++] = model;
    }
    return built;
}

static void try_gradient(Test *test, const char *where, Engine *engine, const Built *built,
                         const Data *data, LoopType real) {
    double used = 0;
    Data *trained = data_trained(test->arena, data, 0, 23);
    Outcome *want = run_gradient_bounded(test->arena, built, trained, real, NULL);
    Outcome *got = run_gradient(engine, test->arena, built, trained, NULL);
    test_expect(test, arena_printf(test->arena, "%s, gradient", where),
                compare_bound(test->arena, trained, got, want, &used));
    if (engine != &evaluator || got->status != LOOP_OK) return;
    Data *poisoned = data_poisoned(test->arena, trained);
    test_expect(test, arena_printf(test->arena, "%s, gradient, poison behind the ends", where),
                compare_exact(test->arena, trained,
                              run_gradient(engine, test->arena, built, poisoned, NULL), got));
}

static void try_model(Test *test, Engine *engine, const Built *built, LoopType real) {
    for (int s = 0; s < SIZES; s++) {
        const Sizes *z = &sizes[s];
        Data *data = data_new(test->arena, built->graph, z->batch, z->steps, z->lengths, z->count,
                              31 + (uint64_t)s);
        const char *where = arena_printf(test->arena, "%s, B %lld, T %lld, %s", built->words,
                                         (long long)z->batch, (long long)z->steps, engine->name);
        const CallOptions dirty = {.fill = 0xFF};
        double used = 0;
        Outcome *want = run_bounded(test->arena, built, data, real);
        if (want->status == LOOP_BAD_LOSS) continue;
        Outcome *got = run_forward(engine, test->arena, built, data, s % 2 ? &dirty : NULL);
        if (!test_expect(test, where, compare_bound(test->arena, data, got, want, &used))) return;
        if (got->status != LOOP_OK) continue;
        test_expect(test, where, compare_padding(test->arena, data, got));
        if (built->in->grad >= 0) try_gradient(test, where, engine, built, data, real);
    }
}

/* As NUMERIC_MODEL and what is installed leave them. */
static void with(Test *test, LoopType real, Target target, int offset) {
    static Built *models[MOST_BUILT];
    static const char *const flags[] = {"-O2", NULL};
    const Compiler llvm = {"llvm", flags};
    int count = some_models(test, real, target, offset, models);
    print_message("%d models, %s\n", count, loop_type_text(real));
    if (!getenv("NUMERIC_MODEL")) test_expect(test, "models", count >= 5 ? NULL : "too few");
    for (int i = 0; i < count; i++) try_model(test, &evaluator, models[i], real);
    bool missing = true;
    const char *error = NULL;
    Engine *engine = machine_engine(test->arena, &llvm, models, count, &missing, &error);
    if (missing) print_message("LLVM or the library is not built in: skipped\n");
    if (error) test_expect(test, "LLVM", error);
    for (int i = 0; engine && i < count; i++) try_model(test, engine, models[i], real);
    if (engine) engine_close(engine);
}

static void singles(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    with(&test, LT_F32, target_v2, 5);
    test_close(&test);
}

static void doubles(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    with(&test, LT_F64, target_v2, 2);
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(singles), cmocka_unit_test(doubles)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
