/* test_rt_safetensors.c - .safetensors files: exact bytes, round trips, metadata, each rule of the
 * format broken once, every truncation and every changed byte of a good file, bounded memory. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "../../runtime/rnn_rt.h"
#include "../../runtime/rt_internal.h"

static char message[512];
static char folder[256], path[300];

static int enter(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%.200s/rt_safetensors_XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/w.safetensors", folder);
    return 0;
}

static int leave(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where a temporary file was left behind */
}

/* A file with this header text and `data` bytes 0, 1, 0, 1 ...; the caller frees. */
static unsigned char *build(const char *header, size_t data, size_t *size) {
    size_t const length = strlen(header);
    unsigned char *bytes = malloc(8 + length + data);
    for (int i = 0; i < 8; i++) bytes[i] = (unsigned char)((uint64_t)length >> (8 * i));
    memcpy(bytes + 8, header, length);
    for (size_t i = 0; i < data; i++) bytes[8 + length + i] = i % 2;
    *size = 8 + length + data;
    return bytes;
}

/* Parses a copy of exactly this size, so that a checker sees each byte read beyond. */
static RtStatus parse(const unsigned char *bytes, size_t size, RtTensorSet *set) {
    unsigned char *copy = malloc(size > 0 ? size : 1);
    size_t total = 0;
    memcpy(copy, bytes, size);
    message[0] = 0;
    RtStatus const status =
        rt_safetensors_read_memory(copy, size, "x", set, message, sizeof message);
    free(copy);
    if (status != RT_OK) {
        assert_int_equal(strncmp(message, "x: ", 3), 0);
        assert_true(set->at == NULL && set->count == 0 && set->metadata == NULL);
        return status;
    }
    for (size_t i = 0; i < set->count; i++) {
        const RtTensor *tensor = &set->at[i];
        size_t count = 1;
        for (int j = 0; j < tensor->rank; j++) count *= (size_t)tensor->shape[j];
        assert_int_equal(count, tensor->count);
        assert_true(rt_utf8_valid(tensor->name));
        total += count * rt_dtype_size(tensor->dtype);
    }
    assert_true(total < size);
    return status;
}

static void expect(RtStatus status, const char *words, const char *header, size_t data) {
    size_t size;
    RtTensorSet set;
    unsigned char *bytes = build(header, data, &size);
    RtStatus const got = parse(bytes, size, &set);
    free(bytes);
    if (got != status) {
        fail_msg("%s instead of %s: %s", rt_status_name(got), rt_status_name(status), message);
    }
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
    rt_set_free(&set);
}

static void add(RtTensorSet *set, const char *name, RtDtype dtype, int rank, const int64_t *shape) {
    RtTensor tensor;
    assert_int_equal(rt_tensor_init(&tensor, name, dtype, rank, shape, NULL, 0), RT_OK);
    for (size_t i = 0; i < tensor.count * rt_dtype_size(dtype); i++) {
        ((unsigned char *)tensor.data)[i] = (unsigned char)(dtype == RT_BOOL ? i % 2 : i * 29 + 3);
    }
    assert_int_equal(rt_set_add(set, &tensor, message, sizeof message), RT_OK);
}

static void exact_bytes(void **state) {
    static const char want[] =
        "\x80\0\0\0\0\0\0\0"
        "{\"__metadata__\":{\"format\":\"rnnc\"},"
        "\"h.0.W\":{\"dtype\":\"U8\",\"shape\":[1,3],\"data_offsets\":[0,3]},"
        "\"b\":{\"dtype\":\"F32\",\"shape\":[],\"data_offsets\":[3,7]}}";
    int64_t const shape[2] = {1, 3};
    RtTensorSet set = {0};
    unsigned char *bytes;
    size_t size;
    (void)state;
    add(&set, "h.0.W", RT_U8, 2, shape);
    add(&set, "b", RT_F32, 0, NULL);
    *(float *)set.at[1].data = 1;
    assert_int_equal(rt_set_add_metadata(&set, "format", "rnnc", NULL, 0), RT_OK);
    assert_int_equal(rt_safetensors_write(path, &set, message, sizeof message), RT_OK);
    assert_int_equal(rt_file_read(path, &bytes, &size, NULL, 0), RT_OK);
    size_t const text = sizeof want - 1, header = (text - 8 + 7) / 8 * 8;
    assert_int_equal(size, 8 + header + 7);
    assert_int_equal(bytes[0], header);
    assert_memory_equal(bytes + 1, want + 1, text - 1);
    for (size_t i = text; i < 8 + header; i++) assert_int_equal(bytes[i], ' ');
    assert_memory_equal(bytes + 8 + header, "\x03\x20\x3d\0\0\x80\x3f", 7);
    free(bytes);
    rt_set_free(&set);
}

