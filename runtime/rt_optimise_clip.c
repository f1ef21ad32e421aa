/* rt_optimise_clip.c - gradient clipping, by the norm of all gradients together (Pascanu, Mikolov,
 * Bengio 2013) and by value. The norm is summed in double in an order that only the number of
 * elements decides, and no square overflows or vanishes. */
#include "rt_internal.h"

#include <float.h>
#include <math.h>

#include "rt_exact.h"

/* The elements of the ranges, of either type: one of `single` and `wide` is NULL. */
typedef struct Gradients {
    float *single;
    double *wide;
    size_t n;
    const RtRange *ranges;
    size_t range_count;
    RtRange all;
} Gradients;

static Gradients gather(float *single, double *wide, size_t n, const RtRange *ranges,
                        size_t range_count) {
    return (Gradients){single, wide, n, ranges, ranges != NULL ? range_count : 1, {0, n}};
}

static RtRange range_of(const Gradients *g, size_t i) {
    return g->ranges != NULL ? g->ranges[i] : g->all;
}

static double element(const Gradients *g, size_t i) {
    return g->single != NULL ? (double)g->single[i] : g->wide[i];
}

static void set_element(const Gradients *g, size_t i, double value) {
    if (g->single != NULL) {
        g->single[i] = (float)value;
    } else {
        g->wide[i] = value;
    }
}

/* The sum of (element / 2^exponent)^2: four chains, so that additions need not wait. */
static double sum_squares(const Gradients *g, int exponent) {
    double sum[4] = {0, 0, 0, 0};
    size_t turn = 0;
    for (size_t r = 0; r < g->range_count; r++) {
        RtRange const range = range_of(g, r);
        for (size_t i = range.begin; i < range.end; i++, turn++) {
            double value = element(g, i);
            if (exponent != 0) value = ldexp(value, -exponent);
            sum[turn % 4] += value * value;
        }
    }
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

static double largest(const Gradients *g) {
    double most = 0;
    for (size_t r = 0; r < g->range_count; r++) {
        RtRange const range = range_of(g, r);
        for (size_t i = range.begin; i < range.end; i++) most = fmax(most, fabs(element(g, i)));
    }
    return most;
}

static double find_norm(const Gradients *g) {
    double const sum = sum_squares(g, 0);
    int exponent;
    /* Where squares left the range of double, once more with the largest element near 1. */
    if (isnan(sum) || (sum > 0x1p-900 && sum <= DBL_MAX)) return sqrt(sum);
    double const most = largest(g);
    if (most == 0 || isinf(most)) return most;
    frexp(most, &exponent);
    return ldexp(sqrt(sum_squares(g, exponent)), exponent);
}

static double clip_norm(const Gradients *g, double limit) {
    double const norm = find_norm(g);
    if (!(norm <= DBL_MAX) || !(limit >= 0) || norm <= limit) return norm;
    double const scale = limit / norm;
    for (size_t r = 0; r < g->range_count; r++) {
        RtRange const range = range_of(g, r);
        for (size_t i = range.begin; i < range.end; i++) {
            set_element(g, i, element(g, i) * scale);
        }
    }
    return norm;
}

double rt_clip_norm_f32(float *grads, size_t n, const RtRange *ranges, size_t range_count,
                        double limit) {
    Gradients const g = gather(grads, NULL, n, ranges, range_count);
    return clip_norm(&g, limit);
}

double rt_clip_norm_f64(double *grads, size_t n, const RtRange *ranges, size_t range_count,
                        double limit) {
    Gradients const g = gather(NULL, grads, n, ranges, range_count);
    return clip_norm(&g, limit);
}

size_t rt_clip_value_f32(float *grads, size_t n, float limit) {
    size_t clipped = 0;
    if (!(limit >= 0)) return 0;
    for (size_t i = 0; i < n; i++) {
        if (fabsf(grads[i]) > limit) {
            grads[i] = grads[i] < 0 ? -limit : limit;
            clipped++;
        }
    }
    return clipped;
}

size_t rt_clip_value_f64(double *grads, size_t n, double limit) {
    size_t clipped = 0;
    if (!(limit >= 0)) return 0;
    for (size_t i = 0; i < n; i++) {
        if (fabs(grads[i]) > limit) {
            grads[i] = grads[i] < 0 ? -limit : limit;
            clipped++;
        }
    }
    return clipped;
}
