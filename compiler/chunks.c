/* A gradient in chunks: the graph cut, and the gradient of each piece. */
#include "chunks.h"

#include "adjoint/adjoint.h"
#include "adjoint/cut.h"
#include "gradient.h"

/* What flows back from all outputs, into all that are real numbers. */
static Graph *gradient_of(const Graph *graph, bool losses, const ChunkMaker *maker) {
    bool *upstream = ARENA_ARRAY(graph->arena, graph->outputs.count + 1, bool);
    bool *of_inputs = ARENA_ARRAY(graph->arena, graph->inputs.count + 1, bool);
    for (int o = 0; o < graph->outputs.count; o++)
        upstream[o] = graph->outputs.at[o].type.dtype == DT_FLOAT;
    for (int i = 0; i < graph->inputs.count; i++)
        of_inputs[i] = graph->inputs.at[i].node >= 0 && graph->inputs.at[i].type.dtype == DT_FLOAT;
    const AdjointOptions how = {.losses = losses,
                                .reduce_sum = maker->reduce_sum,
                                .upstream = upstream,
                                .of_inputs = of_inputs,
                                .outputs = true,
                                .of_params = true};
    return adjoint_build(graph, &how, maker->diags);
}

/* Only what somebody takes from the part. */
static void keep_outputs(Graph *graph, TapePart part) {
    int kept = 0;
    for (int o = 0; o < graph->outputs.count; o++) {
        const GraphPort port = graph->outputs.at[o];
        bool inside = port.kind == PORT_ROW || port.kind == PORT_TOTAL;
        bool wanted = true;
        if (part == PART_AHEAD) wanted = inside;
        if (part == PART_BACK || part == PART_START) wanted = !inside;
        if (wanted) graph->outputs.at[kept++] = port;
    }
    graph->outputs.count = kept;
}

static Graph *copy_of(const Graph *graph) {
    Graph *copy = arena_copy(graph->arena, graph, sizeof *graph);
    size_t size = (size_t)graph->outputs.count * sizeof *graph->outputs.at;
    if (size) copy->outputs.at = arena_copy(graph->arena, graph->outputs.at, size);
    return copy;
}

static Graph *part_graph(const Cut *cut, TapePart part, const ChunkMaker *maker) {
    switch (part) {
    case PART_BEFORE: return copy_of(cut->before);
    case PART_AHEAD: return copy_of(cut->chunk);
    case PART_AFTER: return gradient_of(cut->after, cut->after->losses.count > 0, maker);
    case PART_BACK: return gradient_of(cut->chunk, false, maker);
    case PART_START: return gradient_of(cut->before, false, maker);
    case TAPE_PARTS: break;
    }
    return NULL;
}

static const Graph *source_of(const Cut *cut, TapePart part) {
    bool chunk = part == PART_AHEAD || part == PART_BACK;
    return chunk ? cut->chunk : part == PART_AFTER ? cut->after : cut->before;
}

LowerChunks *chunks_build(const Graph *graph, int64_t budget, const ChunkMaker *maker) {
    Arena *arena = graph->arena;
    const char *why = NULL;
    Span where = {0};
    const Graph *normal = gradient_normal(graph, maker->verify, maker->diags);
    Cut *cut = normal ? cut_build(normal, &why, &where) : NULL;
    if (normal && !cut)
        diag_error(maker->diags, "E-BUDGET", where,
                   "the gradient of %s cannot be made in chunks of the sequence: %s%s",
                   graph->model, where.source ? "this " : "", why);
    if (!cut) return NULL;
    LowerChunks *chunks = ARENA_NEW(arena, LowerChunks);
    Type *rows = ARENA_ARRAY(arena, cut->rows.count + 1, Type);
    for (int r = 0; r < cut->rows.count; r++) rows[r] = cut->rows.at[r].type;
    *chunks = (LowerChunks){.axis = cut->axis,
                            .longest_lag = cut->longest_lag,
                            .budget = budget,
                            .row_count = cut->rows.count,
                            .total_count = cut->totals.count,
                            .rows = rows,
                            .totals = cut->totals.at};
    for (int p = 0; p < TAPE_PARTS; p++) {
        Graph *part = part_graph(cut, (TapePart)p, maker);
        if (!part) return NULL;
        keep_outputs(part, (TapePart)p);
        if (!graph_verify(part, "cut", maker->diags)) return NULL;
        const Graph *ready = maker->passes(maker->user, part);
        if (!ready) return NULL;
        if (p == PART_AFTER) ready = gradient_with_losses(ready);
        if (!(chunks->parts[p] = maker->schedule(maker->user, ready))) return NULL;
        chunks->graphs[p] = source_of(cut, (TapePart)p);
    }
    return chunks;
}
