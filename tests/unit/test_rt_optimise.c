/* test_rt_optimise.c - optimisers and clipping: the documented formulas in long double, PyTorch's
 * trajectories (tests/reference/make_torch_optim.py), the same bits from every build, groups and
 * frozen parameters, and what a call may not ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <float.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/rnn_rt.h"

enum { STEPS = 40, N = 6, MOST_SLOTS = 3 };

static char message[256];

/* The settings of make_torch_optim.py. */
typedef struct Case {
    const char *name;
    RtOptimiser optimiser;
} Case;

static const Case CASES[] = {
    {"sgd", {.kind = RT_SGD, .learning_rate = 0.01}},
    {"sgd_decay", {.kind = RT_SGD, .learning_rate = 0.01, .weight_decay = 0.1}},
    {"sgd_momentum", {.kind = RT_SGD, .learning_rate = 0.01, .momentum = 0.9}},
    {"sgd_nesterov",
     {.kind = RT_SGD,
      .learning_rate = 0.01,
      .momentum = 0.9,
      .nesterov = true,
      .weight_decay = 0.01}},
    {"rmsprop", {.kind = RT_RMSPROP, .learning_rate = 0.01, .decay = 0.99, .epsilon = 1e-8}},
    {"rmsprop_decay",
     {.kind = RT_RMSPROP,
      .learning_rate = 0.003,
      .decay = 0.9,
      .epsilon = 1e-3,
      .weight_decay = 0.1}},
    {"rmsprop_momentum",
     {.kind = RT_RMSPROP, .learning_rate = 0.003, .decay = 0.99, .epsilon = 1e-8, .momentum = 0.5}},
    {"rmsprop_centred",
     {.kind = RT_RMSPROP, .learning_rate = 0.003, .decay = 0.99, .epsilon = 1e-4, .centred = true}},
    {"rmsprop_all",
     {.kind = RT_RMSPROP,
      .learning_rate = 0.003,
      .decay = 0.95,
      .epsilon = 1e-4,
      .centred = true,
      .momentum = 0.8,
      .weight_decay = 0.01}},
    {"adam",
     {.kind = RT_ADAM, .learning_rate = 1e-3, .beta1 = 0.9, .beta2 = 0.999, .epsilon = 1e-8}},
    {"adam_decay",
     {.kind = RT_ADAM,
      .learning_rate = 0.02,
      .beta1 = 0.8,
      .beta2 = 0.95,
      .epsilon = 1e-6,
      .weight_decay = 0.1}},
    {"adamw",
     {.kind = RT_ADAMW,
      .learning_rate = 1e-3,
      .beta1 = 0.9,
      .beta2 = 0.999,
      .epsilon = 1e-8,
      .weight_decay = 1e-2}},
    {"adamw_decay",
     {.kind = RT_ADAMW,
      .learning_rate = 0.02,
      .beta1 = 0.7,
      .beta2 = 0.9,
      .epsilon = 1e-8,
      .weight_decay = 0.3}},
};
enum { CASE_COUNT = sizeof CASES / sizeof CASES[0] };

static RtTensorSet reference;

static int read_reference(void **state) {
    const char *tests = getenv("RNNC_TESTS");
    char path[512];
    (void)state;
    snprintf(path, sizeof path, "%.400s/reference/optim/torch.safetensors",
             tests != NULL ? tests : "tests");
    RtStatus const status = rt_safetensors_read(path, &reference, message, sizeof message);
    if (status != RT_OK) print_error("%s\n", message);
    return status == RT_OK ? 0 : -1;
}

static int free_reference(void **state) {
    (void)state;
    rt_set_free(&reference);
    return 0;
}

static const void *stored(const char *name, const char *mark, size_t count) {
    char full[80];
    snprintf(full, sizeof full, "%s%s", name, mark);
    const RtTensor *tensor = rt_set_find(&reference, full);
    if (tensor == NULL) fail_msg("%s is not stored", full);
    assert_int_equal(tensor->count, count);
    return tensor->data;
}

