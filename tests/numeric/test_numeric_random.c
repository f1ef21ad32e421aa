/* Random graphs of all operations, lowered and evaluated, against the interpreter; and the bits of
 * 8 and 16 lanes, of poisoned padding and of dirty workspace. The seeds are fixed: a graph whose
 * comparison of two equal numbers falls the other way by rounding would have to be passed over
 * here, by its seed and with that reason; among those below there is none.
 * RNNC_RANDOM=FIRST:LAST:NODES tries others. */
#include "numeric.h"

#include "../unit/random_graph.h"
#include "loop/lower.h"
#include "passes/passes.h"

typedef struct Try {
    Arena *arena;
    Names *names;
    Graph *graph;
    bool refused; /* E-LOWER, and nothing worse */
    const char *words;
} Try;

static bool only_refusals(const Diags *diags) {
    bool only = diags->errors > 0;
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->kind == DIAG_ERROR &&
            strcmp(diags->list.at[i]->code, "E-LOWER") != 0)
            only = false;
    return only;
}

/* NULL when it is refused, or broken: then try->words says how. */
static Built *build(Try *try, Target target, LoopType real) {
    Diags *diags = diags_new(try->arena);
    bool *needed = ARENA_ARRAY(try->arena, try->graph->axes.count + 1, bool);
    passes_axes_needed(try->graph, needed);
    PassOptions options = {.verify_each = true};
    LowerOptions lower = {
        .target = target, .real = real, .prefix = "random", .axes_needed = needed};
    const Graph *normal = passes_run(try->graph, &options, diags);
    Schedule *schedule = normal ? schedule_build(try->arena, normal, diags) : NULL;
    Interface *in = schedule && schedule_verify(schedule, diags)
                        ? lower_schedule(try->arena, try->names, schedule, &lower, diags)
                        : NULL;
    if (in && loop_verify(in->module, false, "lower", diags)) {
        loop_expand_math(in->module);
        Built *built = ARENA_NEW(try->arena, Built);
        *built = (Built){.graph = try->graph, .in = in};
        if (loop_verify(in->module, true, "expand", diags))
            built->program = loop_program_new(try->arena, in->module, &try->words);
        if (built->program) return built;
    }
    try->refused = only_refusals(diags);
    Text text = text_new(try->arena);
    diags_render(diags, false, &text);
    if (text.length) try->words = text_string(&text);
    return NULL;
}

/* Keeps the outputs that are lowered. */
static void drop_refused(Try *try) {
    Graph *graph = try->graph;
    GraphPort *all =
        arena_copy(try->arena, graph->outputs.at, (size_t)graph->outputs.count * sizeof *all);
    int count = graph->outputs.count;
    graph->outputs.count = 0;
    for (int i = 0; i < count; i++) {
        vec_push(try->arena, &graph->outputs, all[i]);
        if (!build(try, target_8, LT_F64) && try->refused) graph->outputs.count--;
    }
}

