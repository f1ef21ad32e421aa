/* What streams and what does not (programs/streams.rnn): after every step, all outputs are those of
 * `forward` on the sequences so far, also when one sequence of a batch was reset in between, by the
 * evaluator and by compiled C; and what does not stream says why. */
#include "numeric.h"

#include <math.h>

#include "list.h"

enum { MOST = 200 };

static const char programs[] = "tests/numeric/programs/streams.rnn";

static int time_axis(const Graph *graph) {
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN) return a;
    return -1;
}

/* One sequence of one output after step `t`, against the last row of a forward over [from, t]:
 * exactly, or within the interpreter's bounds. */
static const char *compare_row(Test *test, const Data *data, const Outcome *rows,
                               const Outcome *so_far, int64_t t, int64_t from, int64_t sequence,
                               const Outcome *bounded) {
    if (bounded && bounded->fragile) return NULL;
    for (int o = 0; o < data->graph->outputs.count; o++) {
        const GraphPort *port = &data->graph->outputs.at[o];
        int64_t n = shape_count(port->type.shape);
        int64_t row = port->index_count ? t - from : 0;
        const double *x = rows->outputs[o] + (t * data->batch + sequence) * n;
        const double *y = so_far->outputs[o] + (row * data->batch + sequence) * n;
        for (int64_t e = 0; e < n; e++) {
            int64_t place = (row * data->batch + sequence) * n + e;
            bool same = memcmp(&x[e], &y[e], sizeof *x) == 0 || (isnan(x[e]) && isnan(y[e]));
            /* Each of the two may use the bound. */
            if (bounded)
                same = same || x[e] == y[e] || fabs(x[e] - y[e]) <= 2 * bounded->bounds[o][place];
            if (!same)
                return arena_printf(
                    test->arena,
                    "%s after step %lld, sequence %lld, element %lld: %.9g, should be %.9g",
                    port->name, (long long)t, (long long)sequence, (long long)e, x[e], y[e]);
        }
    }
    return NULL;
}

typedef struct Sizes {
    int64_t batch, steps, reset_at, reset_first, reset_count;
} Sizes;

/* The steps by `engine`, forward by the evaluator. Beyond batch 1 the state is moved near the end.
 */
static void rows_of(Test *test, Engine *engine, const char *what, const Built *built, Sizes size,
                    bool exact) {
    int axis = time_axis(built->graph);
    Data *data = data_new(test->arena, built->graph, size.batch, size.steps, NULL, 0, 21);
    StepOptions how = {0xFF, size.reset_at, size.reset_first, size.reset_count, 0};
    /* Plain arrays hold what chunks carry, where a model carries, not what steps keep beside. */
    if (size.batch != 1 && !built->graph->carries.count) how.move_at = size.steps - 3;
    if (built->graph->axes.at[axis].fixed) return; /* it has no part of a length of its own */
    if (size.steps > data->extent[axis]) size.steps = data->extent[axis];
    Outcome *rows = run_rows(engine, test->arena, built, data, &how);
    what = arena_printf(test->arena, "%s, B %lld, T %lld", what, (long long)size.batch,
                        (long long)size.steps);
    if (!test_expect(test, what, rows->error)) return;
    if (!test_expect(test, what, rows->status == LOOP_OK ? NULL : "a step is refused")) return;
    for (int64_t t = 0; t < size.steps; t++)
        for (int part = 0; part < (size.reset_at && t >= size.reset_at ? 2 : 1); part++) {
            int64_t from = part ? size.reset_at : 0;
            Data *so_far = data_part(test->arena, data, 0, size.batch, axis, from, t + 1 - from);
            Outcome *whole =
                run_forward(&evaluator, test->arena, built, so_far, &(CallOptions){.fill = 0});
            if (!test_expect(test, what, whole->error)) return;
            const Outcome *bounded =
                exact ? NULL : run_bounded(test->arena, built, so_far, built->c->options->real);
            for (int64_t b = 0; b < size.batch; b++) {
                bool reset = size.reset_at && t >= size.reset_at && b >= size.reset_first &&
                             b < size.reset_first + size.reset_count;
                if (reset != (part == 1)) continue;
                if (!test_expect(test, what,
                                 compare_row(test, data, rows, whole, t, from, b, bounded)))
                    return;
            }
        }
}

