/* rt_tensor.c - tensors and sets of tensors in memory: their types, conversions, ownership; and
 * the small tools that all readers share (messages, bounded allocation, byte order, UTF-8). */
#include "rt_internal.h"

#include <limits.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

const char *rt_status_name(RtStatus status) {
    switch (status) {
    case RT_OK: return "done";
    case RT_ERR_ARGUMENT: return "wrong argument";
    case RT_ERR_IO: return "input/output error";
    case RT_ERR_FORMAT: return "format error";
    case RT_ERR_UNSUPPORTED: return "not supported";
    case RT_ERR_LIMIT: return "limit exceeded";
    case RT_ERR_NOMEM: return "out of memory";
    }
    return "unknown status";
}

RtStatus rt_fail(char *error, size_t error_size, RtStatus status, const char *format, ...) {
    if (error != NULL && error_size > 0) {
        va_list arguments;
        va_start(arguments, format);
        vsnprintf(error, error_size, format, arguments);
        va_end(arguments);
    }
    return status;
}

/* ---- Types ---------------------------------------------------------------- */

static const struct {
    char name[16];
    size_t size;
} DTYPES[] = {
    [RT_F32] = {"float32", 4}, [RT_F64] = {"float64", 8}, [RT_F16] = {"float16", 2},
    [RT_BF16] = {"bfloat16", 2}, [RT_I8] = {"int8", 1}, [RT_U8] = {"uint8", 1},
    [RT_I16] = {"int16", 2}, [RT_U16] = {"uint16", 2}, [RT_I32] = {"int32", 4},
    [RT_I64] = {"int64", 8}, [RT_BOOL] = {"bool", 1},
};

size_t rt_dtype_size(RtDtype dtype) { return DTYPES[dtype].size; }

const char *rt_dtype_name(RtDtype dtype) { return DTYPES[dtype].name; }

bool rt_dtype_is_integer(RtDtype dtype) {
    switch (dtype) {
    case RT_F32:
    case RT_F64:
    case RT_F16:
    case RT_BF16: return false;
    case RT_I8:
    case RT_U8:
    case RT_I16:
    case RT_U16:
    case RT_I32:
    case RT_I64:
    case RT_BOOL: return true;
    }
    return false;
}

/* ---- Bounded allocation --------------------------------------------------- */

/* What an allocation costs beside its bytes, so that many tiny ones count. */
enum { MALLOC_HEAD = 16 };

RtBudget rt_budget(size_t file_size) {
    size_t const fixed = 65536;
    size_t left = file_size > (SIZE_MAX - fixed) / 32 ? SIZE_MAX : 32 * file_size + fixed;
    return (RtBudget){.left = left, .exceeded = false};
}

static bool budget_take(RtBudget *budget, size_t count, size_t size, size_t *bytes) {
    if (size != 0 && count > (SIZE_MAX - MALLOC_HEAD) / size) {
        budget->exceeded = true;
        return false;
    }
    *bytes = count * size > 0 ? count * size : 1;
    if (*bytes + MALLOC_HEAD > budget->left) {
        budget->exceeded = true;
        return false;
    }
    budget->left -= *bytes + MALLOC_HEAD;
    return true;
}

void *rt_budget_alloc(RtBudget *budget, size_t count, size_t size) {
    size_t bytes;
    return budget_take(budget, count, size, &bytes) ? calloc(1, bytes) : NULL;
}

bool rt_budget_grow(RtBudget *budget, void **items, size_t count, size_t *capacity, size_t size) {
    if (count < *capacity) return true;
    size_t wanted = *capacity < 8 ? 8 : *capacity * 2, bytes;
    if (wanted < *capacity || !budget_take(budget, wanted, size, &bytes)) {
        budget->exceeded = true;
        return false;
    }
    void *grown = realloc(*items, bytes);
    if (grown == NULL) return false;
    *items = grown;
    *capacity = wanted;
    return true;
}

RtStatus rt_budget_fail(const RtBudget *budget, const char *file, char *error, size_t error_size) {
    if (budget->exceeded) {
        return rt_fail(error, error_size, RT_ERR_LIMIT,
                       "%s: needs more memory than a file of its size may ask for", file);
    }
    return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: out of memory", file);
}

