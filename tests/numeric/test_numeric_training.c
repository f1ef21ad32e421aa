/* The functions of training, `loss` and `grad`, by the Loop evaluator: against the interpreter on
 * the graph of the gradient, within its bound; and what must not change bits: lanes, contents of
 * workspace and padding, results that are not wanted, upstream gradients that are left out.
 * NUMERIC_FEW=1: ragged sizes in single precision, and passes are not verified one by one. */
#include "numeric.h"

#include <float.h>
#include <math.h>

#include "list.h"

enum { MOST = 400 };

static const int64_t ragged[] = {4, 0, 3, 1}, filled[] = {5, 1, 3};

typedef struct Sizes {
    int64_t batch, steps;
    const int64_t *lengths;
    int count;
} Sizes;

static const Sizes sizes[] = {{4, 4, ragged, 4}, {1, 5, NULL, 0}, {9, 5, filled, 3},
                              {2, 6, NULL, 0},   {2, 0, NULL, 0}, {1, 1, NULL, 0}};
enum { SIZES = sizeof sizes / sizeof *sizes };

typedef struct Counts {
    int models, refused, calls, fragile, sums, failures;
    double used;
} Counts;

static Built *build(Test *test, const Case *one, LoopType real, Target target, bool sum) {
    Spec spec = {.file = one->file,
                 .model = one->model,
                 .mode = one->mode,
                 .real = real,
                 .target = target,
                 .threads = target.lanes == 16 ? 3 : 0, /* which decides no bit */
                 .training = true,
                 .forced = target.lanes < 16,
                 .reduce_sum = sum,
                 .verify = target.lanes == 8 && real == LT_F32 && !getenv("NUMERIC_FEW"),
                 .defines = one->defines,
                 .define_count = one->define_count};
    return model_build(test->arena, &spec);
}

static Data *draw(Arena *arena, const Built *built, const Sizes *z, unsigned without,
                  uint64_t seed) {
    Data *data = data_new(arena, built->graph, z->batch, z->steps, z->lengths, z->count, seed);
    return data_trained(arena, data, without, seed);
}

/* What the interface promises is there, and nothing else. */
static const char *all_there(Arena *arena, const Built *built, const Outcome *got) {
    const Graph *graph = built->graph;
    if ((graph->losses.count > 0) != (got->loss != NULL)) return "there is no loss, or too many";
    if (!got->grads) return "there is no gradient of parameters";
    for (int i = 0; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        bool wanted = port->node >= 0 && port->type.dtype == DT_FLOAT;
        if (wanted != (got->in_grads[i] != NULL))
            return arena_printf(arena, "input %s: %s gradient", port->name, wanted ? "no" : "a");
    }
    return NULL;
}

/* ---- What must not change bits ---- */

/* The same call, but for what `options` leaves out. */
static void again(Test *test, const char *where, const char *what, const Built *built,
                  const Data *data, const CallOptions *options, const Outcome *first) {
    Outcome *got = run_gradient(&evaluator, test->arena, built, data, options);
    test_expect(test, arena_printf(test->arena, "%s, %s", where, what),
                compare_exact(test->arena, data, got, first));
}

