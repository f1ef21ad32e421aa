/* rt_safetensors.c - the .safetensors format: eight bytes with the length of a header, the header
 * (JSON: name -> dtype, shape, data_offsets; and a map of strings, __metadata__), then the data.
 * The reader holds the file for hostile: everything is checked before memory is taken for it. */
#include "rt_internal.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static const char METADATA[] = "__metadata__";

static const struct {
    char name[8];
    RtDtype dtype;
} DTYPES[] = {
    {"F32", RT_F32}, {"F64", RT_F64}, {"F16", RT_F16}, {"BF16", RT_BF16},
    {"I8", RT_I8},   {"U8", RT_U8},   {"I16", RT_I16}, {"U16", RT_U16},
    {"I32", RT_I32}, {"I64", RT_I64}, {"BOOL", RT_BOOL},
};
enum { DTYPE_COUNT = sizeof DTYPES / sizeof DTYPES[0] };

/* One tensor as the header tells it: without its data, with the range of that. */
typedef struct Entry {
    RtTensor tensor;
    int64_t begin, end; /* bytes from the start of the data */
    size_t order;       /* place in the header */
} Entry;

typedef struct Reader {
    RtJson json;
    RtBudget budget;
    Entry *entries;
    size_t count, capacity;
    bool has_metadata;
    const unsigned char *data;
    size_t data_size;
    RtTensorSet *set;
} Reader;

/* ---- The header ----------------------------------------------------------- */

static bool out_of_memory(Reader *reader) {
    RtJson *json = &reader->json;
    json->status = rt_budget_fail(&reader->budget, json->file, json->error, json->error_size);
    return false;
}

static bool parse_metadata(Reader *reader) {
    RtJson *json = &reader->json;
    RtTensorSet *set = reader->set;
    if (reader->has_metadata) {
        return rt_json_fail(json, RT_ERR_FORMAT, "%s stands twice", METADATA);
    }
    reader->has_metadata = true;
    if (!rt_json_expect(json, '{')) return false;
    if (rt_json_accept(json, '}')) return true;
    do {
        void *items = set->metadata;
        bool grown = rt_budget_grow(&reader->budget, &items, set->metadata_count,
                                    &set->metadata_capacity, sizeof *set->metadata);
        set->metadata = items;
        if (!grown) return out_of_memory(reader);
        RtPair *pair = &set->metadata[set->metadata_count];
        if (!rt_json_string(json, &pair->key)) return false;
        pair->value = NULL;
        set->metadata_count++; /* from here on the set frees the key */
        if (!rt_json_expect(json, ':') || !rt_json_string(json, &pair->value)) return false;
    } while (rt_json_accept(json, ','));
    return rt_json_expect(json, '}');
}

static bool parse_dtype(Reader *reader, RtTensor *tensor) {
    char *name;
    size_t i = 0;
    if (!rt_json_string(&reader->json, &name)) return false;
    while (i < DTYPE_COUNT && strcmp(DTYPES[i].name, name) != 0) i++;
    if (i < DTYPE_COUNT) {
        tensor->dtype = DTYPES[i].dtype;
    } else {
        rt_json_fail(&reader->json, RT_ERR_UNSUPPORTED,
                     "'%.80s' has the element type '%.20s', which is not supported", tensor->name,
                     name);
    }
    free(name);
    return i < DTYPE_COUNT;
}

static bool parse_shape(Reader *reader, RtTensor *tensor) {
    RtJson *json = &reader->json;
    if (!rt_json_expect(json, '[')) return false;
    if (rt_json_accept(json, ']')) return true;
    do {
        if (tensor->rank == RT_MAX_RANK) {
            return rt_json_fail(json, RT_ERR_LIMIT, "'%.80s' has a rank above %d", tensor->name,
                                (int)RT_MAX_RANK);
        }
        if (!rt_json_number(json, &tensor->shape[tensor->rank])) return false;
        tensor->rank++;
    } while (rt_json_accept(json, ','));
    return rt_json_expect(json, ']');
}