/* ---- Shapes --------------------------------------------------------------- */

bool rt_shape_count(int rank, const int64_t *shape, size_t element_size, size_t *count) {
    uint64_t const most = SIZE_MAX < INT64_MAX ? SIZE_MAX : (uint64_t)INT64_MAX;
    uint64_t bytes = element_size, product = 1;
    for (int i = 0; i < rank; i++) {
        if (shape[i] < 0) return false;
        uint64_t dim = (uint64_t)shape[i], factor = dim > 0 ? dim : 1;
        if (bytes > most / factor) return false;
        bytes *= factor;
        product *= dim;
    }
    *count = (size_t)product;
    return true;
}

char *rt_shape_text(int rank, const int64_t *shape, char *text, size_t text_size) {
    size_t used = 0;
    if (text_size == 0) return text;
    text[0] = 0;
    for (int i = 0; i <= rank && used < text_size; i++) {
        int more;
        if (i == rank) {
            more = snprintf(text + used, text_size - used, rank == 0 ? "[]" : "]");
        } else {
            more = snprintf(text + used, text_size - used, "%s%lld", i == 0 ? "[" : ", ",
                            (long long)shape[i]);
        }
        if (more > 0) used += (size_t)more;
    }
    return text;
}

static char *copy_text(const char *text) {
    size_t size = strlen(text) + 1;
    char *copy = malloc(size);
    if (copy != NULL) memcpy(copy, text, size);
    return copy;
}

RtStatus rt_tensor_init(RtTensor *tensor, const char *name, RtDtype dtype, int rank,
                        const int64_t *shape, char *error, size_t error_size) {
    const char *shown = name != NULL ? name : "tensor";
    size_t count;
    memset(tensor, 0, sizeof *tensor);
    if (rank < 0 || rank > RT_MAX_RANK) {
        return rt_fail(error, error_size, RT_ERR_LIMIT, "%s: rank is %d, at most %d is possible",
                       shown, rank, (int)RT_MAX_RANK);
    }
    if (!rt_shape_count(rank, shape, rt_dtype_size(dtype), &count)) {
        char text[256];
        return rt_fail(error, error_size, RT_ERR_ARGUMENT, "%s: impossible shape %s", shown,
                       rt_shape_text(rank, shape, text, sizeof text));
    }
    tensor->dtype = dtype;
    tensor->rank = rank;
    for (int i = 0; i < rank; i++) tensor->shape[i] = shape[i];
    tensor->count = count;
    tensor->data = calloc(count > 0 ? count : 1, rt_dtype_size(dtype));
    tensor->name = name != NULL ? copy_text(name) : NULL;
    if (tensor->data == NULL || (name != NULL && tensor->name == NULL)) {
        rt_tensor_free(tensor);
        return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: no memory for %llu bytes", shown,
                       RT_LLU(count * rt_dtype_size(dtype)));
    }
    return RT_OK;
}

void rt_tensor_free(RtTensor *tensor) {
    free(tensor->name);
    free(tensor->data);
    memset(tensor, 0, sizeof *tensor);
}

/* ---- Conversions ---------------------------------------------------------- */

static double from_half(uint16_t bits) {
    int exponent = (bits >> 10) & 31, fraction = bits & 1023;
    double magnitude;
    if (exponent == 31) {
        magnitude = fraction == 0 ? (double)INFINITY : (double)NAN;
    } else if (exponent == 0) {
        magnitude = ldexp(fraction, -24);
    } else {
        magnitude = ldexp(1024 + fraction, exponent - 25);
    }
    return (bits >> 15) != 0 ? -magnitude : magnitude;
}

static float from_bfloat(uint16_t bits) {
    uint32_t wide = (uint32_t)bits << 16;
    float value;
    memcpy(&value, &wide, sizeof value);
    return value;
}

/* One loop for each type of source; the value of element i stands in `e`. */
#define CONVERT_AS(type, e)                                                                       \
    do {                                                                                          \
        for (size_t i = 0; i < tensor->count; i++) out[i] = (type)(e);                            \
    } while (0)