static void same_bits(Test *test, const char *where, const Built *built, const Data *data,
                      const Sizes *z, const Outcome *first) {
    const Graph *graph = built->graph;
    const CallOptions plain = {.fill = 0x3C}, no_params = {.no_params = true},
                      no_inputs = {.no_in_grads = true}, no_loss = {.no_loss = true},
                      no_outputs = {.no_outputs = true, .fill = 0x3C},
                      no_lengths = {.lengths_missing = true};
    again(test, where, "another fill, poison behind the ends", built,
          data_poisoned(test->arena, data), &plain, first);
    again(test, where, "no d_params", built, data, &no_params, first);
    again(test, where, "no gradients of inputs", built, data, &no_inputs, first);
    again(test, where, "no loss", built, data, &no_loss, first);
    again(test, where, "no outputs", built, data, &no_outputs, first);
    if (!z->count) again(test, where, "no lengths", built, data, &no_lengths, first);
    /* NULL for an upstream gradient is one of zeros. */
    Data *none = arena_copy(test->arena, data, sizeof *data),
         *zeros = arena_copy(test->arena, data, sizeof *data);
    none->upstream = ARENA_ARRAY(test->arena, graph->outputs.count + 1, double *);
    zeros->upstream = ARENA_ARRAY(test->arena, graph->outputs.count + 1, double *);
    for (int o = 0; o < graph->outputs.count; o++) {
        bool out = o % 2 == 0;
        int64_t n = port_count(data, &graph->outputs.at[o]);
        none->upstream[o] = out ? NULL : data->upstream[o];
        zeros->upstream[o] =
            out && data->upstream[o] ? ARENA_ARRAY(test->arena, n + 1, double) : data->upstream[o];
    }
    Outcome *want = run_gradient(&evaluator, test->arena, built, zeros, NULL);
    again(test, where, "upstream gradients left out", built, none, &plain, want);
}

/* ---- One size ---- */

static bool one_size(Test *test, const char *what, Built *const *targets, int count, const Sizes *z,
                     uint64_t seed, Counts *counts) {
    Arena *arena = test->arena;
    LoopType real = targets[0]->in->module->real;
    Data *data = draw(arena, targets[0], z, seed % 3 == 0 ? 2 : 0, seed);
    const char *where = arena_printf(arena, "%s, B %lld, T %lld%s", what, (long long)z->batch,
                                     (long long)z->steps, z->count ? ", ragged" : "");
    Outcome *want = run_gradient_bounded(arena, targets[0], data, real, NULL), *first = NULL;
    counts->calls++;
    counts->fragile += want->fragile != NULL;
    for (int t = 0; t < count; t++) {
        const Built *built = targets[t];
        Outcome *got =
            run_gradient(&evaluator, arena, built, data, &(CallOptions){.fill = t % 2 ? 0 : 0xFF});
        const char *name = arena_printf(arena, "%s, %s", where, built->in->module->target.name);
        const char *words = t == 0 || !built->in->module->target.fma
                                ? compare_bound(arena, data, got, want, &counts->used)
                                : compare_exact(arena, data, got, first);
        if (!test_expect(test, name, words)) return false;
        if (t == 0) first = got;
        if (built->in->loss < 0) continue;
        Outcome *loss = run_loss(&evaluator, arena, built, data, NULL);
        if (!test_expect(test, arena_printf(arena, "%s, loss", name),
                         compare_bound(arena, data, loss, want, &counts->used)))
            return false;
    }
    if (first->status != LOOP_OK) return true;
    test_expect(test, where, all_there(arena, targets[0], first));
    test_expect(test, where, compare_padding(arena, data, first));
    if (real == LT_F32) same_bits(test, where, targets[0], data, z, first);
    return true;
}

/* ---- A batch is the sum of its sequences ---- */

static bool draws(const Graph *graph) {
    bool any = false;
    for (int i = 0; i < graph->nodes.count; i++) any = any || graph->nodes.at[i]->op == OP_DRAW;
    return any;
}

/* Whether the losses of single sequences add up to that of a batch. */
static bool adds_up(const Built *built) {
    const Schedule *loss = built->c->loss;
    if (draws(built->graph)) return false; /* which sequence it is decides what is drawn */
    for (int o = 0; loss && o < loss->outputs.count; o++) {
        PortKind kind = loss->graph->outputs.at[o].kind;
        if (kind == PORT_PER) return false;
        if (kind == PORT_LOSS && !loss->values.at[loss->outputs.at[o]]->batched) return false;
    }
    return true;
}

