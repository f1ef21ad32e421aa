/* test_rt_init.c - initialisers: fans of every rank, spread and bounds of the draws, orthogonality
 * of tall, wide and square matrices, and that a value depends on seed, name and index alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/rnn_rt.h"

static char message[256];

static void make(RtInit init, const char *name, int rank, const int64_t *shape, double *out) {
    assert_int_equal(rt_init_f64(init, 5, name, rank, shape, out, message, sizeof message), RT_OK);
}

static void constant_and_uniform(void **state) {
    int64_t const shape[2] = {30, 40};
    double values[1200], sum = 0, least = 9, most = -9;
    (void)state;
    make((RtInit){RT_INIT_CONSTANT, 0.25, 0}, "b", 2, shape, values);
    for (int i = 0; i < 1200; i++) assert_true(values[i] == 0.25);
    make((RtInit){RT_INIT_UNIFORM, -1, 3}, "b", 2, shape, values);
    for (int i = 0; i < 1200; i++) {
        sum += values[i];
        least = fmin(least, values[i]);
        most = fmax(most, values[i]);
    }
    assert_true(least >= -1 && least < -0.97 && most < 3 && most > 2.97);
    assert_true(fabs(sum / 1200 - 1) < 5 * 4 / sqrt(12.0 * 1200));
}

/* The largest of n uniform draws lies within 10/n of the bound, but for one case in 20,000. */
static void glorot_bound(int rank, const int64_t *shape, double fan_in, double fan_out) {
    size_t count = 1;
    double most = 0, bound = sqrt(6 / (fan_in + fan_out));
    for (int i = 0; i < rank; i++) count *= (size_t)shape[i];
    double *values = malloc(count * sizeof *values);
    make((RtInit){RT_INIT_GLOROT, 0, 0}, "W", rank, shape, values);
    for (size_t i = 0; i < count; i++) most = fmax(most, fabs(values[i]));
    assert_true(most <= bound);
    if (count >= 100) assert_true(most > bound * (1 - 10.0 / (double)count));
    free(values);
}

static void glorot_fans(void **state) {
    (void)state;
    glorot_bound(0, NULL, 1, 1);
    glorot_bound(1, (const int64_t[]){400}, 400, 1);
    glorot_bound(2, (const int64_t[]){20, 50}, 50, 20);
    glorot_bound(3, (const int64_t[]){8, 16, 5}, 16 * 5, 8 * 5);
    glorot_bound(4, (const int64_t[]){8, 4, 3, 5}, 4 * 15, 8 * 15);
}

static double deviation(RtInit init, int rank, const int64_t *shape, size_t count) {
    double *values = malloc(count * sizeof *values), squares = 0;
    make(init, "W", rank, shape, values);
    for (size_t i = 0; i < count; i++) squares += values[i] * values[i];
    free(values);
    return sqrt(squares / (double)count);
}

static void normal_and_he(void **state) {
    int64_t const matrix[2] = {100, 50}, filter[4] = {10, 20, 5, 5};
    double const error = 5 / sqrt(2 * 5000.0); /* relative, five standard errors */
    (void)state;
    assert_true(fabs(deviation((RtInit){RT_INIT_NORMAL, 0.3, 0}, 2, matrix, 5000) / 0.3 - 1) <
                error);
    assert_true(fabs(deviation((RtInit){RT_INIT_HE, 0, 0}, 2, matrix, 5000) / 0.2 - 1) < error);
    assert_true(fabs(deviation((RtInit){RT_INIT_HE, 0, 0}, 4, filter, 5000) / sqrt(2 / 500.0) - 1) <
                error);
}

static void check_orthogonal(const char *name, int rank, const int64_t *shape, size_t m,
                             size_t n) {
    double *q = malloc(m * n * sizeof *q);
    size_t const count = m < n ? m : n, length = m < n ? n : m;
    make((RtInit){RT_INIT_ORTHOGONAL, 0, 0}, name, rank, shape, q);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j <= i; j++) {
            double sum = 0;
            for (size_t k = 0; k < length; k++) {
                sum += m < n ? q[i * n + k] * q[j * n + k] : q[k * n + i] * q[k * n + j];
            }
            assert_true(fabs(sum - (i == j)) < 2e-14);
        }
    }
    free(q);
}