/* ---- Trajectories --------------------------------------------------------- */

static void run_f32(const RtOptimiser *o, int from, int to, float *p, float *moments) {
    const float *grads = stored("grads", "", STEPS * N);
    for (int t = from; t < to; t++) {
        float g[N];
        for (int i = 0; i < N; i++) g[i] = grads[t * N + i] + p[i] / 4;
        assert_int_equal(
            rt_optimise_f32(o, (uint64_t)t + 1, N, NULL, 0, g, p, moments, message, sizeof message),
            RT_OK);
    }
}

static void run_f64(const RtOptimiser *o, int from, int to, double *p, double *moments) {
    const float *grads = stored("grads", "", STEPS * N);
    for (int t = from; t < to; t++) {
        double g[N];
        for (int i = 0; i < N; i++) g[i] = (double)grads[t * N + i] + p[i] / 4;
        assert_int_equal(
            rt_optimise_f64(o, (uint64_t)t + 1, N, NULL, 0, g, p, moments, message, sizeof message),
            RT_OK);
    }
}

static void begin(float *single, double *wide) {
    const float *start = stored("start", "", N);
    for (int i = 0; i < N; i++) {
        single[i] = start[i];
        wide[i] = (double)start[i];
    }
}

/* How far `got` is off, in units of the last place at max(1, |want|). */
static double units(double got, double want, double unit) {
    return fabs(got - want) / (unit * fmax(1, fabs(want)));
}

/* PyTorch orders some operations otherwise: at most one rounding of a parameter apart a step. */
static void trajectories_of_pytorch(void **state) {
    (void)state;
    for (int c = 0; c < CASE_COUNT; c++) {
        const RtOptimiser *o = &CASES[c].optimiser;
        const float *want32 = stored(CASES[c].name, ".f32", STEPS * N);
        const double *want64 = stored(CASES[c].name, ".f64", STEPS * N);
        float p32[N], moments32[MOST_SLOTS * N] = {0};
        double p64[N], moments64[MOST_SLOTS * N] = {0}, most32 = 0, most64 = 0;
        begin(p32, p64);
        for (int t = 0; t < STEPS; t++) {
            run_f32(o, t, t + 1, p32, moments32);
            run_f64(o, t, t + 1, p64, moments64);
            for (int i = 0; i < N; i++) {
                double const far32 = units((double)p32[i], (double)want32[t * N + i], 0x1p-24);
                double const far64 = units(p64[i], want64[t * N + i], 0x1p-53);
                most32 = fmax(most32, far32 / (t + 1));
                most64 = fmax(most64, far64 / (t + 1));
            }
        }
        if (getenv("RNNC_VERBOSE") != NULL) {
            print_message("%-18s %.2f %.2f roundings a step\n", CASES[c].name, most32, most64);
        }
        if (!(most32 <= 1 && most64 <= 1)) {
            fail_msg("%s: off by %g and %g roundings a step", CASES[c].name, most32, most64);
        }
    }
}

