/* Gradients of the numeric programs against central differences of fourth order, in double, by the
 * interpreter: of parameters and inputs, from the losses and a random upstream gradient of every
 * output. An element whose differences of two step sizes disagree stands at a kink, and is counted.
 */
#include "gradient.h"

#include <math.h>

#include "list.h"
#include "numeric.h"

enum { MOST = 400, ELEMENTS = 6 };

typedef struct Check {
    Test *test;
    const char *what;
    const Graph *graph;
    Data *data;
    double **upstream;
    int compared, kinks;
} Check;

static uint64_t mix(uint64_t *state) {
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    return *state >> 33;
}

static double uniform(uint64_t *state) {
    return (double)mix(state) / (double)(1u << 31) * 2 - 1;
}

static InterpCall call_of(const Data *data) {
    return (InterpCall){.batch = data->batch,
                        .lengths = data->lengths,
                        .inputs = (const double **)data->inputs,
                        .params = (const double **)data->params,
                        .seed = 5};
}

/* The loss and the inner products of outputs and upstream gradients; NaN when it is refused. */
static double value_of(Check *check) {
    InterpCall call = call_of(check->data);
    Arena *arena = arena_new(NULL);
    InterpResult *r = interpret(arena, check->graph, &call);
    double sum = NAN;
    if (r->status == INTERP_OK) {
        sum = r->loss;
        for (int o = 0; o < check->graph->outputs.count; o++)
            for (int64_t e = 0;
                 check->upstream[o] && e < port_count(check->data, &check->graph->outputs.at[o]);
                 e++)
                if (check->upstream[o][e] != 0) sum += r->outputs[o][e] * check->upstream[o][e];
    }
    arena_free(arena);
    return sum;
}

static double difference(Check *check, double *x, double h) {
    double at = *x, f[4];
    static const double steps[] = {-2, -1, 1, 2};
    for (int i = 0; i < 4; i++) {
        *x = at + steps[i] * h;
        f[i] = value_of(check);
    }
    *x = at;
    return (8 * (f[2] - f[1]) - (f[3] - f[0])) / (12 * h); /* 0 where nothing changes */
}

static bool near(double a, double n, double largest) {
    return fabs(a - n) <= 1e-6 * fmax(fmax(fabs(a), fabs(n)), 1e-3 * largest);
}

static bool compare(Check *check, const char *name, double *x, const double *gradient,
                    int64_t count, double most, uint64_t *state) {
    double largest = 1e-6 * most;
    for (int64_t i = 0; i < count; i++) largest = fmax(largest, fabs(gradient[i]));
    for (int k = 0; k < ELEMENTS && k < count; k++) {
        int64_t i = count <= ELEMENTS ? k : (int64_t)(mix(state) % (uint64_t)count);
        double n = difference(check, &x[i], 1e-4);
        check->compared++;
        if (near(gradient[i], n, largest)) continue;
        if (!near(n, difference(check, &x[i], 1.7e-5), 20 * largest)) {
            check->kinks++;
            continue;
        }
        return test_expect(check->test, check->what,
                           arena_printf(check->test->arena,
                                        "d_%s[%lld] is %.12g, differences say %.12g", name,
                                        (long long)i, gradient[i], n));
    }
    return true;
}

static void compare_all(Check *check, const Gradient *gradient, const InterpResult *r) {
    const Graph *graph = check->graph;
    double most = 0;
    uint64_t state = 11;
    for (int o = 0; o < gradient->graph->outputs.count; o++) {
        const GraphPort *port = &gradient->graph->outputs.at[o];
        int64_t n = port->summed ? shape_count(port->type.shape) : port_count(check->data, port);
        for (int64_t i = 0; i < n; i++) most = fmax(most, fabs(r->outputs[o][i]));
    }
    for (int o = 0; o < gradient->graph->outputs.count; o++) {
        const GraphPort *port = &gradient->graph->outputs.at[o];
        const char *name = port->name + 2;
        double *x = NULL;
        int64_t n = port->summed ? shape_count(port->type.shape) : port_count(check->data, port);
        for (int p = 0; p < graph->params.count && port->summed; p++)
            if (strcmp(graph->params.at[p].name, name) == 0) x = check->data->params[p];
        for (int p = 0; p < graph->inputs.count && !port->summed; p++)
            if (strcmp(graph->inputs.at[p].name, name) == 0) x = check->data->inputs[p];
        if (x && !compare(check, name, x, r->outputs[o], n, most, &state)) return;
    }
}