static void round_trip(void **state) {
    static const RtDtype dtypes[] = {RT_F32, RT_F64, RT_F16, RT_BF16, RT_I8,  RT_U8,
                                     RT_I16, RT_U16, RT_I32, RT_I64,  RT_BOOL};
    int64_t const shape[8] = {2, 1, 3, 1, 1, 1, 1, 1}, empty[2] = {0, 5};
    RtTensorSet out = {0}, in;
    char name[40];
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        snprintf(name, sizeof name, "l%d.\xc3\xa4\"\\\n\x01/%s", (int)d, rt_dtype_name(dtypes[d]));
        add(&out, name, dtypes[d], (int)(d % 9), shape);
    }
    add(&out, "", RT_F32, 2, empty);
    add(&out, "also empty", RT_I64, 2, empty);
    assert_int_equal(rt_set_add_metadata(&out, "k\xe2\x82\xac", "v\t", NULL, 0), RT_OK);
    assert_int_equal(rt_set_add_metadata(&out, "", "", NULL, 0), RT_OK);
    for (int way = 0; way < 2; way++) {
        if (way == 0) {
            assert_int_equal(rt_safetensors_write(path, &out, message, sizeof message), RT_OK);
            assert_int_equal(rt_safetensors_read(path, &in, message, sizeof message), RT_OK);
        } else {
            FILE *stream = tmpfile();
            assert_int_equal(rt_safetensors_write_stream(stream, "-", &out, NULL, 0), RT_OK);
            rewind(stream);
            assert_int_equal(rt_safetensors_read_stream(stream, "-", &in, NULL, 0), RT_OK);
            fclose(stream);
        }
        assert_int_equal(in.count, out.count);
        for (size_t i = 0; i < out.count; i++) {
            assert_string_equal(in.at[i].name, out.at[i].name);
            assert_int_equal(in.at[i].dtype, out.at[i].dtype);
            assert_int_equal(in.at[i].rank, out.at[i].rank);
            assert_memory_equal(in.at[i].shape, out.at[i].shape, sizeof in.at[i].shape);
            assert_memory_equal(in.at[i].data, out.at[i].data,
                                out.at[i].count * rt_dtype_size(out.at[i].dtype));
            assert_ptr_equal(rt_set_find(&in, out.at[i].name), &in.at[i]);
        }
        assert_null(rt_set_find(&in, "none"));
        assert_string_equal(rt_set_metadata(&in, "k\xe2\x82\xac"), "v\t");
        assert_string_equal(rt_set_metadata(&in, ""), "");
        assert_null(rt_set_metadata(&in, "none"));
        rt_set_free(&in);
    }
    rt_set_free(&out);
}

#define T(name, dtype, shape, range)                                                              \
    "\"" name "\":{\"dtype\":\"" dtype "\",\"shape\":[" shape "],\"data_offsets\":[" range "]}"

