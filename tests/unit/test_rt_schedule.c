/* test_rt_schedule.c - learning rates: PyTorch's schedulers (tests/reference/make_torch_optim.py),
 * what happens at and behind the boundaries, the same bits from every build; plateaus; early
 * stopping. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/rnn_rt.h"

enum { STEPS = 40 };

static char message[256];
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

static const double *stored(const char *name) {
    const RtTensor *tensor = rt_set_find(&reference, name);
    if (tensor == NULL) fail_msg("%s is not stored", name);
    assert_int_equal(tensor->dtype, RT_F64);
    assert_int_equal(tensor->count, STEPS);
    return tensor->data;
}

/* ---- Rates as a function of the step --------------------------------------- */

static RtSchedule warmed(RtSchedule schedule, uint64_t warmup, double from) {
    schedule.warmup = warmup;
    schedule.warmup_from = from;
    return schedule;
}

/* PyTorch makes each rate from the one before, we from the first: at most one rounding of that a
 * step apart. */
static void check_rates(const char *name, RtSchedule schedule) {
    const double *want = stored(name);
    double most = 0;
    assert_int_equal(rt_schedule_check(&schedule, message, sizeof message), RT_OK);
    for (uint64_t t = 0; t < STEPS; t++) {
        double const rate = rt_schedule_at(&schedule, t);
        most = fmax(most, fabs(rate - want[t]) / 0.5 / (double)(t + 1));
    }
    if (getenv("RNNC_VERBOSE") != NULL) print_message("%-18s %.2f\n", name, most * 0x1p53);
    if (!(most <= 0x1p-53)) fail_msg("%s: off by %g roundings a step", name, most * 0x1p53);
}

static void rates_of_pytorch(void **state) {
    RtSchedule s;
    (void)state;
    check_rates("step", rt_schedule(RT_SCHEDULE_STEP, 0.5, 7));
    s = rt_schedule(RT_SCHEDULE_STEP, 0.5, 10);
    s.factor = 0.5;
    check_rates("step_half", s);
    s = rt_schedule(RT_SCHEDULE_EXPONENTIAL, 0.5, 0);
    s.factor = 0.93;
    check_rates("exponential", s);
    s = rt_schedule(RT_SCHEDULE_COSINE, 0.5, STEPS - 1);
    s.last = 0.01;
    check_rates("cosine", s);
    s = rt_schedule(RT_SCHEDULE_CONSTANT, 0.5, 0);
    s.warmup = 5;
    check_rates("warmup", s);
    check_rates("warmup_cosine", warmed(rt_schedule(RT_SCHEDULE_COSINE, 0.5, STEPS - 9), 8, 0.125));
    check_rates("one_cycle", rt_schedule(RT_SCHEDULE_ONE_CYCLE, 0.5, STEPS));
    s = rt_schedule(RT_SCHEDULE_ONE_CYCLE, 0.5, STEPS);
    s.rise = 0.8;
    s.start_divisor = 10;
    s.end_divisor = 100;
    check_rates("one_cycle_late", s);
}

static double at(RtSchedule schedule, uint64_t step) {
    return rt_schedule_at(&schedule, step);
}

