/* Random programs through every column: the interpreter within its bound, the Loop evaluator, and
 * compiled code, which must give the evaluator's bits. A column is a row of a table, so that other
 * backends join as rows. */
#ifndef RNNC_TEST_RANDOM_CHECK_H
#define RNNC_TEST_RANDOM_CHECK_H

#include "../numeric/numeric.h"
#include "generate.h"

/* What compiled columns have in common: bits are equal within a group. */
typedef struct Group {
    const char *name;
    const Target *target;
    LoopType real;
    int sets;  /* data sets that are compared with the interpreter */
    int every; /* of how many programs one is built for it in `make check` */
} Group;

typedef struct Column {
    const char *name;
    int group;
    Compiler compiler;
    int every; /* of how many programs it gets one in `make check` */
    int most;  /* statements of one that it gets there; 0: any */
} Column;

enum { GROUPS = 4, COLUMNS = 13, SETS = 4, FIRINGS = 16 };

extern const Group groups[GROUPS];
extern const Column columns[COLUMNS];

typedef enum FaultKind {
    FAULT_NONE,
    FAULT_REFUSED,     /* a valid program is refused, or E-LOWER without a place */
    FAULT_INTERNAL,    /* a verifier's words */
    FAULT_INTERPRETER, /* the evaluator is beyond the bound */
    FAULT_PADDING,     /* what lies behind the ends is not zero, or is looked at */
    FAULT_STEP,        /* steps give other bits than forward */
    FAULT_BITS,        /* a column gives other bits than the evaluator */
    FAULT_COMPILER,    /* a C compiler refuses */
    FAULT_CRASH
} FaultKind;

/* Plain data: it goes from one process to another. */
typedef struct Fault {
    FaultKind kind;
    uint64_t seed;
    int column; /* FAULT_BITS, FAULT_COMPILER; else -1 */
    char words[1000];
} Fault;

typedef struct Tally {
    int trained, gradients, fragile_gradients; /* programs, calls */
    int programs, refused, sets, redrawn, dropped, stepped, run[COLUMNS], missing[COLUMNS];
    int counted, fired[FIRINGS], policies[POLICY_COUNT];
    int fault_count;
    Fault faults[8];
    double used; /* the largest share of a bound of the interpreter */
} Tally;

typedef struct CheckOptions {
    bool all;           /* every column gets every program */
    unsigned only;      /* columns, bits; 0: all of them */
    bool no_columns;    /* none at all */
    bool count_firings; /* which passes and choices change the program */
} CheckOptions;

/* Checks programs [first, first + count) as one batch. */
void check_batch(Arena *arena, uint64_t first, int count, const ProgramOptions *generate,
                 const CheckOptions *options, Tally *tally);

/* Checks one program as it is, with the data of `seed`. */
void check_program(Arena *arena, const RandomProgram *program, uint64_t seed,
                   const CheckOptions *options, Tally *tally);

const char *fault_name(FaultKind kind);

/* ---- which passes and choices change a program (firing.c) ---- */

int firing_count(void);
const char *firing_name(int i);
void count_firings(Arena *arena, const Built *built, Tally *tally);

/* ---- smaller programs with the same fault (shrink.c) ---- */

/* Prints steps to standard error. `fault`: what check_program says of the program. */
RandomProgram shrink(Arena *arena, RandomProgram program, const Fault *fault, int seconds);

/* Runs check_program in a process of its own, which may crash or hang. */
bool check_apart(const RandomProgram *program, uint64_t seed, const CheckOptions *options,
                 Tally *tally);

#endif
