/* test_rt_tensor.c - tensors in memory: every type of element read as every other, names of types
 * and statuses, texts of shapes, UTF-8, budgets of memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../runtime/rt_internal.h"

static char message[256];

/* The bytes of 0, 1 and 3 or, where the type has no 3, of 1 again. */
static const struct {
    RtDtype dtype;
    const char *name;
    size_t size;
    bool integer;
    unsigned char bytes[24];
    double last;
} kinds[] = {
    {RT_F32, "float32", 4, false, {0, 0, 0, 0, 0, 0, 0x80, 0x3f, 0, 0, 0x40, 0x40}, 3},
    {RT_F64,
     "float64",
     8,
     false,
     {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f, 0, 0, 0, 0, 0, 0, 0x08, 0x40},
     3},
    {RT_F16, "float16", 2, false, {0, 0, 0x00, 0x3c, 0x00, 0x42}, 3},
    {RT_BF16, "bfloat16", 2, false, {0, 0, 0x80, 0x3f, 0x40, 0x40}, 3},
    {RT_I8, "int8", 1, true, {0, 1, 0xfd}, -3},
    {RT_U8, "uint8", 1, true, {0, 1, 0xfd}, 253},
    {RT_I16, "int16", 2, true, {0, 0, 1, 0, 0xfd, 0xff}, -3},
    {RT_U16, "uint16", 2, true, {0, 0, 1, 0, 0xfd, 0xff}, 65533},
    {RT_I32, "int32", 4, true, {0, 0, 0, 0, 1, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff}, -3},
    {RT_I64,
     "int64",
     8,
     true,
     {0, 0, 0, 0, 0,    0,    0,    0,    1,    0,    0,    0,
      0, 0, 0, 0, 0xfd, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff},
     -3},
    {RT_BOOL, "bool", 1, true, {0, 1, 1}, 1},
};
enum { KINDS = sizeof kinds / sizeof *kinds };

static void conversions(void **state) {
    (void)state;
    for (int k = 0; k < KINDS; k++) {
        RtTensor tensor;
        static const int64_t three[] = {3};
        assert_int_equal(rt_dtype_size(kinds[k].dtype), kinds[k].size);
        assert_string_equal(rt_dtype_name(kinds[k].dtype), kinds[k].name);
        assert_int_equal(rt_dtype_is_integer(kinds[k].dtype), kinds[k].integer);
        assert_int_equal(rt_tensor_init(&tensor, "x", kinds[k].dtype, 1, three, NULL, 0), RT_OK);
        rt_from_little(tensor.data, kinds[k].bytes, 3, kinds[k].size);
        double want[] = {0, 1, kinds[k].last}, wide[3];
        float narrow[3];
        int64_t whole[3];
        rt_tensor_to_f64(&tensor, wide);
        rt_tensor_to_f32(&tensor, narrow);
        RtStatus status = rt_tensor_to_i64(&tensor, whole, message, sizeof message);
        assert_int_equal(status, kinds[k].integer ? RT_OK : RT_ERR_ARGUMENT);
        for (int i = 0; i < 3; i++) {
            assert_true(wide[i] >= want[i] && wide[i] <= want[i]);
            assert_true((double)narrow[i] >= want[i] && (double)narrow[i] <= want[i]);
            if (status == RT_OK) assert_int_equal(whole[i], (int64_t)want[i]);
        }
        if (status != RT_OK) {
            char text[256];
            snprintf(text, sizeof text, "x: elements are %s where integers are needed",
                     kinds[k].name);
            assert_string_equal(message, text);
            free(tensor.name);
            tensor.name = NULL;
            rt_tensor_to_i64(&tensor, whole, message, sizeof message);
            assert_memory_equal(message, "tensor: ", 8);
        }
        rt_tensor_free(&tensor);
        assert_null(tensor.data);
    }
}

/* Subnormal, largest, infinite and not a number, of both signs. */
static void halves(void **state) {
    (void)state;
    static const uint16_t bits[] = {0x0001, 0x8001, 0x03ff, 0x0400, 0x7bff,
                                    0xfbff, 0x7c00, 0xfc00, 0x7e01, 0x8000};
    static const double want[] = {0x1p-24, -0x1p-24, 1023 * 0x1p-24, 0x1p-14, 65504, -65504};
    static const int64_t shape[] = {10};
    double got[10];
    RtTensor tensor;
    assert_int_equal(rt_tensor_init(&tensor, NULL, RT_F16, 1, shape, NULL, 0), RT_OK);
    memcpy(tensor.data, bits, sizeof bits);
    rt_tensor_to_f64(&tensor, got);
    for (int i = 0; i < 6; i++) assert_true(got[i] >= want[i] && got[i] <= want[i]);
    assert_true(isinf(got[6]) && got[6] > 0 && isinf(got[7]) && got[7] < 0 && isnan(got[8]));
    assert_true(got[9] >= 0 && signbit(got[9]));
    rt_tensor_free(&tensor);
}

