/* The graphs and schedules of a gradient that keeps one chunk of a sequence at a time. */
#ifndef RNNC_CHUNKS_H
#define RNNC_CHUNKS_H

#include "loop/lower.h"

/* Who makes schedules of graphs: the pipeline, by its options. */
typedef struct ChunkMaker {
    void *user;
    const Graph *(*passes)(void *user, const Graph *graph);
    Schedule *(*schedule)(void *user, const Graph *graph);
    bool reduce_sum, verify;
    Diags *diags;
} ChunkMaker;

/* Of `graph`, as written. NULL after an error: E-BUDGET, where the graph cannot be cut. */
LowerChunks *chunks_build(const Graph *graph, int64_t budget, const ChunkMaker *maker);

#endif
