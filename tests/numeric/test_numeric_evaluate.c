/* Every model of tests/golden/programs and tests/numeric/programs, lowered and evaluated, against
 * the interpreter on the equations as written; and what must not change bits: lanes, contents of
 * workspace and padding, the other sequences of a batch. What is not lowered must say so at its
 * place. NUMERIC_FEW=1: ragged sizes alone, and passes are not verified one by one. */
#include "numeric.h"

#include "list.h"

static const int64_t whole[] = {7}, ragged[] = {6, 0, 3, 1, 7, 5, 2}, filled[] = {6, 1, 3, 7, 2, 5};

typedef struct Sizes {
    int64_t batch, steps;
    const int64_t *lengths;
    int count;
} Sizes;

static const Sizes sizes[] = {{1, 7, NULL, 0},   {1, 9, whole, 1},  {3, 6, NULL, 0},
                              {4, 7, ragged, 7}, {9, 8, filled, 6}, {5, 1, NULL, 0},
                              {2, 0, NULL, 0}};
enum { SIZES = sizeof sizes / sizeof *sizes };

static const Target lanes_1 = {"lanes-1", 1, true, 32, 512 << 10};

static Built *build(Test *test, const Case *entry, LoopType real, Target target, const char *what) {
    Spec spec = {.file = entry->file,
                 .model = entry->model,
                 .mode = entry->mode,
                 .real = real,
                 .target = target,
                 /* Some by threads: their number decides no bit, and none meets another. */
                 .threads = target.lanes == 4                      ? 3
                            : real == LT_F64 && target.lanes == 16 ? 2
                                                                   : 0,
                 .forced = target.lanes < 16,
                 .verify =
                     target.lanes == 8 && !getenv("NUMERIC_FEW"), /* the target decides no pass */
                 .defines = entry->defines,
                 .define_count = entry->define_count};
    Built *built = model_build(test->arena, &spec);
    if (built->result == BROKEN) test_expect(test, what, built->words);
    if (built->result == NOT_LOWERED && !entry->may_refuse) test_expect(test, what, built->words);
    return built;
}

static bool draws(const Graph *graph) {
    bool any = false;
    for (int i = 0; i < graph->nodes.count; i++) any = any || graph->nodes.at[i]->op == OP_DRAW;
    return any;
}

/* The same without what may be left out; NULL: there is nothing. */
static Data *left_out(Arena *arena, const Data *data) {
    Data *less = NULL;
    for (int i = 0; i < data->graph->inputs.count; i++) {
        if (data->graph->inputs.at[i].fallback < 0) continue;
        size_t size = (size_t)data->graph->inputs.count * sizeof *data->inputs;
        if (!less) {
            less = arena_copy(arena, data, sizeof *data);
            less->inputs = arena_copy(arena, data->inputs, size);
        }
        less->inputs[i] = NULL;
    }
    return less;
}

static void try_left_out(Test *test, const char *where, const Built *built, const Data *data,
                         LoopType real) {
    Data *less = left_out(test->arena, data);
    if (!less) return;
    double used = 0;
    Outcome *want = run_bounded(test->arena, built, less, real);
    Outcome *got = run_forward(&evaluator, test->arena, built, less, NULL);
    test_expect(test, arena_printf(test->arena, "%s, with defaults", where),
                compare_bound(test->arena, less, got, want, &used));
}

/* Stops at the first size that fails: the others say the same. */
static void try_sizes(Test *test, const char *what, Built *const *targets, int count, LoopType real,
                      uint64_t seed) {
    for (int s = 0; s < SIZES; s++) {
        const Sizes *z = &sizes[s];
        if (getenv("NUMERIC_FEW") && !z->count) continue;
        Data *data = data_new(test->arena, targets[0]->graph, z->batch, z->steps, z->lengths,
                              z->count, seed + (uint64_t)s);
        const char *where =
            arena_printf(test->arena, "%s, B %lld, T %lld%s", what, (long long)z->batch,
                         (long long)z->steps, z->count ? ", ragged" : "");
        Outcome *want = run_bounded(test->arena, targets[0], data, real);
        Outcome *first = NULL;
        if (want->status == LOOP_BAD_LOSS) continue; /* forward computes no loss */
        bool good = true;
        double used = 0;
        for (int t = 0; t < count && good; t++) {
            const CallOptions clean = {.fill = 0}, dirty = {.fill = 0xFF};
            Outcome *got =
                run_forward(&evaluator, test->arena, targets[t], data, t % 2 ? &dirty : &clean);
            const char *name =
                arena_printf(test->arena, "%s, %s", where, targets[t]->in->module->target.name);
            if (t == 0 || !targets[t]->in->module->target.fma)
                good = test_expect(test, name, compare_bound(test->arena, data, got, want, &used));
            else
                good = test_expect(test, name, compare_exact(test->arena, data, got, first));
            if (t == 0) first = got;
        }
        if (getenv("NUMERIC_VERBOSE"))
            print_message("%s: %.6f of the bound%s%s\n", where, used,
                          want->fragile ? ", fragile: " : "", want->fragile ? want->fragile : "");
        if (!good) return;
        if (first->status != LOOP_OK) continue;
        try_left_out(test, where, targets[0], data, real);
        test_expect(test, where, compare_padding(test->arena, data, first));
        Outcome *again = run_forward(&evaluator, test->arena, targets[0],
                                     data_poisoned(test->arena, data), NULL);
        test_expect(test, arena_printf(test->arena, "%s, poison behind the ends", where),
                    compare_exact(test->arena, data, again, first));
        /* Which sequence it is decides what is drawn. */
        int64_t parts = z->batch == 1 ? 0 : draws(targets[0]->graph) ? 1 : z->batch;
        for (int64_t b = 0; b < parts; b++) {
            Data *one = data_part(test->arena, data, b, 1, -1, 0, 0);
            Outcome *alone = run_forward(&evaluator, test->arena, targets[0], one, NULL);
            if (!test_expect(test, where, alone->error)) break;
            const char *part = alone->status == LOOP_OK ? compare_part(test->arena, data, first,
                                                                       one, alone, b, -1, 0, want)
                                                        : "a sequence alone is refused";
            if (!test_expect(
                    test, arena_printf(test->arena, "%s, sequence %lld alone", where, (long long)b),
                    part))
                break;
        }
    }
}

