/* What a gradient takes for constant stands still in the differences, too: divisors of losses, and
 * what is detached. */
#include <string.h>

#include "differences.h"

const Graph *differences_undivided(Arena *arena, const Graph *forward) {
    Graph *graph = arena_copy(arena, forward, sizeof *forward);
    memset(&graph->outputs, 0, sizeof graph->outputs);
    memset(&graph->losses, 0, sizeof graph->losses);
    for (int o = 0; o < forward->outputs.count; o++)
        vec_push(arena, &graph->outputs, forward->outputs.at[o]);
    for (int i = 0; i < forward->losses.count; i++) {
        const GraphLoss *loss = &forward->losses.at[i];
        if (loss->per < 0) vec_push(arena, &graph->losses, *loss);
        for (int k = 0; loss->per >= 0 && k < 2; k++) {
            int node = k ? loss->per : loss->node;
            GraphPort port = {.name = k ? "per" : "loss",
                              .type = forward->nodes.at[node]->type,
                              .node = node,
                              .fallback = -1};
            vec_push(arena, &graph->outputs, port);
        }
    }
    return graph;
}

/* A port for each detached value; an output here, an input later. */
static int list_detached(Arena *arena, const Graph *graph, Graph *probe) {
    memset(&probe->outputs, 0, sizeof probe->outputs);
    memset(&probe->losses, 0, sizeof probe->losses);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        GraphPort port = {.name = "detached",
                          .type = node->type,
                          .index_count = node->domain_count,
                          .node = i,
                          .fallback = -1};
        if (node->op != OP_DETACH || node->type.dtype != DT_FLOAT) continue;
        memcpy(port.indices, node->domain, sizeof port.indices);
        vec_push(arena, &probe->outputs, port);
    }
    return probe->outputs.count;
}

/* `probe->outputs` as inputs of a graph behind its own, in place of the nodes. */
static Graph *replace(Arena *arena, const Graph *graph, const Graph *probe) {
    Graph *still = arena_copy(arena, graph, sizeof *graph);
    memset(&still->nodes, 0, sizeof still->nodes);
    memset(&still->inputs, 0, sizeof still->inputs);
    for (int i = 0; i < graph->nodes.count; i++) vec_push(arena, &still->nodes, graph->nodes.at[i]);
    for (int i = 0; i < graph->inputs.count; i++)
        vec_push(arena, &still->inputs, graph->inputs.at[i]);
    for (int k = 0; k < probe->outputs.count; k++) {
        const GraphPort *port = &probe->outputs.at[k];
        Node *node = arena_copy(arena, graph->nodes.at[port->node], sizeof *node);
        node->op = OP_INPUT;
        node->in_count = 0;
        node->attr = (Attr){.slot = still->inputs.count};
        still->nodes.at[port->node] = node;
        vec_push(arena, &still->inputs, *port);
    }
    return still;
}

const Graph *differences_detached(Arena *arena, const Graph *graph, InterpCall *call,
                                  const char **why) {
    Graph *probe = arena_copy(arena, graph, sizeof *graph);
    if (list_detached(arena, graph, probe) == 0) return graph;
    InterpCall own = *call;
    own.want_state = false;
    const InterpResult *values = interpret(arena, probe, &own);
    *why = values->message;
    if (values->status != INTERP_OK) return NULL;
    for (int a = 0; a < graph->axes.count; a++)
        for (int64_t b = 0; call->lengths[a] && b < call->batch; b++)
            if (values->lengths[a][b] != call->lengths[a][b]) {
                *why = "something is detached beside an axis that the model generates";
                return NULL;
            }
    Graph *still = replace(arena, graph, probe);
    const double **inputs = ARENA_ARRAY(arena, still->inputs.count, const double *);
    for (int i = 0; i < still->inputs.count; i++)
        inputs[i] =
            i < graph->inputs.count ? call->inputs[i] : values->outputs[i - graph->inputs.count];
    call->inputs = inputs;
    return still;
}
