/* rnn_rt.h - the runtime of rnnc: tensors in .npy and .safetensors files, seeded random numbers,
 * initialisers. C99 and a POSIX libc, no other library; usable without the compiler.
 *
 * Nothing here prints, exits or keeps a global. What can fail returns an RtStatus and, if it is
 * not RT_OK, has written one line into the caller's `error` (of `error_size` bytes, always
 * terminated; `error` may be NULL): "FILE: what was wrong", no final period. */
#ifndef RNN_RT_H
#define RNN_RT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Status ------------------------------------------------------------------------------- */

typedef enum RtStatus {
    RT_OK,
    RT_ERR_ARGUMENT,    /* the caller asked for something that cannot be (a wrong shape, a name) */
    RT_ERR_IO,          /* the system refused to open, read, write or rename */
    RT_ERR_FORMAT,      /* the file is damaged or is not what it should be */
    RT_ERR_UNSUPPORTED, /* the file is sound, but holds what the runtime does not read or write */
    RT_ERR_LIMIT,       /* a bound of the runtime (rank, memory for this file) is exceeded */
    RT_ERR_NOMEM        /* the system has no memory left */
} RtStatus;

/* The name of a status in lower case ("format error"); static storage. */
const char *rt_status_name(RtStatus status);

/* ---- Tensors ------------------------------------------------------------------------------ */

enum { RT_MAX_RANK = 8 };

typedef enum RtDtype {
    RT_F32,
    RT_F64,
    RT_F16,  /* IEEE binary16, kept as 16 bits */
    RT_BF16, /* the upper half of a float, kept as 16 bits; .safetensors only */
    RT_I8,
    RT_U8,
    RT_I16,
    RT_U16,
    RT_I32,
    RT_I64,
    RT_BOOL /* one byte, 0 or 1: other bytes in a file are refused */
} RtDtype;

/* The bytes of one element. */
size_t rt_dtype_size(RtDtype dtype);

/* The name as messages say it: "float32", "int64", "bool" ...; static storage. */
const char *rt_dtype_name(RtDtype dtype);

/* A dense tensor in row-major order. It owns `name` and `data`. All zero is a valid empty value
 * for rt_tensor_free, but not a tensor. */
typedef struct RtTensor {
    char *name; /* NULL where the tensor has none (.npy) */
    RtDtype dtype;
    int rank;                  /* 0 (a scalar) ... RT_MAX_RANK */
    int64_t shape[RT_MAX_RANK]; /* each >= 0; the first `rank` are used, the others are 0 */
    size_t count;              /* elements: the product of the shape; 1 for a scalar */
    void *data;                /* count elements, aligned for any type; never NULL */
} RtTensor;

/* Makes a tensor of zeros; `name` (copied) may be NULL. On failure *tensor is all zero. */
RtStatus rt_tensor_init(RtTensor *tensor, const char *name, RtDtype dtype, int rank,
                        const int64_t *shape, char *error, size_t error_size);

/* Frees what the tensor owns and makes it all zero. */
void rt_tensor_free(RtTensor *tensor);

/* Writes the shape as "[2, 3]" into `text`, cut to `text_size` bytes; returns `text`. */
char *rt_shape_text(int rank, const int64_t *shape, char *text, size_t text_size);

/* Converts all elements, whatever their type, into out[0 .. count). Rounds to nearest. */
void rt_tensor_to_f32(const RtTensor *tensor, float *out);
void rt_tensor_to_f64(const RtTensor *tensor, double *out);

/* True where the elements are integers or bool. */
bool rt_dtype_is_integer(RtDtype dtype);

/* Converts all elements of an integer or bool tensor; RT_ERR_ARGUMENT for the other types. */
RtStatus rt_tensor_to_i64(const RtTensor *tensor, int64_t *out, char *error, size_t error_size);

/* ---- Sets of named tensors ---------------------------------------------------------------- */

/* One entry of the string map `__metadata__` of a .safetensors file. */
typedef struct RtPair {
    char *key, *value;
} RtPair;

/* An ordered set of tensors with distinct names; owns them and the metadata. Zero is empty. */
typedef struct RtTensorSet {
    RtTensor *at;
    size_t count, capacity;
    RtPair *metadata;
    size_t metadata_count, metadata_capacity;
} RtTensorSet;

/* Frees everything in the set and makes it empty. */
void rt_set_free(RtTensorSet *set);

