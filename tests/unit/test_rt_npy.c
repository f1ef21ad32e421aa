/* test_rt_npy.c - .npy files: the bytes that NumPy writes, round trips, what is refused and with
 * which words, every truncation and every changed byte of a good file, failing output. */
#define _XOPEN_SOURCE 700

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <dirent.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../runtime/rnn_rt.h"

static char message[512];
static char folder[256], path[300];

static int enter(void **state) {
    const char *base = getenv("TMPDIR");
    (void)state;
    snprintf(folder, sizeof folder, "%.200s/rt_npy_XXXXXX", base != NULL ? base : "/tmp");
    if (mkdtemp(folder) == NULL) return -1;
    snprintf(path, sizeof path, "%s/a.npy", folder);
    return 0;
}

static int leave(void **state) {
    (void)state;
    unlink(path);
    return rmdir(folder); /* fails where a temporary file was left behind */
}

static int files_in_folder(void) {
    DIR *open = opendir(folder);
    int count = -2; /* . and .. */
    while (readdir(open) != NULL) count++;
    closedir(open);
    return count;
}

/* A file of version `major` with this header text, padded to a multiple of 16, and zero data. */
static size_t build(unsigned char *to, int major, const char *header, size_t data) {
    size_t const start = major == 1 ? 10 : 12;
    size_t length = strlen(header);
    memcpy(to, "\x93NUMPY", 6);
    to[6] = (unsigned char)major;
    to[7] = 0;
    memcpy(to + start, header, length);
    while ((start + length + 1) % 16 != 0) to[start + length++] = ' ';
    to[start + length++] = '\n';
    to[8] = (unsigned char)(length & 0xff);
    to[9] = (unsigned char)(length >> 8);
    if (major > 1) to[10] = to[11] = 0;
    memset(to + start + length, 0, data);
    return start + length + data;
}

/* Parses a copy of exactly this size, so that a checker sees each byte read beyond. */
static RtStatus parse(const unsigned char *bytes, size_t size, RtTensor *tensor) {
    unsigned char *copy = malloc(size > 0 ? size : 1);
    memcpy(copy, bytes, size);
    message[0] = 0;
    RtStatus status = rt_npy_read_memory(copy, size, "x.npy", tensor, message, sizeof message);
    free(copy);
    if (status == RT_OK) {
        size_t count = 1;
        for (int i = 0; i < tensor->rank; i++) count *= (size_t)tensor->shape[i];
        assert_int_equal(count, tensor->count);
        assert_true(count * rt_dtype_size(tensor->dtype) < size);
    } else {
        assert_non_null(strstr(message, "x.npy: "));
        assert_null(tensor->data);
    }
    return status;
}

static void expect(RtStatus status, const char *words, int major, const char *header, size_t data) {
    unsigned char bytes[1024];
    RtTensor tensor;
    assert_int_equal(parse(bytes, build(bytes, major, header, data), &tensor), status);
    if (strstr(message, words) == NULL) fail_msg("'%s' is not in '%s'", words, message);
    rt_tensor_free(&tensor);
}

/* What NumPy writes for np.array([[1, 2, 3], [4, 5, 6]], '<i2'), byte for byte. */
static void bytes_are_numpys(void **state) {
    static const char head[] = "\x93NUMPY\x01\x00v\x00{'descr': '<i2', 'fortran_order': False, "
                               "'shape': (2, 3), }";
    int64_t const shape[2] = {2, 3};
    int16_t const values[6] = {1, 2, 3, 4, 5, 6};
    unsigned char want[140], *bytes;
    size_t size;
    RtTensor tensor;
    (void)state;
    memset(want, ' ', 127);
    memcpy(want, head, sizeof head - 1);
    want[127] = '\n';
    for (int i = 0; i < 6; i++) {
        want[128 + 2 * i] = (unsigned char)values[i];
        want[129 + 2 * i] = 0;
    }
    assert_int_equal(rt_tensor_init(&tensor, NULL, RT_I16, 2, shape, NULL, 0), RT_OK);
    memcpy(tensor.data, values, sizeof values);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_OK);
    assert_int_equal(rt_file_read(path, &bytes, &size, message, sizeof message), RT_OK);
    assert_int_equal(size, sizeof want);
    assert_memory_equal(bytes, want, sizeof want);
    free(bytes);
    rt_tensor_free(&tensor);
}

