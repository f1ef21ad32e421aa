/* rnn_rt.h - the runtime of rnnc: tensors in .npy and .safetensors files, seeded random numbers,
 * initialisers; optimisers, schedules, checkpoints and batches of a training run; pools of threads.
 * C99 and a POSIX libc, no other library; usable without the compiler.
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

/* Glorot and he as the uniform and normal draws that they are for a shape; the others as they are. */
RtInit rt_init_resolve(RtInit init, int rank, const int64_t *shape);

/* Fills out[0 .. product of the shape). Element i is made from draw (seed, rt_hash_name(name),
 * batch 0, no position, i), so it depends on seed, name and shape alone. Single precision is the
 * rounded double. Orthogonal needs rank 2 or more (else RT_ERR_ARGUMENT) and allocates one matrix
 * of double meanwhile; the others allocate nothing. */
RtStatus rt_init_f32(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     float *out, char *error, size_t error_size);
RtStatus rt_init_f64(RtInit init, uint64_t seed, const char *name, int rank, const int64_t *shape,
                     double *out, char *error, size_t error_size);

/* ---- Optimisers ---------------------------------------------------------------------------
 *
 * Parameters, gradients and moments are flat arrays of n numbers, float or double, as generated
 * code has them; all memory is the caller's, nothing allocates. Every result has the same bits on
 * every machine with IEEE arithmetic, whatever compiler and flags (rt_exact.h).
 *
 * The formulas and the defaults are those of PyTorch's documentation (torch.optim, 2.15); g is the
 * gradient, p the parameter, t the number of the step from 1, w weight_decay, lr learning_rate:
 *
 *   SGD      g += w p;  with momentum u > 0: b = u b + g;  g = b, or g + u b with nesterov;
 *            p -= lr g                      (b is 0 before the first step; no dampening)
 *   RMSProp  g += w p;  s = decay s + (1 - decay) g^2;  q = s, or with centred:
 *            a = decay a + (1 - decay) g, q = max(s - a^2, 0);  d = g / (sqrt(q) + epsilon);
 *            with momentum u > 0: b = u b + d, d = b;  p -= lr d
 *   Adam     g += w p;  m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2;
 *            p -= lr / (1 - beta1^t) * m / (sqrt(v / (1 - beta2^t)) + epsilon)
 *   AdamW    p *= 1 - lr w, then as Adam with w = 0
 *
 * Factors such as lr / (1 - beta1^t) are computed in double and rounded to the type of the arrays
 * once; the rest is arithmetic in that type. Gradients are not looked at: one that is NaN or
 * infinite goes into the parameters, so ask rt_clip_norm first. */

typedef enum RtOptimiserKind { RT_SGD, RT_RMSPROP, RT_ADAM, RT_ADAMW } RtOptimiserKind;

/* The settings of an optimiser; those that its kind does not name are not used. */
typedef struct RtOptimiser {
    RtOptimiserKind kind;
    bool nesterov, centred;
    double learning_rate; /* all numbers are finite and at least 0 */
    double momentum;
    double weight_decay;
    double epsilon;
    double decay;        /* alpha of PyTorch's RMSprop; below 1 */
    double beta1, beta2; /* below 1 */
} RtOptimiser;

/* The defaults: SGD lr 0.001; RMSProp lr 0.01, decay 0.99, epsilon 1e-8; Adam and AdamW lr 0.001,
 * betas 0.9 and 0.999, epsilon 1e-8; weight decay 0.01 of AdamW; all else 0 and false. */
RtOptimiser rt_optimiser(RtOptimiserKind kind);

/* "sgd", "rmsprop", "adam", "adamw"; static storage. */
const char *rt_optimiser_name(RtOptimiserKind kind);

/* The kind of this name; false where there is none. */
bool rt_optimiser_find(const char *name, RtOptimiserKind *kind);

/* RT_ERR_ARGUMENT where a setting is out of its range, or nesterov has no momentum. */
RtStatus rt_optimiser_check(const RtOptimiser *optimiser, char *error, size_t error_size);

/* The state is `slots` arrays of n numbers one behind the other, all 0 before the first step, of
 * the type of the parameters: 0 (plain SGD) to 3. Bytes are SIZE_MAX where no size_t holds them. */
int rt_optimiser_slots(const RtOptimiser *optimiser);
size_t rt_optimiser_bytes(const RtOptimiser *optimiser, RtDtype dtype, size_t n);

/* "momentum", "square_average", "average", "first_moment" or "second_moment"; static storage, NULL
 * where there is no such slot. */
const char *rt_optimiser_slot_name(const RtOptimiser *optimiser, int slot);

/* Elements begin ... end - 1 of a flat array. Where a list of them is asked for, NULL means the
 * whole array, and a list is ascending, without overlap and within it: the parameters that are
 * trained. The others (frozen ones) are neither read nor changed, nor are their moments. */