/* The tensor of this name, or NULL; it stays the set's. */
RtTensor *rt_set_find(const RtTensorSet *set, const char *name);

/* Moves a named tensor to the end of the set, which then owns it (*tensor becomes all zero).
 * RT_ERR_ARGUMENT where it has no name or the set holds that name; then the caller keeps it. */
RtStatus rt_set_add(RtTensorSet *set, RtTensor *tensor, char *error, size_t error_size);

/* The metadata value of this key, or NULL; it stays the set's. */
const char *rt_set_metadata(const RtTensorSet *set, const char *key);

/* Adds one metadata entry (both strings are copied); RT_ERR_ARGUMENT for a key that is there. */
RtStatus rt_set_add_metadata(RtTensorSet *set, const char *key, const char *value, char *error,
                             size_t error_size);

/* ---- Files -------------------------------------------------------------------------------- */

/* Reads a whole file; *bytes (never NULL on success) is the caller's to free(). */
RtStatus rt_file_read(const char *path, unsigned char **bytes, size_t *size, char *error,
                      size_t error_size);

/* Reads a stream to its end (standard input, say); `name` is for messages. */
RtStatus rt_file_read_stream(FILE *stream, const char *name, unsigned char **bytes, size_t *size,
                             char *error, size_t error_size);

/* Writes a file under a temporary name in the same folder and renames it: the file is there as a
 * whole or not at all. A device or a pipe is written in place. */
RtStatus rt_file_write(const char *path, const void *bytes, size_t size, char *error,
                       size_t error_size);

/* ---- .npy --------------------------------------------------------------------------------- */

/* Reads NumPy's format, versions 1.0, 2.0 and 3.0: little-endian f2 f4 f8 i1 i2 i4 i8 u1 u2 and
 * b1, C order. The file must end where its data ends. On failure *tensor is all zero. A file
 * never makes the reader allocate more than a small multiple of the file's size. */
RtStatus rt_npy_read(const char *path, RtTensor *tensor, char *error, size_t error_size);
RtStatus rt_npy_read_stream(FILE *stream, const char *name, RtTensor *tensor, char *error,
                            size_t error_size);
RtStatus rt_npy_read_memory(const void *bytes, size_t size, const char *name, RtTensor *tensor,
                            char *error, size_t error_size);

/* Writes version 1.0 with the bytes that NumPy writes; any type but bfloat16. A path is written
 * as rt_file_write does; a stream is flushed. */
RtStatus rt_npy_write(const char *path, const RtTensor *tensor, char *error, size_t error_size);
RtStatus rt_npy_write_stream(FILE *stream, const char *name, const RtTensor *tensor, char *error,
                             size_t error_size);

/* ---- .safetensors ------------------------------------------------------------------------- */

/* Reads all tensors, in the order of their data. Strict: the ranges must fill the data without
 * hole or overlap, names are distinct, nothing unknown stands in the header. On failure *set is
 * empty. A file, beside its own bytes, never makes the reader take more memory than 32 times its
 * size and 64 KiB (its size once more, where the header is small against the data). */
RtStatus rt_safetensors_read(const char *path, RtTensorSet *set, char *error, size_t error_size);
RtStatus rt_safetensors_read_stream(FILE *stream, const char *name, RtTensorSet *set, char *error,
                                    size_t error_size);
RtStatus rt_safetensors_read_memory(const void *bytes, size_t size, const char *name,
                                    RtTensorSet *set, char *error, size_t error_size);

/* Writes metadata and tensors in the set's order; the same set gives the same bytes. Names must be
 * UTF-8. A path is written as rt_file_write does; a stream is flushed. */
RtStatus rt_safetensors_write(const char *path, const RtTensorSet *set, char *error,
                              size_t error_size);
RtStatus rt_safetensors_write_stream(FILE *stream, const char *name, const RtTensorSet *set,
                                     char *error, size_t error_size);

