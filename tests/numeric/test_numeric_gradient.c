/* Gradients of the numeric programs against central differences of fourth order, in double, by the
 * interpreter: of parameters and inputs, from the losses and a random upstream gradient of every
 * output; and the gradients of these gradients, which are graphs like any other. An element whose
 * differences of two step sizes disagree stands at a kink, and is counted. */
#include "differences.h"

#include "list.h"
#include "numeric.h"

enum { MOST = 400, ELEMENTS = 6, SECOND_ELEMENTS = 2 };

/* False: the graph has an operation without gradient, said with its place. */
static bool refused(const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->kind == DIAG_ERROR && strcmp(diags->list.at[i]->code, "E-GRAD") != 0)
            return false;
    return diags->errors > 0;
}

/* The gradient's graph as a model: its outputs differ by sequence as all outputs may, and its
 * inputs are inputs. */
static Graph *as_model(Graph *graph) {
    for (int o = 0; o < graph->outputs.count; o++) {
        graph->outputs.at[o].shared = false;
        graph->outputs.at[o].kind = PORT_MODEL;
    }
    for (int i = 0; i < graph->inputs.count; i++) graph->inputs.at[i].kind = PORT_MODEL;
    graph->losses.count = 0;
    return graph;
}

/* The gradient of one graph, checked; NULL where it has none. */
static Graph *gradient_of(Test *test, const char *what, Graph *graph, int64_t batch, int64_t steps,
                          int count, int elements, int counts[3]) {
    static const int64_t ragged[] = {4, 1, 3};
    Data *data = data_new(test->arena, graph, batch, steps, ragged, count, 17);
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        int64_t row = data->batch * shape_count(port->type.shape);
        for (int64_t k = 0; port->type.pointer && k < port_count(data, port); k++)
            data->inputs[i][k] =
                port->type.pointer == PTR_POS ? 0 : (double)((5 * k + 1) % (k / row + 1) - 1);
    }
    InterpCall call = {.batch = data->batch,
                       .lengths = data->lengths,
                       .inputs = (const double **)data->inputs,
                       .params = (const double **)data->params,
                       .seed = 5};
    const AdjointOptions how = differences_options(test->arena, graph, &call);
    Gradient gradient;
    Diags *diags = diags_new(test->arena);
    if (!gradient_build(graph, &how, true, &gradient, diags)) {
        Text text = text_new(test->arena);
        diags_render(diags, false, &text);
        counts[1]++;
        test_expect(test, what, refused(diags) ? NULL : text_string(&text));
        return NULL;
    }
    Differences found = differences_check(test->arena, &gradient, &call, elements, 3);
    test_expect(test, what, found.result == DIFFERENCES_WRONG ? found.words : NULL);
    counts[0] += found.checked;
    counts[2] += found.kinks;
    return gradient.graph;
}

static void gradients_of(Test *test, const Case *one, int64_t batch, int64_t steps, int count,
                         int counts[2][3]) {
    Options *options = ARENA_NEW(test->arena, Options);
    options->file = one->file;
    options->model = one->model;
    options->mode = MODE_TRAIN;
    options->optional_passes = true;
    for (int i = 0; i < one->define_count; i++)
        vec_push(test->arena, &options->defines,
                 (SemaDefine){one->defines[i].name, one->defines[i].value, false});
    Compilation *c = compilation_new(test->arena, options);
    if (!compilation_run(c, STAGE_GRAPH)) return; /* it has sizes that only its user gives */
    const char *what = arena_printf(test->arena, "%s, B %lld, T %lld", one->what, (long long)batch,
                                    (long long)steps);
    Graph *gradient = gradient_of(test, what, c->graph, batch, steps, count, ELEMENTS, counts[0]);
    if (!gradient || count == 0) return;
    what = arena_printf(test->arena, "the gradient of %s", what);
    (void)gradient_of(test, what, as_model(gradient), batch, steps, count, SECOND_ELEMENTS,
                      counts[1]);
}

static void open_case(const Case *list, int number, int64_t batch, int64_t steps, int count,
                      int counts[2][3], int *failures) {
    Test test;
    TEST_OPEN(&test);
    gradients_of(&test, &list[number], batch, steps, count, counts);
    *failures += test.failures;
    arena_free(test.arena);
}

static void programs(void **state) {
    (void)state;
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/programs", false, list, MOST);
    int counts[2][3] = {{0}}, failures = 0;
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        if (list[i].mode != MODE_INFER || (list[i].swept && list[i].defines->value != 3)) continue;
        open_case(list, i, 3, 4, 3, counts, &failures);
        open_case(list, i, 1, 1, 0, counts, &failures);
        open_case(list, i, 2, 0, 0, counts, &failures);
    }
    for (int order = 0; order < 2; order++) {
        print_message("%s: %d elements compared, %d at kinks; %d models without a gradient\n",
                      order ? "of gradients" : "gradients", counts[order][0], counts[order][2],
                      counts[order][1]);
        test_expect(&test, "kinks", counts[order][2] * 20 <= counts[order][0] ? NULL : "too many");
    }
    test_expect(&test, "gradients", failures ? "differ" : NULL);
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