static bool parse_field(Reader *reader, Entry *entry, const char *key, unsigned *seen) {
    RtJson *json = &reader->json;
    const char *name = entry->tensor.name;
    unsigned const bit = strcmp(key, "dtype") == 0          ? 1
                         : strcmp(key, "shape") == 0        ? 2
                         : strcmp(key, "data_offsets") == 0 ? 4
                                                            : 0;
    if (bit == 0) {
        return rt_json_fail(json, RT_ERR_FORMAT, "'%.80s' has the unknown field '%.40s'", name,
                            key);
    }
    if ((*seen & bit) != 0) {
        return rt_json_fail(json, RT_ERR_FORMAT, "'%.80s' has the field '%s' twice", name, key);
    }
    *seen |= bit;
    if (bit == 1) return parse_dtype(reader, &entry->tensor);
    if (bit == 2) return parse_shape(reader, &entry->tensor);
    return rt_json_expect(json, '[') && rt_json_number(json, &entry->begin) &&
           rt_json_expect(json, ',') && rt_json_number(json, &entry->end) &&
           rt_json_expect(json, ']');
}

/* The dims times the element size must be the length of the range, which lies in the data. */
static bool check_entry(Reader *reader, Entry *entry) {
    RtTensor *tensor = &entry->tensor;
    size_t const width = rt_dtype_size(tensor->dtype);
    char shape[200];
    rt_shape_text(tensor->rank, tensor->shape, shape, sizeof shape);
    if (entry->begin > entry->end || (uint64_t)entry->end > reader->data_size) {
        return rt_json_fail(&reader->json, RT_ERR_FORMAT,
                            "'%.80s' has the data offsets %lld to %lld in %llu bytes of data",
                            tensor->name, (long long)entry->begin, (long long)entry->end,
                            RT_LLU(reader->data_size));
    }
    if (!rt_shape_count(tensor->rank, tensor->shape, width, &tensor->count)) {
        return rt_json_fail(&reader->json, RT_ERR_FORMAT, "'%.80s' has the impossible shape %.120s",
                            tensor->name, shape);
    }
    if (tensor->count * width != (size_t)(entry->end - entry->begin)) {
        return rt_json_fail(&reader->json, RT_ERR_FORMAT,
                            "'%.60s': %.80s of %s needs %llu bytes, the data offsets have %llu",
                            tensor->name, shape, rt_dtype_name(tensor->dtype),
                            RT_LLU(tensor->count * width), RT_LLU(entry->end - entry->begin));
    }
    return true;
}

static bool parse_entry(Reader *reader, Entry *entry) {
    RtJson *json = &reader->json;
    unsigned seen = 0;
    if (!rt_json_expect(json, '{')) return false;
    do {
        char *key;
        if (!rt_json_string(json, &key)) return false;
        bool done = rt_json_expect(json, ':') && parse_field(reader, entry, key, &seen);
        free(key);
        if (!done) return false;
    } while (rt_json_accept(json, ','));
    if (!rt_json_expect(json, '}')) return false;
    if (seen != 7) {
        return rt_json_fail(json, RT_ERR_FORMAT, "'%.80s' lacks dtype, shape or data_offsets",
                            entry->tensor.name);
    }
    return check_entry(reader, entry);
}

static bool parse_header(Reader *reader) {
    RtJson *json = &reader->json;
    if (!rt_json_expect(json, '{')) return false;
    if (rt_json_accept(json, '}')) return rt_json_finish(json);
    do {
        char *name;
        void *items = reader->entries;
        bool grown = rt_budget_grow(&reader->budget, &items, reader->count, &reader->capacity,
                                    sizeof *reader->entries);
        reader->entries = items;
        if (!grown) return out_of_memory(reader);
        if (!rt_json_string(json, &name)) return false;
        if (strcmp(name, METADATA) == 0) {
            free(name);
            if (!rt_json_expect(json, ':') || !parse_metadata(reader)) return false;
            continue;
        }
        Entry *entry = &reader->entries[reader->count];
        memset(entry, 0, sizeof *entry);
        entry->tensor.name = name;
        entry->order = reader->count++;
        if (!rt_json_expect(json, ':') || !parse_entry(reader, entry)) return false;
    } while (rt_json_accept(json, ','));
    return rt_json_expect(json, '}') && rt_json_finish(json);
}