typedef struct RtRange {
    size_t begin, end;
} RtRange;

/* RT_ERR_ARGUMENT, with the number of the range, where a list is not as it must be. */
RtStatus rt_ranges_check(size_t n, const RtRange *ranges, size_t range_count, char *error,
                         size_t error_size);

/* One step: number `step`, from 1, which the caller counts. So groups of parameters with settings
 * of their own (no decay of biases) are several calls with the same step and other ranges. `state`
 * may be NULL where there are no slots. On failure nothing is changed. */
RtStatus rt_optimise_f32(const RtOptimiser *optimiser, uint64_t step, size_t n,
                         const RtRange *ranges, size_t range_count, const float *grads,
                         float *params, float *state, char *error, size_t error_size);
RtStatus rt_optimise_f64(const RtOptimiser *optimiser, uint64_t step, size_t n,
                         const RtRange *ranges, size_t range_count, const double *grads,
                         double *params, double *state, char *error, size_t error_size);

/* The Euclidean norm of all gradients in the ranges (checked by rt_ranges_check) as it was before;
 * where it is above `limit`, the gradients are multiplied with limit / norm (Pascanu, Mikolov,
 * Bengio: On the difficulty of training recurrent neural networks; ICML 2013; PyTorch adds 1e-6 to
 * the norm). Summed in double, exact to rounding for any finite numbers. A gradient that is NaN
 * makes it NaN, an infinite one infinite; then nothing is changed, and the caller decides whether
 * to leave out the step or to stop. INFINITY as limit only measures; so does NaN or a negative. */
double rt_clip_norm_f32(float *grads, size_t n, const RtRange *ranges, size_t range_count,
                        double limit);
double rt_clip_norm_f64(double *grads, size_t n, const RtRange *ranges, size_t range_count,
                        double limit);

/* Brings each gradient into -limit ... limit; how many were beyond. An infinite one becomes the
 * limit, NaN stays. A limit that is NaN or negative changes nothing. */
size_t rt_clip_value_f32(float *grads, size_t n, float limit);
size_t rt_clip_value_f64(double *grads, size_t n, double limit);

/* ---- Schedules ----------------------------------------------------------------------------
 *
 * A learning rate is a function of the step alone, from 0; a step is an update or an epoch, as the
 * caller likes. Formulas and defaults of PyTorch's torch.optim.lr_scheduler, 2.15. With s the step
 * behind the warm-up:
 *
 *   constant      base
 *   step          base factor^floor(s / period)                               (StepLR)
 *   exponential   base factor^s                                               (ExponentialLR)
 *   cosine        last + (base - last) (1 + cos(pi s / period)) / 2, `last` from s = period on
 *                 (CosineAnnealingLR, which rises again there)
 *   one cycle     half a cosine from base / start_divisor up to base at s = rise period - 1,
 *                 another down to base / start_divisor / end_divisor at s = period - 1, which stays
 *                 (OneCycleLR; of the learning rate, not of the momentum)
 *   warm-up       in steps 0 ... warmup - 1, before any but one cycle: base times a factor that
 *                 rises linearly from warmup_from, and would be 1 at step warmup
 *                 (LinearLR, and SequentialLR with the milestone warmup) */

typedef enum RtScheduleKind {
    RT_SCHEDULE_CONSTANT,
    RT_SCHEDULE_STEP,
    RT_SCHEDULE_EXPONENTIAL,
    RT_SCHEDULE_COSINE,
    RT_SCHEDULE_ONE_CYCLE
} RtScheduleKind;

typedef struct RtSchedule {
    RtScheduleKind kind;
    double base;        /* the rate; of one cycle, its peak */
    uint64_t period;    /* step, cosine, one cycle: at least 1 */
    double factor;      /* step 0.1; exponential 1: set it */
    double last;        /* cosine: 0 */
    double rise;        /* one cycle: 0.3, a share of the period */
    double start_divisor, end_divisor; /* one cycle: 25 and 10,000 */
    uint64_t warmup;    /* steps: 0 */
    double warmup_from; /* 1/3 */
} RtSchedule;

/* The defaults of a kind; a period that it does not have is ignored. */
RtSchedule rt_schedule(RtScheduleKind kind, double base, uint64_t period);

RtStatus rt_schedule_check(const RtSchedule *schedule, char *error, size_t error_size);

/* The rate at a step, of a schedule that rt_schedule_check accepts. The same bits everywhere. */
double rt_schedule_at(const RtSchedule *schedule, uint64_t step);

/* Lowers the rate where a figure does not get better (PyTorch's ReduceLROnPlateau). Plain data: a
 * checkpoint has to keep best, bad, cooling and the rate. NaN is not better. */
