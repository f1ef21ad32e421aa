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
    int kinks;    /* where differences of two step sizes disagree more than they may */
    double worst; /* largest |a - n| / max(|a|, |n|, G/1000) */
} DifferenceTensor;

typedef enum DifferenceResult {
    DIFFERENCES_SAME,
    DIFFERENCES_WRONG,   /* `words` names tensor, element and both numbers */
    DIFFERENCES_REFUSED, /* the interpreter refuses this call, or it gives NaN: `words` says */
    DIFFERENCES_NONE     /* there is no finite output and no loss to start from */
} DifferenceResult;

typedef struct Differences {
    DifferenceResult result;
    const char *words;
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

#endif
