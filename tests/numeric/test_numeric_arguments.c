/* Wrong arguments of compiled functions: every pointer NULL, what must be aligned is not, sizes are
 * too small, numbers out of their range, one at a time. Each is refused by a status, and nothing
 * but the workspace is written. A size function answers -1. */
#define _XOPEN_SOURCE 700

#include "numeric.h"

enum { BATCH = 3, STEPS = 4, EDGE = 64 };

static const struct {
    const char *file, *model;
} models[] = {{"kinds", "Embed"},         {"kinds", "Bools"},         {"streams", "PastCount"},
              {"streams", "Kinds"},       {"streams", "WindowCarry"}, {"streams", "LagsCarry"},
              {"streams", "Bounded"},     {"lags", "Given"},          {"modes", "Generator"},
              {"modes", "StopAhead"},     {"axes", "GridVector"},     {"sums", "Stages"},
              {"delays", "AheadBounded"}, {"delays", "SlowWindow"},   {"axes", "CarryAxes"},
              {"axes", "CarryPair"},      {"losses", "Masked"},       {"losses", "Two"},
              {"losses", "Tied"},         {"losses", "Pair"},         {"axes", "CarryAxes"},
              {"streams", "LagsCarry"}};

/* The last ones are in train mode, with loss and grad. */
enum { MODELS = (int)(sizeof models / sizeof *models), TRAINED = MODELS - 6 };

typedef struct Room {
    unsigned char *at;
    size_t bytes;
    unsigned char *before;
    bool work;
} Room;

/* A function with arguments that it takes, one of which is spoilt at a time. */
typedef struct Subject {
    Test *test;
    Engine *engine;
    const Built *built;
    const Data *data;
    int index;
    const InterfaceFunction *described;
    const LFunction *function;
    LoopValue *args;
    VEC(Room) blocks;
    const char *model;
} Subject;

static void *block(Subject *s, int64_t bytes, bool work) {
    Room b = {.bytes = (size_t)bytes, .work = work};
    unsigned char *room = arena_alloc(s->test->arena, b.bytes + 2 * EDGE);
    b.at = room + (EDGE - (uintptr_t)room % EDGE);
    memset(b.at, work ? 0xFF : 0, b.bytes);
    vec_push(s->test->arena, &s->blocks, b);
    return b.at;
}

static int64_t invoke(Subject *s) {
    int64_t result = -99;
    const char *error = NULL;
    if (!s->engine->call(s->engine, s->test->arena, s->built, s->index, s->args,
                         s->described->args.count, &result, &error))
        fail_msg("%s: %s", s->model, error);
    return result;
}

/* ---- Arguments that are right ---- */

static int64_t elements(const Subject *s, const GraphPort *port, bool step) {
    return step ? s->data->batch * shape_count(port->type.shape) : port_count(s->data, port);
}

static void put_input(Subject *s, int i, LoopType type) {
    const Interface *in = s->built->in;
    const InterfaceArg *arg = &s->described->args.at[i];
    bool step = s->index == in->step;
    if (s->index == in->import_state) {
        const InterfaceState *state = &in->states.at[arg->slot];
        s->args[i].pointer =
            block(s, state->lags * s->data->batch * state->count * loop_type_size(type), false);
        /* The end of sequences that go on. */
        bool end = in->latency && !in->graph->carries.count && arg->slot == in->states.count - 1;
        for (int64_t b = 0; end && b < s->data->batch; b++)
            ((int64_t *)s->args[i].pointer)[b] = INT64_C(1) << 62;
        return;
    }
    const GraphPort *port = &in->graph->inputs.at[arg->slot];
    int64_t n = elements(s, port, step);
    s->args[i].pointer = block(s, n * loop_type_size(type), false);
    for (int64_t k = 0; k < n; k++) {
        double v = s->data->inputs[arg->slot] ? s->data->inputs[arg->slot][k] : 0;
        if (type == LT_F32) ((float *)s->args[i].pointer)[k] = (float)v;
        if (type == LT_I32) ((int32_t *)s->args[i].pointer)[k] = (int32_t)v;
        if (type == LT_I8) ((int8_t *)s->args[i].pointer)[k] = (int8_t)v;
    }
}