/* The documented formulas as they stand, in long double. */
static void step_exactly(const RtOptimiser *o, int t, const long double *grad, long double *p,
                         long double m[MOST_SLOTS][N]) {
    for (int i = 0; i < N; i++) {
        long double const lr = o->learning_rate, w = o->weight_decay, u = o->momentum;
        long double const b1 = o->beta1, b2 = o->beta2, alpha = o->decay;
        long double g = grad[i], s;
        switch (o->kind) {
        case RT_SGD:
            g += w * p[i];
            if (u > 0) {
                m[0][i] = t == 1 ? g : u * m[0][i] + g;
                g = o->nesterov ? g + u * m[0][i] : m[0][i];
            }
            p[i] -= lr * g;
            break;
        case RT_RMSPROP:
            g += w * p[i];
            m[0][i] = alpha * m[0][i] + (1 - alpha) * g * g;
            m[1][i] = alpha * m[1][i] + (1 - alpha) * g;
            s = o->centred ? m[0][i] - m[1][i] * m[1][i] : m[0][i];
            m[2][i] = u * m[2][i] + g / (sqrtl(s) + (long double)o->epsilon);
            p[i] -= lr * m[2][i];
            break;
        case RT_ADAM:
        case RT_ADAMW:
            if (o->kind == RT_ADAM) {
                g += w * p[i];
            } else {
                p[i] -= lr * w * p[i];
            }
            m[0][i] = b1 * m[0][i] + (1 - b1) * g;
            m[1][i] = b2 * m[1][i] + (1 - b2) * g * g;
            p[i] -= lr * (m[0][i] / (1 - powl(b1, t))) /
                    (sqrtl(m[1][i] / (1 - powl(b2, t))) + (long double)o->epsilon);
            break;
        }
    }
}

static void formulas_in_long_double(void **state) {
    const float *grads = stored("grads", "", STEPS * N);
    (void)state;
    for (int c = 0; c < CASE_COUNT; c++) {
        const RtOptimiser *o = &CASES[c].optimiser;
        long double exact[N], m[MOST_SLOTS][N] = {{0}};
        float p32[N], moments32[MOST_SLOTS * N] = {0};
        double p64[N], moments64[MOST_SLOTS * N] = {0};
        begin(p32, p64);
        for (int i = 0; i < N; i++) exact[i] = p64[i];
        for (int t = 0; t < 5; t++) {
            long double g[N];
            for (int i = 0; i < N; i++) g[i] = grads[t * N + i] + exact[i] / 4;
            step_exactly(o, t + 1, g, exact, m);
            run_f32(o, t, t + 1, p32, moments32);
            run_f64(o, t, t + 1, p64, moments64);
            for (int i = 0; i < N; i++) {
                double const want = (double)exact[i];
                double const far =
                    fmax(units((double)p32[i], want, 0x1p-24), units(p64[i], want, 0x1p-53));
                if (!(far <= 1.5 * (t + 1))) {
                    fail_msg("%s: element %d is %g roundings off at step %d", CASES[c].name, i, far,
                             t + 1);
                }
            }
        }
    }
}

static uint64_t hash_bytes(uint64_t hash, const void *data, size_t size) {
    const unsigned char *at = data;
    for (size_t i = 0; i < size; i++) hash = (hash ^ at[i]) * 0x100000001b3u;
    return hash;
}

/* Whatever compiler and flags made this: gcc and clang, -O0 to -O3 -march=native. */
static void same_bits_from_every_build(void **state) {
    uint64_t hash32 = 0xcbf29ce484222325u, hash64 = 0xcbf29ce484222325u;
    (void)state;
    for (int c = 0; c < CASE_COUNT; c++) {
        float p32[N], moments32[MOST_SLOTS * N] = {0};
        double p64[N], moments64[MOST_SLOTS * N] = {0};
        begin(p32, p64);
        run_f32(&CASES[c].optimiser, 0, STEPS, p32, moments32);
        run_f64(&CASES[c].optimiser, 0, STEPS, p64, moments64);
        for (int i = 0; i < N; i++) { /* in the order of a little-endian machine */
            uint32_t bits32;
            uint64_t bits64;
            unsigned char bytes[12];
            memcpy(&bits32, &p32[i], 4);
            memcpy(&bits64, &p64[i], 8);
            for (int j = 0; j < 4; j++) bytes[j] = (unsigned char)(bits32 >> (8 * j));
            for (int j = 0; j < 8; j++) bytes[4 + j] = (unsigned char)(bits64 >> (8 * j));
            hash32 = hash_bytes(hash32, bytes, 4);
            hash64 = hash_bytes(hash64, bytes + 4, 8);
        }
    }
    if (hash32 != 0xa555b9498de46d71u || hash64 != 0x57794f14a924111eu) {
        fail_msg("0x%llx and 0x%llx", (unsigned long long)hash32, (unsigned long long)hash64);
    }
}

