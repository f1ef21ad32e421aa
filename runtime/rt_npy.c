/* rt_npy.c - NumPy's .npy format: a magic string, a version, the length of a header, the header (a
 * Python dict literal with descr, fortran_order and shape), then the bytes of the array. Strict:
 * what the header says and what the file holds must agree to the byte. */
#include "rt_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char MAGIC[6] = {'\x93', 'N', 'U', 'M', 'P', 'Y'};

/* NumPy's names; bfloat16 has none. One-byte types have no byte order. */
static const struct {
    char descr[4];
    RtDtype dtype;
} DESCRS[] = {
    {"<f4", RT_F32}, {"<f8", RT_F64}, {"<f2", RT_F16}, {"|b1", RT_BOOL}, {"<i4", RT_I32},
    {"<i8", RT_I64}, {"<i2", RT_I16}, {"<u2", RT_U16}, {"|i1", RT_I8},   {"|u1", RT_U8},
};
enum { DESCR_COUNT = sizeof DESCRS / sizeof DESCRS[0] };

/* ---- The header ----------------------------------------------------------- */

typedef struct Header {
    const unsigned char *begin, *at, *end;
    size_t offset; /* of `begin` in the file */
    const char *file;
    char *error;
    size_t error_size;
    RtStatus status;
    char descr[64]; /* what stood for it, for the message */
    bool fortran;
    int rank;
    int64_t shape[RT_MAX_RANK];
} Header;

static bool fail(Header *header, RtStatus status, const char *what) {
    header->status = rt_fail(header->error, header->error_size, status,
                             "%s: %s (header, byte %llu)", header->file, what,
                             RT_LLU(header->offset + (size_t)(header->at - header->begin)));
    return false;
}

static void skip_space(Header *header) {
    while (header->at < header->end && (*header->at == ' ' || *header->at == '\n')) header->at++;
}

static bool accept(Header *header, char character) {
    skip_space(header);
    if (header->at >= header->end || *header->at != (unsigned char)character) return false;
    header->at++;
    return true;
}

static bool accept_word(Header *header, const char *word) {
    size_t length = strlen(word);
    skip_space(header);
    if ((size_t)(header->end - header->at) < length) return false;
    if (memcmp(header->at, word, length) != 0) return false;
    header->at += length;
    return true;
}

/* A string without escapes, cut to the size of `text` (all known strings are shorter). */
static bool parse_string(Header *header, char *text, size_t text_size) {
    skip_space(header);
    if (header->at >= header->end || (*header->at != '\'' && *header->at != '"')) {
        return fail(header, RT_ERR_FORMAT, "expected a string");
    }
    unsigned char const quote = *header->at++;
    size_t used = 0;
    while (header->at < header->end && *header->at != quote) {
        if (*header->at < ' ' || *header->at > '~' || *header->at == '\\') {
            return fail(header, RT_ERR_FORMAT, "unexpected character in a string");
        }
        if (used + 1 < text_size) text[used++] = (char)*header->at;
        header->at++;
    }
    text[used] = 0;
    if (header->at >= header->end) return fail(header, RT_ERR_FORMAT, "string without end");
    header->at++;
    return true;
}

static bool parse_dim(Header *header, int64_t *dim) {
    int64_t value = 0;
    skip_space(header);
    if (header->at >= header->end || *header->at < '0' || *header->at > '9') {
        return fail(header, RT_ERR_FORMAT, "expected a dim of the shape, a number from 0");
    }
    while (header->at < header->end && *header->at >= '0' && *header->at <= '9') {
        int64_t const digit = *header->at - '0';
        if (value > (INT64_MAX - digit) / 10) {
            return fail(header, RT_ERR_FORMAT, "a dim of the shape is above 2^63 - 1");
        }
        value = value * 10 + digit;
        header->at++;
    }
    if (header->at < header->end && *header->at == 'L') header->at++; /* Python 2 wrote 3L */
    *dim = value;
    return true;
}

static bool parse_shape(Header *header) {
    bool comma = true;
    if (!accept(header, '(')) return fail(header, RT_ERR_FORMAT, "expected the shape, a tuple");
    while (!accept(header, ')')) {
        if (!comma) return fail(header, RT_ERR_FORMAT, "expected ',' or ')' in the shape");
        if (header->rank == RT_MAX_RANK) {
            return fail(header, RT_ERR_LIMIT, "the rank is above 8, the most that is read");
        }
        if (!parse_dim(header, &header->shape[header->rank])) return false;
        header->rank++;
        comma = accept(header, ',');
    }
    if (header->rank == 1 && !comma) {
        return fail(header, RT_ERR_FORMAT, "the shape is a number where a tuple must stand");
    }
    return true;
}

static bool parse_value(Header *header, unsigned bit) {
    if (bit == 1) {
        skip_space(header);
        if (header->at < header->end && *header->at == '[') {
            return fail(header, RT_ERR_UNSUPPORTED, "structured elements are not supported");
        }
        return parse_string(header, header->descr, sizeof header->descr);
    }
    if (bit == 4) return parse_shape(header);
    header->fortran = accept_word(header, "True");
    if (header->fortran || accept_word(header, "False")) return true;
    return fail(header, RT_ERR_FORMAT, "expected True or False for fortran_order");
}