/* The state, the weights and the workspace are shared by the functions of a model. */
typedef struct Shared_ {
    void *weights, *state, *work;
    int64_t state_bytes, work_bytes;
} Shared_;

static void put_argument(Subject *s, int i, const Shared_ *shared) {
    const Interface *in = s->built->in;
    const InterfaceArg *arg = &s->described->args.at[i];
    LoopType type = s->function->args.at[i].type;
    LoopValue *to = &s->args[i];
    switch (arg->role) {
    case ROLE_PARAMS: to->pointer = block(s, (in->param_count + 1) * 4, false); break;
    case ROLE_WEIGHTS: to->pointer = shared->weights; break;
    case ROLE_BATCH: to->integer = s->data->batch; break;
    case ROLE_STEPS: to->integer = s->data->extent[arg->slot]; break;
    case ROLE_LENGTHS:
        to->pointer = block(s, s->data->batch * 4, false);
        for (int64_t b = 0; b < s->data->batch; b++)
            ((int32_t *)to->pointer)[b] = (int32_t)s->data->extent[arg->slot];
        break;
    case ROLE_OUT_LENGTHS: to->pointer = block(s, s->data->batch * 4, false); break;
    case ROLE_INPUT: put_input(s, i, type); break;
    case ROLE_OUTPUT: {
        int64_t n =
            s->index == in->export_state
                ? in->states.at[arg->slot].lags * s->data->batch * in->states.at[arg->slot].count
                : elements(s, &in->graph->outputs.at[arg->slot], s->index == in->step);
        to->pointer = block(s, n * loop_type_size(type), false);
        break;
    }
    case ROLE_STATE: to->pointer = shared->state; break;
    case ROLE_FIRST: to->integer = 0; break;
    case ROLE_COUNT: to->integer = s->data->batch; break;
    case ROLE_ENDED: to->pointer = block(s, s->data->batch, false); break;
    case ROLE_AT: to->pointer = block(s, s->data->batch * 8, false); break;
    case ROLE_UPSTREAM:
        to->pointer = block(s, elements(s, &in->graph->outputs.at[arg->slot], false) * 4, false);
        break;
    case ROLE_LOSS: to->pointer = block(s, 4, false); break;
    case ROLE_GRADS: to->pointer = block(s, (in->param_count + 1) * 4, false); break;
    case ROLE_INPUT_GRAD:
        to->pointer = block(s, elements(s, &in->graph->inputs.at[arg->slot], false) * 4, false);
        break;
    case ROLE_SEED:
    case ROLE_POOL: break;
    case ROLE_WORK: to->pointer = shared->work; break;
    case ROLE_WORK_BYTES: to->integer = shared->work_bytes; break;
    }
}

static Subject subject(Test *test, Engine *engine, const Built *built, const char *model,
                       const Data *data, int index, const Shared_ *shared) {
    const Interface *in = built->in;
    Subject s = {.test = test,
                 .engine = engine,
                 .built = built,
                 .data = data,
                 .index = index,
                 .described = &in->functions.at[index],
                 .function = in->module->functions.at[in->functions.at[index].function],
                 .model = model};
    s.args = ARENA_ARRAY(test->arena, s.described->args.count + 1, LoopValue);
    for (int i = 0; i < s.described->args.count; i++) put_argument(&s, i, shared);
    return s;
}

/* ---- One that is wrong ---- */

static void remember(Subject *s, const Shared_ *shared) {
    const Room more[] = {{.at = shared->weights, .bytes = (size_t)s->built->in->weight_bytes},
                         {.at = shared->state, .bytes = (size_t)shared->state_bytes}};
    for (int i = 0; i < 2; i++)
        if (more[i].at) vec_push(s->test->arena, &s->blocks, more[i]);
    for (int i = 0; i < s->blocks.count; i++)
        s->blocks.at[i].before =
            arena_copy(s->test->arena, s->blocks.at[i].at, s->blocks.at[i].bytes);
}

