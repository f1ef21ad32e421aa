/* test_rt_checkpoint.c - checkpoints: a run that stops and resumes gives the bits of one that does
 * not, for every optimiser; what the file holds; each way in which a file or a caller may not fit,
 * every truncation and every changed byte of a good file; nothing changed where reading fails. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../runtime/rnn_rt.h"

enum { N = 9, MOST_SLOTS = 3, STEPS = 30 };

static char message[512];
static char folder[256], path[300];

static int enter(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%.200s/rt_checkpoint_XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/run.safetensors", folder);
    return 0;
}

static int leave(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where a temporary file was left behind */
}

/* ---- A run ---------------------------------------------------------------- */

static const int64_t MATRIX[2] = {2, 3}, VECTOR[1] = {2};
static const RtPlace PLACES[] = {
    {"l1.W", 0, 2, MATRIX},
    {"l1.b", 6, 1, VECTOR},
    {"scale", 8, 0, NULL},
};

/* All that changes while it trains. */
typedef struct Run {
    RtDtype dtype;
    RtOptimiser optimiser;
    union {
        float f32[N];
        double f64[N];
    } params;
    union {
        float f32[MOST_SLOTS * N];
        double f64[MOST_SLOTS * N];
    } state;
    uint64_t step, seed;
    RtPlateau plateau;
    RtStopping stopping;
    double carried[4];
} Run;

enum { ARRAYS = 9 };

static RtCheckpoint describe(Run *run, RtArray arrays[ARRAYS]) {
    RtArray const made[ARRAYS] = {
        {"step", RT_I64, 1, &run->step},
        {"seed", RT_I64, 1, &run->seed},
        {"plateau.best", RT_F64, 1, &run->plateau.best},
        {"plateau.bad", RT_I64, 1, &run->plateau.bad},
        {"plateau.cooling", RT_I64, 1, &run->plateau.cooling},
        {"stopping.best", RT_F64, 1, &run->stopping.best},
        {"stopping.rounds", RT_I64, 3, &run->stopping.bad},
        {"carried", RT_F64, 4, run->carried},
        {"nothing", RT_U8, 0, NULL},
    };
    memcpy(arrays, made, sizeof made);
    return (RtCheckpoint){.dtype = run->dtype,
                          .n = N,
                          .places = PLACES,
                          .place_count = 3,
                          .params = &run->params,
                          .optimiser = &run->optimiser,
                          .state = &run->state,
                          .arrays = arrays,
                          .array_count = ARRAYS};
}

static void begin(Run *run, RtDtype dtype, RtOptimiser optimiser) {
    memset(run, 0, sizeof *run);
    run->dtype = dtype;
    run->optimiser = optimiser;
    run->seed = 0xfedcba9876543210u;
    run->plateau = rt_plateau(false);
    run->plateau.patience = 1;
    run->plateau.factor = 0.7;
    run->stopping = rt_stopping(false, 100);
    for (int i = 0; i < N; i++) {
        double const value = rt_normal(run->seed, 1, 0, NULL, 0, (uint64_t)i);
        if (dtype == RT_F32) run->params.f32[i] = (float)value;
        if (dtype == RT_F64) run->params.f64[i] = value;
    }
}

/* A toy of training: gradients drawn by the number of the step, a state that is carried on, a rate
 * that plateaus lower. */
static void train(Run *run, int steps) {
    for (int s = 0; s < steps; s++) {
        double g[N];
        float single[N];
        uint64_t const step = ++run->step;
        for (int i = 0; i < N; i++) {
            bool const narrow = run->dtype == RT_F32;
            double const p = narrow ? (double)run->params.f32[i] : run->params.f64[i];
            g[i] = p + 0.3 * rt_normal(run->seed, 2, step, NULL, 0, (uint64_t)i);
            g[i] += 0.1 * run->carried[i % 4];
            single[i] = (float)g[i];
        }
        for (int i = 0; i < 4; i++) run->carried[i] = 0.5 * run->carried[i] + g[i];
        RtStatus const status = run->dtype == RT_F32
                                    ? rt_optimise_f32(&run->optimiser, step, N, NULL, 0, single,
                                                      run->params.f32, run->state.f32, NULL, 0)
                                    : rt_optimise_f64(&run->optimiser, step, N, NULL, 0, g,
                                                      run->params.f64, run->state.f64, NULL, 0);
        assert_int_equal(status, RT_OK);
        rt_plateau_update(&run->plateau, fabs(g[0]), &run->optimiser.learning_rate);
        rt_stopping_update(&run->stopping, fabs(g[1]));
    }
}

