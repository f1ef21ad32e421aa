/* Gradients by the interpreter: the graph of the gradient of a model, and one evaluation of it. */
#ifndef RNNC_GRADIENT_H
#define RNNC_GRADIENT_H

#include "adjoint/adjoint.h"
#include "graph/interpret.h"

typedef struct Gradient {
    const Graph *forward; /* as written */
    Graph *graph;         /* of the gradient, after the passes; inputs beyond those of `forward` are
                             d_y */
} Gradient;

/* Passes, the transformation, passes again. False after an error. */
bool gradient_build(const Graph *graph, const AdjointOptions *options, bool verify,
                    Gradient *gradient, Diags *diags);

/* `call` is that of the forward graph; upstream [forward->outputs], laid out as the outputs, NULL
 * where there is none (those that the gradient was built for). Outputs of the result are those of
 * gradient->graph; its loss is that of the model. */
InterpResult *gradient_interpret(Arena *arena, const Gradient *gradient, const InterpCall *call,
                                 double *const *upstream);

#endif