/* ---- Settings, groups, frozen parameters ---------------------------------- */

static void defaults_and_names(void **state) {
    static const char *const names[] = {"sgd", "rmsprop", "adam", "adamw"};
    (void)state;
    for (int i = 0; i < 4; i++) {
        RtOptimiserKind kind;
        assert_true(rt_optimiser_find(names[i], &kind));
        assert_int_equal(kind, i);
        assert_string_equal(rt_optimiser_name(kind), names[i]);
        RtOptimiser const o = rt_optimiser(kind);
        assert_int_equal(rt_optimiser_check(&o, message, sizeof message), RT_OK);
        assert_true(o.learning_rate == (kind == RT_RMSPROP ? 0.01 : 0.001));
        assert_true(o.epsilon == (kind == RT_SGD ? 0 : 1e-8) && o.momentum == 0);
        assert_true(o.decay == (kind == RT_RMSPROP ? 0.99 : 0));
        assert_true(o.beta1 == (i >= 2 ? 0.9 : 0) && o.beta2 == (i >= 2 ? 0.999 : 0));
        assert_true(o.weight_decay == (kind == RT_ADAMW ? 0.01 : 0));
        assert_true(!o.nesterov && !o.centred);
    }
    RtOptimiserKind untouched = RT_ADAM;
    assert_false(rt_optimiser_find("lion", &untouched));
    assert_int_equal(untouched, RT_ADAM);
}

static void check_slots(RtOptimiser o, int count, const char *names) {
    char text[128] = "";
    assert_int_equal(rt_optimiser_slots(&o), count);
    for (int i = 0; i < count; i++) {
        strcat(strcat(text, rt_optimiser_slot_name(&o, i)), " ");
    }
    assert_string_equal(text, names);
    assert_null(rt_optimiser_slot_name(&o, count));
    assert_null(rt_optimiser_slot_name(&o, -1));
    assert_int_equal(rt_optimiser_bytes(&o, RT_F32, 10), 40 * count);
    assert_int_equal(rt_optimiser_bytes(&o, RT_F64, 10), 80 * count);
    assert_true(rt_optimiser_bytes(&o, RT_F64, SIZE_MAX) == (count > 0 ? SIZE_MAX : 0));
    if (count > 0) {
        size_t const each = 8 * (size_t)count, most = SIZE_MAX / each;
        assert_true(rt_optimiser_bytes(&o, RT_F64, most) == most * each);
    }
}

static void slots(void **state) {
    (void)state;
    check_slots((RtOptimiser){.kind = RT_SGD}, 0, "");
    check_slots((RtOptimiser){.kind = RT_SGD, .momentum = 0.9}, 1, "momentum ");
    check_slots((RtOptimiser){.kind = RT_RMSPROP}, 1, "square_average ");
    check_slots((RtOptimiser){.kind = RT_RMSPROP, .momentum = 0.9}, 2, "square_average momentum ");
    check_slots((RtOptimiser){.kind = RT_RMSPROP, .centred = true, .momentum = 1}, 3,
                "square_average average momentum ");
    check_slots((RtOptimiser){.kind = RT_ADAM}, 2, "first_moment second_moment ");
    check_slots((RtOptimiser){.kind = RT_ADAMW}, 2, "first_moment second_moment ");
}

/* Elements 1, 2 and 4 are trained; the others keep the bits of parameters and moments, NaN in their
 * gradients or not. Trained ones are as without ranges. */
