/* Gradients of one model against central differences of fourth order, both by the interpreter in
 * double precision: of `rnnc verify` and of the tests. */
#ifndef RNNC_DIFFERENCES_H
#define RNNC_DIFFERENCES_H

#include "gradient.h"

/* What was compared of one parameter or input. */
typedef struct DifferenceTensor {
    const char *name;
    bool input;
    int64_t elements;
    int checked;  /* of them, elements at kinks left out */
    int kinks;    /* where differences of two step sizes disagree more than they may, or rounding
                     alone, by the interpreter's bounds, is more than what is off */
    double worst; /* largest |a - n| / max(|a|, |n|, G/1000) */
} DifferenceTensor;

typedef enum DifferenceResult {
    DIFFERENCES_SAME,
    DIFFERENCES_WRONG,   /* `words` names tensor, element and both numbers */
    DIFFERENCES_REFUSED, /* the interpreter refuses this call, or the loss is NaN: `words` says */
    DIFFERENCES_NONE     /* there is no finite output and no loss to start from */
} DifferenceResult;

typedef struct Differences {
    DifferenceResult result;
    const char *words;
    bool undefined; /* an output is NaN somewhere: gradients that are NaN then count as kinks */
    VEC(DifferenceTensor) tensors;
    int checked, kinks;
} Differences;

/* Which gradients to build for a check: from the losses and all outputs, of all parameters and of
 * the inputs that `call` gives. */
AdjointOptions differences_options(Arena *arena, const Graph *graph, const InterpCall *call);

/* Compares `gradient`, built so, at `call`; at most `most` elements of each tensor, drawn by `seed`
 * as the upstream gradients are. |a - n| may be 1e-6 max(|a|, |n|, G/1000), where G is the largest
 * gradient of the tensor and not below 1e-6 of the model's largest. */
Differences differences_check(Arena *arena, const Gradient *gradient, const InterpCall *call,
                              int most, uint64_t seed);

/* The same of gradients that another program computes: `source` gives what gradient_interpret does,
 * outputs alone. */
typedef InterpResult *GradientSource(void *user, Arena *arena, const Gradient *gradient,
                                     const InterpCall *call, double *const *upstream);
Differences differences_check_by(Arena *arena, const Gradient *gradient, const InterpCall *call,
                                 int most, uint64_t seed, GradientSource *source, void *user);

/* ---- differences_still.c ---- */

/* The graph whose divided losses are outputs, each before its divisor, and no losses any more: the
 * loss of the batch is their sums, times the reciprocal of the divisors' at one point. */
const Graph *differences_undivided(Arena *arena, const Graph *forward);

/* The graph in which what is detached keeps the value that it has at `call`: as further inputs,
 * which are added to call->inputs. NULL: refused, *why says it. */
const Graph *differences_detached(Arena *arena, const Graph *graph, InterpCall *call,
                                  const char **why);

#endif
