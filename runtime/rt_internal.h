/* rt_internal.h - what the files of the runtime share with each other and nobody else: the error
 * writer, bounded allocation while a file is read, atomic output, and the JSON reader. */
#ifndef RT_INTERNAL_H
#define RT_INTERNAL_H

#include "rnn_rt.h"

#if defined(__GNUC__)
#define RT_PRINTF(text, first) __attribute__((format(printf, text, first)))
#else
#define RT_PRINTF(text, first)
#endif

/* Writes the message and returns `status`. */
RtStatus rt_fail(char *error, size_t error_size, RtStatus status, const char *format, ...)
    RT_PRINTF(4, 5);

/* A count as printf's %llu takes it: shapes and sizes print alike everywhere. */
#define RT_LLU(x) ((unsigned long long)(x))

/* ---- Memory for one file ------------------------------------------------------------------ */

/* What the reader of one file may still allocate. Never refilled, so it bounds the total. */
typedef struct RtBudget {
    size_t left;
    bool exceeded; /* an allocation failed for the budget, not for want of memory */
} RtBudget;

/* The budget of a file of this size: 32 times the size and 64 KiB, the malloc heads included. */
RtBudget rt_budget(size_t file_size);

/* count * size zeroed bytes (at least 1), or NULL. */
void *rt_budget_alloc(RtBudget *budget, size_t count, size_t size);

/* Grows *items so that it holds one more than `count`; false, with *items intact, if it cannot. */
bool rt_budget_grow(RtBudget *budget, void **items, size_t count, size_t *capacity, size_t size);

/* RT_ERR_LIMIT or RT_ERR_NOMEM with a message, after one of the two above failed. */
RtStatus rt_budget_fail(const RtBudget *budget, const char *file, char *error, size_t error_size);

/* ---- Shapes and bytes --------------------------------------------------------------------- */

/* The number of elements, in *count; false where a dim is negative, or where the bytes of the
 * shape, zero dims taken as 1, do not fit into a signed 64-bit number or a size_t. */
bool rt_shape_count(int rank, const int64_t *shape, size_t element_size, size_t *count);

/* Copies the little-endian elements of a file into a tensor's data, whatever the host's order. */
void rt_from_little(void *to, const void *from, size_t count, size_t element_size);

/* The first byte of a bool tensor that is neither 0 nor 1, or count. */
size_t rt_bool_defect(const unsigned char *data, size_t count);

/* Writes elements little-endian; false when the stream failed. */
bool rt_write_little(FILE *stream, const void *data, size_t count, size_t element_size);

/* True where the bytes up to the final 0 are well-formed UTF-8 (no surrogates, shortest form). */
bool rt_utf8_valid(const char *text);

/* The length of the well-formed UTF-8 sequence at `at`, 0 where there is none before `end`. */
size_t rt_utf8_length(const unsigned char *at, const unsigned char *end);

/* ---- Output that is there as a whole or not at all ---------------------------------------- */

typedef struct RtOutput {
    FILE *stream;
    char *path;      /* what the file will be called */
    char *temporary; /* what it is called now; NULL where a device or pipe is written in place */
} RtOutput;

RtStatus rt_output_open(RtOutput *output, const char *path, char *error, size_t error_size);

/* Closes; renames if `status` is RT_OK and all was written, else removes. Returns `status` if it
 * is not RT_OK (error untouched), else what went wrong here. */
RtStatus rt_output_close(RtOutput *output, RtStatus status, char *error, size_t error_size);

/* ---- Strict JSON, pulled by a reader that knows what must come ---------------------------- */

/* Objects are walked by the caller, so nesting is as deep as the caller's code, never deeper. */
typedef struct RtJson {
    const unsigned char *begin, *at, *end;
    size_t offset;    /* of `begin` in the file, for messages */
    const char *file; /* for messages */
    RtBudget *budget;
    RtStatus status; /* of the first failure; all functions fail from then on */
    char *error;
    size_t error_size;
} RtJson;

/* Sets the status and writes "FILE: ... at byte N"; always returns false. */
bool rt_json_fail(RtJson *json, RtStatus status, const char *format, ...) RT_PRINTF(3, 4);

/* Skips white space and this character, which must come. */
bool rt_json_expect(RtJson *json, char character);

/* Skips white space, and this character if it comes; false where another comes. */
bool rt_json_accept(RtJson *json, char character);

/* Reads a string: UTF-8, escapes resolved, no NUL inside; *text is the caller's to free. */
bool rt_json_string(RtJson *json, char **text);

/* Reads a whole number from 0 to INT64_MAX, written without sign, point or exponent. */
bool rt_json_number(RtJson *json, int64_t *number);

/* True where only white space is left. */
bool rt_json_finish(RtJson *json);

/* Writes a string with quotes and escapes to `to`, or only counts if `to` is NULL; the length. */
size_t rt_json_quote(char *to, const char *text);

#endif