#define CONVERT(type)                                                                             \
    switch (tensor->dtype) {                                                                      \
    case RT_F32: CONVERT_AS(type, ((const float *)data)[i]); break;                               \
    case RT_F64: CONVERT_AS(type, ((const double *)data)[i]); break;                              \
    case RT_F16: CONVERT_AS(type, from_half(((const uint16_t *)data)[i])); break;                 \
    case RT_BF16: CONVERT_AS(type, from_bfloat(((const uint16_t *)data)[i])); break;              \
    case RT_I8: CONVERT_AS(type, ((const int8_t *)data)[i]); break;                               \
    case RT_I16: CONVERT_AS(type, ((const int16_t *)data)[i]); break;                             \
    case RT_U16: CONVERT_AS(type, ((const uint16_t *)data)[i]); break;                            \
    case RT_I32: CONVERT_AS(type, ((const int32_t *)data)[i]); break;                             \
    case RT_I64: CONVERT_AS(type, ((const int64_t *)data)[i]); break;                             \
    case RT_U8:                                                                                   \
    case RT_BOOL: CONVERT_AS(type, ((const uint8_t *)data)[i]); break;                            \
    }

void rt_tensor_to_f32(const RtTensor *tensor, float *out) {
    const void *data = tensor->data;
    CONVERT(float)
}

void rt_tensor_to_f64(const RtTensor *tensor, double *out) {
    const void *data = tensor->data;
    CONVERT(double)
}

RtStatus rt_tensor_to_i64(const RtTensor *tensor, int64_t *out, char *error, size_t error_size) {
    const void *data = tensor->data;
    if (!rt_dtype_is_integer(tensor->dtype)) {
        return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                       "%s: elements are %s where integers are needed",
                       tensor->name != NULL ? tensor->name : "tensor",
                       rt_dtype_name(tensor->dtype));
    }
    CONVERT(int64_t)
    return RT_OK;
}

/* ---- Bytes of files ------------------------------------------------------- */

static bool host_is_little(void) {
    uint16_t const one = 1;
    unsigned char first;
    memcpy(&first, &one, 1);
    return first == 1;
}

static void reverse_each(unsigned char *at, size_t count, size_t size) {
    for (size_t i = 0; i < count; i++, at += size) {
        for (size_t j = 0; j < size / 2; j++) {
            unsigned char swapped = at[j];
            at[j] = at[size - 1 - j];
            at[size - 1 - j] = swapped;
        }
    }
}

void rt_from_little(void *to, const void *from, size_t count, size_t element_size) {
    if (count == 0) return;
    memcpy(to, from, count * element_size);
    if (!host_is_little()) reverse_each(to, count, element_size);
}

bool rt_write_little(FILE *stream, const void *data, size_t count, size_t element_size) {
    if (count == 0) return true;
    if (host_is_little()) return fwrite(data, element_size, count, stream) == count;
    const unsigned char *at = data;
    while (count > 0) {
        unsigned char block[4096];
        size_t some = sizeof block / element_size < count ? sizeof block / element_size : count;
        memcpy(block, at, some * element_size);
        reverse_each(block, some, element_size);
        if (fwrite(block, element_size, some, stream) != some) return false;
        at += some * element_size;
        count -= some;
    }
    return true;
}

size_t rt_bool_defect(const unsigned char *data, size_t count) {
    size_t i = 0;
    while (i < count && data[i] <= 1) i++;
    return i;
}

size_t rt_utf8_length(const unsigned char *at, const unsigned char *end) {
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    if (at >= end) return 0;
    if (*at < 0x80) return 1;
    size_t length = *at >= 0xf0 ? 4 : *at >= 0xe0 ? 3 : 2;
    if (*at < 0xc2 || *at > 0xf4 || (size_t)(end - at) < length) return 0;
    uint32_t code = *at & (0xffu >> (length + 1));
    for (size_t i = 1; i < length; i++) {
        if ((at[i] & 0xc0) != 0x80) return 0;
        code = code << 6 | (at[i] & 0x3fu);
    }
    bool surrogate = code >= 0xd800 && code <= 0xdfff;
    return code < least[length] || code > 0x10ffff || surrogate ? 0 : length;
}

bool rt_utf8_valid(const char *text) {
    const unsigned char *at = (const unsigned char *)text, *end = at + strlen(text);
    while (at < end) {
        size_t length = rt_utf8_length(at, end);
        if (length == 0) return false;
        at += length;
    }
    return true;
}