static void frozen_parameters(void **state) {
    static const RtRange ranges[] = {{1, 3}, {4, 5}, {5, 5}};
    (void)state;
    for (int c = 0; c < CASE_COUNT; c++) {
        const RtOptimiser *o = &CASES[c].optimiser;
        size_t const count = (size_t)rt_optimiser_slots(o) * N;
        double p[N], q[N], m[MOST_SLOTS * N], k[MOST_SLOTS * N], g[N] = {1, -2, 3, -4, 5, -6};
        for (int i = 0; i < N; i++) p[i] = q[i] = 0.5 * i + 0.1;
        for (size_t i = 0; i < MOST_SLOTS * N; i++) m[i] = k[i] = 10 + (double)i;
        assert_int_equal(rt_optimise_f64(o, 7, N, NULL, 0, g, q, k, NULL, 0), RT_OK);
        g[0] = g[3] = g[5] = NAN;
        assert_int_equal(rt_optimise_f64(o, 7, N, ranges, 3, g, p, m, NULL, 0), RT_OK);
        for (int i = 0; i < N; i++) {
            bool const trained = i == 1 || i == 2 || i == 4;
            assert_true(p[i] == (trained ? q[i] : 0.5 * i + 0.1));
            assert_true(!trained || q[i] != 0.5 * i + 0.1);
        }
        for (size_t i = 0; i < count; i++) {
            size_t const at = i % N;
            bool const trained = at == 1 || at == 2 || at == 4;
            assert_true(m[i] == (trained ? k[i] : 10 + (double)i));
        }
        /* What no slot needs is not touched. */
        for (size_t i = count; i < MOST_SLOTS * N; i++) {
            assert_true(m[i] == 10 + (double)i && k[i] == 10 + (double)i);
        }
    }
    double p[2] = {1, 2}, g[2] = {1, 1};
    RtOptimiser const o = rt_optimiser(RT_SGD);
    assert_int_equal(rt_optimise_f64(&o, 1, 2, ranges, 0, g, p, NULL, NULL, 0), RT_OK);
    assert_true(p[0] == 1 && p[1] == 2); /* an empty list trains nothing */
    assert_int_equal(rt_optimise_f64(&o, 1, 0, NULL, 0, NULL, NULL, NULL, NULL, 0), RT_OK);
}

/* The second moment of a constant gradient, less the square of the first, is 0 or rounds below. */
static void centred_variance_is_not_negative(void **state) {
    RtOptimiser o = {.kind = RT_RMSPROP, .centred = true, .decay = 0.5, .learning_rate = 0.001};
    float p = 0, g = 0.1f, m[2] = {0};
    (void)state;
    o.epsilon = 1;
    for (uint64_t t = 1; t <= 500; t++) {
        assert_int_equal(rt_optimise_f32(&o, t, 1, NULL, 0, &g, &p, m, NULL, 0), RT_OK);
        assert_true(isfinite(p));
    }
}

/* beta^t is 0 for a step that no run reaches, and the moments are then what they are. */
static void step_numbers_without_end(void **state) {
    RtOptimiser const o = rt_optimiser(RT_ADAM);
    double p = 1, g = 2, m[2] = {2, 4};
    (void)state;
    assert_int_equal(rt_optimise_f64(&o, UINT64_MAX, 1, NULL, 0, &g, &p, m, NULL, 0), RT_OK);
    assert_true(fabs(p - (1 - 0.001 * 2 / (2 + 1e-8))) < 1e-15);
}

static void refuse(RtOptimiser o, const char *words) {
    double p = 1, g = 1, m[3] = {0};
    message[0] = 0;
    assert_int_equal(rt_optimise_f64(&o, 1, 1, NULL, 0, &g, &p, m, message, sizeof message),
                     RT_ERR_ARGUMENT);
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
    assert_true(p == 1 && m[0] == 0);
}

