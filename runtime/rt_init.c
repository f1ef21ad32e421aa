/* rt_init.c - first values of parameters: constants, uniform and normal draws, the scaled draws of
 * Glorot & Bengio (2010) and He et al. (2015), and the orthogonal matrices of Saxe et al. (2014).
 * Every element depends on seed, name and index alone. */
#include "rt_internal.h"

#include <math.h>
#include <stdlib.h>

static void find_fans(int rank, const int64_t *shape, double *fan_in, double *fan_out) {
    double field = 1;
    for (int i = 2; i < rank; i++) field *= (double)shape[i];
    *fan_in = rank == 0 ? 1 : rank == 1 ? (double)shape[0] : (double)shape[1] * field;
    *fan_out = rank < 2 ? 1 : (double)shape[0] * field;
}

RtInit rt_init_resolve(RtInit init, int rank, const int64_t *shape) {
    double fan_in, fan_out, bound;
    find_fans(rank, shape, &fan_in, &fan_out);
    switch (init.kind) {
    case RT_INIT_GLOROT:
        bound = sqrt(6 / (fan_in + fan_out));
        return (RtInit){RT_INIT_UNIFORM, -bound, bound};
    case RT_INIT_HE: return (RtInit){RT_INIT_NORMAL, sqrt(2 / fan_in), 0};
    case RT_INIT_CONSTANT:
    case RT_INIT_UNIFORM:
    case RT_INIT_NORMAL:
    case RT_INIT_ORTHOGONAL: break;
    }
    return init;
}

static double element_value(RtInit init, uint64_t seed, uint64_t site, uint64_t index) {
    switch (init.kind) {
    case RT_INIT_CONSTANT: return init.a;
    case RT_INIT_UNIFORM:
        return init.a + (init.b - init.a) * rt_uniform(seed, site, 0, NULL, 0, index);
    case RT_INIT_NORMAL: return init.a * rt_normal(seed, site, 0, NULL, 0, index);
    case RT_INIT_GLOROT:
    case RT_INIT_HE:
    case RT_INIT_ORTHOGONAL: break; /* rt_init_resolve and fill took these */
    }
    return 0;
}

/* ---- Orthogonal ----------------------------------------------------------- */

/* Four sums, in a fixed order: a chain of one would wait for each addition. */
static double dot(const double *x, const double *y, size_t n) {
    double sum[4] = {0, 0, 0, 0};
    size_t i = 0;
    for (; i + 4 <= n; i += 4) {
        for (size_t j = 0; j < 4; j++) sum[j] += x[i + j] * y[i + j];
    }
    for (; i < n; i++) sum[0] += x[i] * y[i];
    return (sum[0] + sum[1]) + (sum[2] + sum[3]);
}

/* Makes the `count` rows of length n orthonormal, each from itself and those before it
 * (Gram-Schmidt, repeated until it takes nothing away: as exact as Householder's, and R's diagonal
 * comes out positive, which makes the result uniform over the orthogonal matrices). */
static bool orthonormalise(double *rows, size_t count, size_t n) {
    for (size_t i = 0; i < count; i++) {
        double *row = rows + i * n;
        double before, after = dot(row, row, n); /* squares */
        do {
            before = after;
            for (size_t j = 0; j < i; j++) {
                const double *other = rows + j * n;
                double const along = dot(row, other, n);
                for (size_t k = 0; k < n; k++) row[k] -= along * other[k];
            }
            after = dot(row, row, n);
        } while (after < 0.5 * before);
        if (!(after > 0)) return false;
        double const norm = sqrt(after);
        for (size_t k = 0; k < n; k++) row[k] /= norm;
    }
    return true;
}

/* The min(m, n) orthonormal vectors as rows of length max(m, n); the caller frees. */
static RtStatus make_orthogonal(uint64_t seed, const char *name, size_t m, size_t n, double **made,
                                char *error, size_t error_size) {
    uint64_t const site = rt_hash_name(name);
    size_t const count = m < n ? m : n, length = m < n ? n : m;
    double *rows = malloc((m * n > 0 ? m * n : 1) * sizeof *rows);
    if (rows == NULL) {
        return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: no memory for %llu bytes", name,
                       RT_LLU(m * n * sizeof *rows));
    }
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < length; k++) {
            size_t const index = m < n ? i * n + k : k * n + i;
            rows[i * length + k] = rt_normal(seed, site, 0, NULL, 0, index);
        }
    }
    if (!orthonormalise(rows, count, length)) {
        free(rows);
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "%s: seed %llu gives a singular matrix, take another seed", name,
                       RT_LLU(seed));
    }
    *made = rows;
    return RT_OK;
}

/* ---- Filling -------------------------------------------------------------- */

/* Fills one of `single` and `wide`; the other is NULL. */
static RtStatus fill(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     float *single, double *wide, char *error, size_t error_size) {
    uint64_t const site = rt_hash_name(name);
    double *rows = NULL;
    size_t count, m = 0, n = 0;
    if (rank < 0 || rank > RT_MAX_RANK || !rt_shape_count(rank, shape, sizeof(double), &count)) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: impossible shape of rank %d", name,
                       rank);
    }
    if (count == 0) return RT_OK;
    if (init.kind == RT_INIT_ORTHOGONAL) {
        if (rank < 2) {
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "%s: rank is %d where orthogonal needs 2 or more", name, rank);
        }
        m = (size_t)shape[0];
        n = count / m;
        RtStatus status = make_orthogonal(seed, name, m, n, &rows, error, error_size);
        if (status != RT_OK) return status;
    }
    init = rt_init_resolve(init, rank, shape);
    for (size_t i = 0; i < count; i++) {
        double value;
        if (rows == NULL) {
            value = element_value(init, seed, site, i);
        } else {
            value = m < n ? rows[i] : rows[i % n * m + i / n];
        }
        if (single != NULL) {
            single[i] = (float)value;
        } else {
            wide[i] = value;
        }
    }
    free(rows);
    return RT_OK;
}

RtStatus rt_init_f32(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     float *out, char *error, size_t error_size) {
    return fill(init, seed, name, rank, shape, out, NULL, error, error_size);
}

RtStatus rt_init_f64(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     double *out, char *error, size_t error_size) {
    return fill(init, seed, name, rank, shape, NULL, out, error, error_size);
}
