/* The command line, read once into plain data. */
#ifndef RNNC_OPTIONS_H
#define RNNC_OPTIONS_H

#include <stdbool.h>

#include "graph/graph.h"
#include "loop/force.h"
#include "loop/loop.h"
#include "sema/sema.h"
#include "targets.h"
#include "train_options.h"

#define RNNC_VERSION "0.1.0"

/* Exit statuses: a contract. */
typedef enum ExitStatus {
    EXIT_DONE = 0,
    EXIT_INPUT = 1,   /* the input is wrong or cannot be read */
    EXIT_USAGE = 2,   /* the command line is wrong */
    EXIT_OUTSIDE = 3, /* the surroundings fail: memory, space, C compiler */
    EXIT_DEFECT = 70  /* a defect of rnnc itself */
} ExitStatus;

typedef enum Command {
    COMMAND_COMPILE,
    COMMAND_CHECK,
    COMMAND_RUN,
    COMMAND_GRAD,
    COMMAND_TRAIN,
    COMMAND_VERIFY,
    COMMAND_BENCH,
    COMMAND_TUNE,
    COMMAND_FMT,
    COMMAND_HELP,
    COMMAND_VERSION,
    COMMAND_LIST_PASSES,
    COMMAND_LIST_TARGETS
} Command;

typedef enum Emit {
    EMIT_C,
    EMIT_MANIFEST,
    EMIT_AST,
    EMIT_GRAPH,
    EMIT_SCHEDULE,
    EMIT_LOOP,
    EMIT_DOT,
    EMIT_REMARKS,
    EMIT_OBJECT,
    EMIT_ASSEMBLY,
    EMIT_LLVM,
    EMIT_LIBRARY,
    EMIT_SHARED,
    EMIT_PKG_CONFIG,
    EMIT_CMAKE
} Emit;

/* DEFAULT: LLVM where it is built in, else C. */
typedef enum RunBackend { RUN_DEFAULT, RUN_INTERP, RUN_C, RUN_LLVM } RunBackend;
typedef enum ColorWish { COLOR_AUTO, COLOR_ALWAYS, COLOR_NEVER } ColorWish;

/* `NAME=VALUE` of --in, --out, --lengths, --out-lengths. */
typedef struct Named {
    const char *name, *value;
} Named;
typedef VEC(Named) NamedList;

typedef struct Options {
    Command command;
    const char *file; /* the .rnn file, "-": standard input */
    const char *out;  /* -o, or NULL */
    Emit emit;
    const char *model; /* NULL: the last of the file */
    VEC(SemaDefine) defines;
    Mode mode;
    LoopType real; /* F32 or F64 */
    const char *prefix;
    TargetWish target;
    int level;            /* of optimisation, 0 to 3 */
    bool optional_passes; /* false with -O0 */
    bool init;            /* with the function that draws the parameters: all but some tests */
    VEC(const char *) passes, disabled;
    bool passes_given;
    const char *print_after; /* a pass, "all", or NULL */
    bool places;             /* -g */
    bool verify_each, time_passes, remarks, verbose;
    ColorWish color;
    bool depend;             /* -MD */
    const char *depend_file; /* -MF */

    /* run, grad */
    RunBackend backend;
    const char *weights, *state_in, *state_out, *loss;
    NamedList in, out_tensors, lengths, out_lengths;
    const char *grads, *in_grads; /* grad */
    NamedList upstream;
    bool batch_first, reduce_sum;
    bool training;      /* the functions of training, too */
    int threads;        /* 1, or more: emitted functions take a pool */
    Force force;        /* --tile, --layout, --unroll-time, what --threads splits */
    bool tuned[2];      /* whether `tune` looks at inference, at training */
    const char *tuning; /* a file of `rnnc tune`, or NULL */
    int chains;         /* of --tile; 0: as the shape says */
    bool blas;          /* --gemm=blas: large products over all positions by CBLAS */
    bool eager;         /* threads wherever there can be some, however little they do: for tests */
    int64_t memory_budget; /* bytes of workspace of a gradient; 0: none */
    uint64_t seed;

    TrainOptions train;
} Options;

/* Reads the command line. NULL with a message in *why when it is wrong (exit 2). */
const Options *options_parse(Arena *arena, int argc, char **argv, const char **why);

/* What --help prints, one text after the other; NULL-terminated. */
extern const char *const options_help[];

#endif
