/* Steps of models that read ahead or run over slower axes (programs/delays.rnn): what is reset in
 * between, what is refused, and compiled C. That steps give what forward gives is tested for all
 * programs in test_numeric_stream.c. */
#include "numeric.h"

#include "list.h"

enum { MOST = 400, B = 3, T = 13 };

static Built *build(Test *test, const Case *one, Target target) {
    Spec spec = {.file = one->file,
                 .model = one->model,
                 .mode = one->mode,
                 .real = LT_F32,
                 .target = target,
                 .prefix = one->model};
    return model_build(test->arena, &spec);
}

static int cases(Test *test, Case *list) {
    int all = list_folder(test->arena, "tests/numeric/programs", false, list, MOST), count = 0;
    for (int i = 0; i < all; i++) {
        bool wanted = !getenv("NUMERIC_MODEL") || strstr(list[i].what, getenv("NUMERIC_MODEL"));
        if (strstr(list[i].file, "delays.rnn") && wanted) list[count++] = list[i];
    }
    return count;
}

/* Rows of one sequence: those told from call `from` on are the positions of `whole`, and `length`
 * positions of the run axis are told. */
static const char *same_rows(Test *test, const Built *built, const Outcome *rows,
                             const Outcome *whole, const Data *part, int64_t from, int64_t b,
                             int64_t length) {
    for (int o = 0; o < built->graph->outputs.count; o++) {
        const GraphPort *port = &built->graph->outputs.at[o];
        int64_t n = shape_count(port->type.shape), told = 0, every = 1;
        if (!port->index_count) continue;
        int axis = built->graph->indices.at[port->indices[0]].axis;
        for (int a = axis; built->graph->axes.at[a].kind == AXIS_SLOW;
             a = built->graph->axes.at[a].base)
            every *= built->graph->axes.at[a].every;
        for (int64_t t = from; t < rows->calls; t++) {
            int64_t p = rows->at[axis] ? rows->at[axis][t * B + b] : t - from;
            if (p < 0 || p * every >= length) continue;
            told++;
            for (int64_t i = 0; i < n; i++) {
                double x = rows->outputs[o][(t * B + b) * n + i];
                double y = whole->outputs[o][(p * part->batch + b) * n + i];
                double apart = x > y ? x - y : y - x;
                if (!(apart <= 2e-5 * (1 + (y > 0 ? y : -y))))
                    return arena_printf(test->arena, "%s[%lld] of sequence %lld: %g, should be %g",
                                        port->name, (long long)p, (long long)b, x, y);
            }
        }
        if (told != (length + every - 1) / every)
            return arena_printf(test->arena, "%lld positions of %s are told, should be %lld",
                                (long long)told, port->name,
                                (long long)((length + every - 1) / every));
    }
    return NULL;
}

/* Sequence 1 begins anew before step `at`. */
static void reset_at(Test *test, const char *what, const Built *built, int64_t at) {
    int axis = 0;
    while (built->graph->axes.at[axis].kind != AXIS_RUN) axis++;
    Data *data = data_new(test->arena, built->graph, B, T, NULL, 0, 8);
    if (data->extent[axis] < T) return; /* it has a bound */
    StepOptions how = {.fill = 0xFF, .reset_at = at, .reset_first = 1, .reset_count = 1};
    Outcome *rows = run_rows(&evaluator, test->arena, built, data, &how);
    if (!test_expect(test, what, rows->error)) return;
    bool refused = at % built->in->period != 0;
    if (!test_expect(test, what, (rows->status == LOOP_BAD_LENGTH) == refused ? NULL : "a reset"))
        return;
    if (refused) return;
    Data *rest = data_part(test->arena, data, 0, B, axis, at, T - at);
    Outcome *whole = run_forward(&evaluator, test->arena, built, data, NULL);
    Outcome *anew = run_forward(&evaluator, test->arena, built, rest, NULL);
    for (int64_t b = 0; b < B; b++)
        test_expect(test, what,
                    b == 1 ? same_rows(test, built, rows, anew, rest, at, b, T - at)
                           : same_rows(test, built, rows, whole, data, 0, b, T));
}

static void resets(void **state) {
    (void)state;
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list);
    for (int i = 0; i < count; i++) {
        Built *built = build(&test, &list[i], target_8);
        if (!test_expect(&test, list[i].what, built->result == BUILT ? NULL : built->words))
            continue;
        if (!test_expect(&test, list[i].what, built->in->no_step)) continue;
        reset_at(&test, list[i].what, built, 5);
        reset_at(&test, list[i].what, built, 6);
    }
    test_expect(&test, "models", count >= 18 || getenv("NUMERIC_MODEL") ? NULL : "are missing");
    test_close(&test);
}

/* The bound of an axis is of the inputs: twelve and the steps behind the end, no thirteenth. */
static void bounded(void **state) {
    (void)state;
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list), found = 0;
    for (int i = 0; i < count; i++) {
        if (!strstr(list[i].model, "Bounded")) continue;
        found++;
        Built *built = build(&test, &list[i], target_8);
        for (int more = 0; more < 2; more++) {
            Data *data = data_new(test.arena, built->graph, 1, 12, NULL, 0, 4);
            data->extent[0] = 12 + more;
            for (int p = 0; p < built->graph->inputs.count; p++)
                data->inputs[p] =
                    ARENA_ARRAY(test.arena, port_count(data, &built->graph->inputs.at[p]), double);
            data->lengths[0] = NULL;
            Outcome *rows =
                run_rows(&evaluator, test.arena, built, data, &(StepOptions){.fill = 0x5A});
            test_expect(&test, list[i].what, rows->error);
            test_expect(&test, list[i].what,
                        rows->status == (more ? LOOP_BAD_LENGTH : LOOP_OK) ? NULL : "the bound");
        }
    }
    test_expect(&test, "bounded", found || getenv("NUMERIC_MODEL") ? NULL : "no model");
    test_close(&test);
}

static void compiled(void **state) {
    (void)state;
    static const char *const flags[] = {"-O1", "-std=c99", "-ffp-contract=off", NULL};
    static const int64_t ragged[] = {9, 4, 2};
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list);
    Built **models = ARENA_ARRAY(test.arena, count + 1, Built *);
    for (int i = 0; i < count; i++) models[i] = build(&test, &list[i], target_generic);
    const Compiler compiler = {"gcc", flags};
    bool missing = false;
    const char *error = NULL;
    Engine *engine = compiled_engine(test.arena, &compiler, models, count, &missing, &error);
    if (missing)
        print_message("skipped: gcc is not installed\n");
    else
        test_expect(&test, "gcc", error);
    for (int i = 0; engine && i < count; i++) {
        bool unequal = models[i]->in->latency > 0;
        Data *data = data_new(test.arena, models[i]->graph, B, 9, ragged, unequal ? 3 : 0, 6);
        StepOptions how = {.fill = 0xFF, .move_at = 4};
        Outcome *a = run_steps(&evaluator, test.arena, models[i], data, &how);
        Outcome *b = run_steps(engine, test.arena, models[i], data, &how);
        if (!test_expect(&test, list[i].what, a->error)) continue;
        if (!test_expect(&test, list[i].what, b->error)) continue;
        test_expect(&test, list[i].what, compare_exact(test.arena, data, a, b));
    }
    if (engine) engine_close(engine);
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(resets), cmocka_unit_test(bounded),
                                       cmocka_unit_test(compiled)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