static void good_headers(void **state) {
    RtTensorSet set;
    size_t size;
    unsigned char *bytes;
    (void)state;
    expect(RT_OK, "", "{}", 0);
    expect(RT_OK, "", "{\"__metadata__\":{}}      ", 0);
    expect(RT_OK, "",
           "{ \"a\" :\n{\"data_offsets\": [0 , 4],\t\"shape\": [ ], \"dtype\": \"F32\"} }", 4);
    expect(RT_OK, "", "{" T("a", "F32", "0,7", "0,0") "}", 0);
    /* The header's order is free, the set has the order of the data. */
    bytes = build("{" T("b", "F32", "1", "4,8") "," T("a", "F32", "1", "0,4") "}", 8, &size);
    assert_int_equal(parse(bytes, size, &set), RT_OK);
    assert_string_equal(set.at[0].name, "a");
    rt_set_free(&set);
    free(bytes);
    bytes = build("{" T("\\u00e4\\ud83d\\ude00\\/\\n", "U8", "", "0,1") "}", 1, &size);
    assert_int_equal(parse(bytes, size, &set), RT_OK);
    assert_string_equal(set.at[0].name, "\xc3\xa4\xf0\x9f\x98\x80/\n");
    rt_set_free(&set);
    free(bytes);
}

static void each_rule_broken(void **state) {
    RtStatus const f = RT_ERR_FORMAT;
    (void)state;
    expect(f, "byte 8 is not '{'", "[]", 0);
    expect(f, "byte 8 is not '{'", " {}", 0);
    expect(f, "byte 8 is not '{'", "", 0);
    expect(f, "behind the last '}'", "{}x", 0);
    expect(f, "the tensors have 0 bytes, the file has 1 bytes of data", "{}", 1);
    expect(f, "expected '\"'", "{" T("a", "U8", "", "0,1") ",}", 1);
    expect(f, "the name 'a' stands twice",
           "{" T("a", "U8", "", "0,1") "," T("a", "U8", "", "1,2") "}", 2);
    expect(f, "the name 'a' stands twice",
           "{" T("a", "U8", "", "0,1") "," T("\\u0061", "U8", "", "1,2") "}", 2);
    expect(f, "'a' has the data offsets 0 to 2 in 1 bytes", "{" T("a", "U8", "2", "0,2") "}", 1);
    expect(f, "'a' has the data offsets 1 to 0", "{" T("a", "U8", "1", "1,0") "}", 1);
    expect(f, "'a': [2] of uint8 needs 2 bytes, the data offsets have 1",
           "{" T("a", "U8", "2", "0,1") "}", 1);
    expect(f, "'b' begins at 2 of the data, 1 is the next byte: a hole",
           "{" T("a", "U8", "", "0,1") "," T("b", "U8", "", "2,3") "}", 3);
    expect(f, "an overlap", "{" T("a", "U8", "2", "0,2") "," T("b", "U8", "2", "1,3") "}", 3);
    expect(f, "an overlap", "{" T("a", "U8", "2", "0,2") "," T("b", "U8", "2", "0,2") "}", 2);
    expect(f, "a hole", "{" T("a", "U8", "", "1,2") "}", 2);
    expect(f, "have 1 bytes, the file has 2", "{" T("a", "U8", "", "0,1") "}", 2);
    expect(f, "lacks dtype, shape or data_offsets", "{\"a\":{\"dtype\":\"U8\",\"shape\":[]}}", 0);
    expect(f, "unknown field 'more'", "{\"a\":{\"more\":1}}", 0);
    expect(f, "the field 'dtype' twice", "{\"a\":{\"dtype\":\"U8\",\"dtype\":\"U8\"}}", 0);
    expect(f, "expected '\"'", "{\"a\":{}}", 0);
    expect(f, "expected '{'", "{\"a\":1}", 0);
    expect(f, "__metadata__ stands twice", "{\"__metadata__\":{},\"__metadata__\":{}}", 0);
    expect(f, "the metadata key 'k' stands twice", "{\"__metadata__\":{\"k\":\"\",\"k\":\"\"}}", 0);
    expect(f, "expected '\"'", "{\"__metadata__\":{\"k\":1}}", 0);
    expect(f, "expected '\"'", "{\"__metadata__\":{\"k\":{\"l\":\"m\"}}}", 0);
    expect(RT_ERR_UNSUPPORTED, "'a' has the element type 'F8_E4M3'",
           "{" T("a", "F8_E4M3", "", "0,1") "}", 1);
    expect(RT_ERR_LIMIT, "rank above 8", "{" T("a", "U8", "1,1,1,1,1,1,1,1,1", "0,1") "}", 1);
    size_t size;
    unsigned char *bytes = build("{" T("a", "BOOL", "2", "0,2") "}", 2, &size);
    RtTensorSet set;
    bytes[size - 1] = 2;
    assert_int_equal(parse(bytes, size, &set), f);
    assert_non_null(strstr(message, "neither 0 nor 1"));
    free(bytes);
}

