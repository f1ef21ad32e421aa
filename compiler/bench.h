/* `rnnc bench`: how long the functions of a model take on this machine, which loop takes it, and
 * what share of the machine's limits that is. Private to bench*.c and tune.c but for the first. */
#ifndef RNNC_BENCH_H
#define RNNC_BENCH_H

#include "pipeline.h"
#include "run_compiled.h"

/* Appends tables to `out`. Another status than EXIT_DONE: c->diags or c->log says why. */
ExitStatus bench_model(Compilation *c, Text *out);

/* ---- bench_call.c: the functions of a compiled model, called with random inputs ---- */

typedef struct BenchSizes {
    int64_t batch, steps;
} BenchSizes;

/* What --batch and --lengths ask for; false: c->diags says what is wrong. */
bool bench_choose_sizes(Compilation *c, BenchSizes *to);
/* Inputs, parameters and upstream gradients of these sizes, in c->arena; the same for one seed. */
bool bench_draw(Compilation *c, const BenchSizes *sizes, RunData *data);
/* Arrays for all functions of a mode; a step reads and writes the first rows of the sequences. */
bool bench_lay_out(Compilation *c, Compiled *r, RunData *data, ExitStatus *status);

/* A function with what it is called with, so often that the clock can tell. */
typedef struct BenchClock {
    int64_t (*call)(void *const *args);
    void **args;
    int turns;
    double *to;
} BenchClock;

/* Function `symbol` of the interface with the arguments of function `args`; it is called once. */
bool bench_clock_new(Compiled *r, int symbol, int args, double *to, BenchClock *at);
double bench_clock(const BenchClock *what); /* ns a call */
const char *bench_time_text(Arena *arena, double ns);

/* ---- bench_count.c: what statements do, counted without doing it ---- */

/* Memory behind one buffer: the bytes that are touched, and those that must come from where they
 * lie: again for each turn of the outermost loop that does not choose among them. */
typedef struct BenchMemory {
    const LBuffer *buffer;
    double touched, traffic;
} BenchMemory;

typedef struct BenchCount {
    double flops; /* fma 2, other arithmetic on floats 1, each lane */
    bool guessed; /* a length or a condition is known only when it runs */
    VEC(BenchMemory) memory;
} BenchCount;

/* What a counting knows from one statement to the next: integers that were computed. */
typedef struct BenchCounter BenchCounter;

/* `scalars`: by argument of the function, what it is called with; of a pointer whether there is
 * one. All must outlive it. `usual`: turns of a loop whose end only running tells. */
BenchCounter *bench_counter_new(Arena *arena, const LoopModule *module, const LFunction *function,
                                const int64_t *scalars, int64_t usual);
/* The next statement of the function's body. */
void bench_count(BenchCounter *counter, const LStmt *statement, BenchCount *to);

/* ---- bench_machine.c: the limits of the machine, by loops of the same backend ---- */

/* Where the probes stand in interface->functions. */
typedef struct BenchProbes {
    int peak, read;
} BenchProbes;

enum { BENCH_SIZES = 7 };
typedef struct BenchMachine {
    double flops;              /* a ns */
    double bytes[BENCH_SIZES]; /* a ns, of working sets of 16 KB, 64 KB, … 64 MB */
} BenchMachine;

/* Adds the probes to a module before it is compiled. */
BenchProbes bench_probes_add(Interface *in);
/* Calls them; `symbols` are what compiled_symbol gave. False: there is no memory for it. */
bool bench_machine_measure(const Interface *in, void *peak, void *read, BenchMachine *to);
/* Bytes a ns of a working set of this size. */
double bench_machine_bytes(const BenchMachine *machine, double size);
double bench_size(int place); /* bytes of BenchMachine.bytes[place] */

#endif
