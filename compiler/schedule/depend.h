/* The dependence analysis: which operations form loops, over which axis and in which direction.
 *
 * Works on abstract nodes with labelled edges, so that the Graph (to decide causality) and the
 * values of a Schedule (to build its loops) go through the same code. The algorithm is `nest` of
 * docs/language.md, section 6: strongly connected components, peeled axis by axis (Karp, Miller and
 * Winograd 1967; Allen and Kennedy's loop distribution). */
#ifndef RNNC_SCHEDULE_DEPEND_H
#define RNNC_SCHEDULE_DEPEND_H

#include "graph/relation.h"

/* How a reader's position on an axis relates to the position that it reads. */
typedef enum LabelKind {
    LABEL_OFFSET, /* reads at its own position + offset */
    LABEL_LT,     /* at earlier positions only */
    LABEL_LE,
    LABEL_GT,
    LABEL_GE,
    LABEL_ALL, /* anywhere */
    LABEL_RATE /* on an axis of another rate */
} LabelKind;

typedef struct Label {
    int axis;
    LabelKind kind;
    int64_t offset;
} Label;

typedef struct DepEdge {
    int from, to; /* `to` reads `from` */
    int label_count;
    Label labels[MAX_DOMAIN + 1]; /* axes that are not named: own position */
} DepEdge;

typedef VEC(DepEdge) DepEdges;

/* A part of the result, in the order of execution. */
typedef enum NestKind {
    NEST_BLOCK, /* nodes without a cycle at fixed positions of the loops around */
    NEST_LOOP   /* over `axis`, forward or backward, around children */
} NestKind;

typedef struct Nest Nest;
struct Nest {
    NestKind kind;
    VEC(int) members; /* BLOCK: in topological order; LOOP: all of its nodes */
    int axis;
    bool backward;
    VEC(Nest *) children;
};

typedef VEC(Nest *) Nests;

/* Why an edge system cannot be ordered. */
typedef enum DepFailure { DEP_OK, DEP_INSTANT, DEP_ALL, DEP_RATE, DEP_BOTH } DepFailure;

typedef struct DepResult {
    Nests nests;
    DepFailure failure;
    VEC(int)
    cycle; /* the nodes of a cycle that shows it; DEP_ALL, DEP_RATE: `edge` is the culprit */
    DepEdge edge;
} DepResult;

/* Orders `count` nodes. Blocks are as large and as early as they can be. */
DepResult depend_nests(Arena *arena, int count, const DepEdges *edges, int axis_count);

/* The index of a value's domain that a loop over `axis` binds: by the rule of the
 * value. None is right for all: who finds no order by one asks for one by the next. -1 when the
 * domain does not have the axis. */
int depend_loop_index(const Graph *graph, const Wanted *value, int axis);

/* Labels of a use, appended to `edge`: `at` where it reads, for each index of the source's domain
 * (NULL: at its own position); `reduction`: what the reader binds an index by, or NULL; `op` is the
 * reader's. */
void depend_labels(const Graph *graph, const Wanted *reader, Op op, const Attr *reduction,
                   const Wanted *source, const At *at, DepEdge *edge);

/* Whether the reader's position on `axis` differs from the one that it reads, always. */
bool depend_strict(const DepEdge *edge, int axis);

/* All edges of a graph. */
DepEdges depend_graph(Arena *arena, const Graph *graph, IndexRule rule);

/* E-CAUSAL: reports why a graph cannot be evaluated in any order, naming the cycle. True when it
 * can. */
bool schedule_causal(Arena *arena, const Graph *graph, Diags *diags);

#endif
