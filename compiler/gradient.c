/* Gradients by the interpreter. */
#include "gradient.h"

#include <string.h>

#include "passes/passes.h"

const Graph *gradient_normal(const Graph *graph, bool verify, Diags *diags) {
    static const char *const before[] = {"simplify", "cse", "expand"};
    PassOptions passes = {.names = before, .name_count = 3, .verify_each = verify};
    return passes_run(graph, &passes, diags);
}

Graph *gradient_adjoint(const Graph *graph, const AdjointOptions *options, bool verify,
                        Diags *diags) {
    const Graph *normal = gradient_normal(graph, verify, diags);
    Graph *adjoint = normal ? adjoint_build(normal, options, diags) : NULL;
    return adjoint && graph_verify(adjoint, "adjoint", diags) ? adjoint : NULL;
}

bool gradient_build(const Graph *graph, const AdjointOptions *options, bool verify,
                    Gradient *gradient, Diags *diags) {
    gradient->forward = graph;
    const Graph *adjoint = gradient_adjoint(graph, options, verify, diags);
    PassOptions after = {.verify_each = verify};
    gradient->graph = adjoint ? passes_run(adjoint, &after, diags) : NULL;
    return gradient->graph != NULL;
}

static void add_output(Graph *to, PortKind kind, int of, int node, Span span) {
    GraphPort port = {
        .name = name_of(to->names, arena_printf(to->arena, "%s.%d", graph_port_word(kind), of)),
        .type = to->nodes.at[node]->type,
        .node = node,
        .kind = kind,
        .of = of,
        .fallback = -1,
        .span = span};
    vec_push(to->arena, &to->outputs, port);
}

Graph *gradient_with_losses(const Graph *graph) {
    Graph *to = arena_copy(graph->arena, graph, sizeof *graph);
    memset(&to->outputs, 0, sizeof to->outputs);
    for (int o = 0; o < graph->outputs.count; o++)
        vec_push(to->arena, &to->outputs, graph->outputs.at[o]);
    for (int i = 0; i < graph->losses.count; i++) {
        const GraphLoss *loss = &graph->losses.at[i];
        add_output(to, PORT_LOSS, i, loss->node, loss->span);
        if (loss->per >= 0) add_output(to, PORT_PER, i, loss->per, loss->span);
    }
    return to;
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
        if (port->kind == PORT_UPSTREAM) inputs[i] = upstream[port->of];
    }
    InterpCall own = *call;
    own.inputs = inputs;
    own.derived = lengths_fit(arena, forward, call);
    if (!own.derived) { /* the gradient may not read what the model needs a position for */
        InterpCall plain = *call;
        plain.roundoff = 0;
        InterpResult *refused = interpret(arena, forward, &plain);
        if (refused->status != INTERP_OK) return refused;
    }
    return interpret(arena, graph, &own);
}