static void round_trips(void **state) {
    static const RtDtype dtypes[] = {RT_F32, RT_F64, RT_F16, RT_I8,  RT_U8,
                                     RT_I16, RT_U16, RT_I32, RT_I64, RT_BOOL};
    static const int64_t shapes[][RT_MAX_RANK] = {{0}, {7}, {0}, {2, 3}, {1, 2, 3, 1, 2, 1, 1, 2}};
    static const int ranks[] = {0, 1, 1, 2, 8};
    (void)state;
    for (size_t d = 0; d < sizeof dtypes / sizeof dtypes[0]; d++) {
        for (size_t s = 0; s < sizeof ranks / sizeof ranks[0]; s++) {
            RtTensor out, in;
            assert_int_equal(
                rt_tensor_init(&out, NULL, dtypes[d], ranks[s], shapes[s], NULL, 0), RT_OK);
            size_t const bytes = out.count * rt_dtype_size(out.dtype);
            for (size_t i = 0; i < bytes; i++) {
                ((unsigned char *)out.data)[i] =
                    (unsigned char)(dtypes[d] == RT_BOOL ? i % 2 : i * 37 + 1);
            }
            assert_int_equal(rt_npy_write(path, &out, message, sizeof message), RT_OK);
            assert_int_equal(rt_npy_read(path, &in, message, sizeof message), RT_OK);
            assert_int_equal(in.dtype, out.dtype);
            assert_int_equal(in.rank, out.rank);
            assert_memory_equal(in.shape, out.shape, sizeof in.shape);
            assert_int_equal(in.count, out.count);
            assert_memory_equal(in.data, out.data, bytes);
            rt_tensor_free(&in);

            FILE *stream = tmpfile();
            assert_int_equal(rt_npy_write_stream(stream, "-", &out, NULL, 0), RT_OK);
            rewind(stream);
            assert_int_equal(rt_npy_read_stream(stream, "-", &in, NULL, 0), RT_OK);
            assert_memory_equal(in.data, out.data, bytes);
            fclose(stream);
            rt_tensor_free(&in);
            rt_tensor_free(&out);
        }
    }
}

/* A stream gives no size in advance: the reader grows, here beyond its first block. */
static void large_stream(void **state) {
    int64_t const shape[1] = {100000};
    RtTensor out, in;
    FILE *stream = tmpfile();
    (void)state;
    rt_tensor_init(&out, NULL, RT_F64, 1, shape, NULL, 0);
    for (size_t i = 0; i < out.count; i++) ((double *)out.data)[i] = (double)i;
    assert_int_equal(rt_npy_write_stream(stream, "-", &out, NULL, 0), RT_OK);
    rewind(stream);
    assert_int_equal(rt_npy_read_stream(stream, "-", &in, message, sizeof message), RT_OK);
    assert_memory_equal(in.data, out.data, out.count * sizeof(double));
    fclose(stream);
    rt_tensor_free(&in);
    rt_tensor_free(&out);
}

