/* Random programs: source text of valid models, drawn from a seed. The operations, their arity and
 * the ranges of operands that keep results finite come from graph/ops.def; what provokes passes and
 * machinery is a table of policies (policies.def). The same seed and options give the same text. */
#ifndef RNNC_TEST_RANDOM_GENERATE_H
#define RNNC_TEST_RANDOM_GENERATE_H

#include <stdbool.h>
#include <stdint.h>

#include "support/arena.h"

typedef enum Policy {
#define POLICY(name, weight, refused, about) POLICY_##name,
#include "policies.def"
#undef POLICY
    POLICY_COUNT
} Policy;

/* Zeroed: everything may occur. */
typedef struct ProgramOptions {
    uint64_t only;  /* policies that may be drawn, bits 1 << Policy; 0: all */
    bool lowered;   /* none whose programs the compiler refuses by E-LOWER */
    bool past_only; /* no read ahead, so that the model has a step where the rest allows it */
    int most;       /* policies of one program; 0: 3 */
    bool small;     /* dimensions up to 3 */
} ProgramOptions;

typedef struct RandomProgram {
    const char *text;  /* the last model is the one to compile */
    const char *model; /* its name */
    uint64_t policies; /* that had a hand in it */
    int lag;           /* the largest offset that is read */
    int axes;          /* time axes that run over lengths of their own: keep the lengths small */
    bool may_refuse;   /* E-LOWER is an answer */
} RandomProgram;

RandomProgram program_generate(Arena *arena, uint64_t seed, const ProgramOptions *options);

const char *policy_name(Policy policy);

#endif
