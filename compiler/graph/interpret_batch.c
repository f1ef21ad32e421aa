/* Sums over the batch. The interpreter knows one sequence at a time, so their operands are evaluated
 * first, for all sequences, as outputs of a graph of their own; sums inside of sums wait there in
 * the same way. */
#include "graph/interpret_run.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

/* The graph whose outputs are the operands of all live sums; NULL: there are none. */
static Graph *operands(Run *run) {
    const Graph *graph = run->graph;
    Graph *only = NULL;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (node->op != OP_BSUM || !run->plans[i].live) continue;
        if (!only) {
            only = arena_copy(run->work, graph, sizeof *graph);
            memset(&only->outputs, 0, sizeof only->outputs);
            memset(&only->losses, 0, sizeof only->losses);
        }
        GraphPort port = {.name = arena_printf(run->work, "bsum.%d", i),
                          .type = node->type,
                          .node = node->in[0],
                          .fallback = -1,
                          .span = node->span};
        vec_push(run->work, &only->outputs, port);
    }
    return only;
}

/* The sum of [batch][count]. Compiled code may add up all terms of sums of sums in one chain, so
 * what each of them has for its own terms counts once for every sequence. */
static double *sum(Run *run, const Plan *plan, const double *values, const double *bounds) {
    int64_t batch = run->call->batch, count = plan->count;
    double *to = interp_alloc(run, run->work, plan->width, sizeof *to);
    for (int64_t e = 0; e < count; e++) {
        double error = 0, mass = 0;
        for (int64_t b = 0; b < batch; b++) {
            double v = values[b * count + e];
            to[e] = interp_round(plan->narrow, to[e] + v);
            if (!bounds) continue;
            error += bounds[b * count + e];
            mass += fabs(v) + bounds[b * count + e];
        }
        if (bounds)
            interp_put_bound(
                plan, to, e,
                (double)batch * error + (double)(batch - 1) * run->rounding->unit * mass);
    }
    return to;
}

void interp_sums(Run *run) {
    Graph *only = operands(run);
    if (!only) return;
    InterpCall call = *run->call;
    call.want_state = false;
    InterpResult *result = interpret(run->work, only, &call);
    if (result->status != INTERP_OK) {
        run->status = result->status;
        run->span = result->span;
        snprintf(run->message, sizeof run->message, "%s", result->message);
        longjmp(run->out, 2);
    }
    if (result->fragile && !run->fragile) run->fragile = result->fragile_message;
    run->sums = interp_alloc(run, run->work, run->graph->nodes.count, sizeof *run->sums);
    for (int i = 0, o = 0; i < run->graph->nodes.count; i++) {
        if (run->graph->nodes.at[i]->op != OP_BSUM || !run->plans[i].live) continue;
        run->sums[i] = sum(run, &run->plans[i], result->outputs[o],
                           run->rounding ? result->bounds[o] : NULL);
        o++;
    }
}