static void sum_of_singles(Test *test, const char *what, const Built *built, const Sizes *z,
                           Counts *counts) {
    Arena *arena = test->arena;
    const Graph *graph = built->graph;
    if (!adds_up(built)) return;
    Data *data = draw(arena, built, z, 0, 23);
    double **sums = ARENA_ARRAY(arena, graph->params.count + 1, double *);
    for (int p = 0; p < graph->params.count; p++) {
        int64_t n = shape_count(graph->params.at[p].shape);
        data->d_params[p] = ARENA_ARRAY(arena, n + 1, double);
        sums[p] = ARENA_ARRAY(arena, n + 1, double);
    }
    Outcome *want = run_gradient_bounded(arena, built, data, built->in->module->real, NULL);
    Outcome *whole = run_gradient(&evaluator, arena, built, data, NULL);
    if (want->status != LOOP_OK || want->fragile || whole->status != LOOP_OK) return;
    for (int64_t b = 0; b < z->batch; b++) {
        Data *one = data_part(arena, data, b, 1, -1, 0, 0);
        Outcome *alone = run_gradient(&evaluator, arena, built, one, NULL);
        const char *words = alone->error ? alone->error
                            : alone->status != LOOP_OK
                                ? "a sequence alone is refused"
                                : compare_part(arena, data, whole, one, alone, b, -1, 0, want);
        if (!test_expect(test, arena_printf(arena, "%s, sequence %lld alone", what, (long long)b),
                         words))
            return;
        for (int p = 0; p < graph->params.count; p++)
            for (int64_t e = 0; e < shape_count(graph->params.at[p].shape); e++)
                sums[p][e] += alone->grads[p][e];
    }
    Outcome singles = {.outputs = whole->outputs, .lengths = whole->lengths, .grads = sums};
    for (int p = 0; p < graph->params.count; p++)
        for (int64_t e = 0; e < shape_count(graph->params.at[p].shape); e++)
            want->grad_bounds[p][e] = 2 * want->grad_bounds[p][e] + DBL_MIN; /* both may use it */
    Outcome near = *want;
    near.grads = whole->grads;
    near.outputs = whole->outputs;
    double used = 0;
    counts->sums++;
    test_expect(test, arena_printf(arena, "%s, the sum of the sequences", what),
                compare_bound(arena, data, &singles, &near, &used));
}

/* ---- All models ---- */

static void try_case(Test *test, const Case *one, Counts *counts) {
    static const Target *const f32[] = {&target_8, &target_16, &target_generic},
                               *const f64[] = {&target_8, &target_generic};
    Built *built[2][3];
    int types = getenv("NUMERIC_FEW") ? 1 : 2;
    for (int type = 0; type < types; type++)
        for (int t = 0; t < 3 - type; t++) {
            Built *b = built[type][t] =
                build(test, one, type ? LT_F64 : LT_F32, *(type ? f64 : f32)[t], false);
            if (b->result == NOT_CHECKED) return;
            if (b->result == NOT_LOWERED) {
                test->checks++;
                counts->refused++;
                if (getenv("NUMERIC_VERBOSE")) print_message("%s: %s\n", one->what, b->words);
                return;
            }
            if (!test_expect(test, one->what, b->result == BUILT ? NULL : b->words)) return;
        }
    counts->models++;
    for (int type = 0; type < types; type++) {
        const char *what = arena_printf(test->arena, "%s %s", one->what, type ? "f64" : "f32");
        for (int s = 0; s < SIZES; s += type || types == 1 ? 2 : 1)
            if (!one_size(test, what, built[type], 3 - type, &sizes[s], 17 + (uint64_t)s, counts))
                break;
    }
    Built *sum = build(test, one, LT_F32, target_8, true);
    for (int s = 0; s < 3 && sum->result == BUILT && types == 2; s += 2)
        sum_of_singles(test, one->what, sum, &sizes[s], counts);
}

static void open_case(const Case *list, int number, Counts *counts) {
    Test test;
    TEST_OPEN(&test);
    try_case(&test, &list[number], counts);
    counts->failures += test.failures;
    arena_free(test.arena);
}