static void names(void **state) {
    (void)state;
    static const char *const want[] = {"done",         "wrong argument", "input/output error",
                                       "format error", "not supported",  "limit exceeded",
                                       "out of memory"};
    static const RtStatus all[] = {RT_OK,         RT_ERR_ARGUMENT,    RT_ERR_IO,
                                   RT_ERR_FORMAT, RT_ERR_UNSUPPORTED, RT_ERR_LIMIT,
                                   RT_ERR_NOMEM};
    for (int i = 0; i < 7; i++) assert_string_equal(rt_status_name(all[i]), want[i]);
    assert_string_equal(rt_status_name((RtStatus)99), "unknown status");
    assert_false(rt_dtype_is_integer((RtDtype)99));
}

static void shapes(void **state) {
    (void)state;
    static const int64_t shape[] = {2, 0, 30}, vast[] = {INT64_MAX, 0, 2}, below[] = {3, -1};
    char text[32];
    size_t count = 7;
    assert_string_equal(rt_shape_text(3, shape, text, sizeof text), "[2, 0, 30]");
    assert_string_equal(rt_shape_text(0, shape, text, sizeof text), "[]");
    assert_string_equal(rt_shape_text(3, shape, text, 6), "[2, 0");
    text[0] = 'x';
    assert_int_equal(rt_shape_text(3, shape, text, 0)[0], 'x');
    assert_true(rt_shape_count(3, shape, 4, &count) && count == 0);
    assert_true(rt_shape_count(0, shape, 4, &count) && count == 1);
    assert_false(rt_shape_count(3, vast, 1, &count));
    assert_false(rt_shape_count(2, below, 1, &count));
}

static void utf8(void **state) {
    (void)state;
    static const char *const good[] = {"",
                                       "abc",
                                       "\xc2\x80",
                                       "\xe0\xa0\x80",
                                       "\xed\x9f\xbf",
                                       "\xf0\x90\x80\x80",
                                       "\xf4\x8f\xbf\xbf"};
    static const char *const bad[] = {"\x80",
                                      "\xc1\xbf",
                                      "\xc2",
                                      "a\xe0\x9f\xbf",
                                      "\xed\xa0\x80",
                                      "\xed\xbf\xbf",
                                      "\xf0\x8f\xbf\xbf",
                                      "\xf4\x90\x80\x80",
                                      "\xf5\x80\x80\x80",
                                      "\xe2\x28\xa1",
                                      "\xe2\x82"};
    for (size_t i = 0; i < sizeof good / sizeof *good; i++) assert_true(rt_utf8_valid(good[i]));
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) assert_false(rt_utf8_valid(bad[i]));
}

/* A budget is spent once, and what is asked above it is told from a full memory. */
static void budgets(void **state) {
    (void)state;
    RtBudget budget = rt_budget(10);
    assert_int_equal(budget.left, 65536 + 320);
    void *first = rt_budget_alloc(&budget, 3, 8);
    assert_non_null(first);
    assert_int_equal(budget.left, 65536 + 320 - 24 - 16);
    free(first);
    assert_null(rt_budget_alloc(&budget, budget.left, 1));
    assert_true(budget.exceeded);
    assert_int_equal(rt_budget_fail(&budget, "f", message, sizeof message), RT_ERR_LIMIT);
    assert_string_equal(message, "f: needs more memory than a file of its size may ask for");
    budget = rt_budget(SIZE_MAX);
    assert_int_equal(budget.left, SIZE_MAX);
    assert_null(rt_budget_alloc(&budget, SIZE_MAX / 2, 3));
    assert_true(budget.exceeded);
    budget.exceeded = false;
    assert_int_equal(rt_budget_fail(&budget, "f", message, sizeof message), RT_ERR_NOMEM);
    assert_string_equal(message, "f: out of memory");
    void *items = NULL;
    size_t capacity = 0;
    budget = rt_budget(0);
    assert_true(rt_budget_grow(&budget, &items, 0, &capacity, 4) && capacity == 8);
    assert_true(rt_budget_grow(&budget, &items, 7, &capacity, 4) && capacity == 8);
    assert_true(rt_budget_grow(&budget, &items, 8, &capacity, 4) && capacity == 16);
    budget.left = 100;
    assert_false(rt_budget_grow(&budget, &items, 16, &capacity, 4));
    assert_true(budget.exceeded && capacity == 16);
    free(items);
}

int main(void) {
    const struct CMUnitTest tests[] = {cmocka_unit_test(conversions), cmocka_unit_test(halves),
                                       cmocka_unit_test(names),       cmocka_unit_test(shapes),
                                       cmocka_unit_test(utf8),        cmocka_unit_test(budgets)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
