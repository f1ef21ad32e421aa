/* Graphs of gradients through schedule, lowering and the Loop evaluator, against the interpreter
 * within its bound: what the adjoint makes is a program like any other. */
#include "gradient.h"
#include "loop/lower.h"
#include "passes/passes.h"

#include "list.h"
#include "numeric.h"

enum { MOST = 400 };

typedef struct Counts {
    int compared, refused;
} Counts;

/* The gradient of everything, as a model of its own; outputs of each sequence. */
static Graph *gradient_graph(Test *test, const Case *one, Compilation **c) {
    Options *options = ARENA_NEW(test->arena, Options);
    options->file = one->file;
    options->model = one->model;
    options->mode = MODE_TRAIN;
    options->optional_passes = true;
    for (int i = 0; i < one->define_count; i++)
        vec_push(test->arena, &options->defines,
                 (SemaDefine){one->defines[i].name, one->defines[i].value, false});
    *c = compilation_new(test->arena, options);
    if (!compilation_run(*c, STAGE_GRAPH)) return NULL;
    const Graph *graph = (*c)->graph;
    bool *upstream = ARENA_ARRAY(test->arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(test->arena, graph->inputs.count + 1, bool);
    for (int i = 0; i < graph->outputs.count; i++) upstream[i] = true;
    for (int i = 0; i < graph->inputs.count; i++) of_inputs[i] = graph->inputs.at[i].node >= 0;
    const AdjointOptions how = {
        .losses = true, .upstream = upstream, .of_inputs = of_inputs, .of_params = true};
    Gradient gradient;
    Diags *diags = diags_new(test->arena);
    if (!gradient_build(graph, &how, true, &gradient, diags)) return NULL;
    for (int o = 0; o < gradient.graph->outputs.count; o++)
        gradient.graph->outputs.at[o].shared = false;
    for (int o = 0; o < gradient.graph->outputs.count; o++)
        gradient.graph->outputs.at[o].kind = PORT_MODEL;
    for (int i = 0; i < gradient.graph->inputs.count; i++)
        gradient.graph->inputs.at[i].kind = PORT_MODEL;
    return gradient.graph;
}

static Built *build(Test *test, Compilation *c, Graph *graph, LoopType real, Target target) {
    Built *built = ARENA_NEW(test->arena, Built);
    Diags *diags = diags_new(test->arena);
    bool *needed = ARENA_ARRAY(test->arena, graph->axes.count + 1, bool);
    passes_axes_needed(c->graph, needed);
    LowerOptions lower = {
        .target = target, .real = real, .prefix = "gradient", .axes_needed = needed};
    built->graph = graph;
    Schedule *schedule = schedule_build(test->arena, graph, diags);
    Interface *in = schedule && schedule_verify(schedule, diags)
                        ? lower_schedule(test->arena, c->names, schedule, &lower, diags)
                        : NULL;
    if (in && loop_verify(in->module, false, "lower", diags)) {
        loop_expand_math(in->module);
        built->in = in;
        if (loop_verify(in->module, true, "expand", diags))
            built->program = loop_program_new(test->arena, in->module, &built->words);
    }
    built->result = built->program ? BUILT : NOT_LOWERED;
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->kind == DIAG_ERROR &&
            strcmp(diags->list.at[i]->code, "E-LOWER") != 0)
            built->result = BROKEN;
    Text text = text_new(test->arena);
    diags_render(diags, false, &text);
    if (text.length) built->words = text_string(&text);
    return built;
}

static void compare_one(Test *test, const Case *one, Counts *counts) {
    static const int64_t ragged[] = {4, 1, 3};
    static const struct {
        int64_t batch, steps;
        int count;
    } sizes[] = {{1, 5, 0}, {3, 4, 3}, {1, 1, 0}, {2, 0, 0}};
    Compilation *c;
    Graph *graph = gradient_graph(test, one, &c);
    if (!graph) return;
    for (int variant = 0; variant < 2; variant++) {
        LoopType real = variant ? LT_F64 : LT_F32;
        Built *built = build(test, c, graph, real, variant ? target_generic : target_8);
        if (built->result == NOT_LOWERED) {
            counts->refused++;
            if (getenv("NUMERIC_VERBOSE")) print_message("%s: %s\n", one->what, built->words);
            return;
        }
        if (!test_expect(test, one->what, built->result == BUILT ? NULL : built->words)) return;
        for (int z = 0; z < 4; z++) {
            Data *data = data_new(test->arena, graph, sizes[z].batch, sizes[z].steps, ragged,
                                  sizes[z].count, 17);
            const char *what = arena_printf(test->arena, "%s, size %d", one->what, z);
            for (int i = 0; i < graph->inputs.count; i++)
                for (int64_t k = 0;
                     graph->inputs.at[i].type.pointer && k < port_count(data, &graph->inputs.at[i]);
                     k++)
                    data->inputs[i][k] = -1;
            Outcome *want = run_bounded(test->arena, built, data, real);
            Outcome *got =
                run_forward(&evaluator, test->arena, built, data, &(CallOptions){.fill = 0xFF});
            if (want->status != LOOP_OK || want->fragile) continue;
            if (!sizes[z].steps && got->status == LOOP_BAD_LENGTH) continue; /* as the model asks */
            double used = 0;
            counts->compared++;
            if (!test_expect(test, what, got->error) ||
                !test_expect(test, what, compare_bound(test->arena, data, got, want, &used)))
                return;
        }
    }
}

static void open_case(const Case *list, int number, Counts *counts, int *failures) {
    Test test;
    TEST_OPEN(&test);
    compare_one(&test, &list[number], counts);
    *failures += test.failures;
    arena_free(test.arena);
}

static void programs(void **state) {
    (void)state;
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/programs", false, list, MOST), failures = 0;
    Counts counts = {0};
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        if (list[i].mode != MODE_INFER || (list[i].swept && list[i].defines->value != 3)) continue;
        open_case(list, i, &counts, &failures);
    }
    print_message("%d calls compared; %d models not lowered\n", counts.compared, counts.refused);
    test_expect(&test, "gradients", failures ? "differ" : NULL);
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
