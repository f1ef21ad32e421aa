/* The whole compiler, from a file to code: pipeline.c decides the order of everything. */
#ifndef RNNC_PIPELINE_H
#define RNNC_PIPELINE_H

#include "backends/machine.h"
#include "loop/force.h"
#include "loop/interface.h"
#include "options.h"
#include "passes/passes.h"
#include "schedule/schedule.h"
#include "targets.h"

/* How functions are made where not by the rules. */
typedef struct Made {
    Force force;
    Choices choices;
} Made;

/* How far to go. */
typedef enum Stage {
    STAGE_TREE,     /* ast */
    STAGE_GRAPH,    /* graph: the equations as they are written */
    STAGE_NORMAL,   /* normal: after the passes */
    STAGE_SCHEDULE, /* schedule */
    STAGE_LOOP      /* interface_ and its module, ready for backends */
} Stage;

/* One compilation; what a stage made stays for later ones. */
typedef struct Compilation {
    Arena *arena;
    Names *names;
    Diags *diags;
    const Options *options;
    TargetChoice target; /* with several processors, the weakest */
    TargetChoice targets[TARGET_MOST];
    int target_count; /* 0: `target` alone */
    SemaLoad read;    /* where source files come from: input_source unless a test says otherwise */
    void *read_user;
    const char *prefix;      /* of symbols; NULL: the model's name */
    VEC(const char *) files; /* sources that were read, in order */
    Ast *ast;
    Program *program;
    const char *model;
    Graph *graph, *normal;
    struct VerifyEach *verify; /* with --verify-each */
    PassOptions passes;        /* as the options ask for */
    Made made[2];     /* forward and step, then loss and grad: as options and a tuning ask */
    Made tried;       /* beside these, what `rnnc tune` tries */
    Remarks *remarks; /* of schedules and lowering, with -R; NULL: nobody asked */
    Schedule *schedule;
    Schedule *loss, *grad; /* of the functions of training, with options->training; NULL: none */
    struct LowerChunks *chunks; /* with a memory budget, of the gradient */
    Interface *interface_;      /* with several processors, as callers see it */
    MachineVersion versions[TARGET_MOST];
    struct rnn_rt_pool *pool; /* of run and the like, with --threads above 1; NULL: one thread */
    MachineSymbol blas[2];    /* of the same, with --gemm=blas: products of f32 and f64 */
    double stage_since;       /* when the stage of backends/llvm at hand began */
    Text log;                 /* for standard error: --print-after, --time-passes, -v */
} Compilation;

/* An empty compilation; `diags`, `log` and all results live in `arena`. */
Compilation *compilation_new(Arena *arena, const Options *options);

/* Compiles the file up to and with stage `last`. False when it is not sound; diags says why. */
bool compilation_run(Compilation *c, Stage last);

/* `rnnc check`: every model of the file, in every mode. */
bool compilation_check(Compilation *c);

/* The processor in the words of backends/machine.h; with `calls`, code that `rnnc run` calls. */
MachineOptions compilation_machine(Compilation *c, bool calls);

/* With --time-passes, logs what the time since *since went into, and begins anew. */
void compilation_time(Compilation *c, const char *what, double *since);
double compilation_clock(void);

/* Appends the code of a backend; `header_name` is what it includes. */
bool compilation_emit(Compilation *c, const char *backend, const char *header_name, Text *out);
bool compilation_header(Compilation *c, const char *header_name, Text *out);

/* What became of the model, in words (remarks.c). */
void remarks_print(const Compilation *c, Text *out);

#endif
