/* Gradients by the interpreter. What a loss counts in the loss of the batch needs the sums of the
 * divisors over all sequences, so these are evaluated first. */
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

/* The sum of the divisors of a loss over the batch. */
static InterpResult *sum_divisor(Arena *arena, const Graph *forward, int loss,
                                 const InterpCall *call, double *sum) {
    Graph *only = arena_copy(arena, forward, sizeof *forward);
    const GraphLoss *of = &forward->losses.at[loss];
    GraphPort port = {
        .name = "per", .type = forward->nodes.at[of->per]->type, .node = of->per, .fallback = -1};
    memset(&only->outputs, 0, sizeof only->outputs);
    memset(&only->losses, 0, sizeof only->losses);
    vec_push(arena, &only->outputs, port);
    InterpCall alone = *call;
    alone.want_state = false;
    InterpResult *result = interpret(arena, only, &alone);
    *sum = 0;
    for (int64_t b = 0; result->status == INTERP_OK && b < call->batch; b++)
        *sum += result->outputs[0][b];
    return result;
}

static bool batched(Arena *arena, const Graph *graph, int node) {
    bool *all = ARENA_ARRAY(arena, graph->nodes.count + 1, bool);
    graph_batched(graph, all);
    return all[node];
}

/* The derivative of the program's loss by loss i of one sequence; NULL, or what went wrong. */
static InterpResult *find_share(Arena *arena, const Graph *forward, int i, const InterpCall *call,
                                double *share) {
    const GraphLoss *loss = &forward->losses.at[i];
    double batch = (double)call->batch;
    if (loss->per < 0) {
        bool summed = call->reduce_sum && batched(arena, forward, loss->node);
        *share = summed ? 1 : 1 / batch;
        return NULL;
    }
    double sum;
    InterpResult *result = sum_divisor(arena, forward, i, call, &sum);
    if (result->status != INTERP_OK) return result;
    if (sum == 0) {
        result->status = INTERP_PER;
        result->message = "the divisor of a loss is 0";
        result->span = loss->span;
        return result;
    }
    *share = 1 / sum;
    return NULL;
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
        if (port->share) {
            double *share = ARENA_ARRAY(arena, call->batch, double);
            InterpResult *wrong = find_share(arena, forward, port->share - 1, call, &share[0]);
            if (wrong) return wrong;
            for (int64_t b = 1; b < call->batch; b++) share[b] = share[0];
            inputs[i] = share;
            continue;
        }
        for (int o = 0; o < forward->outputs.count; o++)
            if (strcmp(forward->outputs.at[o].name, port->name + 2) == 0) inputs[i] = upstream[o];
    }
    InterpCall own = *call;
    own.inputs = inputs;
    own.derived = lengths_fit(arena, forward, call);
    return interpret(arena, graph, &own);
}