static void numbers_and_strings(void **state) {
    RtStatus const f = RT_ERR_FORMAT;
    (void)state;
    expect(f, "whole number", "{" T("a", "U8", "-1", "0,1") "}", 1);
    expect(f, "whole number", "{" T("a", "U8", "1.0", "0,1") "}", 1);
    expect(f, "whole number", "{" T("a", "U8", "1e0", "0,1") "}", 1);
    expect(f, "whole number", "{" T("a", "U8", "01", "0,1") "}", 1);
    expect(f, "whole number", "{" T("a", "U8", "1,", "0,1") "}", 1);
    expect(f, "above 2^63 - 1", "{" T("a", "U8", "9223372036854775808", "0,1") "}", 1);
    expect(f, "above 2^63 - 1", "{" T("a", "U8", "1", "0,18446744073709551617") "}", 1);
    expect(f, "not UTF-8", "{\"\xff\":{}}", 0);
    expect(f, "not UTF-8", "{\"\xc0\xaf\":{}}", 0);         /* overlong */
    expect(f, "not UTF-8", "{\"\xed\xa0\x80\":{}}", 0);     /* surrogate */
    expect(f, "not UTF-8", "{\"\xf4\x90\x80\x80\":{}}", 0); /* above U+10FFFF */
    expect(f, "control character", "{\"a\nb\":{}}", 0);
    expect(f, "NUL", "{\"a\\u0000\":{}}", 0);
    expect(f, "surrogate", "{\"\\ud800\":{}}", 0);
    expect(f, "surrogate", "{\"\\ud800\\u0041\":{}}", 0);
    expect(f, "surrogate", "{\"\\udc00\\ud800\":{}}", 0);
    expect(f, "hexadecimal", "{\"\\u00g0\":{}}", 0);
    expect(f, "unknown escape", "{\"\\x41\":{}}", 0);
    expect(f, "string without end", "{\"abc", 0);
    expect(f, "string without end", "{\"abc\\", 0);
    expect(f, "string without end", "{\"abc\\\"", 0);
}

static void absurd_shapes(void **state) {
    RtStatus const f = RT_ERR_FORMAT;
    (void)state;
    expect(f, "impossible shape", "{" T("a", "F32", "4294967296,4294967296", "0,0") "}", 0);
    expect(f, "impossible shape", "{" T("a", "F32", "0,4294967296,4294967296", "0,0") "}", 0);
    expect(f, "impossible shape", "{" T("a", "F64", "9223372036854775807", "0,8") "}", 8);
    expect(f, "needs 4000000000000 bytes", "{" T("a", "F32", "1000000000,1000", "0,8") "}", 8);
    expect(f, "0 to 9223372036854775807 in 8 bytes",
           "{" T("a", "U8", "9223372036854775807", "0,9223372036854775807") "}", 8);

    unsigned char head[16] = {0, 0, 0, 0, 0, 0, 0, 0, '{', '}'};
    RtTensorSet set;
    head[0] = 2;
    assert_int_equal(parse(head, 10, &set), RT_OK);
    rt_set_free(&set);
    head[0] = 3;
    assert_int_equal(parse(head, 10, &set), f);
    assert_string_equal(message, "x: header has 3 bytes where 2 are left in the file");
    memset(head, 0xff, 8);
    assert_int_equal(parse(head, 10, &set), f);
}

/* The reader may ask for a bounded multiple of the file. It must not, on the other hand, refuse
 * good files whose tensors or metadata are as many and as small as they can be. */