static Built *build(Test *test, const Case *one, LoopType real, Target target) {
    Spec spec = {.file = one->file,
                 .model = one->model,
                 .mode = one->mode,
                 .real = real,
                 .target = target,
                 .prefix = one->model};
    return model_build(test->arena, &spec);
}

static int cases(Test *test, Case *list) {
    int all = list_folder(test->arena, "tests/numeric/programs", false, list, MOST * 2), count = 0;
    for (int i = 0; i < all; i++) {
        bool wanted = !getenv("NUMERIC_MODEL") || strstr(list[i].what, getenv("NUMERIC_MODEL"));
        if (strcmp(list[i].file, programs) == 0 && wanted) list[count++] = list[i];
    }
    return count;
}

static bool streams(const Case *one) {
    return strncmp(one->model, "No", 2) != 0;
}

static void evaluated(void **state) {
    (void)state;
    static Case list[MOST * 2];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list);
    for (int i = 0; i < count; i++) {
        if (!streams(&list[i])) continue;
        for (int variant = 0; variant < 3; variant++) {
            Built *built = build(&test, &list[i], variant == 2 ? LT_F64 : LT_F32,
                                 variant ? target_8 : target_generic);
            if (!test_expect(&test, list[i].what, built->result == BUILT ? NULL : built->words))
                break;
            if (!test_expect(&test, list[i].what, built->in->no_step)) break;

            int64_t steps = strstr(list[i].model, "64") ? 70 : 14;
            if (steps > 20 && variant != 1) continue;
            rows_of(&test, &evaluator, list[i].what, built, (Sizes){1, steps, 0, 0, 0}, true);
            rows_of(&test, &evaluator, list[i].what, built, (Sizes){1, steps, steps / 2, 0, 1},
                    true);
            if (steps < 20)
                rows_of(&test, &evaluator, list[i].what, built, (Sizes){3, steps, 5, 1, 1}, false);
            if (variant == 1)
                rows_of(&test, &evaluator, list[i].what, built, (Sizes){9, 11, 4, 6, 3}, false);
        }
    }
    test_close(&test);
}

static void compiled(void **state) {
    (void)state;
    static const char *const flags[] = {"-O1", "-std=c99", "-ffp-contract=off", NULL};
    static Case list[MOST * 2];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list), built = 0;
    Built **models = ARENA_ARRAY(test.arena, count + 1, Built *);
    const char **names = ARENA_ARRAY(test.arena, count + 1, const char *);
    for (int i = 0; i < count; i++) {
        if (!streams(&list[i])) continue;
        Built *model = build(&test, &list[i], LT_F32, target_generic);
        if (model->result != BUILT || model->in->step < 0) continue; /* said by `evaluated` */
        names[built] = list[i].what;
        models[built++] = model;
    }
    const Compiler compiler = {"gcc", flags};
    bool missing = false;
    const char *error = NULL;
    Engine *engine = compiled_engine(test.arena, &compiler, models, built, &missing, &error);
    if (missing)
        print_message("skipped: gcc is not installed\n");
    else
        test_expect(&test, "gcc", error);
    for (int i = 0; engine && i < built; i++) {
        rows_of(&test, engine, names[i], models[i], (Sizes){1, 12, 0, 0, 0}, true);
        rows_of(&test, engine, names[i], models[i], (Sizes){3, 12, 5, 1, 1}, false);
    }
    if (engine) engine_close(engine);
    test_close(&test);
}

/* Models `No…` have no step, and the reason is that which stands behind the model's name. */
static void refused(void **state) {
    (void)state;
    static const struct {
        const char *model, *why;
    } reasons[] = {{"NoAttention", "y needs all of the past for each position"},
                   {"NoBoundary", "the boundary value of h depends on the sequence"},
                   {"NoPair", "y needs all of the past for each position"},
                   {"NoRest", "y reduces over the whole sequence for each position"},
                   {"NoWhole", "y depends on the whole sequence through m"},
                   {"NoLast", "y reads x at the end"},
                   {"NoLastSum", "reads x at the end"},
                   {"NoLength", "y depends on the whole sequence through"},
                   {"NoSumOfSums", "depends on the whole sequence through m"},
                   {"NoOutput", "a is an output over two positions"},
                   {"NoEarlier", "a runs over two positions and is read at others"},
                   {"NoBackward", "it runs backwards"},
                   {"NoAxes", "it runs over several axes"},
                   {"NoSlow", "y depends on the whole sequence through a value in line"}};
    static Case list[MOST * 2];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list);
    for (int i = 0; i < count; i++) {
        const char *why = NULL;
        if (streams(&list[i])) continue;
        for (size_t r = 0; r < sizeof reasons / sizeof *reasons; r++)
            if (strcmp(reasons[r].model, list[i].model) == 0) why = reasons[r].why;
        if (!test_expect(&test, list[i].what, why ? NULL : "has no reason in this test")) continue;
        Built *built = build(&test, &list[i], LT_F32, target_8);
        if (!test_expect(&test, list[i].what, built->result == BUILT ? NULL : built->words))
            continue;
        const char *said = built->in->no_step;
        test_expect(&test, list[i].what,
                    said && strstr(said, why) ? NULL
                    : said                    ? said
                                              : "has a step");
    }
    test_close(&test);
}

