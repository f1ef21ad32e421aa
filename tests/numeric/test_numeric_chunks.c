/* Gradients in chunks against those of the whole tape: of all numeric programs that can be cut, in
 * double, by the Loop evaluator, whose `grad` takes as many chunks as its workspace makes it. Both
 * add up the same terms in other orders. */
#include "list.h"
#include "numeric.h"

#include <math.h>

enum { MOST = 400 };

typedef struct Results {
    int64_t status;
    double loss, *params, **inputs; /* gradients; [inputs]: NULL where there is none */
} Results;

typedef struct Grad {
    Test *test;
    const Interface *in;
    LoopProgram *program;
    const Data *data;
} Grad;

/* Doubles as the function takes them. */
static void *narrow(Arena *arena, LoopType type, const double *from, int64_t count) {
    char *to = arena_alloc(arena, (size_t)(count + 1) * 8);
    for (int64_t i = 0; i < count; i++) {
        if (type == LT_F64) ((double *)(void *)to)[i] = from[i];
        if (type == LT_I32) ((int32_t *)(void *)to)[i] = (int32_t)from[i];
        if (type == LT_I8) to[i] = (char)(from[i] != 0);
    }
    return to;
}

static double *zeros(Arena *arena, int64_t count) {
    return ARENA_ARRAY(arena, count + 1, double);
}

/* Calls a function of the interface; `results` get what it writes. */
static int64_t call(const Grad *g, int index, void *work, int64_t bytes, Results *results) {
    Arena *arena = g->test->arena;
    const Interface *in = g->in;
    const InterfaceFunction *described = &in->functions.at[index];
    const LFunction *function = in->module->functions.at[described->function];
    const Graph *graph = in->graph;
    const Data *data = g->data;
    LoopValue *args = ARENA_ARRAY(arena, described->args.count + 1, LoopValue);
    for (int i = 0; i < described->args.count; i++) {
        const InterfaceArg *arg = &described->args.at[i];
        LoopType type = function->args.at[i].type;
        int64_t count = 0;
        void *at = NULL;
        switch (arg->role) {
        case ROLE_PARAMS: {
            double *flat = zeros(arena, in->param_count);
            for (int p = 0; p < graph->params.count; p++)
                memcpy(flat + in->param_offsets.at[p], data->params[p],
                       (size_t)shape_count(graph->params.at[p].shape) * sizeof *flat);
            at = flat;
            count = in->param_count;
            break;
        }
        case ROLE_BATCH: args[i].integer = data->batch; break;
        case ROLE_STEPS: args[i].integer = data->extent[arg->slot]; break;
        case ROLE_LENGTHS: {
            double *lengths = zeros(arena, data->batch);
            for (int64_t b = 0; b < data->batch; b++)
                lengths[b] = (double)data->lengths[arg->slot][b];
            at = narrow(arena, LT_I32, lengths, count = data->batch);
            break;
        }
        case ROLE_INPUT:
            if (!data->inputs[arg->slot]) break;
            count = port_count(data, &graph->inputs.at[arg->slot]);
            at = narrow(arena, type, data->inputs[arg->slot], count);
            break;
        case ROLE_UPSTREAM: {
            count = port_count(data, &graph->outputs.at[arg->slot]);
            double *d = zeros(arena, count);
            for (int64_t k = 0; k < count; k++) d[k] = (double)((7 * k + 3) % 11 - 5) / 8;
            at = d;
            break;
        }
        case ROLE_LOSS: at = &results->loss, count = 1; break;
        case ROLE_GRADS: at = results->params, count = in->param_count; break;
        case ROLE_INPUT_GRAD:
            count = port_count(data, &graph->inputs.at[arg->slot]);
            at = results->inputs[arg->slot] = zeros(arena, count);
            break;
        case ROLE_SEED: args[i].integer = 5; break;
        case ROLE_WORK: at = work, count = bytes / 8; break;
        case ROLE_WORK_BYTES: args[i].integer = bytes; break;
        case ROLE_OUTPUT:
        case ROLE_POOL: break; /* not wanted */
        case ROLE_WEIGHTS:
        case ROLE_OUT_LENGTHS:
        case ROLE_STATE:
        case ROLE_FIRST:
        case ROLE_COUNT:
        case ROLE_ENDED:
        case ROLE_AT: fail_msg("a role that grad has not");
        }
        if (at) args[i] = (LoopValue){.pointer = at, .bytes = (size_t)count * 8};
    }
    int64_t result = 0;
    const char *error = NULL;
    bool good = loop_program_call(g->program, arena, function->name, args, described->args.count,
                                  &result, &error);
    if (!test_expect(g->test, function->name, good ? NULL : error)) return -1;
    return result;
}

static Results run(const Grad *g, int64_t bytes) {
    Arena *arena = g->test->arena;
    Results r = {.params = zeros(arena, g->in->param_count),
                 .inputs = ARENA_ARRAY(arena, g->in->graph->inputs.count + 1, double *)};
    char *work = arena_alloc(arena, (size_t)bytes + 128);
    work += 64 - (uintptr_t)work % 64;
    memset(work, 0xff, (size_t)bytes); /* NaN */
    r.status = call(g, g->in->grad, work, bytes, &r);
    return r;
}

