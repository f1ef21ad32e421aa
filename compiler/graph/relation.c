/* Where the values over two indices of one axis are wanted: from readers to what they read. */
#include "graph/relation.h"

#include <limits.h>

/* The differences of two positions that can occur, both ends in; beyond +-FAR: without end. */
typedef struct Distance {
    int64_t low, high;
    bool known; /* false: no reader yet */
} Distance;

#define FAR ((int64_t)1 << 40)

static const Distance anywhere = {-FAR, FAR, true};

static Distance distance_of(Relation relation) {
    switch (relation.kind) {
    case RELATION_NONE: return (Distance){0, 0, false};
    case RELATION_EQ: return (Distance){0, 0, true};
    case RELATION_LT: return (Distance){-FAR, -1, true};
    case RELATION_LE: return (Distance){-FAR, 0, true};
    case RELATION_GT: return (Distance){1, FAR, true};
    case RELATION_GE: return (Distance){0, FAR, true};
    case RELATION_ALL: break;
    }
    return anywhere;
}

static RelationKind kind_of(Distance d) {
    if (!d.known) return RELATION_NONE;
    if (d.low == 0 && d.high == 0) return RELATION_EQ;
    if (d.high < 0) return RELATION_LT;
    if (d.low > 0) return RELATION_GT;
    if (d.high == 0) return RELATION_LE;
    if (d.low == 0) return RELATION_GE;
    return RELATION_ALL;
}

static Distance negated(Distance d) {
    return (Distance){d.high >= FAR ? -FAR : -d.high, d.low <= -FAR ? FAR : -d.low, d.known};
}

static Distance joined(Distance a, Distance b) {
    if (!a.known) return b;
    if (!b.known) return a;
    return (Distance){a.low < b.low ? a.low : b.low, a.high > b.high ? a.high : b.high, true};
}

bool relation_reduces(Op op) {
    return op == OP_TSUM || op == OP_TMEAN || op == OP_TMAX || op == OP_TLOGSUMEXP ||
           op == OP_TARGMAX || op == OP_TSOFTMAX || op == OP_TCONCAT || op == OP_CTC;
}

Relation relation_range(const Attr *attr) {
    const Bound *low = &attr->low, *high = &attr->high;
    if (high->kind == BOUND_INDEX && high->offset <= 1)
        return (Relation){high->offset <= 0 ? RELATION_LT : RELATION_LE, high->index, 0};
    if (low->kind == BOUND_INDEX && low->offset >= 0)
        return (Relation){low->offset >= 1 ? RELATION_GT : RELATION_GE, low->index, 0};
    return (Relation){RELATION_ALL, -1, 0};
}

Relation relation_of(const Wanted *value, int index) {
    for (int d = 0; d < value->count; d++)
        if (value->domain[d] == index) return value->relations[d];
    return (Relation){RELATION_ALL, -1, 0};
}

Relation relation_join(Relation a, Relation b) {
    RelationKind kind = kind_of(joined(distance_of(a), distance_of(b)));
    if (a.kind == RELATION_NONE) return b;
    if (b.kind == RELATION_NONE) return a;
    bool one = kind != RELATION_ALL && a.partner == b.partner;
    return one ? (Relation){kind, a.partner, 0} : (Relation){RELATION_ALL, -1, 0};
}

typedef struct Flow {
    const Graph *graph;
    const Wanted *reader;
    Op op;
    const Attr *reduction;
    const Wanted *source;
    const At *at;
} Flow;

/* What the reader's own values have of `a` less that of `b`; an index that no reader binds moves
 * freely, and loops are made over it. */
static Distance between(const Flow *f, int a, int b) {
    Relation relation = relation_of(f->reader, a);
    bool known = relation.kind == RELATION_NONE || relation.partner == b;
    return known ? distance_of(relation) : anywhere;
}

/* The same where the reader binds `bound`: the range that it goes over. A softmax keeps its index,
 * and has a value wherever it is wanted. */
static Distance range(const Flow *f, int bound, int other) {
    Relation relation = relation_range(f->reduction);
    Distance d = relation.partner == other ? distance_of(relation) : anywhere;
    if (f->op == OP_CTC || f->op == OP_TCONCAT) return anywhere;
    return f->op == OP_TSOFTMAX ? joined(d, between(f, bound, other)) : d;
}

static bool binds(const Flow *f, int index) {
    return f->reduction &&
           (f->reduction->index == index || (f->op == OP_CTC && f->reduction->index2 == index));
}

/* What is read of slot `s` of the source less what is read of slot `p`. */
static Distance wanted(const Flow *f, int s, int p) {
    At own_s = {.kind = AT_INDEX, .index = f->source->domain[s]};
    At own_p = {.kind = AT_INDEX, .index = f->source->domain[p]};
    const At *a = f->at ? &f->at[s] : &own_s, *b = f->at ? &f->at[p] : &own_p;
    if (a->kind != AT_INDEX || b->kind != AT_INDEX) return anywhere;
    Distance d = {0, 0, true};
    if (a->index == b->index)
        d.known = true;
    else if (binds(f, a->index))
        d = range(f, a->index, b->index);
    else
        d = binds(f, b->index) ? negated(range(f, b->index, a->index))
                               : between(f, a->index, b->index);
    if (d.low > -FAR) d.low += a->offset - b->offset;
    if (d.high < FAR) d.high += a->offset - b->offset;
    return d;
}

static int axis_at(const Flow *f, int d) {
    return f->graph->indices.at[f->source->domain[d]].axis;
}