static void rates_at_boundaries(void **state) {
    RtSchedule s = rt_schedule(RT_SCHEDULE_CONSTANT, 0.3, 0);
    (void)state;
    assert_true(at(s, 0) == 0.3 && at(s, UINT64_MAX) == 0.3);
    s = rt_schedule(RT_SCHEDULE_STEP, 1, 5);
    s.factor = 0.5;
    assert_true(at(s, 0) == 1 && at(s, 4) == 1 && at(s, 5) == 0.5 && at(s, 9) == 0.5);
    assert_true(at(s, 10) == 0.25 && at(s, UINT64_MAX) == 0);
    s = rt_schedule(RT_SCHEDULE_EXPONENTIAL, 3, 0);
    assert_true(at(s, 0) == 3 && at(s, 1000) == 3); /* the factor is 1 until it is set */
    s.factor = 0.5;
    assert_true(at(s, 0) == 3 && at(s, 1) == 1.5 && at(s, 2) == 0.75);
    s = rt_schedule(RT_SCHEDULE_COSINE, 2, 8);
    s.last = 1;
    assert_true(at(s, 0) == 2 && at(s, 4) == 1.5 && at(s, 8) == 1);
    assert_true(at(s, 9) == 1 && at(s, 16) == 1 && at(s, UINT64_MAX) == 1); /* rises no more */
    s.period = 1;
    assert_true(at(s, 0) == 2 && at(s, 1) == 1);
    /* The cosine against libm's, and never up. */
    s = rt_schedule(RT_SCHEDULE_COSINE, 1, 10000);
    for (uint64_t t = 1; t < 10000; t++) {
        double const want = 0.5 * (1 + cos(3.14159265358979323846 * (double)t / 10000));
        assert_true(fabs(at(s, t) - want) < 4e-16);
        assert_true(at(s, t) < at(s, t - 1));
    }
}

static void warm_up_at_boundaries(void **state) {
    RtSchedule s = warmed(rt_schedule(RT_SCHEDULE_STEP, 1, 2), 4, 0);
    (void)state;
    s.factor = 0.5;
    double const want[] = {0, 0.25, 0.5, 0.75, 1, 1, 0.5, 0.5, 0.25};
    for (uint64_t t = 0; t < 9; t++) assert_true(at(s, t) == want[t]);
    s.warmup = 1;
    s.warmup_from = 0.25;
    assert_true(at(s, 0) == 0.25 && at(s, 1) == 1 && at(s, 3) == 0.5);
    s.warmup = UINT64_MAX;
    assert_true(at(s, 0) == 0.25 && at(s, UINT64_MAX) == 1);
}

static void one_cycle_at_boundaries(void **state) {
    RtSchedule s = rt_schedule(RT_SCHEDULE_ONE_CYCLE, 1, 11);
    (void)state;
    s.rise = 6.0 / 11;
    s.start_divisor = 4;
    s.end_divisor = 4;
    assert_true(at(s, 0) == 0.25 && at(s, 5) == 1 && at(s, 10) == 0.0625);
    assert_true(at(s, 11) == 0.0625 && at(s, UINT64_MAX) == 0.0625);
    /* No room to rise: from the peak on; no room to fall: the end is at the last step. */
    s.rise = 0;
    assert_true(at(s, 0) < 1 && at(s, 0) > 0.9 && at(s, 10) == 0.0625);
    s.rise = 1.0 / 11;
    assert_true(at(s, 0) == 1);
    s.rise = 1;
    assert_true(at(s, 0) == 0.25 && at(s, 9) < 1 && at(s, 10) == 0.0625);
    for (uint64_t period = 1; period < 4; period++) {
        s = rt_schedule(RT_SCHEDULE_ONE_CYCLE, 1, period);
        for (uint64_t t = 0; t < 5; t++) {
            double const rate = at(s, t);
            assert_true(rate >= 4e-6 && rate <= 1);
            if (t + 1 >= period) assert_true(rate == 1 / 25.0 / 1e4);
        }
    }
}

/* Whatever compiler, flags and C library. */
static void same_bits_from_every_build(void **state) {
    uint64_t hash = 0xcbf29ce484222325u;
    (void)state;
    for (int kind = 0; kind <= RT_SCHEDULE_ONE_CYCLE; kind++) {
        RtSchedule s = rt_schedule((RtScheduleKind)kind, 0.37, 301);
        s.factor = 0.991;
        s.last = 0.003;
        if (kind != RT_SCHEDULE_ONE_CYCLE) s.warmup = 17;
        for (uint64_t t = 0; t < 400; t++) {
            double const rate = at(s, t);
            uint64_t bits;
            memcpy(&bits, &rate, sizeof bits);
            hash = (hash ^ bits) * 0x100000001b3u;
        }
    }
    if (hash != 0x166dc3c6b019a372u) fail_msg("0x%llx", (unsigned long long)hash);
}