typedef struct RtPlateau {
    bool maximise, absolute; /* better means larger; the threshold is no share of the best */
    double factor;           /* 0.1 */
    double threshold;        /* 1e-4: what counts as better */
    double least, epsilon;   /* 0: the lowest rate; 1e-8: the smallest change of it */
    uint64_t patience;       /* 10: values without a better one that are let pass */
    uint64_t cooldown;       /* 0: values after a change during which none is counted */
    double best;
    uint64_t bad, cooling;
} RtPlateau;

RtPlateau rt_plateau(bool maximise);

/* Takes the next value of the figure; true where *rate was lowered. */
bool rt_plateau_update(RtPlateau *plateau, double value, double *rate);

/* Early stopping. Plain data, for checkpoints. The caller keeps the best parameters. */
typedef struct RtStopping {
    bool maximise;
    double least;      /* 0: better means by more than this */
    uint64_t patience; /* stop at so many values in a row that are not better; 0 is as 1 */
    double best;       /* infinite before the first value that is a number */
    uint64_t bad, rounds, best_round; /* rounds from 1 */
} RtStopping;

typedef enum RtVerdict { RT_VERDICT_BETTER, RT_VERDICT_WAIT, RT_VERDICT_STOP } RtVerdict;

RtStopping rt_stopping(bool maximise, uint64_t patience);

/* Takes the figure of the next round. NaN is not better. */
RtVerdict rt_stopping_update(RtStopping *stopping, double value);

/* ---- Checkpoints --------------------------------------------------------------------------
 *
 * One .safetensors file with all that a run needs to go on as if it had not stopped, bit for bit:
 *
 *   NAME                    parameters, each tensor under its name
 *   optimiser/SLOT/NAME     moments, by the names of the slots
 *   optimiser/SETTING       settings of RtOptimiser, float64 or bool without dims
 *   array/NAME              the caller's: counters, seeds, best values, states, ...
 *   metadata                format: "rnnc checkpoint 1", optimiser: its name, or "none"
 *
 * A draw of the runtime has no state, so a seed and the number of the step are all there is to
 * keep of random numbers. */

/* A tensor of the flat array, as the table of generated code has it. */
typedef struct RtPlace {
    const char *name;
    size_t offset; /* in numbers */
    int rank;
    const int64_t *shape;
} RtPlace;

/* One array of the caller's. A counter is one of count 1; a uint64_t is an RT_I64 with the same
 * bits. */
typedef struct RtArray {
    const char *name;
    RtDtype dtype;
    size_t count;
    void *data;
} RtArray;

/* What is written, and where it is read to; nothing is owned. Names are distinct. Numbers that no
 * place covers are not in the file and are left as they are. */
typedef struct RtCheckpoint {
    RtDtype dtype; /* of params and state: RT_F32 or RT_F64 */
    size_t n;
    const RtPlace *places;
    size_t place_count;
    void *params;           /* n numbers */
    RtOptimiser *optimiser; /* NULL: none */
    void *state;            /* rt_optimiser_bytes */
    const RtArray *arrays;
    size_t array_count;
} RtCheckpoint;

/* Writes as rt_file_write does: the old file or the new one is there, never a part. */
RtStatus rt_checkpoint_write(const char *path, const RtCheckpoint *checkpoint, char *error,
                             size_t error_size);

/* Reads into the memory that the checkpoint names. The file must hold exactly what
 * rt_checkpoint_write would write, for an optimiser of this kind with these slots, whose settings
 * become the file's; else RT_ERR_FORMAT, and nothing is changed. */
RtStatus rt_checkpoint_read(const char *path, const RtCheckpoint *checkpoint, char *error,
                            size_t error_size);

/* The two halves of them, for who wants to look at a file before (the optimiser's name, say). The
 * set is the caller's to free; `file` is for messages. */
RtStatus rt_checkpoint_to_set(const RtCheckpoint *checkpoint, RtTensorSet *set, char *error,
                              size_t error_size);
RtStatus rt_checkpoint_from_set(const RtTensorSet *set, const char *file,
                                const RtCheckpoint *checkpoint, char *error, size_t error_size);

/* ---- Batches ------------------------------------------------------------------------------
 *
 * All of these are functions of their arguments: whoever resumes asks again. */

/* A permutation of 0 ... n - 1, drawn anew for each name and round (an epoch, below 2^63). From
 * 0, 1, ..., n - 1: for i = n - 1 down to 1, the numbers at i and at (w0 * 2^32 + w1) mod (i + 1)
 * change places, w being the draw (seed, rt_hash_name(name), batch 0, position round, element i). */
void rt_permutation(uint64_t seed, const char *name, uint64_t round, size_t n, int64_t *order);

/* How many of n items a share is, to be split off for validation: the nearest number, but at least
 * one and not all where there are two items and the share is above 0. */
size_t rt_split_count(size_t n, double share);

