/* What the numeric tests share: a model of a file, compiled for one target; random data for it; and
 * its functions called through the interpreter, the Loop evaluator or compiled C, all with the same
 * arguments, so that results can be compared. Everything lives in the arena of the test. */
#ifndef RNNC_TEST_NUMERIC_H
#define RNNC_TEST_NUMERIC_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "gradient.h"
#include "loop/evaluate.h"
#include "pipeline.h"

/* ---- Models (model.c) ---- */

typedef struct Define {
    const char *name;
    double value;
} Define;

typedef struct Spec {
    const char *file, *model;
    Mode mode;
    LoopType real;
    Target target;
    const char *prefix; /* NULL: the model's name */
    const Define *defines;
    int define_count;
    bool training;   /* with the functions of training */
    bool reduce_sum; /* the loss is the sum over the batch */
    int threads;     /* 0: $NUMERIC_THREADS, or one */
    bool blas;       /* products over all positions by a library, however small */
    bool forced; /* perhaps other tiles, layouts … than the rules give: by the model's name and the
                    target; decides no bit */
    int chains;  /* over k at batch 1, which do; 0: as the rules say */
    bool init;   /* with the function that draws the parameters */
    bool verify; /* every pass interpreted before and after, every text read back */
} Spec;

/* Targets of the tests: generic, and 4, 8, 16 lanes with fma. */
extern const Target target_generic, target_4, target_8, target_16, target_arm, target_v2;

typedef enum Buildable {
    BUILT,
    NOT_LOWERED, /* E-LOWER, or with the functions of training E-GRAD, located */
    NOT_CHECKED, /* the model has sizes that only its user gives */
    BROKEN       /* anything else: a defect; `words` says what */
} Buildable;

typedef struct Built {
    Buildable result;
    const char *words; /* diagnostics */
    Compilation *c;
    const Graph *graph; /* as written, for the interpreter */
    const Interface *in;
    LoopProgram *program;
    const Gradient
        *gradient; /* with `training`, for the interpreter: of all that `in->grad` gives */
} Built;

Built *model_build(Arena *arena, const Spec *spec);

/* How long its code is, in statements of the Loop IR: a line of C each. */
int model_statements(const Built *built);

/* Sizes of a file that are large, as defines that make them small: arithmetic is the same, and the
 * evaluator slow. Returns how many. */
int model_small_sizes(Arena *arena, const char *file, Define *defines, int most);

/* The names of the models of a file; returns how many. */
int model_names(Arena *arena, const char *file, const char **names, int most);

/* ---- Data (data.c) ---- */

typedef struct Data {
    const Graph *graph;
    int64_t batch;
    int64_t *extent;   /* by axis: positions of the arrays */
    int64_t **lengths; /* [axis][batch]; NULL for fixed and slow axes */
    double **inputs;   /* [graph->inputs]: [positions…, batch, shape…]; NULL: left out */
    double **params;
    /* Of `data_trained`: */
    double **upstream; /* [graph->outputs], laid out as these; NULL: there is none */
    double **d_params; /* [graph->params]: what gradients are added to */
    double **d_inputs; /* [graph->inputs]; NULL: not wanted */
} Data;

/* Random inputs and parameters. `steps`: the extent of every axis that has none of its own; lengths
 * of sequence b are those of `lengths[b % count]`, at most the extent; count 0: all whole. */
Data *data_new(Arena *arena, const Graph *graph, int64_t batch, int64_t steps,
               const int64_t *lengths, int count, uint64_t seed);

/* The same with random upstream gradients of all outputs but those whose bit is set in `without`,
 * and random numbers in the arrays that gradients are added to. */
Data *data_trained(Arena *arena, const Data *data, unsigned without, uint64_t seed);

/* Sequences [first, first + count), positions of `extent` (NULL: those of data) from `from` on the
 * axis `axis` (-1: none). */
Data *data_part(Arena *arena, const Data *data, int64_t first, int64_t count, int axis,
                int64_t from, int64_t steps);

/* The same, with NaN and integers out of range wherever a sequence has ended. */
Data *data_poisoned(Arena *arena, const Data *data);

/* Elements of a port at these extents. */
int64_t port_count(const Data *data, const GraphPort *port);

/* ---- Runs (call.c, runs.c, interpreted.c) ---- */

typedef struct Outcome {
    int64_t status;    /* LoopStatus; the interpreter's as the nearest of them */
    const char *error; /* a defect: an index out of bounds, a guard that was written … ; NULL */
    double **outputs;  /* [graph->outputs], widened, [extent…, batch, shape…] */
    int64_t **lengths; /* [axis][batch] as found; NULL where the axis is not generated */
    double **states;   /* [in->states], by export_state, or NULL */
    /* Of the functions of training; NULL, or NULL entries: not wanted. */
    const double *loss;
    double **grads;    /* [graph->params]: what the array holds after the call */
    double **in_grads; /* [graph->inputs] */
    /* Of the interpreter, with a roundoff: laid out as outputs. */
    double **bounds;
    double loss_bound, **grad_bounds, **in_grad_bounds;
    const char *fragile; /* why compiled code may go another way; NULL: it may not */
    int64_t calls;       /* steps, with those behind the end */
    int64_t **at; /* steps: [axis][calls, batch], what a step told; NULL where it tells nothing */
} Outcome;

/* Of all calls that draw, with both of its words in use. */
#define CALL_SEED INT64_C(0x5EED0123456789AB)