/* False: the graph has an operation without gradient, said with its place. */
static bool refused(const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++)
        if (diags->list.at[i]->kind == DIAG_ERROR && strcmp(diags->list.at[i]->code, "E-GRAD") != 0)
            return false;
    return diags->errors > 0;
}

static void gradients_of(Test *test, const Case *one, int64_t batch, int64_t steps, int count,
                         int counts[3]) {
    static const int64_t ragged[] = {4, 1, 3};
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
    Check check = {.test = test, .what = one->what, .graph = c->graph};
    check.what = arena_printf(test->arena, "%s, B %lld, T %lld", one->what, (long long)batch,
                              (long long)steps);
    check.data = data_new(test->arena, c->graph, batch, steps, ragged, count, 17);
    for (int i = 0; i < c->graph->inputs.count; i++)
        for (int64_t k = 0; c->graph->inputs.at[i].type.pointer &&
                            k < port_count(check.data, &c->graph->inputs.at[i]);
             k++)
            check.data->inputs[i][k] = -1;
    bool *upstream = ARENA_ARRAY(test->arena, c->graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(test->arena, c->graph->inputs.count + 1, bool);
    check.upstream = ARENA_ARRAY(test->arena, c->graph->outputs.count + 1, double *);
    uint64_t state = 3;
    for (int o = 0; o < c->graph->outputs.count; o++) {
        int64_t n = port_count(check.data, &c->graph->outputs.at[o]);
        upstream[o] = c->graph->outputs.at[o].type.dtype == DT_FLOAT;
        if (!upstream[o]) continue;
        check.upstream[o] = ARENA_ARRAY(test->arena, n + 1, double);
        for (int64_t e = 0; e < n; e++) check.upstream[o][e] = uniform(&state);
    }
    for (int i = 0; i < c->graph->inputs.count; i++)
        of_inputs[i] = c->graph->inputs.at[i].node >= 0 && check.data->inputs[i];
    const AdjointOptions how = {true, upstream, of_inputs, true};
    Gradient gradient;
    Diags *diags = diags_new(test->arena);
    if (!gradient_build(c->graph, &how, true, &gradient, diags)) {
        Text text = text_new(test->arena);
        diags_render(diags, false, &text);
        counts[1]++;
        test_expect(test, check.what, refused(diags) ? NULL : text_string(&text));
        return;
    }
    InterpCall call = call_of(check.data);
    InterpResult *plain = interpret(test->arena, c->graph, &call);
    if (plain->status != INTERP_OK) return;           /* a length that the model refuses */
    for (int o = 0; o < c->graph->outputs.count; o++) /* the maximum of nothing has no gradient */
        for (int64_t e = 0;
             check.upstream[o] && e < port_count(check.data, &c->graph->outputs.at[o]); e++)
            if (!isfinite(plain->outputs[o][e])) check.upstream[o][e] = 0;
    InterpResult *r = gradient_interpret(test->arena, &gradient, &call, check.upstream);
    if (!test_expect(test, check.what, r->status == INTERP_OK ? NULL : r->message)) return;
    compare_all(&check, &gradient, r);
    counts[0] += check.compared;
    counts[2] += check.kinks;
}

static void open_case(const Case *list, int number, int64_t batch, int64_t steps, int count,
                      int counts[3], int *failures) {
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
    int counts[3] = {0}, failures = 0;
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        if (list[i].mode != MODE_INFER || (list[i].swept && list[i].defines->value != 3)) continue;
        open_case(list, i, 3, 4, 3, counts, &failures);
        open_case(list, i, 1, 1, 0, counts, &failures);
        open_case(list, i, 2, 0, 0, counts, &failures);
    }
    print_message("%d elements compared, %d at kinks; %d models without a gradient\n", counts[0],
                  counts[2], counts[1]);
    test_expect(&test, "gradients", failures ? "differ" : NULL);
    test_expect(&test, "kinks", counts[2] * 20 <= counts[0] ? NULL : "too many");
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
