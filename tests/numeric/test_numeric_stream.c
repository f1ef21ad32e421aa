/* Streaming and chunks: `step` taken again and again is `forward`, at batch 1 bit for bit; a model
 * that carries gives in chunks what it gives in one call; a state goes out by export_state and
 * comes back by import_state. */
#include "numeric.h"

#include "list.h"

enum { MOST = 400 };

static Built *build(Test *test, const Case *one, LoopType real, Target target) {
    Spec spec = {.file = one->file,
                 .model = one->model,
                 .mode = one->mode,
                 .real = real,
                 .target = target,
                 .defines = one->defines,
                 .define_count = one->define_count};
    return model_build(test->arena, &spec);
}

/* What holds for every step of an output with time; one without is the value so far, and equal at
 * the end. */
static void steps_of(Test *test, const char *what, const Built *built, LoopType real) {
    const struct { int64_t batch, steps; } sizes[] = {{1, 7}, {1, 1}, {3, 6}, {9, 4}};
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        Data *data =
            data_new(test->arena, built->graph, sizes[s].batch, sizes[s].steps, NULL, 0, 5 + s);
        Outcome *whole = run_forward(&evaluator, test->arena, built, data, NULL);
        StepOptions how = {.fill = s % 2 ? 0xFF : 0};
        /* Plain arrays hold what chunks carry, where a model carries, not what steps keep beside.
         */
        if (!built->graph->carries.count) how.move_at = s % 2 ? 0 : 3;
        Outcome *steps = run_steps(&evaluator, test->arena, built, data, &how);
        const char *name = arena_printf(test->arena, "%s, B %lld, T %lld", what,
                                        (long long)sizes[s].batch, (long long)sizes[s].steps);
        if (!test_expect(test, name, whole->error) || !test_expect(test, name, steps->error))
            return;
        steps->lengths = whole->lengths;
        double used = 0;
        if (!test_expect(test, name,
                         sizes[s].batch == 1
                             ? compare_exact(test->arena, data, steps, whole)
                             : compare_bound(test->arena, data, steps,
                                             run_bounded(test->arena, built, data, real), &used)))
            return;
    }
    if (!built->in->latency) return;
    static const int64_t ragged[] = {9, 4, 2, 1, 7};
    Data *data = data_new(test->arena, built->graph, 5, 9, ragged, 5, 3);
    Outcome *whole = run_forward(&evaluator, test->arena, built, data, NULL);
    Outcome *steps =
        run_steps(&evaluator, test->arena, built, data, &(StepOptions){.fill = 0xFF, .move_at = 4});
    what = arena_printf(test->arena, "%s, unequal lengths", what);
    if (!test_expect(test, what, whole->error) || !test_expect(test, what, steps->error)) return;
    steps->lengths = whole->lengths;
    double used = 0;
    Outcome *want = run_bounded(test->arena, built, data, real);
    test_expect(test, what, compare_bound(test->arena, data, steps, want, &used));
}

static void streaming(void **state) {
    (void)state;
    Test test;
    static Case list[MOST];
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/programs", false, list, MOST), streams = 0;
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        for (int variant = 0; variant < 3; variant++) {
            Built *built = build(&test, &list[i], variant == 2 ? LT_F64 : LT_F32,
                                 variant ? target_8 : target_generic);
            if (built->result != BUILT) continue;
            if (built->in->step < 0) {
                test_expect(&test, list[i].what,
                            built->in->no_step ? NULL : "no step, and no reason");
                if (getenv("NUMERIC_VERBOSE") && !variant)
                    print_message("%s: %s\n", list[i].what, built->in->no_step);
                break;
            }
            if (built->graph->stops.count && list[i].mode == MODE_INFER)
                break; /* a step does not ask whether it should be */
            streams++;
            steps_of(&test,
                     arena_printf(test.arena, "%s %s", list[i].what,
                                  variant == 0   ? "generic"
                                  : variant == 1 ? "f32"
                                                 : "f64"),
                     built, variant == 2 ? LT_F64 : LT_F32);
        }
    }
    if (!getenv("NUMERIC_MODEL"))
        test_expect(&test, "streams", streams > 200 ? NULL : "too few models have a step");
    test_close(&test);
}