static void refuse(RtSchedule schedule, const char *words) {
    message[0] = 0;
    assert_int_equal(rt_schedule_check(&schedule, message, sizeof message), RT_ERR_ARGUMENT);
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
}

static void settings_out_of_range(void **state) {
    RtSchedule const constant = rt_schedule(RT_SCHEDULE_CONSTANT, 1, 0);
    RtSchedule const cosine = rt_schedule(RT_SCHEDULE_COSINE, 1, 10);
    RtSchedule const cycle = rt_schedule(RT_SCHEDULE_ONE_CYCLE, 1, 10);
    RtSchedule s;
    (void)state;
#define REFUSE(from, field, value, words) (s = from, s.field = value, refuse(s, words))
    REFUSE(constant, kind, (RtScheduleKind)7, "there is no kind 7");
    REFUSE(constant, base, -1, "schedule: the rate must be at least 0 and finite");
    REFUSE(constant, base, NAN, "the rate");
    REFUSE(constant, base, INFINITY, "the rate");
    REFUSE(cosine, period, 0, "the period must be at least 1 step");
    REFUSE(cycle, period, 0, "the period");
    refuse(rt_schedule(RT_SCHEDULE_STEP, 1, 0), "the period");
    REFUSE(cosine, factor, -0.1, "the factor");
    REFUSE(cosine, factor, INFINITY, "the factor");
    REFUSE(cosine, last, -0.1, "the last rate");
    REFUSE(cosine, last, INFINITY, "the last rate");
    REFUSE(cosine, warmup_from, 1.5, "the warm-up");
    REFUSE(cosine, warmup_from, -0.5, "the warm-up");
    REFUSE(cycle, rise, NAN, "the rise");
    REFUSE(cycle, rise, 1.5, "the rise");
    REFUSE(cycle, start_divisor, 0, "the divisors");
    REFUSE(cycle, end_divisor, INFINITY, "the divisors");
    REFUSE(cycle, warmup, 1, "one cycle has a warm-up of its own");
#undef REFUSE
    s = rt_schedule(RT_SCHEDULE_CONSTANT, 0, 0);
    assert_int_equal(rt_schedule_check(&s, NULL, 0), RT_OK);
    s = constant; /* what a kind does not use may be anything sensible */
    assert_int_equal(rt_schedule_check(&s, NULL, 0), RT_OK);
}

/* ---- Plateaus ------------------------------------------------------------- */

static void check_plateau(const char *name, RtPlateau plateau) {
    const double *figures = stored("figures"), *want = stored(name);
    double rate = 0.5;
    int lowered = 0;
    for (int t = 0; t < STEPS; t++) {
        double const before = rate;
        bool const changed =
            rt_plateau_update(&plateau, plateau.maximise ? -figures[t] : figures[t], &rate);
        assert_true(changed == (rate < before));
        lowered += changed;
        if (!(fabs(rate - want[t]) <= 1e-15 * want[t])) {
            fail_msg("%s: %g instead of %g at %d", name, rate, want[t], t);
        }
    }
    assert_true(lowered > 0);
}

static void plateaus_of_pytorch(void **state) {
    RtPlateau p = rt_plateau(false);
    (void)state;
    check_plateau("plateau", p);
    p.patience = 3;
    p.factor = 0.5;
    p.cooldown = 2;
    check_plateau("plateau_patient", p);
    p = rt_plateau(true);
    p.patience = 2;
    p.factor = 0.3;
    p.least = 0.02;
    check_plateau("plateau_max", p);
    p = rt_plateau(false);
    p.absolute = true;
    p.threshold = 0.05;
    p.patience = 1;
    p.factor = 0.7;
    check_plateau("plateau_absolute", p);
    p = rt_plateau(true);
    p.absolute = true;
    p.threshold = 0.02;
    p.patience = 4;
    check_plateau("plateau_max_absolute", p);
}