static void save(Run *run) {
    RtArray arrays[ARRAYS];
    RtCheckpoint const c = describe(run, arrays);
    message[0] = 0;
    RtStatus const status = rt_checkpoint_write(path, &c, message, sizeof message);
    if (status != RT_OK) fail_msg("%s", message);
}

static RtStatus load(Run *run) {
    RtArray arrays[ARRAYS];
    RtCheckpoint const c = describe(run, arrays);
    message[0] = 0;
    return rt_checkpoint_read(path, &c, message, sizeof message);
}

static RtOptimiser with(RtOptimiserKind kind, double momentum, bool flag) {
    RtOptimiser o = rt_optimiser(kind);
    o.learning_rate = 0.05;
    o.momentum = momentum;
    if (kind == RT_SGD) o.nesterov = flag;
    if (kind == RT_RMSPROP) o.centred = flag;
    return o;
}

static void resumed_is_uninterrupted(void **state) {
    RtOptimiser const optimisers[] = {
        with(RT_SGD, 0, false),       with(RT_SGD, 0.9, true),     with(RT_RMSPROP, 0, false),
        with(RT_RMSPROP, 0.5, false), with(RT_RMSPROP, 0.5, true), with(RT_RMSPROP, 0, true),
        with(RT_ADAM, 0, false),      with(RT_ADAMW, 0, false),
    };
    (void)state;
    for (size_t i = 0; i < 2 * sizeof optimisers / sizeof optimisers[0]; i++) {
        RtDtype const dtype = i % 2 == 0 ? RT_F32 : RT_F64;
        Run whole, parts, resumed;
        begin(&whole, dtype, optimisers[i / 2]);
        begin(&parts, dtype, optimisers[i / 2]);
        train(&whole, STEPS);
        train(&parts, 11);
        save(&parts);
        /* Into memory that knows nothing but what a command line says. */
        begin(&resumed, dtype, optimisers[i / 2]);
        resumed.seed = 0;
        for (int j = 0; j < N; j++) resumed.params.f64[j] = NAN;
        memset(resumed.params.f32, 1, sizeof resumed.params.f32);
        memset(&resumed.state, 2, rt_optimiser_bytes(&optimisers[i / 2], dtype, N));
        resumed.optimiser.learning_rate = 1;
        assert_int_equal(load(&resumed), RT_OK);
        assert_true(resumed.step == 11 && resumed.seed == whole.seed);
        train(&resumed, STEPS - 11);
        assert_true(whole.optimiser.learning_rate < 0.05); /* the plateau was met */
        assert_memory_equal(&resumed.params, &whole.params, N * rt_dtype_size(dtype));
        assert_memory_equal(&resumed.state, &whole.state,
                            rt_optimiser_bytes(&optimisers[i / 2], dtype, N));
        assert_true(resumed.optimiser.learning_rate == whole.optimiser.learning_rate);
        assert_true(resumed.plateau.best == whole.plateau.best);
        assert_true(resumed.plateau.bad == whole.plateau.bad);
        assert_true(resumed.stopping.best == whole.stopping.best);
        assert_true(resumed.stopping.rounds == whole.stopping.rounds);
        assert_true(resumed.stopping.best_round == whole.stopping.best_round);
        assert_memory_equal(resumed.carried, whole.carried, sizeof whole.carried);
    }
}

/* ---- The file ------------------------------------------------------------- */