static bool parse_header(Header *header) {
    unsigned seen = 0;
    bool comma = true;
    if (!accept(header, '{')) return fail(header, RT_ERR_FORMAT, "expected '{'");
    while (!accept(header, '}')) {
        char key[32];
        if (!comma) return fail(header, RT_ERR_FORMAT, "expected ',' or '}'");
        if (!parse_string(header, key, sizeof key)) return false;
        if (!accept(header, ':')) return fail(header, RT_ERR_FORMAT, "expected ':'");
        unsigned const bit = strcmp(key, "descr") == 0           ? 1
                             : strcmp(key, "fortran_order") == 0 ? 2
                             : strcmp(key, "shape") == 0         ? 4
                                                                 : 0;
        if (bit == 0) return fail(header, RT_ERR_FORMAT, "unknown key before this place");
        if ((seen & bit) != 0) return fail(header, RT_ERR_FORMAT, "the same key twice");
        seen |= bit;
        if (!parse_value(header, bit)) return false;
        comma = accept(header, ',');
    }
    if (seen != 7) {
        return fail(header, RT_ERR_FORMAT, "descr, fortran_order and shape must all be there");
    }
    skip_space(header);
    if (header->at != header->end) return fail(header, RT_ERR_FORMAT, "expected only white space");
    if (header->end[-1] != '\n') return fail(header, RT_ERR_FORMAT, "no newline at the end");
    return true;
}

/* The type that descr names; a message that says why where there is none. */
static bool find_dtype(Header *header, RtDtype *dtype) {
    const char *descr = header->descr;
    for (size_t i = 0; i < DESCR_COUNT; i++) {
        char const order_wanted = DESCRS[i].descr[0];
        bool order = descr[0] == order_wanted || (order_wanted == '|' && descr[0] == '<');
        if (order && strcmp(descr + 1, DESCRS[i].descr + 1) == 0) {
            *dtype = DESCRS[i].dtype;
            return true;
        }
    }
    header->status = rt_fail(
        header->error, header->error_size, RT_ERR_UNSUPPORTED,
        descr[0] == '>' ? "%s: elements are big-endian ('%s'), only little-endian is read"
                        : "%s: element type '%s' is not supported (f2 f4 f8 i1 i2 i4 i8 u1 u2 b1)",
        header->file, descr);
    return false;
}

/* ---- Reading -------------------------------------------------------------- */

/* Finds the header behind the magic, the version and its length. */
static RtStatus find_header(const unsigned char *bytes, size_t size, Header *header) {
    if (size < 10 || memcmp(bytes, MAGIC, sizeof MAGIC) != 0) {
        return rt_fail(header->error, header->error_size, RT_ERR_FORMAT,
                       size < 10
                           ? "%s: is no .npy file: %llu bytes where the head alone has 10"
                           : "%s: is no .npy file: the first 6 of %llu bytes are not its magic",
                       header->file, RT_LLU(size));
    }
    unsigned const major = bytes[6], minor = bytes[7];
    if (major < 1 || major > 3 || minor != 0) {
        return rt_fail(header->error, header->error_size, RT_ERR_UNSUPPORTED,
                       "%s: .npy version is %u.%u, only 1.0, 2.0 and 3.0 are read", header->file,
                       major, minor);
    }
    size_t const width = major == 1 ? 2 : 4, start = 8 + width;
    size_t length = (size_t)bytes[8] | (size_t)bytes[9] << 8;
    if (size < start) {
        return rt_fail(header->error, header->error_size, RT_ERR_FORMAT,
                       "%s: file has %llu bytes where the head alone has %llu", header->file,
                       RT_LLU(size), RT_LLU(start));
    }
    if (width == 4) length |= (size_t)bytes[10] << 16 | (size_t)bytes[11] << 24;
    if (length > size - start) {
        return rt_fail(header->error, header->error_size, RT_ERR_FORMAT,
                       "%s: header has %llu bytes where %llu are left in the file", header->file,
                       RT_LLU(length), RT_LLU(size - start));
    }
    header->begin = header->at = bytes + start;
    header->end = header->begin + length;
    header->offset = start;
    return RT_OK;
}

static RtStatus fill(const Header *header, RtDtype dtype, const unsigned char *data, size_t size,
                     RtTensor *tensor) {
    char *error = header->error;
    size_t const error_size = header->error_size, width = rt_dtype_size(dtype);
    char text[256];
    size_t count;
    rt_shape_text(header->rank, header->shape, text, sizeof text);
    if (!rt_shape_count(header->rank, header->shape, width, &count)) {
        return rt_fail(error, error_size, RT_ERR_FORMAT, "%s: impossible shape %s", header->file,
                       text);
    }
    if (count * width != size) {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: shape %s of %s needs %llu bytes of data, the file has %llu",
                       header->file, text, rt_dtype_name(dtype), RT_LLU(count * width),
                       RT_LLU(size));
    }
    if (dtype == RT_BOOL && rt_bool_defect(data, count) < count) {
        size_t const defect = rt_bool_defect(data, count);
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: element %llu of a bool array is %u, not 0 or 1", header->file,
                       RT_LLU(defect), (unsigned)data[defect]);
    }
    RtStatus status =
        rt_tensor_init(tensor, NULL, dtype, header->rank, header->shape, NULL, 0);
    if (status != RT_OK) {
        return rt_fail(error, error_size, status, "%s: no memory for %llu bytes", header->file,
                       RT_LLU(size));
    }
    rt_from_little(tensor->data, data, count, width);
    return RT_OK;
}

