/* What passes share: a copy of a graph to work on, in which nodes are replaced by others, and the
 * graph that comes of it. Private to passes/. */
#ifndef RNNC_PASSES_REWRITE_H
#define RNNC_PASSES_REWRITE_H

#include "graph/graph.h"

typedef struct Rewrite {
    Graph *graph; /* the copy; its nodes may be changed, and new ones added at its end */
    VEC(int) as;  /* as.at[id]: what stands for the node, itself at first */
    bool changed;
} Rewrite;

/* A copy of `graph` in its arena. Fields of nodes and their operands may be changed in place, the
 * arrays in attr.at not. */
Rewrite rewrite_begin(const Graph *graph);

/* What stands for node `id` by now. */
int rewrite_find(Rewrite *rewrite, int id);

/* Lets `with` stand for `id`; a name moves along when `with` has none and is no leaf. */
void rewrite_replace(Rewrite *rewrite, int id, int with);

/* Where the value of `id` is that of `with`: replaces it, or, when its domain is larger, makes it
 * the VAR that says so. False, and nothing done, when the types differ. */
bool rewrite_become(Rewrite *rewrite, int id, int with);

/* As graph_node, in the copy. */
int rewrite_node(Rewrite *rewrite, Op op, int count, const int *in, const Attr *attr, Span span);

/* The graph of what is left, with ids in order: every operand stands before its users, but for
 * the sources of READ. With `live_only` only what reaches an output, a loss, a stop or carried
 * state. */
Graph *rewrite_end(Rewrite *rewrite, bool live_only);

/* Component numbers of the strongly connected components over all operands, READ's sources
 * included. */
void graph_components(const Graph *graph, int *component);

#endif