/* ---- Checks of the whole -------------------------------------------------- */

static int by_range(const void *left, const void *right) {
    const Entry *a = left, *b = right;
    if (a->begin != b->begin) return a->begin < b->begin ? -1 : 1;
    if (a->end != b->end) return a->end < b->end ? -1 : 1;
    return a->order < b->order ? -1 : a->order > b->order;
}

static int by_text(const void *left, const void *right) {
    return strcmp(*(const char *const *)left, *(const char *const *)right);
}

/* Fails where two of the texts are equal; sorts them. */
static bool check_distinct(Reader *reader, const char **texts, size_t count, const char *what) {
    qsort(texts, count, sizeof *texts, by_text);
    for (size_t i = 1; i < count; i++) {
        if (strcmp(texts[i - 1], texts[i]) == 0) {
            return rt_json_fail(&reader->json, RT_ERR_FORMAT, "the %s '%.80s' stands twice", what,
                                texts[i]);
        }
    }
    return true;
}

static bool check_names(Reader *reader) {
    const RtTensorSet *set = reader->set;
    size_t const most = reader->count > set->metadata_count ? reader->count : set->metadata_count;
    const char **texts = rt_budget_alloc(&reader->budget, most, sizeof *texts);
    if (texts == NULL) return out_of_memory(reader);
    for (size_t i = 0; i < reader->count; i++) texts[i] = reader->entries[i].tensor.name;
    bool good = check_distinct(reader, texts, reader->count, "name");
    for (size_t i = 0; i < set->metadata_count; i++) texts[i] = set->metadata[i].key;
    good = good && check_distinct(reader, texts, set->metadata_count, "metadata key");
    free(texts);
    return good;
}

/* Sorts by range; the ranges must fill the data from its first byte to its last. */
static bool check_ranges(Reader *reader) {
    int64_t filled = 0;
    if (reader->count > 0) {
        qsort(reader->entries, reader->count, sizeof *reader->entries, by_range);
    }
    for (size_t i = 0; i < reader->count; i++) {
        const Entry *entry = &reader->entries[i];
        if (entry->begin != filled) {
            return rt_json_fail(&reader->json, RT_ERR_FORMAT,
                                "'%.80s' begins at %lld of the data, %lld is the next byte: %s",
                                entry->tensor.name, (long long)entry->begin, (long long)filled,
                                entry->begin > filled ? "a hole" : "an overlap");
        }
        filled = entry->end;
    }
    if ((uint64_t)filled != reader->data_size) {
        return rt_json_fail(&reader->json, RT_ERR_FORMAT,
                            "the tensors have %lld bytes, the file has %llu bytes of data",
                            (long long)filled, RT_LLU(reader->data_size));
    }
    return true;
}

static bool take_data(Reader *reader) {
    RtTensorSet *set = reader->set;
    set->at = rt_budget_alloc(&reader->budget, reader->count, sizeof *set->at);
    if (set->at == NULL) return out_of_memory(reader);
    set->capacity = reader->count;
    for (size_t i = 0; i < reader->count; i++) {
        Entry *entry = &reader->entries[i];
        RtTensor *tensor = &entry->tensor;
        const unsigned char *from = reader->data + entry->begin;
        size_t const width = rt_dtype_size(tensor->dtype);
        if (tensor->dtype == RT_BOOL && rt_bool_defect(from, tensor->count) < tensor->count) {
            return rt_json_fail(&reader->json, RT_ERR_FORMAT,
                                "'%.80s' is bool, and an element is neither 0 nor 1",
                                tensor->name);
        }
        tensor->data = rt_budget_alloc(&reader->budget, tensor->count, width);
        if (tensor->data == NULL) return out_of_memory(reader);
        rt_from_little(tensor->data, from, tensor->count, width);
        set->at[set->count++] = *tensor;
        memset(tensor, 0, sizeof *tensor);
    }
    return true;
}