static void refused(Subject *s, int i, int64_t status, const char *what) {
    const char *name = arena_printf(s->test->arena, "%s_%s, %s %s", s->model, s->function->name,
                                    s->function->args.at[i].name, what);
    int64_t got = invoke(s);
    bool good = status == 0 ? got != LOOP_OK : got == status;
    test_expect(s->test, name,
                good ? NULL : arena_printf(s->test->arena, "returned %lld", (long long)got));
    for (int b = 0; b < s->blocks.count; b++)
        if (memcmp(s->blocks.at[b].at, s->blocks.at[b].before, s->blocks.at[b].bytes) != 0) {
            test_expect(s->test, name, "something was written");
            memcpy(s->blocks.at[b].at, s->blocks.at[b].before, s->blocks.at[b].bytes);
        }
}

static void spoil_number(Subject *s, int i, int64_t status, const int64_t *values, int count) {
    int64_t right = s->args[i].integer;
    for (int k = 0; k < count; k++) {
        s->args[i].integer = values[k];
        refused(s, i, status, arena_printf(s->test->arena, "%lld", (long long)values[k]));
    }
    s->args[i].integer = right;
}

static void spoil_pointer(Subject *s, int i, bool aligned) {
    void *right = s->args[i].pointer;
    s->args[i].pointer = NULL;
    refused(s, i, LOOP_BAD_POINTER, "NULL");
    for (int shift = 1; aligned && shift < EDGE; shift *= 2) {
        s->args[i].pointer = (unsigned char *)right + shift;
        refused(s, i, LOOP_BAD_POINTER, arena_printf(s->test->arena, "shifted by %d", shift));
    }
    s->args[i].pointer = right;
}

/* What is spoilt itself is remembered as it is then. */
static void put_integer(Subject *s, int32_t *at, int64_t place, int32_t value) {
    at[place] = value;
    for (int b = 0; b < s->blocks.count; b++)
        if (s->blocks.at[b].at == (void *)at)
            memcpy(s->blocks.at[b].before, at, s->blocks.at[b].bytes);
}

static void put_long(Subject *s, int64_t *at, int64_t place, int64_t value) {
    at[place] = value;
    for (int b = 0; b < s->blocks.count; b++)
        if (s->blocks.at[b].at == (void *)at)
            memcpy(s->blocks.at[b].before, at, s->blocks.at[b].bytes);
}

static void spoil_integers(Subject *s, int i, int64_t status, const int64_t *values, int count,
                           int64_t places) {
    int32_t *at = s->args[i].pointer;
    for (int64_t p = 0; p < places; p++)
        for (int k = 0; k < count; k++) {
            int32_t right = at[p];
            put_integer(s, at, p, (int32_t)values[k]);
            refused(
                s, i, status,
                arena_printf(s->test->arena, "%lld at %lld", (long long)values[k], (long long)p));
            put_integer(s, at, p, right);
        }
}

/* Positions and ends of sequences in import_state, which stand behind the variables. */
static void spoil_positions(Subject *s, int i, int slot) {
    const Interface *in = s->built->in;
    const Graph *graph = in->graph;
    int carries = graph->carries.count, positions = carries ? carries : in->latency ? 2 : 1;
    if (slot < in->states.count - positions) return;
    bool end = !carries && in->latency && slot == in->states.count - 1, alone = carries < 2;
    for (int c = 0, place = slot - (in->states.count - positions); c < carries; c++)
        alone = alone || (c != place && graph->carries.at[c].axis != graph->carries.at[place].axis);
    int64_t *at = s->args[i].pointer, most = 0;
    for (int a = 0; a < graph->axes.count; a++)
        if (graph->axes.at[a].kind == AXIS_RUN && !carries)
            most = graph->axes.at[a].fixed ? graph->axes.at[a].fixed : graph->axes.at[a].most;
    /* The last but one is behind a bound, the last ahead of a position and unlike another's. */
    const int64_t values[] = {-1, INT64_MIN, INT64_MAX, (INT64_C(1) << 62) + 1, most + 1, 1};
    int count = end || !alone ? 6 : most ? 5 : 4;
    for (int64_t b = 0; b < s->data->batch; b++)
        for (int k = 0; k < count; k++) {
            if (k == 4 && !most) continue;
            int64_t right = at[b];
            put_long(s, at, b, values[k]);
            refused(
                s, i, LOOP_BAD_LENGTH,
                arena_printf(s->test->arena, "%lld at %lld", (long long)values[k], (long long)b));
            put_long(s, at, b, right);
        }
}