/* ---- Random numbers -----------------------------------------------------------------------
 *
 * A draw is a function f(seed, site, batch, positions, element) and nothing else: no state, no
 * order. This is a contract; generated code computes the same words, in any precision.
 *
 * site       64 bits that name the place of the draw in the program, FNV-1a of its spelling:
 *            rt_draw_site below for a draw in an equation, rt_hash_name for an initialiser
 * batch      the number of the sequence in the batch, from 0; 0 where there is no batch
 * positions  the values of the time indices on the left of the equation, outermost first
 * element    the index in the row-major value of that equation; 0 for a scalar
 *
 * P(counter, key) is Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel random numbers: as easy
 * as 1, 2, 3; SC 2011): counter c0..c3 and result w0..w3 are four, the key k0 k1 two words of 32
 * bits. lo(v) and hi(v) are the lower and the upper 32 bits of v; a negative position counts
 * modulo 2^64. p0, p1, ... are the positions; p0 and p1 are 0 where there are none.
 *
 *   1. (k0, k1) := words 0 and 1 of P((lo(site), hi(site), 0, 0), (lo(seed), hi(seed)))
 *   2. for i = 2, 3, ..., for each position pi from the third on, if there are any:
 *      (k0, k1) := words 0 and 1 of P((lo(pi), hi(pi), i, 0), (k0, k1))
 *   3. only if one of hi(element), hi(p0), hi(batch), hi(p1) is not 0:
 *      (k0, k1) := words 0 and 1 of P((hi(element), hi(p0), hi(batch), hi(p1)), (k0, k1))
 *   4. w0..w3 := P((lo(element), lo(p0), lo(batch), lo(p1)), (k0, k1))
 *
 *   uniform    in double: (w0 * 2^21 + floor(w1 / 2^11)) * 2^-53, in [0, 1)
 *   uniform24  floor(w0 / 2^8) * 2^-24, in [0, 1): the uniform cut to 24 bits, and exact in float.
 *              It is the uniform of single precision; bernoulli and dropout compare it in every
 *              precision (true, or dropped, where uniform24 < p), so that masks do not
 *              depend on the precision
 *   normal     sqrt(-2 * ln((w0 + 1/2) * 2^-32)) * cos(2 * pi * s(w1) * 2^-32), s(w1) = w1 as a
 *              signed number (two's complement). Both precisions start from the same two words;
 *              in single precision take ln by log1p of the complement where w0 >= 2^31, so that
 *              the results agree to rounding. |normal| < 6.77
 */

/* Philox4x32-10 of one counter. */
void rt_philox4x32(const uint32_t counter[4], const uint32_t key[2], uint32_t out[4]);

/* FNV-1a, 64 bits, of the bytes of a name (without the final 0). */
uint64_t rt_hash_name(const char *name);

/* The site of draw `number` (from 0) in the equation of `name`, with its instances ("l1.m"):
 * FNV-1a of NAME#NUMBER, the number in decimal. */
uint64_t rt_draw_site(const char *name, unsigned number);

/* Steps 1 to 4 above; npos positions at pos, which may be NULL if npos is 0. */
void rt_random_words(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                     uint64_t element, uint32_t out[4]);

/* One draw each, as defined above. */
double rt_uniform(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                  uint64_t element);
float rt_uniform24(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                   uint64_t element);
double rt_normal(uint64_t seed, uint64_t site, uint64_t batch, const int64_t *pos, int npos,
                 uint64_t element);

/* ---- Initialisers ------------------------------------------------------------------------- */

/* fan_in and fan_out of a shape: [] 1, 1; [n] n, 1 (a row that is multiplied with a vector);
 * [m, n] n, m; [K, C, q ...] (a convolution) C*q..., K*q.... */
typedef enum RtInitKind {
    RT_INIT_CONSTANT,  /* a */
    RT_INIT_UNIFORM,   /* in [a, b) */
    RT_INIT_NORMAL,    /* mean 0, standard deviation a */
    RT_INIT_GLOROT,    /* uniform in +-sqrt(6 / (fan_in + fan_out)) */
    RT_INIT_HE,        /* normal, standard deviation sqrt(2 / fan_in) */
    RT_INIT_ORTHOGONAL /* as [m, all other dims]: orthonormal rows, or columns where m is larger;
                          Q of the QR factors of a normal matrix with R's diagonal positive */
} RtInitKind;

typedef struct RtInit {
    RtInitKind kind;
    double a, b; /* only where the kind says so; else ignored */
} RtInit;

/* Fills out[0 .. product of the shape). Element i is made from draw (seed, rt_hash_name(name),
 * batch 0, no position, i), so it depends on seed, name and shape alone. Single precision is the
 * rounded double. Orthogonal needs rank 2 or more (else RT_ERR_ARGUMENT) and allocates one matrix
 * of double meanwhile; the others allocate nothing. */
RtStatus rt_init_f32(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     float *out, char *error, size_t error_size);
RtStatus rt_init_f64(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     double *out, char *error, size_t error_size);

#ifdef __cplusplus
}
#endif

#endif