static void names_in_the_file(void **state) {
    static const char *const names[] = {
        "l1.W",
        "l1.b",
        "scale",
        "optimiser/first_moment/l1.W",
        "optimiser/first_moment/l1.b",
        "optimiser/first_moment/scale",
        "optimiser/second_moment/l1.W",
        "optimiser/second_moment/l1.b",
        "optimiser/second_moment/scale",
        "optimiser/learning_rate",
        "optimiser/momentum",
        "optimiser/weight_decay",
        "optimiser/epsilon",
        "optimiser/decay",
        "optimiser/beta1",
        "optimiser/beta2",
        "optimiser/nesterov",
        "optimiser/centred",
        "array/step",
        "array/seed",
        "array/plateau.best",
        "array/plateau.bad",
        "array/plateau.cooling",
        "array/stopping.best",
        "array/stopping.rounds",
        "array/carried",
        "array/nothing",
    };
    RtTensorSet set;
    Run run;
    (void)state;
    begin(&run, RT_F32, rt_optimiser(RT_ADAMW));
    train(&run, 3);
    save(&run);
    assert_int_equal(rt_safetensors_read(path, &set, message, sizeof message), RT_OK);
    assert_int_equal(set.count, sizeof names / sizeof names[0]);
    for (size_t i = 0; i < set.count; i++) assert_non_null(rt_set_find(&set, names[i]));
    assert_string_equal(rt_set_metadata(&set, "format"), "rnnc checkpoint 1");
    assert_string_equal(rt_set_metadata(&set, "optimiser"), "adamw");
    const RtTensor *w = rt_set_find(&set, "l1.W"), *v = rt_set_find(&set, names[7]);
    assert_true(w->dtype == RT_F32 && w->rank == 2 && w->shape[0] == 2 && w->shape[1] == 3);
    assert_memory_equal(w->data, run.params.f32, 6 * sizeof(float));
    assert_memory_equal(v->data, run.state.f32 + N + 6, 2 * sizeof(float));
    const RtTensor *rate = rt_set_find(&set, "optimiser/learning_rate");
    assert_true(rate->rank == 0 && *(double *)rate->data == run.optimiser.learning_rate);
    assert_int_equal(rt_set_find(&set, "optimiser/nesterov")->dtype, RT_BOOL);
    assert_int_equal(rt_set_find(&set, "optimiser/centred")->dtype, RT_BOOL);
    rt_set_free(&set);
}

static void the_same_run_gives_the_same_file(void **state) {
    unsigned char *first, *second;
    size_t size, again;
    Run run;
    (void)state;
    begin(&run, RT_F64, rt_optimiser(RT_ADAM));
    train(&run, 5);
    save(&run);
    assert_int_equal(rt_file_read(path, &first, &size, NULL, 0), RT_OK);
    assert_int_equal(load(&run), RT_OK);
    save(&run);
    assert_int_equal(rt_file_read(path, &second, &again, NULL, 0), RT_OK);
    assert_int_equal(size, again);
    assert_memory_equal(first, second, size);
    free(first);
    free(second);
}

/* Payloads of NaN, signed zeros, subnormals: bits, not numbers. */
static void every_bit_is_kept(void **state) {
    static const uint32_t bits[N] = {0x7fc12345, 0xffa00001, 0x80000000, 1,         0x7f800000,
                                     0xff800000, 0x00800000, 0x7f7fffff, 0xdeadbeef};
    float params[N], back[N] = {0};
    (void)state;
    memcpy(params, bits, sizeof bits);
    RtCheckpoint c = {.dtype = RT_F32, .n = N, .places = PLACES, .place_count = 3};
    c.params = params;
    assert_int_equal(rt_checkpoint_write(path, &c, NULL, 0), RT_OK);
    c.params = back;
    assert_int_equal(rt_checkpoint_read(path, &c, NULL, 0), RT_OK);
    assert_memory_equal(back, bits, sizeof bits);
}

/* What no place covers is not touched; no tensors at all are a checkpoint, too. */
static void places_may_leave_gaps(void **state) {
    float params[N] = {1, 2, 3, 4, 5, 6, 7, 8, 9}, back[N] = {0};
    RtPlace const last = {"last", 7, 1, VECTOR};
    uint64_t step = 17;
    RtArray const array = {"step", RT_I64, 1, &step};
    RtCheckpoint c = {.dtype = RT_F32, .n = N, .places = &last, .place_count = 1};
    (void)state;
    c.params = params;
    assert_int_equal(rt_checkpoint_write(path, &c, NULL, 0), RT_OK);
    c.params = back;
    assert_int_equal(rt_checkpoint_read(path, &c, NULL, 0), RT_OK);
    assert_true(back[6] == 0 && back[7] == 8 && back[8] == 9);
    c = (RtCheckpoint){.dtype = RT_F64, .arrays = &array, .array_count = 1};
    assert_int_equal(rt_checkpoint_write(path, &c, NULL, 0), RT_OK);
    step = 0;
    assert_int_equal(rt_checkpoint_read(path, &c, NULL, 0), RT_OK);
    assert_int_equal(step, 17);
}

/* ---- Files that do not fit ------------------------------------------------ */

/* The file of a run with momentum, as a set to be damaged. */
static RtTensorSet good_set(Run *run) {
    RtArray arrays[ARRAYS];
    RtTensorSet set;
    begin(run, RT_F32, with(RT_SGD, 0.9, true));
    train(run, 2);
    RtCheckpoint const c = describe(run, arrays);
    assert_int_equal(rt_checkpoint_to_set(&c, &set, message, sizeof message), RT_OK);
    return set;
}

