/* Labels: how far, on which axis, a reader looks. And the edges of a whole Graph. */
#include "schedule/depend.h"

/* Does the loop bind index `i` of the value's domain rather than `found`, which stands before it? */
static bool rather(const Wanted *value, int i, int found) {
    const Relation *a = &value->relations[found], *b = &value->relations[i];
    switch (value->rule) {
    case INDEX_FREE: return b->bound < a->bound;
    case INDEX_FIRST: return false;
    case INDEX_LAST: return true;
    case INDEX_MIXED: return b->bound < a->bound && a->kind != RELATION_ALL;
    }
    return false;
}

int depend_loop_index(const Graph *graph, const Wanted *value, int axis) {
    int found = -1;
    for (int i = 0; i < value->count; i++) {
        if (graph->indices.at[value->domain[i]].axis != axis) continue;
        if (found < 0 || rather(value, i, found)) found = i;
    }
    return found < 0 ? -1 : value->domain[found];
}

static void add_label(DepEdge *edge, int axis, LabelKind kind, int64_t offset) {
    for (int i = 0; i < edge->label_count; i++)
        if (edge->labels[i].axis == axis) return;
    if (edge->label_count < (int)(sizeof edge->labels / sizeof edge->labels[0]))
        edge->labels[edge->label_count++] = (Label){axis, kind, offset};
}

static LabelKind label_kind(RelationKind kind) {
    switch (kind) {
    case RELATION_EQ: return LABEL_OFFSET;
    case RELATION_LT: return LABEL_LT;
    case RELATION_LE: return LABEL_LE;
    case RELATION_GT: return LABEL_GT;
    case RELATION_GE: return LABEL_GE;
    case RELATION_NONE:
    case RELATION_ALL: break;
    }
    return LABEL_ALL;
}

/* A position that lies to the reader's loop index `own` as `relation` says, plus an offset. */
static void label_relation(Relation relation, int own, int axis, int64_t offset, DepEdge *edge) {
    LabelKind kind = relation.partner == own ? label_kind(relation.kind) : LABEL_ALL;
    if (kind == LABEL_OFFSET) {
        add_label(edge, axis, kind, offset);
        return;
    }
    if (offset < 0 && kind == LABEL_LE)
        kind = LABEL_LT;
    else if (offset > 0 && kind == LABEL_GE)
        kind = LABEL_GT;
    else if ((offset > 0 && (kind == LABEL_LT || kind == LABEL_LE)) ||
             (offset < 0 && (kind == LABEL_GT || kind == LABEL_GE)))
        kind = LABEL_ALL;
    add_label(edge, axis, kind, 0);
}

/* How an index lies to others where the reader uses it: by the range of the reader, which asks for
 * no more than that, or as its own readers want it. A softmax has a value, and needs one, both in
 * its range and wherever it is wanted. */
static Relation relation_at(const Wanted *reader, Op op, const Attr *reduction, int index) {
    static const Relation anywhere = {RELATION_ALL, -1, 0};
    Relation own = relation_of(reader, index);
    if (op == OP_CTC && (index == reduction->index || index == reduction->index2)) return anywhere;
    if (!reduction || index != reduction->index) return own;
    if (op == OP_TCONCAT) return anywhere;
    Relation range = relation_range(reduction);
    return op == OP_TSOFTMAX ? relation_join(range, own) : range;
}

void depend_labels(const Graph *graph, const Wanted *reader, Op op, const Attr *reduction,
                   const Wanted *source, const At *at, DepEdge *edge) {
    for (int i = 0; i < source->count; i++) {
        int index = source->domain[i], axis = graph->indices.at[index].axis;
        if (index != depend_loop_index(graph, source, axis)) continue;
        int own = depend_loop_index(graph, reader, axis);
        int64_t offset = 0;
        if (at && at[i].kind == AT_INDEX) {
            index = at[i].index;
            offset = at[i].offset;
        } else if (at) {
            bool rate = at[i].kind == AT_SCALE || at[i].kind == AT_DIV;
            add_label(edge, axis, rate ? LABEL_RATE : LABEL_ALL, 0);
            if (rate) add_label(edge, graph->indices.at[at[i].index].axis, LABEL_RATE, 0);
            continue;
        }
        bool bound = reduction && reduction->index == index;
        if (own == index && !bound)
            add_label(edge, axis, LABEL_OFFSET, offset);
        else if (own < 0 || own == index)
            add_label(edge, axis, LABEL_ALL, 0);
        else
            label_relation(relation_at(reader, op, reduction, index), own, axis, offset, edge);
    }
}

/* A pointer into the past is earlier than the position that holds it. */
static void label_pointers(const Graph *graph, const Node *node, const Wanted *reader,
                           const Wanted *source, DepEdge *edge) {
    for (int d = 0; d < source->count; d++) {
        const At *at = &node->attr.at[d];
        if (at->kind != AT_POINTER) continue;
        const Node *pointer = graph->nodes.at[node->in[at->operand]];
        int axis = graph->indices.at[source->domain[d]].axis;
        if (depend_loop_index(graph, source, axis) != source->domain[d]) continue;
        if (pointer->type.pointer != PTR_PAST || pointer->type.axis != axis) continue;
        if (depend_loop_index(graph, reader, axis) < 0) continue;
        for (int l = 0; l < edge->label_count; l++)
            if (edge->labels[l].axis == axis) edge->labels[l].kind = LABEL_LT;
    }
}

DepEdges depend_graph(Arena *arena, const Graph *graph, IndexRule rule) {
    DepEdges edges = {0};
    Relation *const *relations = relation_graph(arena, graph);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        const Wanted reader = {i, node->domain_count, node->domain, relations[i], rule};
        const Attr *reduction = relation_reduces(node->op) ? &node->attr : NULL;
        for (int j = 0; j < node->in_count; j++) {
            if (node->in[j] < 0) continue;
            const Node *from = graph->nodes.at[node->in[j]];
            const Wanted source = {from->id, from->domain_count, from->domain, relations[from->id],
                                   rule};
            DepEdge edge = {.from = from->id, .to = node->id};
            bool reads = node->op == OP_READ && j == 0;
            depend_labels(graph, &reader, node->op, reduction, &source,
                          reads ? node->attr.at : NULL, &edge);
            if (reads) label_pointers(graph, node, &reader, &source, &edge);
            vec_push(arena, &edges, edge);
        }
    }
    return edges;
}