static void memory_is_bounded(void **state) {
    enum { MANY = 30000 };
    size_t const room = MANY * 80;
    char *header = malloc(room);
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        size_t used = (size_t)snprintf(header, room, kind == 0 ? "{" : "{\"__metadata__\":{");
        for (int i = 0; i < MANY; i++) {
            used += (size_t)snprintf(header + used, room - used,
                                     kind == 0 ? "%s" T("%x", "U8", "0", "0,0") : "%s\"%x\":\"\"",
                                     i > 0 ? "," : "", (unsigned)i);
        }
        snprintf(header + used, room - used, kind == 0 ? "}" : "}}");
        expect(RT_OK, "", header, 0);
    }
    free(header);

    RtBudget budget = rt_budget(1000);
    assert_int_equal(budget.left, 32 * 1000 + 65536);
    void *block = rt_budget_alloc(&budget, 1000, 90);
    assert_non_null(block);
    free(block);
    assert_null(rt_budget_alloc(&budget, 1000, 90)); /* freeing gives nothing back */
    assert_true(budget.exceeded);
    assert_null(rt_budget_alloc(&budget, SIZE_MAX, 16));
    assert_int_equal(rt_budget_fail(&budget, "x", NULL, 0), RT_ERR_LIMIT);
    assert_int_equal(rt_budget(SIZE_MAX / 2).left, SIZE_MAX);
}

static const char SAMPLE[] =
    "{\"__metadata__\":{\"a\\u00e4\":\"b\"}," T("l1.W", "F32", "1,2", "0,8") ","
    T("\xc3\xa4\\n", "BOOL", "2", "8,10") "," T("t", "I64", "", "10,18") "}  ";

static void every_truncation_is_refused(void **state) {
    size_t size;
    unsigned char *bytes = build(SAMPLE, 18, &size);
    RtTensorSet set;
    (void)state;
    assert_int_equal(parse(bytes, size, &set), RT_OK);
    assert_int_equal(set.count, 3);
    rt_set_free(&set);
    for (size_t cut = 0; cut < size; cut++) {
        assert_int_equal(parse(bytes, cut, &set), RT_ERR_FORMAT);
        if (cut < 8) continue;
        /* The same with a head that fits the cut header: now the header itself ends early. */
        unsigned char *fitted = malloc(cut);
        memcpy(fitted, bytes, cut);
        size_t const length = cut - 8;
        for (int i = 0; i < 8; i++) fitted[i] = (unsigned char)((uint64_t)length >> (8 * i));
        assert_int_equal(parse(fitted, cut, &set), RT_ERR_FORMAT);
        free(fitted);
    }
    free(bytes);
}

static void every_changed_byte(void **state) {
    size_t size;
    unsigned char *bytes = build(SAMPLE, 18, &size);
    (void)state;
    for (size_t at = 0; at < size; at++) {
        unsigned char const good = bytes[at];
        for (int value = 0; value < 256; value++) {
            RtTensorSet set;
            bytes[at] = (unsigned char)value;
            RtStatus const status = parse(bytes, size, &set);
            assert_true(status == RT_OK || status == RT_ERR_FORMAT ||
                        status == RT_ERR_UNSUPPORTED);
            if (value == good) assert_int_equal(status, RT_OK);
            if (at < 8 && value != good) assert_int_equal(status, RT_ERR_FORMAT);
            if (at >= size - 18) {
                bool const in_bool = at >= size - 10 && at < size - 8;
                assert_int_equal(status, in_bool && value > 1 ? RT_ERR_FORMAT : RT_OK);
            }
            rt_set_free(&set);
        }
        bytes[at] = good;
    }
    free(bytes);
}

/* Two bytes at once, at random places of the header: a simple generator, always the same. */
static void changed_pairs(void **state) {
    static const char nasty[] = "\"\\{}[]:,0123456789u \x80\xff\x01";
    size_t size;
    unsigned char *bytes = build(SAMPLE, 18, &size);
    (void)state;
    for (uint64_t i = 0; i < 20000; i++) {
        unsigned char saved[2];
        size_t at[2];
        uint32_t words[4];
        RtTensorSet set;
        rt_random_words(1, 2, 0, NULL, 0, i, words);
        for (int j = 0; j < 2; j++) {
            at[j] = words[j] % (size - 18);
            saved[j] = bytes[at[j]];
            bytes[at[j]] = (unsigned char)nasty[words[2 + j] % (sizeof nasty - 1)];
        }
        RtStatus const status = parse(bytes, size, &set);
        assert_true(status == RT_OK || status == RT_ERR_FORMAT || status == RT_ERR_UNSUPPORTED);
        rt_set_free(&set);
        for (int j = 1; j >= 0; j--) bytes[at[j]] = saved[j];
    }
    free(bytes);
}

