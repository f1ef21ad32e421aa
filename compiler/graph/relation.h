/* Where the values over two indices of one axis are wanted.
 *
 * In `c[t] = sum[s < t](a[t,s])` the values a[t,s] are wanted below t only, so a may read at s what
 * a loop over t has computed so far. That holds as long as all readers of a say so: another range,
 * a read at other positions (a[t-1,t]), a reduction over t, or an output wants more. So it is found
 * from the readers to what they read, value by value; what an index is called decides nothing. */
#ifndef RNNC_GRAPH_RELATION_H
#define RNNC_GRAPH_RELATION_H

#include "graph/graph.h"

typedef enum RelationKind {
    RELATION_NONE, /* no reader yet */
    RELATION_EQ,   /* at the same position */
    RELATION_LT,
    RELATION_LE,
    RELATION_GT,
    RELATION_GE,
    RELATION_ALL /* anywhere; partner -1 */
} RelationKind;

/* How an index of a domain lies to its partner, another index of the domain on the same axis. */
typedef struct Relation {
    RelationKind kind;
    int partner;
    int bound; /* a reader reduces over this index, in a range of the other: the larger, the earlier
                  that reader stands; 0: none does */
} Relation;

/* Which of two indices on one axis a loop binds (depend_loop_index). */
typedef enum IndexRule {
    INDEX_FREE,  /* one that no reader reduces over in a range of the other, else that of the reader
                    that stands last */
    INDEX_FIRST, /* the first of the domain */
    INDEX_LAST,
    INDEX_MIXED  /* FIRST for what is wanted anywhere, else FREE */
} IndexRule;

/* A value, as the search sees it; `relations` has an entry for each index of the domain. */
typedef struct Wanted {
    int id;
    int count;
    const int *domain;
    Relation *relations;
    IndexRule rule;
} Wanted;

/* The range of a reduction, seen from the index that its bounds name. */
Relation relation_range(const Attr *attr);

/* The entry of an index; ALL when the domain does not have it. */
Relation relation_of(const Wanted *value, int index);

/* Both: ALL when they have different partners or no side in common. */
Relation relation_join(Relation a, Relation b);

/* What a reader wants of a source, joined to the source's relations. `at`: where it reads, for each
 * index of the source's domain; NULL: at its own position. `reduction`: what the reader binds an
 * index by, or NULL; `op` is then the reader's. True when a relation has changed. */
bool relation_flow(const Graph *graph, const Wanted *reader, Op op, const Attr *reduction,
                   Wanted *source, const At *at);

/* Everything is wanted (an output): true when that is new. */
bool relation_all(Wanted *value);

/* The relations of all nodes, [node][index of its domain]; ALL where nothing reads a node. */
Relation *const *relation_graph(Arena *arena, const Graph *graph);

/* Whether the node's operation binds an index, or chooses among its positions. */
bool relation_reduces(Op op);

#endif