static void spoil_argument(Subject *s, int i) {
    const Interface *in = s->built->in;
    const InterfaceArg *arg = &s->described->args.at[i];
    const int64_t beyond = (int64_t)INT32_MAX + 1;
    bool transfer = s->index == in->export_state || s->index == in->import_state;
    switch (arg->role) {
    /* What a model does not have may be anything. */
    case ROLE_PARAMS:
        if (in->param_count > 0) spoil_pointer(s, i, false);
        break;
    case ROLE_WEIGHTS:
        if (in->param_count > 0 && s->index != in->reset) spoil_pointer(s, i, true);
        break;
    case ROLE_STATE:
        if (s->index != in->forward && s->index != in->loss && s->index != in->grad)
            spoil_pointer(s, i, true);
        break;
    case ROLE_WORK:
        if (s->args[i + 1].integer > 0) spoil_pointer(s, i, true);
        break;
    case ROLE_BATCH: {
        const int64_t values[] = {0, -1, beyond, INT64_MAX, INT64_MIN};
        spoil_number(s, i, LOOP_BAD_LENGTH, values, 5);
        break;
    }
    case ROLE_STEPS: {
        const int64_t values[] = {-1, beyond, INT64_MAX, INT64_MIN};
        spoil_number(s, i, 0, values, 4);
        break;
    }
    case ROLE_LENGTHS: {
        const int64_t values[] = {-1, s->data->extent[arg->slot] + 1, INT32_MAX, INT32_MIN};
        spoil_integers(s, i, LOOP_BAD_LENGTH, values, 4, s->data->batch);
        break;
    }
    case ROLE_INPUT: {
        const GraphPort *port = transfer ? NULL : &in->graph->inputs.at[arg->slot];
        if (transfer || port->fallback < 0) spoil_pointer(s, i, false);
        if (transfer) spoil_positions(s, i, arg->slot);
        if (transfer || port->type.dtype != DT_INT || port->type.bound < 1) break;
        const int64_t values[] = {-1, port->type.bound, INT32_MAX, INT32_MIN};
        spoil_integers(s, i, LOOP_BAD_VALUE, values, 4, elements(s, port, s->index == in->step));
        break;
    }
    case ROLE_OUTPUT:
        if (transfer) spoil_pointer(s, i, false);
        break;
    case ROLE_FIRST: {
        const int64_t values[] = {-1, 1, BATCH, BATCH + 1, INT64_MAX, INT64_MIN};
        spoil_number(s, i, LOOP_BAD_LENGTH, values, 6);
        break;
    }
    case ROLE_COUNT: {
        const int64_t values[] = {-1, BATCH + 1, INT64_MAX, INT64_MIN};
        spoil_number(s, i, LOOP_BAD_LENGTH, values, 4);
        break;
    }
    case ROLE_WORK_BYTES: {
        const int64_t values[] = {s->args[i].integer - 1, 0, -1, INT64_MIN};
        if (s->args[i].integer > 0) spoil_number(s, i, LOOP_BAD_SPACE, values, 4);
        break;
    }
    case ROLE_UPSTREAM:
    case ROLE_LOSS:
    case ROLE_GRADS:
    case ROLE_INPUT_GRAD:
    case ROLE_SEED:
    case ROLE_ENDED:
    case ROLE_AT:
    case ROLE_OUT_LENGTHS:
    case ROLE_POOL: break;
    }
}