static void headers(void **state) {
    (void)state;
    expect(RT_OK, "", 1, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
    expect(RT_OK, "", 2, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
    expect(RT_OK, "", 3, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
    expect(RT_OK, "", 1, "{\"shape\":(3L,),\"fortran_order\":False,\"descr\":\"<i1\"}", 3);
    expect(RT_OK, "", 1, "{'descr': '|b1', 'fortran_order': False, 'shape': ()}", 1);

    const char *f = "{'descr': '<f4', 'fortran_order': True, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "Fortran order", 1, f, 24);
    f = "{'descr': '>f4', 'fortran_order': False, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "big-endian ('>f4')", 1, f, 24);
    f = "{'descr': '>i1', 'fortran_order': False, 'shape': (6,), }";
    expect(RT_ERR_UNSUPPORTED, "big-endian ('>i1')", 1, f, 6);
    f = "{'descr': 'xi1', 'fortran_order': False, 'shape': (6,), }";
    expect(RT_ERR_UNSUPPORTED, "element type 'xi1'", 1, f, 6);
    f = "{'descr': '<U5', 'fortran_order': False, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "element type '<U5'", 1, f, 24);
    f = "{'descr': '|O', 'fortran_order': False, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "element type '|O'", 1, f, 24);
    f = "{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "structured", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (1, 1, 1, 1, 1, 1, 1, 1, 1), }";
    expect(RT_ERR_LIMIT, "rank is above 8", 1, f, 4);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }";
    expect(RT_ERR_UNSUPPORTED, "version is 4.0", 4, f, 24);
    expect(RT_ERR_FORMAT, "shape [2, 3] of float32 needs 24 bytes of data, the file has 25", 1, f,
           25);
    expect(RT_ERR_FORMAT, "needs 24 bytes of data, the file has 0", 1, f, 0);

    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (6), }";
    expect(RT_ERR_FORMAT, "tuple", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (-6,), }";
    expect(RT_ERR_FORMAT, "expected a dim", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), 'shape': (6,), }";
    expect(RT_ERR_FORMAT, "the same key twice", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': False, 'more': (6,), }";
    expect(RT_ERR_FORMAT, "unknown key", 1, f, 24);
    f = "{'descr': '<f4', 'shape': (6,), }";
    expect(RT_ERR_FORMAT, "must all be there", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': 0, 'shape': (6,), }";
    expect(RT_ERR_FORMAT, "True or False", 1, f, 24);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (6,), } x";
    expect(RT_ERR_FORMAT, "only white space", 1, f, 24);
}

/* None of these may ask for memory first: NOMEM, or a checker's complaint, would show it. */
static void absurd_shapes(void **state) {
    const char *f = "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775807,), }";
    (void)state;
    expect(RT_ERR_FORMAT, "impossible shape [9223372036854775807]", 1, f, 8);
    f = "{'descr': '<f8', 'fortran_order': False, 'shape': (9223372036854775808,), }";
    expect(RT_ERR_FORMAT, "above 2^63 - 1", 1, f, 8);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (4294967296, 4294967296), }";
    expect(RT_ERR_FORMAT, "impossible shape", 1, f, 0); /* 2^66 bytes: 0 if taken modulo 2^64 */
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4294967296, 4294967296), }";
    expect(RT_ERR_FORMAT, "impossible shape", 1, f, 0);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000, 1000), }";
    expect(RT_ERR_FORMAT, "needs 4000000000000 bytes", 1, f, 64);
    f = "{'descr': '<f4', 'fortran_order': False, 'shape': (0, 1000000), }";
    expect(RT_OK, "", 1, f, 0);

    unsigned char bytes[256];
    RtTensor tensor;
    size_t const size = build(bytes, 2, f, 0);
    bytes[10] = bytes[11] = 0xff;
    assert_int_equal(parse(bytes, size, &tensor), RT_ERR_FORMAT);
    assert_non_null(strstr(message, "left in the file"));
}

static void every_truncation_is_refused(void **state) {
    unsigned char bytes[512];
    (void)state;
    for (int major = 1; major <= 3; major++) {
        size_t const size = build(
            bytes, major, "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }", 24);
        for (size_t cut = 0; cut < size; cut++) {
            RtTensor tensor;
            assert_int_equal(parse(bytes, cut, &tensor), RT_ERR_FORMAT);
        }
    }
}