RtStatus rt_npy_read_memory(const void *bytes, size_t size, const char *name, RtTensor *tensor,
                            char *error, size_t error_size) {
    Header header = {.file = name, .error = error, .error_size = error_size, .status = RT_OK};
    RtDtype dtype;
    memset(tensor, 0, sizeof *tensor);
    RtStatus status = find_header(bytes, size, &header);
    if (status != RT_OK) return status;
    if (!parse_header(&header) || !find_dtype(&header, &dtype)) return header.status;
    if (header.fortran) {
        return rt_fail(error, error_size, RT_ERR_UNSUPPORTED,
                       "%s: the array is in Fortran order, only C order is read"
                       " (numpy.ascontiguousarray converts)", name);
    }
    return fill(&header, dtype, header.end,
                size - (size_t)(header.end - (const unsigned char *)bytes), tensor);
}

static RtStatus read_taken(RtStatus status, unsigned char *bytes, size_t size, const char *name,
                           RtTensor *tensor, char *error, size_t error_size) {
    memset(tensor, 0, sizeof *tensor);
    if (status != RT_OK) return status;
    status = rt_npy_read_memory(bytes, size, name, tensor, error, error_size);
    free(bytes);
    return status;
}

RtStatus rt_npy_read(const char *path, RtTensor *tensor, char *error, size_t error_size) {
    unsigned char *bytes;
    size_t size;
    RtStatus status = rt_file_read(path, &bytes, &size, error, error_size);
    return read_taken(status, bytes, size, path, tensor, error, error_size);
}

RtStatus rt_npy_read_stream(FILE *stream, const char *name, RtTensor *tensor, char *error,
                            size_t error_size) {
    unsigned char *bytes;
    size_t size;
    RtStatus status = rt_file_read_stream(stream, name, &bytes, &size, error, error_size);
    return read_taken(status, bytes, size, name, tensor, error, error_size);
}

/* ---- Writing -------------------------------------------------------------- */

/* The head of a file, padded so that the data begins at a multiple of 64; its length, 0 where
 * the type has no name here. */
static size_t make_head(const RtTensor *tensor, char *head, size_t head_size) {
    const char *descr = NULL;
    for (size_t i = 0; i < DESCR_COUNT; i++) {
        if (DESCRS[i].dtype == tensor->dtype) descr = DESCRS[i].descr;
    }
    if (descr == NULL) return 0;
    size_t used = 10;
    used += (size_t)snprintf(head + used, head_size - used,
                             "{'descr': '%s', 'fortran_order': False, 'shape': (", descr);
    for (int i = 0; i < tensor->rank; i++) {
        used += (size_t)snprintf(head + used, head_size - used, i > 0 ? ", %lld" : "%lld",
                                 (long long)tensor->shape[i]);
    }
    used += (size_t)snprintf(head + used, head_size - used,
                             tensor->rank == 1 ? ",), }" : "), }");
    while ((used + 1) % 64 != 0) head[used++] = ' ';
    head[used++] = '\n';
    memcpy(head, MAGIC, sizeof MAGIC);
    head[6] = 1;
    head[7] = 0;
    head[8] = (char)((used - 10) & 0xff);
    head[9] = (char)((used - 10) >> 8);
    return used;
}

RtStatus rt_npy_write_stream(FILE *stream, const char *name, const RtTensor *tensor, char *error,
                             size_t error_size) {
    char head[512]; /* eight dims of 19 digits and all else are below 320 */
    size_t length = make_head(tensor, head, sizeof head);
    if (length == 0) {
        return rt_fail(error, error_size, RT_ERR_UNSUPPORTED, "%s: .npy has no type for %s", name,
                       rt_dtype_name(tensor->dtype));
    }
    if (fwrite(head, 1, length, stream) != length ||
        !rt_write_little(stream, tensor->data, tensor->count, rt_dtype_size(tensor->dtype)) ||
        fflush(stream) != 0) {
        return rt_fail(error, error_size, RT_ERR_IO, "%s: cannot write: %s", name,
                       strerror(errno));
    }
    return RT_OK;
}

RtStatus rt_npy_write(const char *path, const RtTensor *tensor, char *error, size_t error_size) {
    RtOutput output;
    RtStatus status = rt_output_open(&output, path, error, error_size);
    if (status != RT_OK) return status;
    status = rt_npy_write_stream(output.stream, path, tensor, error, error_size);
    return rt_output_close(&output, status, error, error_size);
}
