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

/* The graph as the transformation takes it (FORM_PRIMITIVE); NULL after an error. */
const Graph *gradient_normal(const Graph *graph, bool verify, Diags *diags);

/* The transformation, on the graph made ready for it; before the passes that follow. NULL after an
 * error. */
Graph *gradient_adjoint(const Graph *graph, const AdjointOptions *options, bool verify,
                        Diags *diags);

/* `graph`, in its arena, with the losses and their divisors as outputs behind its own. */
Graph *gradient_with_losses(const Graph *graph);

/* The transformation, and passes. False after an error. */
bool gradient_build(const Graph *graph, const AdjointOptions *options, bool verify,
                    Gradient *gradient, Diags *diags);

/* `call` is that of the forward graph; upstream [forward->outputs], laid out as the outputs, NULL
 * where there is none (those that the gradient was built for). Outputs of the result are those of
 * gradient->graph; its loss is that of the model. */
InterpResult *gradient_interpret(Arena *arena, const Gradient *gradient, const InterpCall *call,
                                 double *const *upstream);

#endif