/* ---- chunks ---- */

static int time_axis(const Graph *graph) {
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN && !graph->axes.at[a].fixed) return a;
    return -1;
}

/* Chunks of the lengths in `cuts`, each by a call of its own; the state goes through plain arrays
 * between them. */
static void chunks_of(Test *test, const char *what, const Built *built, int64_t batch,
                      const int64_t *lengths, int length_count, const int64_t *cuts,
                      int cut_count) {
    int axis = time_axis(built->graph);
    int64_t total = 0;
    for (int c = 0; c < cut_count; c++) total += cuts[c];
    Data *data = data_new(test->arena, built->graph, batch, total, lengths, length_count, 3);
    const CallOptions stateless = {.fill = 0xFF},
                      whole_options = {.fill = 0xFF, .with_state = true};
    Outcome *without = run_forward(&evaluator, test->arena, built, data, &stateless);
    Outcome *whole = run_forward(&evaluator, test->arena, built, data, &whole_options);
    if (!test_expect(test, what, without->error) || !test_expect(test, what, whole->error)) return;
    if (!test_expect(test, arena_printf(test->arena, "%s, a state of a reset is as none", what),
                     compare_exact(test->arena, data, whole, without)))
        return;
    double *const *states = NULL;
    int64_t from = 0;
    for (int c = 0; c < cut_count; c++) {
        Data *part = data_part(test->arena, data, 0, batch, axis, from, cuts[c]);
        const CallOptions options = {
            .fill = c % 2 ? 0 : 0xFF, .with_state = true, .states = (const double *const *)states};
        Outcome *got =
            run_forward(&evaluator, test->arena, built, data_poisoned(test->arena, part), &options);
        const char *name =
            arena_printf(test->arena, "%s, B %lld, chunk %d", what, (long long)batch, c);
        if (!test_expect(test, name, got->error)) return;
        if (got->status != LOOP_OK) {
            test_expect(test, name, "refused");
            return;
        }
        if (!test_expect(test, name,
                         compare_part(test->arena, data, whole, part, got, 0, axis, from, NULL)))
            return;
        states = got->states;
        from += cuts[c];
    }
    for (int s = 0; s < built->in->states.count; s++) {
        const InterfaceState *state = &built->in->states.at[s];
        for (int64_t e = 0; e < state->lags * batch * state->count; e++)
            if (states[s][e] != whole->states[s][e]) {
                test_expect(test, what,
                            arena_printf(test->arena,
                                         "the state %s is %g after chunks, %g after the whole",
                                         state->name, states[s][e], whole->states[s][e]));
                return;
            }
    }
}

static void chunks(void **state) {
    (void)state;
    static const int64_t equal[] = {9}, ragged[] = {9, 4, 0, 1, 7}, cuts[] = {4, 1, 0, 3, 1},
                         ones[] = {1, 1, 1, 1, 1, 1, 1, 1, 1};
    Test test;
    static Case list[MOST];
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/carried", false, list, MOST), carried = 0;
    for (int i = 0; i < count; i++)
        for (int variant = 0; variant < 2; variant++) {
            if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
            Built *built = build(&test, &list[i], variant ? LT_F64 : LT_F32, target_8);
            const char *what = list[i].what;
            if (!test_expect(&test, what, built->result == BUILT ? NULL : built->words)) continue;
            if (!built->graph->carries.count) continue; /* a part of another */
            carried++;
            chunks_of(&test, what, built, 1, equal, 1, cuts, 5);
            chunks_of(&test, what, built, 1, equal, 1, ones, 9);
            chunks_of(&test, what, built, 5, ragged, 5, cuts, 5);
            chunks_of(&test, what, built, 5, ragged, 5, ones, 9);
        }
    test_expect(&test, "carried", carried ? NULL : "no models");
    test_close(&test);
}