static void try_case(Test *test, const Case *entry) {
    const char *name = entry->what;
    Built *one = build(test, entry, LT_F32, target_16, name);
    if (one->result != BUILT) {
        test->checks++;
        if (getenv("NUMERIC_VERBOSE")) print_message("%s: %s\n", name, one->words);
        return;
    }
    Built *f32[] = {one, build(test, entry, LT_F32, target_8, name),
                    build(test, entry, LT_F32, target_4, name),
                    build(test, entry, LT_F32, lanes_1, name),
                    build(test, entry, LT_F32, target_generic, name)};
    Built *f64[] = {build(test, entry, LT_F64, target_8, name),
                    build(test, entry, LT_F64, target_16, name),
                    build(test, entry, LT_F64, target_generic, name)};
    for (int t = 0; t < 5; t++)
        if (f32[t]->result != BUILT) return;
    for (int t = 0; t < 3; t++)
        if (f64[t]->result != BUILT) return;
    try_sizes(test, arena_printf(test->arena, "%s f64", name), f64, 3, LT_F64, 11);
    try_sizes(test, arena_printf(test->arena, "%s f32", name), f32, 5, LT_F32, 11);
}

/* A function of its own, so that nothing here changes between setjmp and a longjmp. */
static void open_case(const Case *entry, int *failures, int *checks) {
    Test test;
    TEST_OPEN(&test);
    try_case(&test, entry);
    *failures += test.failures;
    *checks += test.checks;
    arena_free(test.arena);
}

static void run_list(const Case *list, int count) {
    int failures = 0, checks = 0;
    for (int i = 0; i < count; i++)
        if (!getenv("NUMERIC_MODEL") || strstr(list[i].what, getenv("NUMERIC_MODEL")))
            open_case(&list[i], &failures, &checks);
    if (failures) fail_msg("%d of %d checks failed", failures, checks);
}

static void folder(const char *path, bool may_refuse) {
    static Case list[400];
    jmp_buf oom;
    if (setjmp(oom)) fail_msg("out of memory");
    Arena *arena = arena_new(&oom);
    run_list(list, list_folder(arena, path, may_refuse, list, 400));
    arena_free(arena);
}

static void small(void **state) {
    (void)state;
    folder("tests/numeric/programs", false);
}

static void carried(void **state) {
    (void)state;
    folder("tests/numeric/carried", false);
}

static void golden(void **state) {
    (void)state;
    folder("tests/golden/programs", true);
}

/* Chains that are forced decide bits, and stay within the bound. */
static void chains(void **state) {
    static const Sizes one[] = {{1, 7, NULL, 0}, {3, 4, NULL, 0}};
    (void)state;
    Test test;
    TEST_OPEN(&test);
    for (int n = 1; n <= MOST_FORCED_CHAINS; n++)
        for (int i = 0; i < 2; i++) {
            Spec spec = {.file = "tests/numeric/programs/prelude.rnn",
                         .model = i ? "UseGRU" : "UseLSTM",
                         .target = target_8,
                         .chains = n};
            Built *built = model_build(test.arena, &spec);
            const char *what = arena_printf(test.arena, "%s, %d chains", spec.model, n);
            if (!test_expect(&test, what, built->result == BUILT ? NULL : built->words)) continue;
            for (int s = 0; s < 2; s++) {
                double used = 0;
                Data *data =
                    data_new(test.arena, built->graph, one[s].batch, one[s].steps, NULL, 0, 5);
                Outcome *want = run_bounded(test.arena, built, data, LT_F32);
                Outcome *got = run_forward(&evaluator, test.arena, built, data, NULL);
                test_expect(&test, what, compare_bound(test.arena, data, got, want, &used));
            }
        }
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small), cmocka_unit_test(carried),
                                       cmocka_unit_test(golden), cmocka_unit_test(chains)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
