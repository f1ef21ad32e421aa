/* The gradient of a Graph as another Graph: every edge a → b that is read at t+k becomes an edge
 * b̄ → ā read at t-k, so a recurrence forward becomes one backward, and all that follows (verifier,
 * passes, schedule, interpreter, backends) needs no notion of a gradient. Rules: section 14 of
 * docs/internals. */
#ifndef RNNC_ADJOINT_ADJOINT_H
#define RNNC_ADJOINT_ADJOINT_H

#include "graph/graph.h"

typedef struct AdjointOptions {
    bool losses;     /* start from the losses */
    bool reduce_sum; /* the loss is the sum over the batch, not the mean */
    const bool
        *upstream; /* [graph->outputs]: start from a gradient of this output, too; NULL: none */
    const bool *of_inputs; /* [graph->inputs]: gradients of these inputs; NULL: none */
    bool outputs;          /* those of `graph` stay, before the gradients */
    bool of_params;        /* of all parameters that are not frozen */
} AdjointOptions;

/* A graph, in the arena of `graph`, whose outputs are the gradients that were asked for: d_W of a
 * parameter, shared by all sequences, and d_x of an input, over its indices. It has the losses of
 * `graph`, and beside its inputs d_y, upstream, over the indices of output y, zeros where it is not
 * given, for those of `upstream`. A parameter or input that nothing depends on gets zeros. `graph`
 * has FORM_PRIMITIVE; what comes of it has not. NULL after an error: E-GRAD, at an operation that
 * has no gradient yet. */
Graph *adjoint_build(const Graph *graph, const AdjointOptions *options, Diags *diags);

#endif