/* NULL, or what is off. A tensor's differences are measured by its largest element. */
static const char *compare(Arena *arena, const char *name, const double *a, const double *b,
                           int64_t count) {
    double most = 1e-3;
    for (int64_t k = 0; k < count; k++) most = fmax(most, fabs(b[k]));
    for (int64_t k = 0; k < count; k++)
        if (!(fabs(a[k] - b[k]) <= 1e-10 * most) && !(isnan(a[k]) && isnan(b[k])))
            return arena_printf(arena, "%s, element %lld: %.17g in chunks, %.17g at once", name,
                                (long long)k, a[k], b[k]);
    return NULL;
}

static void check(const Grad *g, const char *what, int *compared) {
    Arena *arena = g->test->arena;
    const Graph *graph = g->in->graph;
    Results none = {.inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, double *)};
    int64_t least = call(g, g->in->grad_work, NULL, 0, &none), whole = 0;
    const InterfaceFunction *size = &g->in->functions.at[g->in->grad_work];
    for (int i = 0; i < size->bytes.count; i++) {
        const InterfaceTerm *term = &size->bytes.at[i];
        int64_t product = term->coefficient;
        for (int s = 0; s < INTERFACE_SYMBOLS; s++)
            for (int p = 0; p < term->powers[s]; p++)
                product *= s ? g->data->extent[s - 1] : g->data->batch;
        whole += product;
    }
    Results at_once = run(g, whole > least ? whole : least), chunks = run(g, least);
    const char *wrong = NULL;
    if (at_once.status != chunks.status)
        wrong = arena_printf(arena, "status %lld in chunks, %lld at once", (long long)chunks.status,
                             (long long)at_once.status);
    if (!wrong && at_once.status == LOOP_OK) {
        wrong = compare(arena, "the loss", &chunks.loss, &at_once.loss, 1);
        for (int p = 0; p < graph->params.count && !wrong; p++)
            wrong =
                compare(arena, graph->params.at[p].name, chunks.params + g->in->param_offsets.at[p],
                        at_once.params + g->in->param_offsets.at[p],
                        shape_count(graph->params.at[p].shape));
        for (int i = 0; i < graph->inputs.count && !wrong; i++)
            if (at_once.inputs[i])
                wrong = compare(arena, graph->inputs.at[i].name, chunks.inputs[i],
                                at_once.inputs[i], port_count(g->data, &graph->inputs.at[i]));
    }
    *compared += least < whole;
    test_expect(g->test, what, wrong);
}

/* Whether the one thing wrong is that the model cannot be cut, or has sizes of its user. */
static bool refused(const Diags *diags) {
    for (int i = 0; i < diags->list.count; i++) {
        const Diag *diag = diags->list.at[i];
        if (diag->kind == DIAG_ERROR && strcmp(diag->code, "E-BUDGET") != 0 &&
            strcmp(diag->code, "E-SIZEARG") != 0)
            return false;
    }
    return true;
}

static void open_case(const Case *one, int counts[2], int *failures) {
    static const int64_t ragged[] = {23, 9, 17};
    static const struct {
        int64_t batch, steps;
        int count;
    } sizes[] = {{3, 23, 3}, {1, 19, 0}, {2, 1, 0}};
    Test test;
    TEST_OPEN(&test);
    Options *options = ARENA_NEW(test.arena, Options);
    options->file = one->file;
    options->model = one->model;
    options->mode = MODE_TRAIN;
    options->real = LT_F64;
    options->optional_passes = options->training = true;
    options->memory_budget = 1;
    for (int i = 0; i < one->define_count; i++)
        vec_push(test.arena, &options->defines,
                 (SemaDefine){one->defines[i].name, one->defines[i].value, false});
    Compilation *c = compilation_new(test.arena, options);
    c->target.target = target_8;
    if (!compilation_run(c, STAGE_LOOP)) {
        Text text = text_new(test.arena);
        diags_render(c->diags, false, &text);
        test_expect(&test, one->what, refused(c->diags) ? NULL : text_string(&text));
        counts[1]++;
    } else {
        const char *error = NULL;
        Grad g = {&test, c->interface_, loop_program_new(test.arena, c->interface_->module, &error),
                  NULL};
        if (test_expect(&test, one->what, g.program ? NULL : error))
            for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
                g.data = data_new(test.arena, c->graph, sizes[i].batch, sizes[i].steps, ragged,
                                  sizes[i].count, 17);
                check(&g, one->what, &counts[0]);
            }
    }
    *failures += test.failures;
    arena_free(test.arena);
}

static void programs(void **state) {
    (void)state;
    static Case list[MOST];
    Test test;
    TEST_OPEN(&test);
    int count = list_folder(test.arena, "tests/numeric/programs", false, list, MOST);
    int counts[2] = {0}, failures = 0;
    for (int i = 0; i < count; i++) {
        if (getenv("NUMERIC_MODEL") && !strstr(list[i].what, getenv("NUMERIC_MODEL"))) continue;
        if (list[i].mode != MODE_INFER || (list[i].swept && list[i].defines->value != 3)) continue;
        open_case(&list[i], counts, &failures);
    }
    print_message("%d calls compared; %d models cannot be cut\n", counts[0], counts[1]);
    test_expect(&test, "chunks", failures ? "differ" : NULL);
    test_expect(&test, "calls", getenv("NUMERIC_MODEL") || counts[0] >= 100 ? NULL : "too few");
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(programs)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