/* ---- All functions of a model ---- */

static int64_t size_of(Test *test, Engine *engine, const Built *built, const char *model,
                       const Data *data, int index) {
    const Shared_ none = {0};
    if (index < 0) return 0;
    Subject s = subject(test, engine, built, model, data, index, &none);
    int64_t size = invoke(&s);
    for (int i = 0; i < s.described->args.count; i++) {
        const int64_t values[] = {-1, (int64_t)INT32_MAX + 1, INT64_MAX, INT64_MIN, 0};
        bool batch = s.described->args.at[i].role == ROLE_BATCH;
        spoil_number(&s, i, -1, values, batch ? 5 : 4);
    }
    return size;
}

static void sweep(Test *test, Engine *engine, const Built *built, const char *model) {
    const Interface *in = built->in;
    const Data *data = data_new(test->arena, in->graph, BATCH, STEPS, NULL, 0, 7);
    const int sizes[] = {in->forward_work, in->step_work, in->reset_work,
                         in->state_bytes,  in->loss_work, in->grad_work,  in->init_work};
    const int functions[] = {in->pack,         in->forward,      in->reset, in->step,
                             in->export_state, in->import_state, in->loss,  in->grad,
                             in->init};
    int64_t bytes[7];
    for (int i = 0; i < 7; i++) bytes[i] = size_of(test, engine, built, model, data, sizes[i]);
    Subject owner = {.test = test};
    Shared_ shared = {.weights = block(&owner, in->weight_bytes + EDGE, false),
                      .state_bytes = bytes[3],
                      .state = block(&owner, bytes[3] + EDGE, false)};
    for (int f = 0; f < 9; f++) {
        if (functions[f] < 0) continue;
        shared.work_bytes = f == 1   ? bytes[0]
                            : f == 3 ? bytes[1]
                            : f == 6 ? bytes[4]
                            : f == 7 ? bytes[5]
                            : f == 8 ? bytes[6]
                                     : bytes[2];
        shared.work = block(&owner, shared.work_bytes + 2 * EDGE, true);
        Subject s = subject(test, engine, built, model, data, functions[f], &shared);
        int64_t status = invoke(&s);
        test_expect(test, arena_printf(test->arena, "%s_%s", model, s.function->name),
                    status == LOOP_OK
                        ? NULL
                        : arena_printf(test->arena, "right arguments: %lld", (long long)status));
        remember(&s, &shared);
        for (int i = 0; i < s.described->args.count; i++) spoil_argument(&s, i);
    }
}

static void test_arguments(void **state) {
    (void)state;
    Test test;
    TEST_OPEN(&test);
    Built *built[MODELS];
    for (int m = 0; m < MODELS; m++) {
        Spec spec = {.file =
                         arena_printf(test.arena, "tests/numeric/programs/%s.rnn", models[m].file),
                     .model = models[m].model,
                     .mode = m >= TRAINED ? MODE_TRAIN : MODE_INFER,
                     .training = m >= TRAINED,
                     .init = true,
                     .real = LT_F32,
                     .target = target_generic,
                     .prefix = arena_printf(test.arena, "m%d", m)};
        built[m] = model_build(test.arena, &spec);
        if (built[m]->result != BUILT) fail_msg("%s: %s", models[m].model, built[m]->words);
    }
    static const char *const flags[] = {"-std=c99", "-O1", NULL};
    const Compiler compiler = {"cc", flags};
    bool missing;
    const char *error;
    Engine *engine = compiled_engine(test.arena, &compiler, built, MODELS, &missing, &error);
    if (missing) fail_msg("there is no cc");
    if (engine == NULL) fail_msg("%s", error);
    for (int m = 0; m < MODELS; m++) sweep(&test, engine, built[m], models[m].model);
    printf("%d wrong calls of %d models\n", test.checks, MODELS);
    test_close(&test);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_arguments)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