static void orthogonal_is_orthogonal(void **state) {
    (void)state;
    check_orthogonal("U", 2, (const int64_t[]){1, 1}, 1, 1);
    check_orthogonal("U", 2, (const int64_t[]){64, 64}, 64, 64);
    check_orthogonal("U", 2, (const int64_t[]){7, 30}, 7, 30);
    check_orthogonal("U", 2, (const int64_t[]){30, 7}, 30, 7);
    check_orthogonal("U", 4, (const int64_t[]){6, 2, 3, 3}, 6, 18);
}

/* Among many small square matrices some are nearly singular: there one pass of Gram-Schmidt is off
 * by their condition times the rounding. */
static void orthogonal_of_nearly_singular(void **state) {
    char name[16];
    (void)state;
    for (int i = 0; i < 500; i++) {
        snprintf(name, sizeof name, "U.%d", i);
        check_orthogonal(name, 2, (const int64_t[]){8, 8}, 8, 8);
    }
}

/* R = Q' A must be upper triangular with a positive diagonal, A being the normal matrix: this is
 * the definition, and it fixes every sign. */
static void orthogonal_is_the_q_of_the_normals(void **state) {
    enum { M = 9, N = 5 };
    int64_t const shape[2] = {M, N};
    double a[M * N], q[M * N];
    (void)state;
    make((RtInit){RT_INIT_NORMAL, 1, 0}, "U", 2, shape, a);
    make((RtInit){RT_INIT_ORTHOGONAL, 0, 0}, "U", 2, shape, q);
    for (int i = 0; i < N; i++) {
        for (int j = 0; j < N; j++) {
            double r = 0;
            for (int k = 0; k < M; k++) r += q[k * N + i] * a[k * N + j];
            if (i == j) assert_true(r > 0);
            if (i > j) assert_true(fabs(r) < 1e-13);
        }
    }
}

static void seeds_and_names(void **state) {
    static const RtInitKind kinds[] = {RT_INIT_UNIFORM, RT_INIT_NORMAL, RT_INIT_GLOROT, RT_INIT_HE,
                                       RT_INIT_ORTHOGONAL};
    int64_t const shape[2] = {6, 6};
    (void)state;
    for (size_t k = 0; k < sizeof kinds / sizeof kinds[0]; k++) {
        RtInit const init = {kinds[k], 1, 2};
        double a[36], b[36];
        float single[36];
        make(init, "W", 2, shape, a);
        make(init, "W", 2, shape, b);
        assert_memory_equal(a, b, sizeof a);
        make(init, "V", 2, shape, b);
        for (int i = 0; i < 36; i++) assert_true(a[i] != b[i]);
        assert_int_equal(rt_init_f64(init, 6, "W", 2, shape, b, NULL, 0), RT_OK);
        for (int i = 0; i < 36; i++) assert_true(a[i] != b[i]);
        assert_int_equal(rt_init_f32(init, 5, "W", 2, shape, single, NULL, 0), RT_OK);
        for (int i = 0; i < 36; i++) assert_true(single[i] == (float)a[i]);
    }
}

static void refusals(void **state) {
    RtInit const orthogonal = {RT_INIT_ORTHOGONAL, 0, 0}, glorot = {RT_INIT_GLOROT, 0, 0};
    int64_t const one[1] = {3}, empty[2] = {0, 4}, absurd[2] = {INT64_MAX, 2}, negative[1] = {-1};
    double out[4] = {7, 7, 7, 7};
    (void)state;
    assert_int_equal(rt_init_f64(orthogonal, 1, "b", 1, one, out, message, sizeof message),
                     RT_ERR_ARGUMENT);
    assert_string_equal(message, "b: rank is 1 where orthogonal needs 2 or more");
    assert_int_equal(rt_init_f64(glorot, 1, "b", 2, absurd, out, message, sizeof message),
                     RT_ERR_ARGUMENT);
    assert_int_equal(rt_init_f64(glorot, 1, "b", 1, negative, out, message, sizeof message),
                     RT_ERR_ARGUMENT);
    assert_int_equal(rt_init_f64(orthogonal, 1, "b", 2, empty, out, message, sizeof message),
                     RT_OK);
    for (int i = 0; i < 4; i++) assert_true(out[i] == 7);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(constant_and_uniform),
        cmocka_unit_test(glorot_fans),
        cmocka_unit_test(normal_and_he),
        cmocka_unit_test(orthogonal_is_orthogonal),
        cmocka_unit_test(orthogonal_of_nearly_singular),
        cmocka_unit_test(orthogonal_is_the_q_of_the_normals),
        cmocka_unit_test(seeds_and_names),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests_name("rt_init", tests, NULL, NULL);
}