/* Instances that are carried along other axes, or a slower one, each at a position of its own. */
static void chunks_of_axes(Test *test, const char *model) {
    static const int64_t cuts[] = {4, 2, 0, 2}, others[] = {1, 0, 5, 2};
    Case one = {.file = "tests/numeric/programs/axes.rnn", .model = model};
    Built *built = build(test, &one, LT_F32, target_8);
    if (!test_expect(test, model, built->result == BUILT ? NULL : built->words)) return;
    test_expect(test, model, built->in->no_step ? NULL : "a step knows one position");
    Data *data = data_new(test->arena, built->graph, 2, 8, NULL, 0, 3);
    const CallOptions whole_options = {.fill = 0xFF, .with_state = true};
    Outcome *whole = run_forward(&evaluator, test->arena, built, data, &whole_options);
    if (!test_expect(test, model, whole->error)) return;
    double *const *states = NULL;
    for (int64_t c = 0, from = 0, other = 0; c < 4; from += cuts[c], other += others[c], c++) {
        Data *part = data_part(test->arena, data, 0, 2, 0, from, cuts[c]);
        if (built->graph->axes.at[1].kind == AXIS_RUN)
            part = data_part(test->arena, part, 0, 2, 1, other, others[c]);
        const CallOptions options = {
            .fill = 0xFF, .with_state = true, .states = (const double *const *)states};
        Outcome *got = run_forward(&evaluator, test->arena, built, part, &options);
        if (!test_expect(test, model, got->error)) return;
        states = got->states;
    }
    for (int s = 0; s < built->in->states.count; s++) {
        const InterfaceState *state = &built->in->states.at[s];
        for (int64_t e = 0; e < state->lags * 2 * state->count; e++)
            test_expect(test, arena_printf(test->arena, "%s, %s", model, state->name),
                        states[s][e] == whole->states[s][e] ? NULL : "differs after chunks");
    }
}

static void several_axes(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    chunks_of_axes(&test, "CarryAxes");
    chunks_of_axes(&test, "CarrySlower");
    test_close(&test);
}

/* ---- refusals ---- */

static void refuse(Test *test, const char *what, const Built *built, const Data *data,
                   const CallOptions *options, int64_t status) {
    Outcome *got = run_forward(&evaluator, test->arena, built, data, options);
    if (!test_expect(test, what, got->error)) return;
    test_expect(test, what,
                got->status == status ? NULL
                                      : arena_printf(test->arena, "status %lld, should be %lld",
                                                     (long long)got->status, (long long)status));
}