static void every_changed_byte(void **state) {
    static const char *const texts[] = {
        "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }",
        "{'descr': '|b1', 'fortran_order': False, 'shape': (24,), }",
    };
    unsigned char bytes[512];
    (void)state;
    for (int t = 0; t < 2; t++) {
        size_t const size = build(bytes, t + 1, texts[t], 24);
        for (size_t at = 0; at < size; at++) {
            unsigned char const good = bytes[at];
            for (int value = 0; value < 256; value++) {
                RtTensor tensor;
                bytes[at] = (unsigned char)value;
                RtStatus const status = parse(bytes, size, &tensor);
                assert_true(status != RT_ERR_NOMEM && status != RT_ERR_IO);
                if (value == good) assert_int_equal(status, RT_OK);
                if (at < 8 && value != good) {
                    bool const other_version = at == 6 && status == RT_OK;
                    assert_true(other_version || status == RT_ERR_FORMAT ||
                                status == RT_ERR_UNSUPPORTED);
                }
                if (t == 0 && at >= size - 24) assert_int_equal(status, RT_OK);
                if (t == 1 && at >= size - 24) {
                    assert_int_equal(status, value <= 1 ? RT_OK : RT_ERR_FORMAT);
                }
                rt_tensor_free(&tensor);
            }
            bytes[at] = good;
        }
    }
}

static void conversions(void **state) {
    static const uint16_t halves[] = {0x3c00, 0xc000, 0x7bff, 0x0001,
                                      0x0400, 0x7c00, 0xfc00, 0x8000};
    double const half_values[] = {1, -2, 65504, 0x1p-24, 0x1p-14, HUGE_VAL, -HUGE_VAL, 0};
    static const uint16_t brains[] = {0x3f80, 0xc049};
    int64_t const eight[1] = {8}, two[1] = {2};
    double wide[8];
    float single[8];
    int64_t whole[2];
    RtTensor tensor;
    (void)state;
    rt_tensor_init(&tensor, NULL, RT_F16, 1, eight, NULL, 0);
    memcpy(tensor.data, halves, sizeof halves);
    rt_tensor_to_f64(&tensor, wide);
    rt_tensor_to_f32(&tensor, single);
    for (int i = 0; i < 8; i++) {
        assert_true(wide[i] == half_values[i] && (double)single[i] == half_values[i]);
    }
    assert_int_equal(rt_tensor_to_i64(&tensor, whole, message, sizeof message), RT_ERR_ARGUMENT);
    assert_string_equal(message, "tensor: elements are float16 where integers are needed");
    rt_tensor_free(&tensor);

    rt_tensor_init(&tensor, "b", RT_BF16, 1, two, NULL, 0);
    memcpy(tensor.data, brains, sizeof brains);
    rt_tensor_to_f64(&tensor, wide);
    assert_true(wide[0] == 1 && wide[1] == -3.140625);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_ERR_UNSUPPORTED);
    rt_tensor_free(&tensor);

    rt_tensor_init(&tensor, NULL, RT_I64, 1, two, NULL, 0);
    ((int64_t *)tensor.data)[0] = INT64_MIN;
    ((int64_t *)tensor.data)[1] = 16777217;
    assert_int_equal(rt_tensor_to_i64(&tensor, whole, NULL, 0), RT_OK);
    assert_true(whole[0] == INT64_MIN && whole[1] == 16777217);
    rt_tensor_to_f32(&tensor, single);
    assert_true(single[0] == -0x1p63f && single[1] == 16777216.0f);
    rt_tensor_free(&tensor);
}

static void files_that_cannot_be(void **state) {
    int64_t const shape[1] = {1000};
    RtTensor tensor;
    char missing[400];
    (void)state;
    snprintf(missing, sizeof missing, "%s/none/a.npy", folder);
    assert_int_equal(rt_npy_read(missing, &tensor, message, sizeof message), RT_ERR_IO);
    assert_non_null(strstr(message, "cannot open: No such file"));
    assert_int_equal(rt_npy_read(folder, &tensor, message, sizeof message), RT_ERR_IO);
    rt_tensor_init(&tensor, NULL, RT_F64, 1, shape, NULL, 0);
    assert_int_equal(rt_npy_write(missing, &tensor, message, sizeof message), RT_ERR_IO);
    assert_int_equal(rt_npy_write(folder, &tensor, message, sizeof message), RT_ERR_IO);
    assert_int_equal(rt_npy_write("/dev/full", &tensor, message, sizeof message), RT_ERR_IO);
    assert_int_equal(rt_npy_write("/dev/null", &tensor, message, sizeof message), RT_OK);
    struct stat about;
    assert_int_equal(stat("/dev/null", &about), 0);
    assert_true(S_ISCHR(about.st_mode));
    rt_tensor_free(&tensor);
}

