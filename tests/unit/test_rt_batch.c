/* test_rt_batch.c - permutations (each number once, every place as likely, fixed by seed, name and
 * round), splits, batches and windows of a text at their edges. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/rnn_rt.h"

enum { MOST = 1000 };

static void each_number_once(void **state) {
    (void)state;
    for (size_t n = 0; n <= MOST; n = n < 10 ? n + 1 : n * 3) {
        int64_t order[MOST + 1];
        bool seen[MOST] = {false};
        order[n] = -7;
        rt_permutation(3, "epoch", 2, n, order);
        assert_int_equal(order[n], -7);
        for (size_t i = 0; i < n; i++) {
            assert_true(order[i] >= 0 && order[i] < (int64_t)n && !seen[order[i]]);
            seen[order[i]] = true;
        }
    }
}

/* As the header has it, with the draws of rt_random_words. */
static void as_defined(void **state) {
    int64_t const round = 4;
    int64_t order[50], want[50];
    (void)state;
    rt_permutation(99, "split", 4, 50, order);
    for (int i = 0; i < 50; i++) want[i] = i;
    for (uint64_t i = 49; i >= 1; i--) {
        uint32_t w[4];
        rt_random_words(99, rt_hash_name("split"), 0, &round, 1, i, w);
        uint64_t const j = (((uint64_t)w[0] << 32) + w[1]) % (i + 1);
        int64_t const kept = want[i];
        want[i] = want[j];
        want[j] = kept;
    }
    assert_memory_equal(order, want, sizeof order);
}

static void fixed_for_ever(void **state) {
    static const int64_t want[8] = {2, 4, 1, 5, 7, 6, 0, 3};
    int64_t order[8], other[8];
    (void)state;
    rt_permutation(1, "epoch", 0, 8, order);
    if (memcmp(order, want, sizeof order) != 0) {
        fail_msg("%d %d %d %d %d %d %d %d", (int)order[0], (int)order[1], (int)order[2],
                 (int)order[3], (int)order[4], (int)order[5], (int)order[6], (int)order[7]);
    }
    rt_permutation(2, "epoch", 0, 8, other);
    assert_memory_not_equal(order, other, sizeof order);
    rt_permutation(1, "split", 0, 8, other);
    assert_memory_not_equal(order, other, sizeof order);
    rt_permutation(1, "epoch", 1, 8, other);
    assert_memory_not_equal(order, other, sizeof order);
    rt_permutation(1, "epoch", (uint64_t)1 << 63, 8, other); /* one too many: as round 0 */
    assert_memory_equal(order, other, sizeof order);
}

/* Chi-squared of all 24 orders of four over 24,000 rounds: mean 23, deviation 6.8. */
static void every_order_is_as_likely(void **state) {
    int count[256] = {0};
    double chi = 0;
    (void)state;
    for (uint64_t round = 0; round < 24000; round++) {
        int64_t o[4];
        rt_permutation(5, "epoch", round, 4, o);
        count[o[0] * 64 + o[1] * 16 + o[2] * 4 + o[3]]++;
    }
    int kinds = 0;
    for (int i = 0; i < 256; i++) {
        if (count[i] == 0) continue;
        kinds++;
        chi += (count[i] - 1000.0) * (count[i] - 1000.0) / 1000;
    }
    assert_int_equal(kinds, 24);
    assert_true(chi < 23 + 4 * 6.8);
}

static void splits(void **state) {
    (void)state;
    assert_int_equal(rt_split_count(100, 0.1), 10);
    assert_int_equal(rt_split_count(105, 0.1), 11);
    assert_int_equal(rt_split_count(104, 0.1), 10);
    assert_int_equal(rt_split_count(3, 0.1), 1);
    assert_int_equal(rt_split_count(3, 0.99), 2);
    assert_int_equal(rt_split_count(10, 1), 9);
    assert_int_equal(rt_split_count(10, 7), 9);
    assert_int_equal(rt_split_count(2, 0.001), 1);
    assert_int_equal(rt_split_count(1, 0.5), 0);
    assert_int_equal(rt_split_count(0, 0.5), 0);
    assert_int_equal(rt_split_count(10, 0), 0);
    assert_int_equal(rt_split_count(10, -1), 0);
    assert_int_equal(rt_split_count(10, NAN), 0);
}

static void check_range(RtRange range, size_t begin, size_t end) {
    assert_int_equal(range.begin, begin);
    assert_int_equal(range.end, end);
}

static void batches(void **state) {
    (void)state;
    assert_int_equal(rt_batch_count(10, 4, false), 3);
    assert_int_equal(rt_batch_count(10, 4, true), 2);
    assert_int_equal(rt_batch_count(8, 4, false), 2);
    assert_int_equal(rt_batch_count(3, 4, false), 1);
    assert_int_equal(rt_batch_count(3, 4, true), 0);
    assert_int_equal(rt_batch_count(0, 4, false), 0);
    assert_int_equal(rt_batch_count(5, 0, false), 0);
    check_range(rt_batch_at(10, 4, 0), 0, 4);
    check_range(rt_batch_at(10, 4, 1), 4, 8);
    check_range(rt_batch_at(10, 4, 2), 8, 10);
    check_range(rt_batch_at(10, 4, 3), 10, 10);
    check_range(rt_batch_at(8, 4, 2), 8, 8);
    check_range(rt_batch_at(8, 4, SIZE_MAX), 8, 8);
    check_range(rt_batch_at(SIZE_MAX, SIZE_MAX, 0), 0, SIZE_MAX);
    check_range(rt_batch_at(SIZE_MAX, 2, SIZE_MAX / 2), SIZE_MAX - 1, SIZE_MAX);
    check_range(rt_batch_at(8, 0, 0), 8, 8);
}

/* Every token but the last few of the text is an input once, in order, and has a target. */
static void windows_of_a_text(void **state) {
    (void)state;
    for (size_t tokens = 0; tokens < 40; tokens++) {
        for (size_t batch = 1; batch < 5; batch++) {
            for (size_t steps = 1; steps < 9; steps++) {
                size_t const windows = rt_text_windows(tokens, batch, steps);
                size_t const length = tokens > 0 ? (tokens - 1) / batch : 0;
                size_t next = 0;
                for (size_t b = 0; b < batch; b++) {
                    for (size_t k = 0; k < windows; k++) {
                        RtRange const range = rt_text_window(tokens, batch, steps, k, b);
                        assert_int_equal(range.begin, next);
                        assert_true(range.end > range.begin && range.end < tokens);
                        assert_true(range.end - range.begin == steps || k + 1 == windows);
                        assert_true(range.end - range.begin <= steps);
                        /* All sequences of a window have the same length. */
                        RtRange const first = rt_text_window(tokens, batch, steps, k, 0);
                        assert_int_equal(range.end - range.begin, first.end - first.begin);
                        next = range.end;
                    }
                    assert_int_equal(next, (b + 1) * length);
                }
            }
        }
    }
    assert_int_equal(rt_text_windows(10, 0, 3), 0);
    assert_int_equal(rt_text_windows(10, 2, 0), 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_number_once),
        cmocka_unit_test(as_defined),
        cmocka_unit_test(fixed_for_ever),
        cmocka_unit_test(every_order_is_as_likely),
        cmocka_unit_test(splits),
        cmocka_unit_test(batches),
        cmocka_unit_test(windows_of_a_text),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