static bool run_sizes(Test *test, const char *what, Try *try, uint64_t seed) {
    static const int64_t ragged[] = {6, 1, 3, 5, 2};
    static const struct {
        int64_t batch, steps;
        int count;
    } sizes[] = {{1, 5, 0}, {3, 6, 5}, {1, 1, 0}, {2, 0, 0}};
    Built *wide = build(try, target_8, LT_F64), *one = build(try, target_generic, LT_F64);
    Built *lanes_8 = build(try, target_8, LT_F32), *lanes_16 = build(try, target_16, LT_F32);
    if (!wide || !one || !lanes_8 || !lanes_16) return test_expect(test, what, try->words);
    for (int z = 0; z < 4; z++) {
        Data *data = data_new(test->arena, try->graph, sizes[z].batch, sizes[z].steps, ragged,
                              sizes[z].count, seed + (uint64_t)z);
        for (int i = 0; i < try->graph->inputs.count; i++)
            for (int64_t k = 0; try->graph->inputs.at[i].type.pointer &&
                                k < port_count(data, &try->graph->inputs.at[i]);
                 k++)
                data->inputs[i][k] = -1;
        Outcome *want = run_bounded(test->arena, wide, data, LT_F64);
        Outcome *single = run_bounded(test->arena, wide, data, LT_F32);
        double used = 0;
        if (want->status == LOOP_BAD_VALUE) continue; /* a gather by a number that no type bounds */
        const CallOptions clean = {.fill = 0}, dirty = {.fill = 0xFF};
        Outcome *got = run_forward(&evaluator, test->arena, wide, data, &clean);
        Outcome *plain = run_forward(&evaluator, test->arena, one, data, &dirty);
        Outcome *a = run_forward(&evaluator, test->arena, lanes_8, data, &dirty);
        Outcome *b = run_forward(&evaluator, test->arena, lanes_16, data, &clean);
        const char *where = arena_printf(test->arena, "%s, size %d", what, z);
        if (getenv("NUMERIC_VERBOSE"))
            print_message("%s: f64 %s, f32 %s\n", where, want->fragile ? want->fragile : "bounded",
                          single->fragile ? single->fragile : "bounded");
        if (!test_expect(test, where, compare_bound(test->arena, data, got, want, &used)) ||
            !test_expect(test, where, compare_bound(test->arena, data, plain, want, &used)) ||
            !test_expect(test, where, compare_bound(test->arena, data, a, single, &used)) ||
            !test_expect(test, where, compare_exact(test->arena, data, a, b)))
            return false;
        if (got->status != LOOP_OK) continue;
        if (lanes_8->in->step >= 0 && sizes[z].steps &&
            (sizes[z].batch == 1 || lanes_8->in->latency)) {
            const StepOptions how = {.fill = 0xFF, .move_at = 2};
            Outcome *steps = run_steps(&evaluator, test->arena, lanes_8, data, &how);
            steps->lengths = a->lengths;
            if (!test_expect(test, arena_printf(test->arena, "%s, steps", where),
                             sizes[z].batch == 1 ? compare_exact(test->arena, data, steps, a)
                                                 : compare_near(test->arena, data, steps, a, 1e-3)))
                return false;
        }
        Outcome *poisoned =
            run_forward(&evaluator, test->arena, wide, data_poisoned(test->arena, data), &clean);
        if (!test_expect(test, where, compare_padding(test->arena, data, got)) ||
            !test_expect(test, where, compare_exact(test->arena, data, poisoned, got)))
            return false;
    }
    return true;
}

/* Failures of one seed; *ran counts graphs that were compared. */
static int try_seed(Test *test, int seed, int nodes, int *ran) {
    Try try = {.arena = test->arena, .names = names_new(test->arena)};
    try.graph = random_graph(test->arena, try.names, (uint32_t)seed, nodes).graph;
    try.graph->model = name_of(try.names, "random");
    const char *what = arena_printf(test->arena, "seed %d", seed);
    bool good = graph_verify(try.graph, "random_graph", diags_new(test->arena)) &&
                schedule_causal(test->arena, try.graph, diags_new(test->arena));
    if (good) drop_refused(&try);
    if (good && try.graph->outputs.count) {
        ++*ran;
        run_sizes(test, what, &try, (uint64_t)seed * 7);
    }
    int failures = test->failures;
    arena_free(test->arena);
    return failures;
}

/* A function of its own, so that nothing here changes between setjmp and a longjmp. */
static int open_seed(int seed, int nodes, int *ran) {
    Test test;
    TEST_OPEN(&test);
    return try_seed(&test, seed, nodes, ran);
}

static void random_graphs(void **state) {
    int first = 0, last = 120, nodes = 25, ran = 0, failures = 0;
    const char *wish = getenv("RNNC_RANDOM");
    (void)state;
    if (wish && sscanf(wish, "%d:%d:%d", &first, &last, &nodes) != 3)
        fail_msg("RNNC_RANDOM=FIRST:LAST:NODES");
    for (int seed = first; seed < last; seed++) failures += open_seed(seed, nodes, &ran);
    assert_int_equal(failures, 0);
    assert_true(ran * 10 >= (last - first) * 9);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(random_graphs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
