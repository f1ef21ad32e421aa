/* Gradients by the interpreter. */
#include "gradient.h"

#include <string.h>

#include "passes/passes.h"

bool gradient_build(const Graph *graph, const AdjointOptions *options, bool verify,
                    Gradient *gradient, Diags *diags) {
    static const char *const before[] = {"simplify", "cse", "expand"};
    gradient->forward = graph;
    PassOptions passes = {.names = before, .name_count = 3, .verify_each = verify};
    const Graph *normal = passes_run(graph, &passes, diags);
    Graph *adjoint = normal ? adjoint_build(normal, options, diags) : NULL;
    if (!adjoint || !graph_verify(adjoint, "adjoint", diags)) return false;
    PassOptions after = {.verify_each = verify};
    gradient->graph = passes_run(adjoint, &after, diags);
    return gradient->graph != NULL;
}

/* Whether the lengths are those that the model admits. */
static bool lengths_fit(Arena *arena, const Graph *forward, const InterpCall *call) {
    bool *needed = ARENA_ARRAY(arena, forward->axes.count + 1, bool);
    passes_axes_needed(forward, needed);
    for (int a = 0; a < forward->axes.count; a++) {
        int base = a;
        while (forward->axes.at[base].kind == AXIS_SLOW) base = forward->axes.at[base].base;
        for (int64_t b = 0; needed[a] && call->lengths[base] && b < call->batch; b++)
            if (call->lengths[base][b] < 1) return false;
    }
    return true;
}

InterpResult *gradient_interpret(Arena *arena, const Gradient *gradient, const InterpCall *call,
                                 double *const *upstream) {
    const Graph *forward = gradient->forward, *graph = gradient->graph;
    const double **inputs = ARENA_ARRAY(arena, graph->inputs.count + 1, const double *);
    for (int i = 0; i < forward->inputs.count; i++) inputs[i] = call->inputs[i];
    for (int i = forward->inputs.count; i < graph->inputs.count; i++) {
        const GraphPort *port = &graph->inputs.at[i];
        for (int o = 0; o < forward->outputs.count; o++)
            if (strcmp(forward->outputs.at[o].name, port->name + 2) == 0) inputs[i] = upstream[o];
    }
    InterpCall own = *call;
    own.inputs = inputs;
    own.derived = lengths_fit(arena, forward, call);
    return interpret(arena, graph, &own);
}