/* ---- Reading -------------------------------------------------------------- */

RtStatus rt_safetensors_read_memory(const void *bytes, size_t size, const char *name,
                                    RtTensorSet *set, char *error, size_t error_size) {
    const unsigned char *at = bytes;
    uint64_t length = 0;
    memset(set, 0, sizeof *set);
    if (size < 8) {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: is no .safetensors file: %llu bytes where the head alone has 8", name,
                       RT_LLU(size));
    }
    for (int i = 0; i < 8; i++) length |= (uint64_t)at[i] << (8 * i);
    if (length > size - 8) {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: header has %llu bytes where %llu are left in the file", name,
                       RT_LLU(length), RT_LLU(size - 8));
    }
    if (length == 0 || at[8] != '{') {
        return rt_fail(error, error_size, RT_ERR_FORMAT,
                       "%s: is no .safetensors file: byte 8 is not '{'", name);
    }
    Reader reader = {.budget = rt_budget(size), .set = set};
    reader.data = at + 8 + length;
    reader.data_size = size - 8 - (size_t)length;
    reader.json = (RtJson){.begin = at + 8, .at = at + 8, .end = at + 8 + length, .offset = 8,
                           .file = name, .budget = &reader.budget, .status = RT_OK,
                           .error = error, .error_size = error_size};
    bool const good = parse_header(&reader) && check_names(&reader) && check_ranges(&reader) &&
                      take_data(&reader);
    for (size_t i = 0; i < reader.count; i++) rt_tensor_free(&reader.entries[i].tensor);
    free(reader.entries);
    if (!good) rt_set_free(set);
    return reader.json.status;
}

static RtStatus read_taken(RtStatus status, unsigned char *bytes, size_t size, const char *name,
                           RtTensorSet *set, char *error, size_t error_size) {
    memset(set, 0, sizeof *set);
    if (status != RT_OK) return status;
    status = rt_safetensors_read_memory(bytes, size, name, set, error, error_size);
    free(bytes);
    return status;
}

RtStatus rt_safetensors_read(const char *path, RtTensorSet *set, char *error, size_t error_size) {
    unsigned char *bytes;
    size_t size;
    RtStatus status = rt_file_read(path, &bytes, &size, error, error_size);
    return read_taken(status, bytes, size, path, set, error, error_size);
}

RtStatus rt_safetensors_read_stream(FILE *stream, const char *name, RtTensorSet *set, char *error,
                                    size_t error_size) {
    unsigned char *bytes;
    size_t size;
    RtStatus status = rt_file_read_stream(stream, name, &bytes, &size, error, error_size);
    return read_taken(status, bytes, size, name, set, error, error_size);
}

/* ---- Writing -------------------------------------------------------------- */

/* Text of which only the length is known as long as `to` is NULL: the header is made twice. */
typedef struct Text {
    char *to;
    size_t length;
} Text;

static void put(Text *text, const char *piece) {
    size_t const more = strlen(piece);
    if (text->to != NULL) memcpy(text->to + text->length, piece, more);
    text->length += more;
}

static void put_quoted(Text *text, const char *string) {
    text->length += rt_json_quote(text->to != NULL ? text->to + text->length : NULL, string);
}

static void put_number(Text *text, uint64_t number) {
    char digits[24];
    snprintf(digits, sizeof digits, "%llu", RT_LLU(number));
    put(text, digits);
}