/* The disk is full half way: the old file stays as it was, and nothing else is left. */
static void failed_output_leaves_nothing(void **state) {
    int64_t const small[1] = {3}, large[1] = {100000};
    struct rlimit before, tight;
    RtTensor tensor, again;
    unlink(path);
    (void)state;
    rt_tensor_init(&tensor, NULL, RT_F64, 1, small, NULL, 0);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_OK);
    rt_tensor_free(&tensor);
    rt_tensor_init(&tensor, NULL, RT_F64, 1, large, NULL, 0);
    signal(SIGXFSZ, SIG_IGN);
    getrlimit(RLIMIT_FSIZE, &before);
    tight = before;
    tight.rlim_cur = 5000;
    setrlimit(RLIMIT_FSIZE, &tight);
    RtStatus const status = rt_npy_write(path, &tensor, message, sizeof message);
    setrlimit(RLIMIT_FSIZE, &before);
    assert_int_equal(status, RT_ERR_IO);
    assert_non_null(strstr(message, "cannot write: File too large"));
    assert_int_equal(files_in_folder(), 1);
    assert_int_equal(rt_npy_read(path, &again, message, sizeof message), RT_OK);
    assert_int_equal(again.count, 3);
    rt_tensor_free(&again);
    rt_tensor_free(&tensor);
}

/* A file that others may not read stays so when it is replaced. */
static void modes_are_kept(void **state) {
    int64_t const shape[1] = {3};
    struct stat about;
    RtTensor tensor;
    (void)state;
    rt_tensor_init(&tensor, NULL, RT_F32, 1, shape, NULL, 0);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_OK);
    assert_int_equal(chmod(path, 0600), 0);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_OK);
    assert_int_equal(stat(path, &about), 0);
    assert_int_equal(about.st_mode & 0777, 0600);
    rt_tensor_free(&tensor);
}

/* A symbolic link stays one: the file behind it is replaced. */
static void links_stay_links(void **state) {
    int64_t const shape[1] = {3};
    char link[400];
    struct stat about;
    RtTensor tensor;
    (void)state;
    snprintf(link, sizeof link, "%s/link.npy", folder);
    rt_tensor_init(&tensor, NULL, RT_F32, 1, shape, NULL, 0);
    assert_int_equal(rt_npy_write(path, &tensor, message, sizeof message), RT_OK);
    assert_int_equal(symlink("a.npy", link), 0);
    ((float *)tensor.data)[1] = 5;
    assert_int_equal(rt_npy_write(link, &tensor, message, sizeof message), RT_OK);
    rt_tensor_free(&tensor);
    assert_int_equal(lstat(link, &about), 0);
    assert_true(S_ISLNK(about.st_mode));
    assert_int_equal(rt_npy_read(path, &tensor, message, sizeof message), RT_OK);
    assert_true(((float *)tensor.data)[1] == 5);
    rt_tensor_free(&tensor);
    unlink(link);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_numpys),
        cmocka_unit_test(round_trips),
        cmocka_unit_test(large_stream),
        cmocka_unit_test(headers),
        cmocka_unit_test(absurd_shapes),
        cmocka_unit_test(every_truncation_is_refused),
        cmocka_unit_test(every_changed_byte),
        cmocka_unit_test(conversions),
        cmocka_unit_test(files_that_cannot_be),
        cmocka_unit_test(failed_output_leaves_nothing),
        cmocka_unit_test(modes_are_kept),
        cmocka_unit_test(links_stay_links),
    };
    return cmocka_run_group_tests_name("rt_npy", tests, enter, leave);
}