typedef struct Engine Engine;
struct Engine {
    const char *name;
    /* Calls function `index` of the interface. False with a message on a defect. */
    bool (*call)(Engine *engine, Arena *arena, const Built *built, int index, const LoopValue *args,
                 int count, int64_t *result, const char **error);
    void (*close)(Engine *engine); /* NULL: nothing is to be closed */
    void *handle;
};

void engine_close(Engine *engine);

extern Engine evaluator;

/* How a call is spoilt, to see it refused; and what is in the memory that it gets. */
typedef struct CallOptions {
    int fill;             /* byte that fills workspace and outputs before the call */
    bool lengths_missing; /* NULL for all lengths */
    int64_t work_less;    /* bytes that the workspace is too small */
    int64_t work_shift;   /* bytes that it is misaligned */
    int null_arg;         /* 1 + argument that is NULL */
    bool no_outputs;      /* NULL for all outputs */
    bool no_loss, no_params, no_in_grads;
    const double *const *states; /* what import_state gets before forward; NULL: reset */
    bool with_state; /* forward of a model that carries gets a state, which is exported after the
                        call */
} CallOptions;

Outcome *run_interpreter(Arena *arena, const Built *built, const Data *data, bool single);
/* In double, with the bounds of code in precision `real`. */
Outcome *run_bounded(Arena *arena, const Built *built, const Data *data, LoopType real);
/* Losses, outputs and gradients of a model that was built with `training`; `states`: as those of
 * CallOptions. */
Outcome *run_gradient_bounded(Arena *arena, const Built *built, const Data *data, LoopType real,
                              const double *const *states);
Outcome *run_forward(Engine *engine, Arena *arena, const Built *built, const Data *data,
                     const CallOptions *options);

Outcome *run_loss(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const CallOptions *options);
Outcome *run_gradient(Engine *engine, Arena *arena, const Built *built, const Data *data,
                      const CallOptions *options);

/* All positions of the one axis by `step`, with a row for each step of every output, [steps, batch,
 * shape…]: outputs without time are those of the sequences so far. Sequences [reset_first, +
 * reset_count) are reset before step `reset_at`; 0: none is. */
typedef struct StepOptions {
    int fill;
    int64_t reset_at, reset_first, reset_count;
    int64_t move_at; /* the state is exported before this step, and goes on from plain arrays; 0 */
} StepOptions;

Outcome *run_rows(Engine *engine, Arena *arena, const Built *built, const Data *data,
                  const StepOptions *how);

/* The same, as forward gives it, with the steps behind the end that a latency needs; without one
 * the sequences must be of equal length. */
Outcome *run_steps(Engine *engine, Arena *arena, const Built *built, const Data *data,
                   const StepOptions *how);

/* ---- Comparisons (compare.c) ---- */

/* NULL, or what differs, in words. Exact: bits, any NaN equals any NaN. `tolerance`: |a - b| <=
 * tolerance * max(1, |b|). */
const char *compare_exact(Arena *arena, const Data *data, const Outcome *a, const Outcome *b);
const char *compare_near(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                         double tolerance);

/* The same, within the bounds of `b`; what is fragile only has to run. `used` is raised to the
 * largest share of a bound that was used. */
const char *compare_bound(Arena *arena, const Data *data, const Outcome *a, const Outcome *b,
                          double *used);

/* Outputs beyond the lengths are zero, and gradients of inputs hold there what they held. */
const char *compare_padding(Arena *arena, const Data *data, const Outcome *a);

/* The sequences [first, …) of `whole` are those of `part`: exactly, or, with `bounded`, which is
 * the interpreter's of the whole, each within its bounds. */
const char *compare_part(Arena *arena, const Data *whole_data, const Outcome *whole,
                         const Data *part_data, const Outcome *part, int64_t first, int axis,
                         int64_t from, const Outcome *bounded);

/* ---- Compiled code (compiled.c, machine.c) ---- */

/* A C compiler; `llvm`, whose flag is -O0 to -O3; or `aarch64 llvm` or `aarch64 gcc` for code that
 * runs under an emulator. */
typedef struct Compiler {
    const char *program;
    const char *const *flags; /* NULL-terminated */
} Compiler;

/* Compiles the models of one target into one shared object. NULL when the program is not installed
 * (*missing), or with what it said in *error. */
Engine *compiled_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                        bool *missing, const char **error);

/* Appends C that calls the functions by arrays of pointers: `PREFIX_call_N`. */
void compiled_calls(const Interface *in, Text *out);

/* Calls one of them, with a pool of as many threads as its argument says. */
int64_t compiled_invoke(Arena *arena, const LFunction *function, void *symbol,
                        const LoopValue *args);

/* The same under an emulator. */
Engine *remote_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                      bool *missing, const char **error);

/* The same by backends/llvm in memory, for compiled_engine. */
Engine *machine_engine(Arena *arena, const Compiler *compiler, Built *const *models, int count,
                       bool *missing, const char **error);

/* ---- A test: an arena, and failures collected ---- */

typedef struct Test {
    jmp_buf oom;
    Arena *arena;
    int failures, checks;
} Test;

#define TEST_OPEN(test)                                                                            \
    do {                                                                                           \
        (test)->failures = (test)->checks = 0;                                                     \
        if (setjmp((test)->oom)) fail_msg("out of memory");                                        \
        (test)->arena = arena_new(&(test)->oom);                                                   \
        assert_non_null((test)->arena);                                                            \
    } while (0)

/* Prints a failure and counts it; a NULL message counts a check that passed. True when it passed.
 */
bool test_expect(Test *test, const char *what, const char *message);

/* Frees the arena and fails when something failed. */
void test_close(Test *test);

#endif
