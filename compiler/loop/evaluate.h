/* The Loop evaluator: executes Loop IR one lane after the other, with the host's IEEE arithmetic and
 * fma; gives the bits that every backend must give. For tests: it checks every index against the
 * buffer's bounds, every alignment, and that nothing is read before it was written.
 * Threads of a region run in turn, each to its next barrier; that two of them touch an element between
 * two barriers, one of them writing, is an error. */
#ifndef RNNC_LOOP_EVALUATE_H
#define RNNC_LOOP_EVALUATE_H

#include "loop/loop.h"

typedef struct LoopValue {
    int64_t integer; /* scalar argument; of a pool, the number of threads */
    void *pointer;   /* pointer argument */
    size_t bytes;    /* behind the pointer: accesses are checked against it */
} LoopValue;

/* Calls a function by name with one value per argument. Returns false with a message in *error on a
 * defect of the program (index out of bounds, read of an unwritten local …); *result is its return value. */
bool loop_evaluate(Arena *arena, const LoopModule *module, const char *function, const LoopValue *args,
                   int arg_count, int64_t *result, const char **error);

/* The same in two steps, for many calls: verifies and translates the module once. NULL with a message on a
 * module that is not sound. A program runs one call at a time. */
typedef struct LoopProgram LoopProgram;
LoopProgram *loop_program_new(Arena *arena, const LoopModule *module, const char **error);

/* Each call of the program gives up with a message after `steps` turns of loops and calls, of the functions
 * that it calls together. A new program has no such limit. */
void loop_program_limit(LoopProgram *program, int64_t steps);

/* As loop_evaluate; only a message is allocated, in `arena`. */
bool loop_program_call(LoopProgram *program, Arena *arena, const char *function, const LoopValue *args,
                       int arg_count, int64_t *result, const char **error);

#endif
