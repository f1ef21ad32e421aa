/* rt_schedule.c - what changes from step to step or from epoch to epoch while a model is trained:
 * the learning rate as a function of the step, or lowered on a plateau, and early stopping. No
 * libm: the same rates on every machine. */
#include "rt_internal.h"

#include <float.h>
#include <math.h>

#include "rt_exact.h"

/* ---- Rates as a function of the step --------------------------------------- */

RtSchedule rt_schedule(RtScheduleKind kind, double base, uint64_t period) {
    return (RtSchedule){.kind = kind,
                        .base = base,
                        .period = period,
                        .factor = kind == RT_SCHEDULE_EXPONENTIAL ? 1 : 0.1,
                        .rise = 0.3,
                        .start_divisor = 25,
                        .end_divisor = 1e4,
                        .warmup_from = 1.0 / 3};
}

static bool is_positive(double value) {
    return value > 0 && value <= DBL_MAX;
}

static bool is_share(double value) {
    return value >= 0 && value <= 1;
}

RtStatus rt_schedule_check(const RtSchedule *schedule, char *error, size_t error_size) {
    const RtSchedule *s = schedule;
    const char *wrong = NULL;
    bool const timed = s->kind == RT_SCHEDULE_STEP || s->kind == RT_SCHEDULE_COSINE ||
                       s->kind == RT_SCHEDULE_ONE_CYCLE;
    if ((unsigned)s->kind > RT_SCHEDULE_ONE_CYCLE) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "schedule: there is no kind %d",
                       (int)s->kind);
    }
    if (!(s->base >= 0 && s->base <= DBL_MAX)) {
        wrong = "the rate must be at least 0 and finite";
    } else if (timed && s->period == 0) {
        wrong = "the period must be at least 1 step";
    } else if (!(s->factor >= 0 && s->factor <= DBL_MAX)) {
        wrong = "the factor must be at least 0 and finite";
    } else if (!(s->last >= 0 && s->last <= DBL_MAX)) {
        wrong = "the last rate must be at least 0 and finite";
    } else if (!is_share(s->warmup_from)) {
        wrong = "the warm-up must begin at a share from 0 to 1";
    } else if (s->kind == RT_SCHEDULE_ONE_CYCLE && !is_share(s->rise)) {
        wrong = "the rise must be a share from 0 to 1";
    } else if (s->kind == RT_SCHEDULE_ONE_CYCLE &&
               !(is_positive(s->start_divisor) && is_positive(s->end_divisor))) {
        wrong = "the divisors must be above 0 and finite";
    } else if (s->kind == RT_SCHEDULE_ONE_CYCLE && s->warmup > 0) {
        wrong = "one cycle has a warm-up of its own";
    }
    if (wrong == NULL) return RT_OK;
    return rt_fail(error, error_size, RT_ERR_ARGUMENT, "schedule: %s", wrong);
}

/* sin(pi y) and cos(pi y) for |y| <= 1/4: Taylor's series; what is left out is below 2^-60 of the
 * result. */
static double sine(double y) {
    double const z = 3.14159265358979323846 * y, q = z * z;
    double sum = 0;
    for (int k = 17; k > 1; k -= 2) sum = (1 + sum) * -q / (double)(k * (k - 1));
    return z * (1 + sum);
}

static double cosine(double y) {
    double const z = 3.14159265358979323846 * y, q = z * z;
    double sum = 0;
    for (int k = 18; k > 0; k -= 2) sum = (1 + sum) * -q / (double)(k * (k - 1));
    return 1 + sum;
}

/* cos(pi x) for x in [0, 1], exact at 0, 1/2 and 1. */
static double cos_pi(double x) {
    if (x <= 0.25) return cosine(x);
    return x < 0.75 ? -sine(x - 0.5) : -cosine(1 - x);
}

/* From `from` (done = 0) to `to` (done = 1) along half a cosine. */
static double anneal(double from, double to, double done) {
    if (done <= 0) return from;
    if (done >= 1) return to;
    return to + (from - to) * (0.5 * (1 + cos_pi(done)));
}

/* base to the power of a count, by squaring. */
static double power(double base, uint64_t exponent) {
    double result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) result *= base;
        base *= base;
    }
    return result;
}

/* Up to the peak in the first `rise` of the steps, then down to the end. */
static double one_cycle(const RtSchedule *s, uint64_t step) {
    double const start = s->base / s->start_divisor, end = start / s->end_divisor;
    double const last = (double)s->period - 1, peak = s->rise * (double)s->period - 1;
    double const now = (double)step;
    if (now >= last) return end;
    if (now <= peak) return anneal(start, s->base, peak > 0 ? now / peak : 1);
    return anneal(s->base, end, (now - peak) / (last - peak));
}

double rt_schedule_at(const RtSchedule *schedule, uint64_t step) {
    const RtSchedule *s = schedule;
    if (step < s->warmup) {
        double const done = (double)step / (double)s->warmup;
        return s->base * (s->warmup_from + (1 - s->warmup_from) * done);
    }
    step -= s->warmup;
    switch (s->kind) {
    case RT_SCHEDULE_CONSTANT: break;
    case RT_SCHEDULE_STEP: return s->base * power(s->factor, step / s->period);
    case RT_SCHEDULE_EXPONENTIAL: return s->base * power(s->factor, step);
    case RT_SCHEDULE_COSINE: return anneal(s->base, s->last, (double)step / (double)s->period);
    case RT_SCHEDULE_ONE_CYCLE: return one_cycle(s, step);
    }
    return s->base;
}

/* ---- Plateaus ------------------------------------------------------------- */

RtPlateau rt_plateau(bool maximise) {
    return (RtPlateau){.maximise = maximise,
                       .patience = 10,
                       .factor = 0.1,
                       .threshold = 1e-4,
                       .epsilon = 1e-8,
                       .best = maximise ? (double)-INFINITY : (double)INFINITY};
}

static bool is_better(const RtPlateau *p, double value) {
    if (p->absolute) {
        return p->maximise ? value > p->best + p->threshold : value < p->best - p->threshold;
    }
    return p->maximise ? value > p->best * (1 + p->threshold)
                       : value < p->best * (1 - p->threshold);
}

bool rt_plateau_update(RtPlateau *plateau, double value, double *rate) {
    RtPlateau *p = plateau;
    if (is_better(p, value)) {
        p->best = value;
        p->bad = 0;
    } else {
        p->bad++;
    }
    if (p->cooling > 0) {
        p->cooling--;
        p->bad = 0;
    }
    if (p->bad <= p->patience) return false;
    p->cooling = p->cooldown;
    p->bad = 0;
    double lower = *rate * p->factor;
    if (lower < p->least) lower = p->least;
    if (!(*rate - lower > p->epsilon)) return false;
    *rate = lower;
    return true;
}

/* ---- Early stopping ------------------------------------------------------- */

RtStopping rt_stopping(bool maximise, uint64_t patience) {
    return (RtStopping){.maximise = maximise,
                        .patience = patience,
                        .best = maximise ? (double)-INFINITY : (double)INFINITY};
}

RtVerdict rt_stopping_update(RtStopping *stopping, double value) {
    RtStopping *s = stopping;
    s->rounds++;
    if (s->maximise ? value > s->best + s->least : value < s->best - s->least) {
        s->best = value;
        s->best_round = s->rounds;
        s->bad = 0;
        return RT_VERDICT_BETTER;
    }
    s->bad++;
    return s->bad >= s->patience ? RT_VERDICT_STOP : RT_VERDICT_WAIT;
}