static void settings_out_of_range(void **state) {
    RtOptimiser const sgd = rt_optimiser(RT_SGD), adam = rt_optimiser(RT_ADAM);
    RtOptimiser o;
    (void)state;
#define REFUSE(from, field, value, words) (o = from, o.field = value, refuse(o, words))
    REFUSE(sgd, kind, (RtOptimiserKind)9, "there is no kind 9");
    REFUSE(sgd, learning_rate, -1,
           "sgd: the learning rate is -1, it must be at least 0 and finite");
    REFUSE(sgd, learning_rate, NAN, "learning rate is nan");
    REFUSE(sgd, learning_rate, INFINITY, "learning rate is inf");
    REFUSE(sgd, momentum, -0.5, "momentum");
    REFUSE(sgd, weight_decay, NAN, "weight decay");
    REFUSE(sgd, nesterov, true, "Nesterov's rule needs a momentum above 0");
    REFUSE(adam, epsilon, -1e-8, "epsilon");
    REFUSE(adam, beta1, 1, "adam: the beta1 is 1, it must be at least 0 and less than 1");
    REFUSE(adam, beta2, 1.5, "beta2");
    REFUSE(rt_optimiser(RT_RMSPROP), decay, 1, "rmsprop: the decay");
#undef REFUSE
}

static void refuse_call(uint64_t step, const float *grads, float *params, float *moments,
                        const RtRange *ranges, size_t count, const char *words) {
    RtOptimiser const o = rt_optimiser(RT_ADAM);
    message[0] = 0;
    assert_int_equal(rt_optimise_f32(&o, step, 4, ranges, count, grads, params, moments, message,
                                     sizeof message),
                     RT_ERR_ARGUMENT);
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
}

static void calls_that_cannot_be(void **state) {
    static const RtRange overlap[] = {{0, 2}, {1, 3}}, backwards[] = {{2, 1}}, beyond[] = {{0, 5}};
    float g[4] = {1, 1, 1, 1}, p[4] = {0}, m[8] = {0};
    (void)state;
    refuse_call(0, g, p, m, NULL, 0, "steps are counted from 1");
    refuse_call(1, NULL, p, m, NULL, 0, "the gradients are NULL");
    refuse_call(1, g, NULL, m, NULL, 0, "the parameters are NULL");
    refuse_call(1, g, p, NULL, NULL, 0, "the moments are NULL");
    refuse_call(1, g, p, m, overlap, 2, "range 1: 1 to 3 does not ascend from 2 within 4");
    refuse_call(1, g, p, m, backwards, 1, "range 0: 2 to 1");
    refuse_call(1, g, p, m, beyond, 1, "range 0: 0 to 5");
    for (int i = 0; i < 4; i++) assert_true(p[i] == 0 && m[i] == 0);
}

/* ---- Clipping ------------------------------------------------------------- */

static void clip_as_pytorch(void **state) {
    const float *grads = (const float *)stored("grads", "", STEPS * N) + 3 * N;
    const float *norm32 = stored("clip_norm", ".f32", 1), *want32 = stored("clipped", ".f32", N);
    const double *norm64 = stored("clip_norm", ".f64", 1), *want64 = stored("clipped", ".f64", N);
    const float *value32 = stored("clipped_value", ".f32", N);
    const double *value64 = stored("clipped_value", ".f64", N);
    float g32[N];
    double g64[N];
    (void)state;
    for (int i = 0; i < N; i++) g64[i] = (double)(g32[i] = grads[i]);
    /* PyTorch divides by norm + 1e-6. */
    double const share = 2e-6 / norm64[0];
    assert_true(fabs(rt_clip_norm_f32(g32, N, NULL, 0, 0.75) / (double)norm32[0] - 1) < 0x1p-22);
    assert_true(fabs(rt_clip_norm_f64(g64, N, NULL, 0, 0.75) / norm64[0] - 1) < 0x1p-51);
    for (int i = 0; i < N; i++) {
        assert_true(fabs((double)(g32[i] - want32[i])) <= (share + 0x1p-21) * fabs(g64[i]));
        assert_true(fabs(g64[i] - want64[i]) <= share * fabs(g64[i]));
    }
    assert_true(fabs(rt_clip_norm_f64(g64, N, NULL, 0, INFINITY) - 0.75) < 1e-15);
    for (int i = 0; i < N; i++) g64[i] = (double)(g32[i] = grads[i]);
    size_t const clipped = rt_clip_value_f64(g64, N, 0.03);
    assert_true(clipped > 0 && clipped < N);
    assert_int_equal(rt_clip_value_f32(g32, N, 0.03f), clipped);
    assert_memory_equal(g64, value64, sizeof g64);
    assert_memory_equal(g32, value32, sizeof g32);
}