/* The relation of slot `s` with what this reader wants: to the partner that it has, else to one
 * that gives it a side. */
static Relation join_slot(const Flow *f, int s) {
    Relation old = f->source->relations[s];
    bool alone = true, seen = false;
    if (old.kind == RELATION_ALL) return old;
    for (int p = 0; p < f->source->count; p++) {
        if (p == s || axis_at(f, p) != axis_at(f, s)) continue;
        alone = false;
        int partner = f->source->domain[p];
        if (old.kind != RELATION_NONE && old.partner != partner) continue;
        Distance d = wanted(f, s, p);
        if (d.known) seen = true;
        /* Ends are forgotten before they are joined, so that the order of readers does not matter.
         */
        d = joined(distance_of((Relation){kind_of(d), partner, 0}), distance_of(old));
        if (d.known && kind_of(d) != RELATION_ALL) return (Relation){kind_of(d), partner, 0};
    }
    return seen || alone ? (Relation){RELATION_ALL, -1, 0} : old;
}

/* Whether the reader itself has another index of this one's axis. */
static bool paired(const Flow *f, int index) {
    for (int d = 0; d < f->reader->count; d++)
        if (f->reader->domain[d] != index &&
            f->graph->indices.at[f->reader->domain[d]].axis == f->graph->indices.at[index].axis)
            return true;
    return false;
}

/* Who reduces over slot `s`: the reader, or one that reads it. */
static int bound_slot(const Flow *f, int s) {
    const At *at = f->at ? &f->at[s] : NULL;
    int index = at ? at->index : f->source->domain[s], old = f->source->relations[s].bound, now = 0;
    if (at && at->kind != AT_INDEX) return old;
    if (binds(f, index))
        now = relation_range(f->reduction).kind == RELATION_ALL ? 0 : INT_MAX - f->reader->id;
    else if (paired(f, index))
        now = relation_of(f->reader, index).bound;
    return now > old ? now : old;
}

bool relation_flow(const Graph *graph, const Wanted *reader, Op op, const Attr *reduction,
                   Wanted *source, const At *at) {
    Flow f = {graph, reader, op, reduction, source, at};
    Relation next[MAX_DOMAIN];
    bool changed = false;
    for (int s = 0; s < source->count; s++) {
        next[s] = join_slot(&f, s);
        next[s].bound = bound_slot(&f, s);
    }
    for (int s = 0; s < source->count; s++) {
        Relation *old = &source->relations[s];
        changed = changed || next[s].kind != old->kind || next[s].partner != old->partner ||
                  next[s].bound != old->bound;
        *old = next[s];
    }
    return changed;
}

bool relation_all(Wanted *value) {
    bool changed = false;
    for (int d = 0; d < value->count; d++) {
        changed = changed || value->relations[d].kind != RELATION_ALL;
        value->relations[d].kind = RELATION_ALL;
        value->relations[d].partner = -1;
    }
    return changed;
}

/* ---- Graphs ---- */

typedef struct Search {
    const Graph *graph;
    Relation **relations;
    int *pending;
    bool *queued;
    int count;
} Search;

static void push(Search *search, int id) {
    if (search->queued[id]) return;
    search->queued[id] = true;
    search->pending[search->count++] = id;
}

static void root(Search *search, int id) {
    if (id < 0) return;
    const Node *node = search->graph->nodes.at[id];
    relation_all(
        &(Wanted){id, node->domain_count, node->domain, search->relations[id], INDEX_FREE});
}

static void visit(Search *search, int id) {
    const Node *node = search->graph->nodes.at[id];
    const Wanted reader = {id, node->domain_count, node->domain, search->relations[id], INDEX_FREE};
    for (int j = 0; j < node->in_count; j++) {
        if (node->in[j] < 0) continue;
        const Node *from = search->graph->nodes.at[node->in[j]];
        Wanted source = {from->id, from->domain_count, from->domain, search->relations[from->id],
                         INDEX_FREE};
        if (relation_flow(search->graph, &reader, node->op,
                          relation_reduces(node->op) ? &node->attr : NULL, &source,
                          node->op == OP_READ && j == 0 ? node->attr.at : NULL))
            push(search, from->id);
    }
}

Relation *const *relation_graph(Arena *arena, const Graph *graph) {
    int count = graph->nodes.count;
    Search search = {.graph = graph,
                     .relations = ARENA_ARRAY(arena, count + 1, Relation *),
                     .pending = ARENA_ARRAY(arena, count + 1, int),
                     .queued = ARENA_ARRAY(arena, count + 1, bool)};
    for (int i = 0; i < count; i++)
        search.relations[i] = ARENA_ARRAY(arena, graph->nodes.at[i]->domain_count, Relation);
    for (int i = 0; i < graph->outputs.count; i++) root(&search, graph->outputs.at[i].node);
    for (int i = 0; i < graph->losses.count; i++) {
        root(&search, graph->losses.at[i].node);
        root(&search, graph->losses.at[i].per);
    }
    for (int i = 0; i < graph->stops.count; i++) root(&search, graph->stops.at[i].node);
    for (int i = 0; i < count; i++) push(&search, i);
    while (search.count > 0) { /* readers mostly come behind what they read: the last one first */
        int id = search.pending[--search.count];
        search.queued[id] = false;
        visit(&search, id);
    }
    for (int i = 0; i < count; i++)
        for (int d = 0; d < graph->nodes.at[i]->domain_count; d++)
            if (search.relations[i][d].kind == RELATION_NONE)
                search.relations[i][d] = (Relation){RELATION_ALL, -1, 0};
    return search.relations;
}
