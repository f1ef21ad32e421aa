/* test_rt_random.c - Philox against its published vectors, the contract of rnn_rt.h step by step,
 * and the distributions that come out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <string.h>

#include "../../runtime/rnn_rt.h"

/* The vectors of Random123's kat_vectors for philox4x32 with 10 rounds. */
static void philox_known_answers(void **state) {
    static const struct {
        uint32_t counter[4], key[2], out[4];
    } known[] = {
        {{0, 0, 0, 0}, {0, 0}, {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
        {{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff},
         {0xffffffff, 0xffffffff},
         {0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}},
        {{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344},
         {0xa4093822, 0x299f31d0},
         {0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}},
    };
    (void)state;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        uint32_t out[4];
        rt_philox4x32(known[i].counter, known[i].key, out);
        assert_memory_equal(out, known[i].out, sizeof out);
    }
}

static void hash_known_answers(void **state) {
    (void)state;
    assert_true(rt_hash_name("") == 0xcbf29ce484222325u);
    assert_true(rt_hash_name("a") == 0xaf63dc4c8601ec8cu);
    assert_true(rt_hash_name("foobar") == 0x85944171f73967e8u);
    assert_true(rt_draw_site("foo", 12) == rt_hash_name("foo#12"));
    assert_true(rt_draw_site("l1.m", 0) == rt_hash_name("l1.m#0"));
}

/* The contract, written a second time from the words of the header. */
static void words_as_the_header_says(void **state) {
    uint64_t const seed = 0x0123456789abcdefu, site = rt_hash_name("l1.m#0");
    uint32_t const seed_key[2] = {0x89abcdef, 0x01234567};
    uint32_t const site_counter[4] = {(uint32_t)site, (uint32_t)(site >> 32), 0, 0};
    uint32_t first[4], words[4], want[4];
    int64_t pos[4] = {70000, 3, 11, -2};
    (void)state;
    rt_philox4x32(site_counter, seed_key, first);

    uint32_t const plain[4] = {5, 70000, 9, 3};
    rt_philox4x32(plain, first, want);
    rt_random_words(seed, site, 9, pos, 2, 5, words);
    assert_memory_equal(words, want, sizeof words);

    uint32_t const none[4] = {5, 0, 9, 0};
    rt_philox4x32(none, first, want);
    rt_random_words(seed, site, 9, NULL, 0, 5, words);
    assert_memory_equal(words, want, sizeof words);

    uint32_t key3[4], key4[4];
    uint32_t const third[4] = {11, 0, 2, 0}, fourth[4] = {0xfffffffe, 0xffffffff, 3, 0};
    rt_philox4x32(third, first, key3);
    rt_philox4x32(fourth, key3, key4);
    rt_philox4x32(plain, key4, want);
    rt_random_words(seed, site, 9, pos, 4, 5, words);
    assert_memory_equal(words, want, sizeof words);

    uint32_t high[4];
    uint32_t const highs[4] = {1, 0xffffffff, 2, 0}, lows[4] = {5, 0xffffffff, 9, 3};
    pos[0] = -1;
    rt_philox4x32(highs, first, high);
    rt_philox4x32(lows, high, want);
    rt_random_words(seed, site, 9 + ((uint64_t)2 << 32), pos, 2, 5 + ((uint64_t)1 << 32), words);
    assert_memory_equal(words, want, sizeof words);
}

/* Bits that generated code must give later; from a Python program written from the header. */
static void pinned_values(void **state) {
    int64_t const pos[1] = {7};
    (void)state;
    assert_true(rt_uniform(1, rt_hash_name("W"), 0, NULL, 0, 0) == 0x1.1b1a81599c890p-1);
    assert_true(rt_uniform(42, rt_draw_site("l1.m", 0), 3, pos, 1, 12) == 0x1.3de357f14b532p-2);
    double const normal = rt_normal(42, rt_draw_site("l1.m", 0), 3, pos, 1, 12);
    assert_true(fabs(normal - -0.6820414552883485) < 1e-15);
}

static void every_argument_matters(void **state) {
    int64_t const pos[3] = {1, 2, 3};
    double draws[9];
    (void)state;
    draws[0] = rt_uniform(1, 2, 3, pos, 3, 5);
    draws[1] = rt_uniform(2, 2, 3, pos, 3, 5);
    draws[2] = rt_uniform(1, 3, 3, pos, 3, 5);
    draws[3] = rt_uniform(1, 2, 4, pos, 3, 5);
    for (int i = 0; i < 3; i++) {
        int64_t moved[3] = {1, 2, 3};
        moved[i] += 1;
        draws[4 + i] = rt_uniform(1, 2, 3, moved, 3, 5);
    }
    draws[7] = rt_uniform(1, 2, 3, pos, 3, 6);
    draws[8] = rt_uniform(1, 2, 3, pos, 2, 5);
    for (int i = 0; i < 9; i++) {
        for (int j = 0; j < i; j++) assert_true(draws[i] != draws[j]);
    }
    assert_true(draws[0] == rt_uniform(1, 2, 3, pos, 3, 5));
}

/* Single precision starts from the same bits: the uniform cut to 24 of them. */
static void single_precision_agrees(void **state) {
    (void)state;
    for (uint64_t i = 0; i < 10000; i++) {
        double const wide = rt_uniform(7, 8, 0, NULL, 0, i);
        float const narrow = rt_uniform24(7, 8, 0, NULL, 0, i);
        assert_true((double)narrow == floor(wide * 0x1p24) * 0x1p-24);
        assert_true(narrow >= 0 && narrow < 1 && wide >= 0 && wide < 1);
    }
}

/* Bounds are five standard errors of each statistic at this many draws; the seed is fixed. */
static void distributions(void **state) {
    enum { N = 200000, BINS = 64 };
    double const n = N;
    double sum = 0, squares = 0, pairs = 0, before = 0, chi = 0;
    int bins[BINS] = {0};
    (void)state;
    for (int64_t t = 0; t < N; t++) {
        double const u = rt_uniform(3, rt_draw_site("u", 0), 0, &t, 1, 0) - 0.5;
        sum += u;
        squares += u * u;
        pairs += u * before;
        before = u;
        bins[(int)((u + 0.5) * BINS)]++;
    }
    for (int i = 0; i < BINS; i++) {
        double const off = bins[i] - n / BINS;
        chi += off * off / (n / BINS);
    }
    assert_true(fabs(sum / n) < 5 * sqrt(1 / (12 * n)));
    assert_true(fabs(squares / n - 1 / 12.0) < 5 * sqrt(1 / (180 * n)));
    assert_true(fabs(pairs / n) < 5 / 12.0 / sqrt(n));
    assert_true(fabs(chi - (BINS - 1)) < 5 * sqrt(2.0 * (BINS - 1)));

    double moments[5] = {0};
    int beyond = 0;
    for (uint64_t i = 0; i < N; i++) {
        double const z = rt_normal(3, rt_draw_site("z", 0), 0, NULL, 0, i);
        double power = 1;
        for (int k = 1; k < 5; k++) moments[k] += (power *= z) / n;
        beyond += fabs(z) > 1.959963984540054;
        assert_true(fabs(z) < 6.77);
    }
    assert_true(fabs(moments[1]) < 5 * sqrt(1 / n));
    assert_true(fabs(moments[2] - 1) < 5 * sqrt(2 / n));
    assert_true(fabs(moments[3]) < 5 * sqrt(15 / n));
    assert_true(fabs(moments[4] - 3) < 5 * sqrt(96 / n));
    assert_true(fabs(beyond / n - 0.05) < 5 * sqrt(0.05 * 0.95 / n));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(philox_known_answers),     cmocka_unit_test(hash_known_answers),
        cmocka_unit_test(words_as_the_header_says), cmocka_unit_test(pinned_values),
        cmocka_unit_test(every_argument_matters),   cmocka_unit_test(single_precision_agrees),
        cmocka_unit_test(distributions),
    };
    return cmocka_run_group_tests_name("rt_random", tests, NULL, NULL);
}