static double norm_of(double a, double b, double limit, double *x, double *y) {
    double g[2] = {a, b};
    double const norm = rt_clip_norm_f64(g, 2, NULL, 0, limit);
    *x = g[0];
    *y = g[1];
    return norm;
}

static void clip_at_the_edges(void **state) {
    double const inf = INFINITY, tiny = 0x1p-1074;
    double x, y;
    (void)state;
    assert_true(norm_of(3, 4, 5, &x, &y) == 5 && x == 3 && y == 4); /* not above the limit */
    assert_true(norm_of(3, 4, 2.5, &x, &y) == 5 && x == 1.5 && y == 2);
    assert_true(norm_of(3, -4, 0, &x, &y) == 5 && x == 0 && y == 0);
    assert_true(norm_of(0, 0, 1, &x, &y) == 0 && x == 0 && y == 0);
    assert_true(norm_of(0, 0, 0, &x, &y) == 0 && x == 0 && y == 0);
    /* Squares beyond double, and below it. */
    assert_true(fabs(norm_of(3e200, 4e200, inf, &x, &y) / 5e200 - 1) < 1e-15);
    assert_true(fabs(norm_of(3e200, 4e200, 1, &x, &y) / 5e200 - 1) < 1e-15);
    assert_true(fabs(x - 0.6) < 1e-15 && fabs(y - 0.8) < 1e-15);
    assert_true(fabs(norm_of(3e-200, 4e-200, 1, &x, &y) / 5e-200 - 1) < 1e-15 && x == 3e-200);
    assert_true(norm_of(3 * tiny, 4 * tiny, 1, &x, &y) == 5 * tiny);
    assert_true(norm_of(DBL_MAX, 0, inf, &x, &y) == DBL_MAX);
    assert_true(isinf(norm_of(DBL_MAX, DBL_MAX, 1, &x, &y)) && x == DBL_MAX);
    /* What is not finite is reported and left as it is. */
    assert_true(norm_of(inf, 1, 1, &x, &y) == inf && x == inf && y == 1);
    assert_true(norm_of(-inf, inf, 1, &x, &y) == inf && x == -inf && y == inf);
    assert_true(isnan(norm_of(NAN, 7, 1, &x, &y)) && isnan(x) && y == 7);
    assert_true(isnan(norm_of(inf, NAN, 1, &x, &y)) && x == inf && isnan(y));
    /* Limits that are none. */
    assert_true(norm_of(3, 4, NAN, &x, &y) == 5 && x == 3 && y == 4);
    assert_true(norm_of(3, 4, -1, &x, &y) == 5 && x == 3 && y == 4);
    assert_true(norm_of(3, 4, inf, &x, &y) == 5 && x == 3 && y == 4);
    assert_true(rt_clip_norm_f64(NULL, 0, NULL, 0, 1) == 0);
    float big[2] = {FLT_MAX, FLT_MAX};
    double const norm = rt_clip_norm_f32(big, 2, NULL, 0, 1);
    assert_true(fabs(norm / ((double)FLT_MAX * sqrt(2)) - 1) < 1e-15);
    assert_true(fabs((double)big[0] - sqrt(0.5)) < 1e-7 && big[0] == big[1]);
}