/* NULL and misaligned pointers are refused by the code of a backend: test_numeric_compilers.c. */
static void refuse_model(Test *test, const char *what, const Built *built) {
    const Graph *graph = built->graph;
    Data *data = data_new(test->arena, graph, 3, 6, NULL, 0, 9);
    CallOptions plain = {.fill = 0x5A}, spoilt;
    refuse(test, what, built, data, &plain, LOOP_OK);
    if (built->in->forward_work >= 0) {
        spoilt = plain;
        spoilt.work_less = 1;
        refuse(test, arena_printf(test->arena, "%s, workspace one byte small", what), built, data,
               &spoilt, LOOP_BAD_SPACE);
    }
    const InterfaceFunction *described = &built->in->functions.at[built->in->forward];
    const LFunction *function = built->in->module->functions.at[described->function];
    for (int i = 0; i < described->args.count; i++) {
        const InterfaceArg *arg = &described->args.at[i];
        if (!function->args.at[i].pointer || function->args.at[i].nullable) continue;
        if (arg->role != ROLE_INPUT) continue;
        const GraphPort *port = &graph->inputs.at[arg->slot];
        if (port->type.dtype != DT_INT || !port->type.bound) continue;
        const int64_t wrong[] = {-1, port->type.bound, INT32_MAX, INT32_MIN};
        for (int w = 0; w < 4; w++) {
            Data bad = *data;
            int64_t n = port_count(data, port);
            bad.inputs = arena_copy(test->arena, data->inputs,
                                    (size_t)(graph->inputs.count + 1) * sizeof(double *));
            bad.inputs[arg->slot] =
                arena_copy(test->arena, data->inputs[arg->slot], (size_t)n * sizeof(double));
            bad.inputs[arg->slot][w % 2 ? n - 1 : 0] = (double)wrong[w];
            refuse(test,
                   arena_printf(test->arena, "%s, %s holds %lld", what, port->name,
                                (long long)wrong[w]),
                   built, &bad, &plain, LOOP_BAD_VALUE);
        }
    }
    for (int a = 0; a < graph->axes.count; a++) {
        if (!data->lengths[a]) continue;
        bool used = false;
        for (int i = 0; i < described->args.count; i++)
            used = used ||
                   (described->args.at[i].role == ROLE_LENGTHS && described->args.at[i].slot == a);
        if (!used) continue;
        const int64_t wrong[] = {-1, data->extent[a] + 1, INT32_MAX, INT32_MIN};
        for (int w = 0; w < 4; w++) {
            Data bad = *data;
            bad.lengths = arena_copy(test->arena, data->lengths,
                                     (size_t)(graph->axes.count + 1) * sizeof(int64_t *));
            bad.lengths[a] = arena_copy(test->arena, data->lengths[a], 3 * sizeof(int64_t));
            bad.lengths[a][w % 3] = wrong[w];
            refuse(test,
                   arena_printf(test->arena, "%s, a length of %s is %lld", what,
                                graph->axes.at[a].name, (long long)wrong[w]),
                   built, &bad, &plain, LOOP_BAD_LENGTH);
        }
        if (graph->axes.at[a].most && graph->axes.at[a].most < 100) {
            Data *longer = data_new(test->arena, graph, 3, 6, NULL, 0, 9);
            longer->extent[a] = graph->axes.at[a].most + 1;
            for (int i = 0; i < graph->inputs.count; i++)
                longer->inputs[i] =
                    ARENA_ARRAY(test->arena, port_count(longer, &graph->inputs.at[i]), double);
            refuse(test,
                   arena_printf(test->arena, "%s, more steps of %s than its bound", what,
                                graph->axes.at[a].name),
                   built, longer, &plain, LOOP_BAD_LENGTH);
        }
    }
    Data *nobody = data_new(test->arena, graph, 1, 6, NULL, 0, 9);
    nobody->batch = 0;
    refuse(test, arena_printf(test->arena, "%s, no sequences", what), built, nobody, &plain,
           LOOP_BAD_LENGTH);
    Outcome *full = run_forward(&evaluator, test->arena, built, data, &plain);
    spoilt = plain;
    spoilt.lengths_missing = true;
    Outcome *same = run_forward(&evaluator, test->arena, built, data, &spoilt);
    test_expect(test, arena_printf(test->arena, "%s, NULL for lengths", what),
                compare_exact(test->arena, data, same, full));
    spoilt = plain;
    spoilt.no_outputs = true;
    refuse(test, arena_printf(test->arena, "%s, no outputs wanted", what), built, data, &spoilt,
           LOOP_OK);
}

static void refusals(void **state) {
    (void)state;
    Test test;
    static Case list[MOST];
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/programs", false, list, MOST);
    for (int i = 0; i < count; i++) {
        if (list[i].swept && list[i].defines->value != 9) continue;
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        Built *built = build(&test, &list[i], LT_F32, i % 2 ? target_8 : target_generic);
        if (built->result == BUILT) refuse_model(&test, list[i].what, built);
    }
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(streaming), cmocka_unit_test(chunks),
                                       cmocka_unit_test(several_axes), cmocka_unit_test(refusals)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