static const char *dtype_text(RtDtype dtype) {
    size_t i = 0;
    while (DTYPES[i].dtype != dtype) i++;
    return DTYPES[i].name;
}

static void put_header(Text *text, const RtTensorSet *set) {
    uint64_t offset = 0;
    put(text, "{");
    for (size_t i = 0; i < set->metadata_count; i++) {
        put(text, i == 0 ? "\"__metadata__\":{" : ",");
        put_quoted(text, set->metadata[i].key);
        put(text, ":");
        put_quoted(text, set->metadata[i].value);
    }
    if (set->metadata_count > 0) put(text, set->count > 0 ? "}," : "}");
    for (size_t i = 0; i < set->count; i++) {
        const RtTensor *tensor = &set->at[i];
        if (i > 0) put(text, ",");
        put_quoted(text, tensor->name);
        put(text, ":{\"dtype\":\"");
        put(text, dtype_text(tensor->dtype));
        put(text, "\",\"shape\":[");
        for (int j = 0; j < tensor->rank; j++) {
            if (j > 0) put(text, ",");
            put_number(text, (uint64_t)tensor->shape[j]);
        }
        put(text, "],\"data_offsets\":[");
        put_number(text, offset);
        put(text, ",");
        offset += (uint64_t)tensor->count * rt_dtype_size(tensor->dtype);
        put_number(text, offset);
        put(text, "]}");
    }
    put(text, "}");
    while (text->length % 8 != 0) put(text, " ");
}

static RtStatus check_set(const RtTensorSet *set, const char *file, char *error,
                          size_t error_size) {
    for (size_t i = 0; i < set->count; i++) {
        const char *name = set->at[i].name;
        if (name == NULL || strcmp(name, METADATA) == 0 || !rt_utf8_valid(name)) {
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "%s: tensor %llu of %llu has no name that can be written", file,
                           RT_LLU(i), RT_LLU(set->count));
        }
    }
    for (size_t i = 0; i < set->metadata_count; i++) {
        if (!rt_utf8_valid(set->metadata[i].key) || !rt_utf8_valid(set->metadata[i].value)) {
            return rt_fail(error, error_size, RT_ERR_ARGUMENT,
                           "%s: metadata entry %llu of %llu is not UTF-8", file, RT_LLU(i),
                           RT_LLU(set->metadata_count));
        }
    }
    return RT_OK;
}

RtStatus rt_safetensors_write_stream(FILE *stream, const char *name, const RtTensorSet *set,
                                     char *error, size_t error_size) {
    unsigned char head[8];
    Text text = {NULL, 0};
    RtStatus status = check_set(set, name, error, error_size);
    if (status != RT_OK) return status;
    put_header(&text, set);
    for (int i = 0; i < 8; i++) head[i] = (unsigned char)((uint64_t)text.length >> (8 * i));
    text = (Text){malloc(text.length), 0};
    if (text.to == NULL) return rt_fail(error, error_size, RT_ERR_NOMEM, "%s: out of memory", name);
    put_header(&text, set);
    bool good = fwrite(head, 1, 8, stream) == 8 &&
                fwrite(text.to, 1, text.length, stream) == text.length;
    for (size_t i = 0; i < set->count; i++) {
        const RtTensor *tensor = &set->at[i];
        good = good && rt_write_little(stream, tensor->data, tensor->count,
                                       rt_dtype_size(tensor->dtype));
    }
    good = good && fflush(stream) == 0;
    free(text.to);
    if (good) return RT_OK;
    return rt_fail(error, error_size, RT_ERR_IO, "%s: cannot write: %s", name, strerror(errno));
}

RtStatus rt_safetensors_write(const char *path, const RtTensorSet *set, char *error,
                              size_t error_size) {
    RtOutput output;
    RtStatus status = rt_output_open(&output, path, error, error_size);
    if (status != RT_OK) return status;
    status = rt_safetensors_write_stream(output.stream, path, set, error, error_size);
    return rt_output_close(&output, status, error, error_size);
}