/* Reading the set fails with these words and changes nothing; frees the set. */
static void refuse(RtTensorSet *set, Run *run, const char *words) {
    RtArray arrays[ARRAYS];
    RtCheckpoint const c = describe(run, arrays);
    Run *before = malloc(sizeof *before);
    memcpy(before, run, sizeof *run);
    message[0] = 0;
    assert_int_equal(rt_checkpoint_from_set(set, "x", &c, message, sizeof message), RT_ERR_FORMAT);
    if (strncmp(message, "x: ", 3) != 0 || strstr(message, words) == NULL) {
        fail_msg("'%s' is not in '%s'", words, message);
    }
    assert_memory_equal(before, run, sizeof *run);
    free(before);
    rt_set_free(set);
}

static void drop(RtTensorSet *set, const char *name) {
    RtTensor *tensor = rt_set_find(set, name);
    rt_tensor_free(tensor);
    *tensor = set->at[--set->count];
}

static void files_of_something_else(void **state) {
    Run run, other;
    RtTensorSet set = good_set(&run);
    RtTensor tensor;
    (void)state;
    strcpy(set.metadata[0].value, "rnnc checkpoint 2");
    refuse(&set, &run, "x: is no 'rnnc checkpoint 1'");
    set = good_set(&run);
    strcpy(set.metadata[0].key, "farmat");
    refuse(&set, &run, "x: is no 'rnnc checkpoint 1'");
    set = good_set(&run);
    strcpy(set.metadata[1].key, "obtimiser");
    refuse(&set, &run, "x: is no 'rnnc checkpoint 1'");
    set = good_set(&run);
    begin(&other, RT_F32, rt_optimiser(RT_ADAM));
    refuse(&set, &other, "x: the optimiser is 'sgd' where 'adam' is needed");
    set = good_set(&run);
    begin(&other, RT_F32, with(RT_SGD, 0, false));
    refuse(&set, &other, "x: has 24 tensors where 21 are needed");
    set = good_set(&run);
    begin(&other, RT_F64, with(RT_SGD, 0.9, true));
    refuse(&set, &other, "x: 'l1.W' is [2, 3] of float32, not [2, 3] of float64");
    set = good_set(&run);
    drop(&set, "array/seed");
    refuse(&set, &run, "x: 'array/seed' is not in the checkpoint");
    set = good_set(&run);
    drop(&set, "optimiser/momentum/l1.b");
    refuse(&set, &run, "x: 'optimiser/momentum/l1.b' is not in the checkpoint");
    set = good_set(&run);
    assert_int_equal(rt_tensor_init(&tensor, "more", RT_F32, 0, NULL, NULL, 0), RT_OK);
    assert_int_equal(rt_set_add(&set, &tensor, NULL, 0), RT_OK);
    refuse(&set, &run, "x: has 25 tensors where 24 are needed");
}

static void tensors_of_other_shapes(void **state) {
    Run run;
    RtTensorSet set = good_set(&run);
    (void)state;
    rt_set_find(&set, "l1.W")->shape[0] = 3;
    rt_set_find(&set, "l1.W")->shape[1] = 2;
    refuse(&set, &run, "x: 'l1.W' is [3, 2] of float32, not [2, 3] of float32");
    set = good_set(&run);
    rt_set_find(&set, "l1.b")->rank = 2;
    rt_set_find(&set, "l1.b")->shape[1] = 1;
    refuse(&set, &run, "x: 'l1.b' is [2, 1] of float32, not [2] of float32");
    set = good_set(&run);
    rt_set_find(&set, "l1.b")->shape[0] = 1;
    refuse(&set, &run, "x: 'l1.b' is [1] of float32, not [2] of float32");
    set = good_set(&run);
    rt_set_find(&set, "array/step")->dtype = RT_F64;
    refuse(&set, &run, "x: 'array/step' is [1] of float64, not [1] of int64");
}