static void folder(const char *path, bool may_refuse) {
    static Case list[MOST];
    Counts counts = {0};
    Test test;
    TEST_OPEN(&test);
    int count = list_folder(test.arena, path, may_refuse, list, MOST);
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        if (list[i].swept && list[i].defines->value != 3 && list[i].defines->value != 17) continue;
        /* One of a file with modes is there in eval and train mode, too. */
        if (list[i].mode == MODE_INFER)
            list[i].mode = MODE_TRAIN;
        else if (list[i].mode == MODE_TRAIN)
            continue;
        open_case(list, i, &counts);
    }
    print_message("%d models, %d calls, %d fragile, %d sums of sequences; %.2f of a bound used; %d "
                  "models not lowered\n",
                  counts.models, counts.calls, counts.fragile, counts.sums, counts.used,
                  counts.refused);
    test_expect(&test, path, counts.failures ? "differs" : NULL);
    test_close(&test);
}

static void small(void **state) {
    (void)state;
    folder("tests/numeric/programs", false);
}

static void golden(void **state) {
    (void)state;
    folder("tests/golden/programs", true);
}

static void carried(void **state) {
    (void)state;
    folder("tests/numeric/carried", false);
}

/* ---- State ---- */

static const char *same_states(Arena *arena, const Interface *in, int64_t batch, double **a,
                               double **b) {
    for (int s = 0; s < in->states.count; s++)
        for (int64_t e = 0; e < in->states.at[s].lags * batch * in->states.at[s].count; e++)
            if (memcmp(&a[s][e], &b[s][e], sizeof(double)) != 0)
                return arena_printf(arena, "state %s, element %lld: %.9g, and %.9g by forward",
                                    in->states.at[s].name, (long long)e, a[s][e], b[s][e]);
    return NULL;
}

/* Two chunks: each function leaves the state that forward leaves, takes it, and computes what the
 * interpreter computes from it. */
static void two_chunks(Test *test, const char *what, const Built *built, int64_t batch,
                       const int64_t *lengths, int count, Counts *counts) {
    Arena *arena = test->arena;
    const Interface *in = built->in;
    int axis = built->graph->carries.at[0].axis;
    Sizes z = {batch, 12, lengths, count};
    Data *whole = draw(arena, built, &z, 0, 31);
    const double *const *states = NULL;
    for (int c = 0; c < 2; c++) {
        Data *part = data_part(arena, whole, 0, batch, axis, c ? 6 : 0, 6);
        const char *where =
            arena_printf(arena, "%s, B %lld, chunk %d", what, (long long)batch, c + 1);
        const CallOptions options = {.fill = 0xFF, .with_state = true, .states = states};
        Outcome *forward = run_forward(&evaluator, arena, built, part, &options),
                *grad = run_gradient(&evaluator, arena, built, part, &options),
                *loss = in->loss < 0 ? grad : run_loss(&evaluator, arena, built, part, &options),
                *want = run_gradient_bounded(arena, built, part, in->module->real, states);
        counts->calls++;
        counts->fragile += want->fragile != NULL;
        if (!test_expect(test, where, forward->error) ||
            !test_expect(test, where, compare_bound(arena, part, grad, want, &counts->used)) ||
            !test_expect(test, where, compare_bound(arena, part, loss, want, &counts->used)))
            return;
        if (grad->status != LOOP_OK || forward->status != LOOP_OK) return; /* nothing was carried */
        test_expect(test, where, compare_padding(arena, part, grad));
        test_expect(test, where, same_states(arena, in, batch, grad->states, forward->states));
        test_expect(test, where, same_states(arena, in, batch, loss->states, forward->states));
        if (c == 0) again(test, where, "no state", built, part, &(CallOptions){.fill = 0x11}, grad);
        states = (const double *const *)forward->states;
    }
}