/* The number of batches of `size` items, the last of which may be smaller, or is left out. */
size_t rt_batch_count(size_t items, size_t size, bool drop_last);

/* The items of a batch, from 0 on, as places in a permutation; empty behind the last. */
RtRange rt_batch_at(size_t items, size_t size, size_t batch);

/* A long text as `batch` streams of (tokens - 1) / batch tokens one behind the other, each read in
 * windows of `steps` tokens, the last of which may be shorter: the inputs are the tokens of the
 * range, the targets those one behind them. The state of a sequence at the end of a window is that
 * at the beginning of the next: truncated backpropagation through time. */
size_t rt_text_windows(size_t tokens, size_t batch, size_t steps);
RtRange rt_text_window(size_t tokens, size_t batch, size_t steps, size_t window, size_t sequence);

/* ---- Threads ------------------------------------------------------------------------------
 *
 * Code that `rnnc --threads=N` emits takes a pool and runs its regions on it. The caller is
 * thread 0; the others spin for a fifth of a millisecond when there is nothing to do, and then
 * sleep, so an idle pool costs nothing, but the next region has to wake them (some 70 microseconds).
 * NULL is a pool of one thread: the caller.
 *
 * A pool belongs to one caller at a time: neither two calls at once, nor a call from inside of a
 * region. Threads made here block no signal that the caller does not. */

enum { RT_MOST_THREADS = 1024 };

/* Called `struct rnn_rt_pool` where headers of emitted code speak of it. */
typedef struct rnn_rt_pool RtPool;

/* The caller owns *pool. `threads` counts the caller; 0: as many as processors are there for this
 * process. `cores` ([threads], not with 0; or NULL) says on which processor each runs: the caller,
 * until the pool's end, on cores[0]. On failure *pool is NULL, and no thread is left. */
RtStatus rnn_rt_pool_create(RtPool **pool, int threads, const int *cores, char *error,
                            size_t error_size);

/* Ends the threads, none of which may be in a region; NULL does nothing. */
void rnn_rt_pool_destroy(RtPool *pool);

int rnn_rt_pool_threads(const RtPool *pool);

/* Calls function(context, thread, threads) once on every thread, and returns when all have. What
 * was written before is seen by all of them, and what they wrote is seen behind it. */
typedef void RtPoolFunction(void *context, int64_t thread, int64_t threads);
void rnn_rt_pool_run(RtPool *pool, RtPoolFunction *function, void *context);

/* Those who do a piece of work sooner: the pool, or NULL, one thread. `ns` is what one thread takes
 * for it, about, `barriers` how often all would meet meanwhile. What a barrier costs is measured
 * again and again, since it changes with where the threads run and what else does; threads that
 * sleep are woken where the work is worth it, or as much was done without them. */
RtPool *rnn_rt_pool_for(RtPool *pool, int64_t ns, int64_t barriers);

/* From inside of a region, by each of its threads with its own number, all as often: returns when
 * all have come. What any wrote before is seen by all behind it. */
void rnn_rt_pool_barrier(RtPool *pool, int64_t thread);

/* The time of one barrier in nanoseconds, measured (a median; at most some tens of milliseconds),
 * for those who choose between one thread and more; 0 of one thread. */
double rnn_rt_pool_barrier_ns(RtPool *pool);

/* ---- Products of matrices -----------------------------------------------------------------
 *
 * Code that `rnnc --gemm=blas` emits calls these. They are in a library of their own,
 * librnn_rt_blas, made where a CBLAS was found, which whoever links it links, too (-lopenblas).
 * CBLAS chooses the order of each sum, so bits follow from its version and the processor. */

enum {
    RT_GEMM_ADD = 1,          /* to what c holds; else c is overwritten */
    RT_GEMM_MINUS = 2,        /* the product is subtracted, or negated */
    RT_GEMM_A_TRANSPOSED = 4, /* a lies as [depth][rows] */
    RT_GEMM_B_TRANSPOSED = 8  /* b lies as [columns][depth] */
};

/* c [rows][columns] = a [rows][depth] times b [depth][columns]. Matrices lie row by row, `stride`
 * elements from row to row; no stride is above 2^31-1, and c overlaps neither a nor b. Without rows
 * or columns nothing is done, without depth c becomes 0 or, with ADD, stays. OpenBLAS is kept to
 * one thread (openblas_set_num_threads, for the whole process): code for N threads gives each
 * thread of its pool rows of its own. */
void rnn_rt_sgemm(int flags, int64_t rows, int64_t columns, int64_t depth, const float *a,
                  int64_t a_stride, const float *b, int64_t b_stride, float *c, int64_t c_stride);
void rnn_rt_dgemm(int flags, int64_t rows, int64_t columns, int64_t depth, const double *a,
                  int64_t a_stride, const double *b, int64_t b_stride, double *c, int64_t c_stride);

#ifdef __cplusplus
}
#endif

#endif