static void settings_that_cannot_be(void **state) {
    Run run;
    RtTensorSet set = good_set(&run);
    (void)state;
    *(double *)rt_set_find(&set, "optimiser/learning_rate")->data = NAN;
    refuse(&set, &run, "x: sgd: the learning rate is nan");
    set = good_set(&run);
    *(double *)rt_set_find(&set, "optimiser/momentum")->data = 0;
    *(bool *)rt_set_find(&set, "optimiser/nesterov")->data = false;
    refuse(&set, &run, "x: its settings have other moments than the file");
    /* More moments than the file has, of the same optimiser. */
    begin(&run, RT_F32, with(RT_SGD, 0, false));
    RtArray arrays[ARRAYS];
    RtCheckpoint const c = describe(&run, arrays);
    assert_int_equal(rt_checkpoint_to_set(&c, &set, NULL, 0), RT_OK);
    *(double *)rt_set_find(&set, "optimiser/momentum")->data = 0.5;
    refuse(&set, &run, "x: its settings have other moments than the file");
    /* As many, but others. */
    begin(&run, RT_F32, with(RT_RMSPROP, 0, true));
    RtCheckpoint const d = describe(&run, arrays);
    assert_int_equal(rt_checkpoint_to_set(&d, &set, NULL, 0), RT_OK);
    *(double *)rt_set_find(&set, "optimiser/momentum")->data = 0.5;
    *(bool *)rt_set_find(&set, "optimiser/centred")->data = false;
    refuse(&set, &run, "x: its settings have other moments than the file");
}

/* Every file that is cut short is refused; one with a changed byte is refused or gives a run whose
 * settings are in their ranges. */
static void damaged_files(void **state) {
    unsigned char *bytes;
    size_t size, refused = 0;
    Run run, before;
    (void)state;
    begin(&run, RT_F32, with(RT_RMSPROP, 0.5, true));
    train(&run, 3);
    save(&run);
    before = run;
    assert_int_equal(rt_file_read(path, &bytes, &size, NULL, 0), RT_OK);
    for (size_t length = 0; length < size; length += length < 200 ? 1 : 37) {
        assert_int_equal(rt_file_write(path, bytes, length, NULL, 0), RT_OK);
        assert_int_equal(load(&run), RT_ERR_FORMAT);
        assert_int_equal(strncmp(message, path, strlen(path)), 0);
        assert_memory_equal(&run, &before, sizeof run);
    }
    for (size_t i = 0; i < size; i++) {
        RtArray arrays[ARRAYS];
        RtTensorSet set;
        RtCheckpoint const c = describe(&run, arrays);
        bytes[i] ^= (unsigned char)(1u << (i % 8));
        RtStatus status = rt_safetensors_read_memory(bytes, size, "x", &set, NULL, 0);
        if (status == RT_OK) {
            status = rt_checkpoint_from_set(&set, "x", &c, message, sizeof message);
            rt_set_free(&set);
        }
        bytes[i] ^= (unsigned char)(1u << (i % 8));
        refused += status != RT_OK;
        if (status == RT_OK) {
            assert_int_equal(rt_optimiser_check(&run.optimiser, NULL, 0), RT_OK);
            assert_true(run.optimiser.kind == RT_RMSPROP);
            assert_int_equal(rt_optimiser_slots(&run.optimiser), 3);
        }
        run = before;
    }
    assert_true(refused > size / 2 && refused < size);
    free(bytes);
}

static void paths_that_cannot_be(void **state) {
    char nowhere[340];
    RtArray arrays[ARRAYS];
    Run run;
    (void)state;
    begin(&run, RT_F32, rt_optimiser(RT_SGD));
    RtCheckpoint const c = describe(&run, arrays);
    snprintf(nowhere, sizeof nowhere, "%s/none/run.safetensors", folder);
    assert_int_equal(rt_checkpoint_write(nowhere, &c, message, sizeof message), RT_ERR_IO);
    assert_int_equal(rt_checkpoint_read(nowhere, &c, message, sizeof message), RT_ERR_IO);
    assert_non_null(strstr(message, nowhere));
}

/* ---- Callers that do not fit ---------------------------------------------- */

/* Both directions refuse, and no file is written. */
static void refuse_caller(const RtCheckpoint *c, RtStatus status, const char *words) {
    RtTensorSet set;
    unlink(path);
    message[0] = 0;
    assert_int_equal(rt_checkpoint_write(path, c, message, sizeof message), status);
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
    assert_int_equal(access(path, F_OK), -1);
    RtStatus const other = rt_checkpoint_to_set(c, &set, NULL, 0);
    assert_int_equal(other, status);
    assert_true(set.at == NULL && set.count == 0 && set.metadata == NULL);
}