static void chunks_of(const Case *list, int number, Counts *counts) {
    static const int64_t whole[] = {12}, uneven[] = {12, 9, 3, 7};
    Test test;
    TEST_OPEN(&test);
    for (int type = 0; type < 2; type++) {
        Built *built = build(&test, &list[number], type ? LT_F64 : LT_F32,
                             type ? target_generic : target_8, false);
        if (built->result == NOT_CHECKED || !built->graph->carries.count) break;
        if (!test_expect(&test, list[number].what, built->result == BUILT ? NULL : built->words))
            break;
        counts->models++;
        two_chunks(&test, list[number].what, built, 1, whole, 1, counts);
        two_chunks(&test, list[number].what, built, 3, whole, 1, counts);
        two_chunks(&test, list[number].what, built, 4, uneven, 4, counts);
    }
    counts->failures += test.failures;
    arena_free(test.arena);
}

static void chunks(void **state) {
    static Case list[MOST];
    Counts counts = {0};
    Test test;
    (void)state;
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/carried", false, list, MOST);
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        list[i].mode = MODE_TRAIN;
        chunks_of(list, i, &counts);
    }
    print_message("%d models, %d chunks, %d fragile, %.2f of a bound used\n", counts.models,
                  counts.calls, counts.fragile, counts.used);
    test_expect(&test, "chunks", counts.failures ? "differ" : counts.calls ? NULL : "no models");
    test_close(&test);
}

/* ---- Refused ---- */

/* Both functions answer `status`, and write to nothing but the workspace, which the frame of a call
 * sees to. */
static void both_refuse(Test *test, const char *what, const Built *built, const Data *data,
                        const CallOptions *options, int64_t status) {
    Outcome *got[] = {run_gradient(&evaluator, test->arena, built, data, options),
                      run_loss(&evaluator, test->arena, built, data, options)};
    for (int i = 0; i < 2; i++)
        test_expect(test, arena_printf(test->arena, "%s, %s", what, i ? "loss" : "grad"),
                    got[i]->error ? got[i]->error
                    : got[i]->status == status
                        ? NULL
                        : arena_printf(test->arena, "status %lld", (long long)got[i]->status));
}

/* The divisor of a loss is 0, for all sequences; one of another sequence is enough. */
static void refused(void **state) {
    static const Sizes z = {3, 4, NULL, 0};
    const CallOptions plain = {.fill = 0x5A, .with_state = true},
                      small_ = {.fill = 0x5A, .with_state = true, .work_less = 1};
    Test test;
    (void)state;
    TEST_OPEN(&test);
    const Case cases[] = {{.file = "tests/numeric/programs/losses.rnn", .model = "Masked"},
                          {.file = "tests/numeric/carried/losses.rnn", .model = "Layers"}};
    for (int type = 0; type < 2; type++) {
        Case one = cases[type];
        one.mode = MODE_TRAIN;
        Built *built = build(&test, &one, type ? LT_F64 : LT_F32, target_8, false);
        if (!test_expect(&test, one.model, built->result == BUILT ? NULL : built->words)) continue;
        Data *data = draw(test.arena, built, &z, 0, 5);
        both_refuse(&test, "workspace too small", built, data, &small_, LOOP_BAD_SPACE);
        if (type == 0) { /* input m: a mask that is false everywhere, and once true */
            for (int64_t k = 0; k < z.batch * z.steps; k++) data->inputs[1][k] = 0;
            both_refuse(&test, "no mask", built, data, &plain, LOOP_BAD_LOSS);
            data->inputs[1][z.batch * z.steps - 1] = 1;
            both_refuse(&test, "one mask", built, data, &plain, LOOP_OK);
        } else {
            for (int64_t b = 0; b < z.batch; b++) data->lengths[0][b] = 0;
            both_refuse(&test, "no steps", built, data, &plain, LOOP_BAD_LOSS);
        }
    }
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(small), cmocka_unit_test(golden),
                                       cmocka_unit_test(carried), cmocka_unit_test(chunks),
                                       cmocka_unit_test(refused)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