static void sets_refuse(void **state) {
    int64_t const shape[1] = {2};
    RtTensorSet set = {0};
    RtTensor tensor;
    (void)state;
    add(&set, "a", RT_F32, 1, shape);
    rt_tensor_init(&tensor, "a", RT_F64, 1, shape, NULL, 0);
    assert_int_equal(rt_set_add(&set, &tensor, message, sizeof message), RT_ERR_ARGUMENT);
    assert_string_equal(message, "a: the set has this tensor already");
    assert_non_null(tensor.data);
    rt_tensor_free(&tensor);
    rt_tensor_init(&tensor, NULL, RT_F64, 1, shape, NULL, 0);
    assert_int_equal(rt_set_add(&set, &tensor, message, sizeof message), RT_ERR_ARGUMENT);
    rt_tensor_free(&tensor);
    assert_int_equal(rt_set_add_metadata(&set, "k", "1", NULL, 0), RT_OK);
    assert_int_equal(rt_set_add_metadata(&set, "k", "2", NULL, 0), RT_ERR_ARGUMENT);
    rt_set_free(&set);

    int64_t const large[2] = {INT64_MAX / 4, 2}, negative[1] = {-1};
    assert_int_equal(rt_tensor_init(&tensor, "a", RT_F32, 2, large, NULL, 0), RT_ERR_ARGUMENT);
    assert_int_equal(rt_tensor_init(&tensor, "a", RT_F32, 1, negative, NULL, 0), RT_ERR_ARGUMENT);
    assert_int_equal(rt_tensor_init(&tensor, "a", RT_F32, 9, large, NULL, 0), RT_ERR_LIMIT);
}

static int files_in_folder(void) {
    DIR *open = opendir(folder);
    int count = -2; /* . and .. */
    while (readdir(open) != NULL) count++;
    closedir(open);
    return count;
}

static void failed_output_leaves_nothing(void **state) {
    static const char *const names[] = {"\xff", "__metadata__"};
    int64_t const shape[1] = {100000};
    struct rlimit before, tight;
    RtTensorSet set = {0};
    (void)state;
    unlink(path);
    for (int i = 0; i < 2; i++) {
        add(&set, "good", RT_F32, 0, NULL);
        add(&set, names[i], RT_F32, 0, NULL);
        assert_int_equal(rt_safetensors_write(path, &set, message, sizeof message),
                         RT_ERR_ARGUMENT);
        assert_non_null(strstr(message, "tensor 1 of 2 has no name that can be written"));
        assert_int_equal(files_in_folder(), 0);
        rt_set_free(&set);
    }
    assert_int_equal(rt_set_add_metadata(&set, "k", "\x80", NULL, 0), RT_OK);
    assert_int_equal(rt_safetensors_write(path, &set, NULL, 0), RT_ERR_ARGUMENT);
    rt_set_free(&set);
    add(&set, "W", RT_F64, 1, shape);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 5000;
    setrlimit(RLIMIT_FSIZE, &tight);
    RtStatus const status = rt_safetensors_write(path, &set, message, sizeof message);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, RT_ERR_IO);
    assert_int_equal(files_in_folder(), 0);
    rt_set_free(&set);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_bytes),
        cmocka_unit_test(round_trip),
        cmocka_unit_test(good_headers),
        cmocka_unit_test(each_rule_broken),
        cmocka_unit_test(numbers_and_strings),
        cmocka_unit_test(absurd_shapes),
        cmocka_unit_test(memory_is_bounded),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte),
        cmocka_unit_test(changed_pairs),
        cmocka_unit_test(sets_refuse),
        cmocka_unit_test(failed_output_leaves_nothing),
    };
    return cmocka_run_group_tests_name("rt_safetensors", tests, enter, leave);
}