static void plateau_by_hand(void **state) {
    RtPlateau p = rt_plateau(false);
    double rate = 1;
    (void)state;
    p.patience = 0;
    assert_false(rt_plateau_update(&p, 2, &rate));
    assert_true(rt_plateau_update(&p, NAN, &rate) && rate == 0.1); /* NaN is not better */
    assert_true(p.best == 2);
    assert_true(rt_plateau_update(&p, 2 * (1 - 1e-4), &rate)); /* nor is by the threshold alone */
    assert_false(rt_plateau_update(&p, 1.99, &rate));
    p.absolute = true; /* and the other kind of threshold, both ways */
    p.best = 2;
    p.threshold = 0.5;
    assert_true(rt_plateau_update(&p, 1.5, &rate));
    assert_false(rt_plateau_update(&p, 1.25, &rate));
    p.maximise = true;
    assert_true(rt_plateau_update(&p, 1.75, &rate));
    assert_false(rt_plateau_update(&p, 2, &rate));
    p.absolute = p.maximise = false;
    p.best = 1;
    rate = 1e-9; /* a change below epsilon is none */
    assert_false(rt_plateau_update(&p, 3, &rate));
    assert_true(rate == 1e-9);
    rate = 0.5;
    p.least = 0.4;
    assert_true(rt_plateau_update(&p, 3, &rate) && rate == 0.4);
    assert_false(rt_plateau_update(&p, 3, &rate));
    assert_true(rate == 0.4);
}

/* ---- Early stopping ------------------------------------------------------- */

static void stops_after_patience(void **state) {
    RtStopping s = rt_stopping(false, 3);
    (void)state;
    assert_int_equal(rt_stopping_update(&s, NAN), RT_VERDICT_WAIT);
    assert_int_equal(rt_stopping_update(&s, 5), RT_VERDICT_BETTER);
    assert_int_equal(rt_stopping_update(&s, 5), RT_VERDICT_WAIT);
    assert_int_equal(rt_stopping_update(&s, 6), RT_VERDICT_WAIT);
    assert_int_equal(rt_stopping_update(&s, 4), RT_VERDICT_BETTER);
    assert_true(s.best == 4 && s.best_round == 5 && s.bad == 0 && s.rounds == 5);
    assert_int_equal(rt_stopping_update(&s, 4.5), RT_VERDICT_WAIT);
    assert_int_equal(rt_stopping_update(&s, INFINITY), RT_VERDICT_WAIT);
    assert_int_equal(rt_stopping_update(&s, NAN), RT_VERDICT_STOP);
    assert_int_equal(rt_stopping_update(&s, 9), RT_VERDICT_STOP); /* for who goes on */
    assert_true(s.best == 4 && s.best_round == 5 && s.rounds == 9);
}

static void stops_by_least_difference(void **state) {
    RtStopping s = rt_stopping(true, 0);
    (void)state;
    s.least = 0.5;
    assert_int_equal(rt_stopping_update(&s, 1), RT_VERDICT_BETTER);
    assert_int_equal(rt_stopping_update(&s, 2), RT_VERDICT_BETTER);
    assert_int_equal(rt_stopping_update(&s, 2.5), RT_VERDICT_STOP);
    assert_true(s.best == 2);
    s = rt_stopping(false, 1);
    s.least = 0.5;
    assert_int_equal(rt_stopping_update(&s, 1), RT_VERDICT_BETTER);
    assert_int_equal(rt_stopping_update(&s, 0.5), RT_VERDICT_STOP);
    assert_int_equal(rt_stopping_update(&s, 0.25), RT_VERDICT_BETTER);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rates_of_pytorch),           cmocka_unit_test(rates_at_boundaries),
        cmocka_unit_test(warm_up_at_boundaries),      cmocka_unit_test(one_cycle_at_boundaries),
        cmocka_unit_test(same_bits_from_every_build), cmocka_unit_test(settings_out_of_range),
        cmocka_unit_test(plateaus_of_pytorch),        cmocka_unit_test(plateau_by_hand),
        cmocka_unit_test(stops_after_patience),       cmocka_unit_test(stops_by_least_difference),
    };
    return cmocka_run_group_tests(tests, read_reference, free_reference);
}