static void callers_that_cannot_be(void **state) {
    static const int64_t large[2] = {INT64_MAX, INT64_MAX}, ten[1] = {10};
    static const RtPlace wrong[] = {{"W", 8, 1, VECTOR},  {"W", 10, 0, NULL}, {"W", 0, 2, large},
                                    {"W", 0, -1, VECTOR}, {"W", 0, 9, large}, {"W", 0, 1, ten}};
    RtArray arrays[ARRAYS];
    Run run;
    (void)state;
    begin(&run, RT_F32, rt_optimiser(RT_ADAM));
    RtCheckpoint const good = describe(&run, arrays);
    RtCheckpoint c = good;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++) {
        c.places = &wrong[i];
        c.place_count = 1;
        refuse_caller(&c, RT_ERR_ARGUMENT, "W: does not lie within the 9 parameters");
    }
    RtPlace const nameless = {NULL, 0, 0, NULL};
    c.places = &nameless;
    refuse_caller(&c, RT_ERR_ARGUMENT, "a tensor without a name: does not lie");
    RtPlace const twice[] = {PLACES[0], PLACES[0]};
    c.places = twice;
    c.place_count = 2;
    refuse_caller(&c, RT_ERR_ARGUMENT, "l1.W: the set has this tensor already");
    c = good;
    c.dtype = RT_F16;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: parameters are float16");
    c = good;
    c.params = NULL;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: the parameters are NULL");
    c = good;
    c.state = NULL;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: the moments are NULL");
    assert_int_equal(rt_checkpoint_read(path, &c, NULL, 0), RT_ERR_IO);
    RtOptimiser sgd = with(RT_SGD, 0.5, false);
    c.optimiser = &sgd;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: the moments are NULL");
    c = good;
    arrays[3].data = NULL;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: array 3 has no data");
    arrays[1].name = NULL;
    refuse_caller(&c, RT_ERR_ARGUMENT, "checkpoint: array 1 has no name");
    describe(&run, arrays);
    arrays[2].count = SIZE_MAX;
    refuse_caller(&c, RT_ERR_ARGUMENT, "array/plateau.best: impossible shape");
    describe(&run, arrays);
    run.optimiser.beta1 = 2;
    refuse_caller(&good, RT_ERR_ARGUMENT, "adam: the beta1 is 2");
    RtTensorSet empty = {0};
    assert_int_equal(rt_checkpoint_from_set(&empty, "x", &good, NULL, 0), RT_ERR_ARGUMENT);
}

static void names_that_are_too_long(void **state) {
    char name[600];
    Run run;
    RtTensorSet set = good_set(&run);
    RtArray array = {name, RT_I64, 1, &run.step};
    RtPlace place = {name, 0, 0, NULL};
    (void)state;
    memset(name, 'n', sizeof name - 1);
    name[sizeof name - 1] = 0;
    RtCheckpoint c = {.dtype = RT_F32, .arrays = &array, .array_count = 1};
    refuse_caller(&c, RT_ERR_LIMIT, "nnn...: a name is longer than 511 bytes");
    array.name = name + 599 - 506; /* "array/" stands before it */
    refuse_caller(&c, RT_ERR_LIMIT, "a name is longer");
    array.name++;
    assert_int_equal(rt_checkpoint_write(path, &c, NULL, 0), RT_OK);
    c = (RtCheckpoint){.dtype = RT_F32, .n = N, .places = &place, .place_count = 1};
    c.params = &run.params;
    refuse_caller(&c, RT_ERR_LIMIT, "nnn...: a name is longer than 511 bytes");
    free(set.metadata[1].value);
    set.metadata[1].value = strdup("none");
    assert_int_equal(rt_checkpoint_from_set(&set, "x", &c, message, sizeof message), RT_ERR_LIMIT);
    rt_set_free(&set);
    /* The name alone fits, with the slot before it no more. */
    name[505] = 0;
    c.optimiser = &run.optimiser;
    c.state = &run.state;
    refuse_caller(&c, RT_ERR_LIMIT, "nnn...: a name is longer than 511 bytes");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(resumed_is_uninterrupted),
        cmocka_unit_test(names_in_the_file),
        cmocka_unit_test(the_same_run_gives_the_same_file),
        cmocka_unit_test(every_bit_is_kept),
        cmocka_unit_test(places_may_leave_gaps),
        cmocka_unit_test(files_of_something_else),
        cmocka_unit_test(tensors_of_other_shapes),
        cmocka_unit_test(settings_that_cannot_be),
        cmocka_unit_test(damaged_files),
        cmocka_unit_test(paths_that_cannot_be),
        cmocka_unit_test(callers_that_cannot_be),
        cmocka_unit_test(names_that_are_too_long),
    };
    return cmocka_run_group_tests(tests, enter, leave);
}