/* A step behind the last position that the axis may have is refused, until that sequence is reset.
 */
static void bounded(void **state) {
    (void)state;
    static Case list[MOST * 2];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list), found = 0;
    for (int i = 0; i < count; i++) {
        if (strncmp(list[i].model, "Bounded", 7) != 0) continue;
        found++;
        Built *built = build(&test, &list[i], LT_F32, target_8);
        if (!test_expect(&test, list[i].what, built->result == BUILT ? NULL : built->words))
            continue;
        int axis = time_axis(built->graph);
        for (int resets = 0; resets < 2; resets++) {
            Data *data = data_new(test.arena, built->graph, 3, 12, NULL, 0, 4);
            data->extent[axis] = 13;
            for (int p = 0; p < built->graph->inputs.count; p++)
                data->inputs[p] =
                    ARENA_ARRAY(test.arena, port_count(data, &built->graph->inputs.at[p]), double);
            StepOptions how = {.fill = 0x5A, .reset_at = resets ? 7 : 0, .reset_count = 3};
            Outcome *rows = run_rows(&evaluator, test.arena, built, data, &how);
            if (!test_expect(&test, list[i].what, rows->error)) continue;
            test_expect(&test, list[i].what,
                        rows->status == (resets ? LOOP_OK : LOOP_BAD_LENGTH) ? NULL
                                                                             : "13 steps of 12");
        }
    }
    if (!getenv("NUMERIC_MODEL")) test_expect(&test, "bounded", found == 2 ? NULL : "no models");
    test_close(&test);
}

/* What steps keep of a variable beside what chunks carry of it is no affair of chunks: a state
 * after chunks of one step is that after the whole, with one row of what is read at t-1. */
static void carried(void **state) {
    (void)state;
    static Case list[MOST * 2];
    Test test;
    TEST_OPEN(&test);
    int count = cases(&test, list), found = 0;
    for (int i = 0; i < count; i++) {
        if (!strstr(list[i].model, "Carry")) continue;
        found++;
        Built *built = build(&test, &list[i], LT_F32, target_8);
        if (!test_expect(&test, list[i].what, built->result == BUILT ? NULL : built->words))
            continue;
        int axis = time_axis(built->graph);
        Data *data = data_new(test.arena, built->graph, 3, 6, NULL, 0, 4);
        CallOptions how = {.fill = 0x5A, .with_state = true};
        Outcome *whole = run_forward(&evaluator, test.arena, built, data, &how);
        if (!test_expect(&test, list[i].what, whole->error)) continue;
        for (int64_t t = 0; t < 6; t++) {
            Data *part = data_part(test.arena, data, 0, 3, axis, t, 1);
            Outcome *got = run_forward(&evaluator, test.arena, built, part, &how);
            if (!test_expect(&test, list[i].what, got->error)) break;
            how.states = (const double *const *)got->states;
        }
        for (int s = 0; how.states && s < built->in->states.count; s++) {
            const InterfaceState *one = &built->in->states.at[s];
            test_expect(&test, list[i].what,
                        one->lags == 1 ? NULL : "rows that chunks do not carry");
            for (int64_t e = 0; e < one->lags * 3 * one->count; e++)
                if (!test_expect(&test, list[i].what,
                                 how.states[s][e] == whole->states[s][e] ? NULL
                                                                         : "the state differs"))
                    break;
        }
    }
    if (!getenv("NUMERIC_MODEL")) test_expect(&test, "carried", found ? NULL : "no models");
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(evaluated), cmocka_unit_test(compiled),
                                       cmocka_unit_test(refused), cmocka_unit_test(bounded),
                                       cmocka_unit_test(carried)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
