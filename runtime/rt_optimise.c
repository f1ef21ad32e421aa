/* rt_optimise.c - optimisers over one flat array of parameters: what they are called, their
 * defaults, the memory they need, the checks of a call. The rules themselves are written once, in
 * rt_optimise_rules.h, for float and double. */
#include "rt_internal.h"

#include <math.h>
#include <string.h>

#include "rt_exact.h"

/* ---- Settings ------------------------------------------------------------- */

static const char *const NAMES[] = {
    [RT_SGD] = "sgd",
    [RT_RMSPROP] = "rmsprop",
    [RT_ADAM] = "adam",
    [RT_ADAMW] = "adamw",
};
enum { NAME_COUNT = sizeof NAMES / sizeof NAMES[0] };

const char *rt_optimiser_name(RtOptimiserKind kind) {
    return NAMES[kind];
}

bool rt_optimiser_find(const char *name, RtOptimiserKind *kind) {
    for (int i = 0; i < NAME_COUNT; i++) {
        if (strcmp(name, NAMES[i]) == 0) {
            *kind = (RtOptimiserKind)i;
            return true;
        }
    }
    return false;
}

RtOptimiser rt_optimiser(RtOptimiserKind kind) {
    RtOptimiser made = {.kind = kind, .learning_rate = 1e-3};
    switch (kind) {
    case RT_SGD: break;
    case RT_RMSPROP:
        made.learning_rate = 1e-2;
        made.decay = 0.99;
        made.epsilon = 1e-8;
        break;
    case RT_ADAMW:
    case RT_ADAM:
        made.beta1 = 0.9;
        made.beta2 = 0.999;
        made.epsilon = 1e-8;
        made.weight_decay = kind == RT_ADAMW ? 1e-2 : 0;
        break;
    }
    return made;
}

/* The arrays of a state, in their order. */
typedef struct Slots {
    int count;
    const char *names[3];
} Slots;

static void add_slot(Slots *slots, const char *name) {
    slots->names[slots->count++] = name;
}

static Slots find_slots(const RtOptimiser *optimiser) {
    Slots slots = {0};
    switch (optimiser->kind) {
    case RT_SGD:
        if (optimiser->momentum > 0) add_slot(&slots, "momentum");
        break;
    case RT_RMSPROP:
        add_slot(&slots, "square_average");
        if (optimiser->centred) add_slot(&slots, "average");
        if (optimiser->momentum > 0) add_slot(&slots, "momentum");
        break;
    case RT_ADAM:
    case RT_ADAMW:
        add_slot(&slots, "first_moment");
        add_slot(&slots, "second_moment");
        break;
    }
    return slots;
}

int rt_optimiser_slots(const RtOptimiser *optimiser) {
    return find_slots(optimiser).count;
}

const char *rt_optimiser_slot_name(const RtOptimiser *optimiser, int slot) {
    Slots const slots = find_slots(optimiser);
    return slot >= 0 && slot < slots.count ? slots.names[slot] : NULL;
}

size_t rt_optimiser_bytes(const RtOptimiser *optimiser, RtDtype dtype, size_t n) {
    size_t const each = (size_t)rt_optimiser_slots(optimiser) * rt_dtype_size(dtype);
    return each > 0 && n > SIZE_MAX / each ? SIZE_MAX : each * n;
}

/* ---- Checks --------------------------------------------------------------- */

/* NaN lies in no range. */
static bool within(double value, double least, double below) {
    return value >= least && value < below;
}

RtStatus rt_optimiser_check(const RtOptimiser *optimiser, char *error, size_t error_size) {
    const RtOptimiser *o = optimiser;
    const struct {
        const char *name;
        double value, below;
    } rows[] = {
        {"learning rate", o->learning_rate, INFINITY},
        {"momentum", o->momentum, INFINITY},
        {"weight decay", o->weight_decay, INFINITY},
        {"epsilon", o->epsilon, INFINITY},
        {"decay", o->decay, 1},
        {"beta1", o->beta1, 1},
        {"beta2", o->beta2, 1},
    };
    if ((unsigned)o->kind >= NAME_COUNT) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "optimiser: there is no kind %d",
                       (int)o->kind);
    }
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        if (!within(rows[i].value, 0, rows[i].below)) {
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "%s: the %s is %g, it must be at least 0 and %s", NAMES[o->kind],
                           rows[i].name, rows[i].value,
                           rows[i].below < 2 ? "less than 1" : "finite");
        }
    }
    if (o->kind == RT_SGD && o->nesterov && !(o->momentum > 0)) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "sgd: Nesterov's rule needs a momentum above 0");
    }
    return RT_OK;
}

RtStatus rt_ranges_check(size_t n, const RtRange *ranges, size_t range_count, char *error,
                         size_t error_size) {
    size_t before = 0;
    for (size_t i = 0; ranges != NULL && i < range_count; i++) {
        if (ranges[i].begin < before || ranges[i].end < ranges[i].begin || ranges[i].end > n) {
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "range %llu: %llu to %llu does not ascend from %llu within %llu",
                           RT_LLU(i), RT_LLU(ranges[i].begin), RT_LLU(ranges[i].end),
                           RT_LLU(before), RT_LLU(n));
        }
        before = ranges[i].end;
    }
    return RT_OK;
}

static RtStatus check_call(const RtOptimiser *optimiser, uint64_t step, size_t n,
                           const RtRange *ranges, size_t range_count, const void *grads,
                           const void *params, const void *state, char *error, size_t error_size) {
    RtStatus const status = rt_optimiser_check(optimiser, error, error_size);
    if (status != RT_OK) return status;
    if (step == 0) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: steps are counted from 1",
                       NAMES[optimiser->kind]);
    }
    if (n > 0 &&
        (grads == NULL || params == NULL || (state == NULL && rt_optimiser_slots(optimiser) > 0))) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: the %s are NULL",
                       NAMES[optimiser->kind],
                       grads == NULL    ? "gradients"
                       : params == NULL ? "parameters"
                                        : "moments");
    }
    return rt_ranges_check(n, ranges, range_count, error, error_size);
}

/* ---- The rules ------------------------------------------------------------ */

/* base to the power of a count, by squaring: no libm, whose last bits differ. */
static double power(double base, uint64_t exponent) {
    double result = 1;
    for (; exponent > 0; exponent >>= 1) {
        if ((exponent & 1) != 0) result *= base;
        base *= base;
    }
    return result;
}

#define REAL float
#define NAME(x) x##_f32
#define SQRT sqrtf
#include "rt_optimise_rules.h"
#undef REAL
#undef NAME
#undef SQRT

#define REAL double
#define NAME(x) x##_f64
#define SQRT sqrt
#include "rt_optimise_rules.h"