static void clip_in_ranges(void **state) {
    static const RtRange ranges[] = {{1, 2}, {3, 4}};
    double g[5] = {100, 3, NAN, 4, 100};
    (void)state;
    assert_true(rt_clip_norm_f64(g, 5, ranges, 2, 1) == 5);
    assert_true(g[0] == 100 && isnan(g[2]) && g[4] == 100);
    assert_true(fabs(g[1] - 0.6) < 1e-15 && fabs(g[3] - 0.8) < 1e-15);
    assert_true(rt_clip_norm_f64(g, 5, ranges, 0, 1) == 0);
    /* The order of the sum depends on the number of elements alone: ranges change no bit. */
    static const RtRange cut[] = {{0, 13}, {13, 14}, {14, 1001}};
    double many[1001];
    for (int i = 0; i < 1001; i++) many[i] = rt_uniform(1, 2, 0, NULL, 0, (uint64_t)i);
    double const norm = rt_clip_norm_f64(many, 1001, NULL, 0, INFINITY);
    uint64_t hash = 0;
    assert_true(norm == rt_clip_norm_f64(many, 1001, cut, 3, INFINITY));
    /* Nor does a build. */
    for (size_t n = 1; n < 1001; n++) {
        uint64_t bits;
        double const part = rt_clip_norm_f64(many, n, NULL, 0, INFINITY);
        memcpy(&bits, &part, sizeof bits);
        hash = (hash ^ bits) * 0x100000001b3u;
    }
    if (hash != 0x980015c979857180u) fail_msg("0x%llx", (unsigned long long)hash);
    /* The largest element stands in the last range. */
    many[1000] = 1e200;
    assert_true(rt_clip_norm_f64(many, 1001, cut, 3, INFINITY) == 1e200);
}

static void clip_values(void **state) {
    double g[6] = {-3, -1, 0.5, 1, INFINITY, NAN};
    float h[3] = {-2, -INFINITY, 2};
    (void)state;
    assert_int_equal(rt_clip_value_f64(g, 6, -1), 0);
    assert_int_equal(rt_clip_value_f64(g, 6, NAN), 0);
    assert_int_equal(rt_clip_value_f64(g, 6, 1), 2);
    assert_true(g[0] == -1 && g[1] == -1 && g[2] == 0.5 && g[3] == 1 && g[4] == 1 && isnan(g[5]));
    double small[2] = {0.75, -0.75};
    float narrow[2] = {0.75f, -0.75f};
    assert_int_equal(rt_clip_value_f64(small, 2, 0.5), 2);
    assert_int_equal(rt_clip_value_f32(narrow, 2, 0.5f), 2);
    assert_true(small[0] == 0.5 && small[1] == -0.5 && narrow[0] == 0.5f && narrow[1] == -0.5f);
    assert_int_equal(rt_clip_value_f32(narrow, 2, 0.5f), 0); /* at the limit, not beyond */
    assert_int_equal(rt_clip_value_f64(small, 2, 0), 2);
    assert_true(small[0] == 0 && small[1] == 0);
    assert_int_equal(rt_clip_value_f32(h, 3, -1), 0);
    assert_int_equal(rt_clip_value_f32(h, 3, 0), 3);
    assert_true(h[0] == 0 && h[1] == 0 && h[2] == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_of_pytorch),
        cmocka_unit_test(formulas_in_long_double),
        cmocka_unit_test(same_bits_from_every_build),
        cmocka_unit_test(defaults_and_names),
        cmocka_unit_test(slots),
        cmocka_unit_test(frozen_parameters),
        cmocka_unit_test(centred_variance_is_not_negative),
        cmocka_unit_test(step_numbers_without_end),
        cmocka_unit_test(settings_out_of_range),
        cmocka_unit_test(calls_that_cannot_be),
        cmocka_unit_test(clip_as_pytorch),
        cmocka_unit_test(clip_at_the_edges),
        cmocka_unit_test(clip_in_ranges),
        cmocka_unit_test(clip_values),
    };
    return cmocka_run_group_tests(tests, read_reference, free_reference);
}
