/* Labels: how far, on which axis, a reader looks. And the edges of a whole Graph. */
#include "schedule/depend.h"

/* LT and LE join to LE, GT and GE to GE, everything else that differs to ALL. */
static LabelKind join(LabelKind a, LabelKind b) {
    if (a == b) return a;
    bool a_back = a == LABEL_LT || a == LABEL_LE, b_back = b == LABEL_LT || b == LABEL_LE;
    bool a_ahead = a == LABEL_GT || a == LABEL_GE, b_ahead = b == LABEL_GT || b == LABEL_GE;
    if (a_back && b_back) return LABEL_LE;
    if (a_ahead && b_ahead) return LABEL_GE;
    return LABEL_ALL;
}

/* The positions [low, high) of a reduction, seen from the index that its bounds name. */
Relation depend_range(const Attr *attr) {
    Relation r = {-1, LABEL_ALL};
    const Bound *low = &attr->low, *high = &attr->high;
    if (high->kind == BOUND_INDEX && high->offset <= 1) {
        r.partner = high->index;
        r.kind = high->offset <= 0 ? LABEL_LT : LABEL_LE;
    } else if (low->kind == BOUND_INDEX && low->offset >= 0) {
        r.partner = low->index;
        r.kind = low->offset >= 1 ? LABEL_GT : LABEL_GE;
    }
    return r;
}

static bool is_reduction(Op op) {
    return op == OP_TSUM || op == OP_TMEAN || op == OP_TMAX || op == OP_TLOGSUMEXP ||
           op == OP_TARGMAX || op == OP_TSOFTMAX;
}

Relation *depend_relations(Arena *arena, const Graph *graph) {
    int n = graph->indices.count;
    Relation *relations = ARENA_ARRAY(arena, n, Relation);
    bool *seen = ARENA_ARRAY(arena, n, bool);
    for (int i = 0; i < n; i++) relations[i] = (Relation){-1, LABEL_ALL};
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (!is_reduction(node->op)) continue;
        Relation r = depend_range(&node->attr), *known = &relations[node->attr.index];
        if (!seen[node->attr.index]) {
            *known = r;
            seen[node->attr.index] = true;
        } else if (known->partner != r.partner) {
            *known = (Relation){-1, LABEL_ALL};
        } else {
            known->kind = join(known->kind, r.kind);
        }
    }
    /* A value over a bound index that is an output, or read at other positions, is wanted
     * everywhere. */
    for (int i = 0; i < graph->outputs.count; i++)
        for (int d = 0; d < graph->outputs.at[i].index_count; d++)
            relations[graph->outputs.at[i].indices[d]] = (Relation){-1, LABEL_ALL};
    return relations;
}

/* The index of a domain on an axis that a loop over that axis would run over: one that no reduction
 * binds to a partner, if there is one. -1 when the domain does not have the axis. */
static int loop_index(const Graph *graph, const Relation *relations, int count, const int *domain,
                      int axis) {
    int found = -1;
    for (int i = 0; i < count; i++) {
        if (graph->indices.at[domain[i]].axis != axis) continue;
        if (found < 0 || (relations[found].partner >= 0 && relations[domain[i]].partner < 0))
            found = domain[i];
    }
    return found;
}

static void add_label(DepEdge *edge, int axis, LabelKind kind, int64_t offset) {
    for (int i = 0; i < edge->label_count; i++)
        if (edge->labels[i].axis == axis) return;
    if (edge->label_count < (int)(sizeof edge->labels / sizeof edge->labels[0]))
        edge->labels[edge->label_count++] = (Label){axis, kind, offset};
}

/* A position `index + offset` seen from the loop index `own` of the reader. */
static void label_index(const Relation *relations, int own, int axis, int index, int64_t offset,
                        DepEdge *edge) {
    if (own == index) {
        add_label(edge, axis, LABEL_OFFSET, offset);
    } else if (own >= 0 && relations[index].partner == own) {
        LabelKind kind = relations[index].kind;
        if (offset < 0 && kind == LABEL_LE)
            kind = LABEL_LT;
        else if (offset > 0 && kind == LABEL_GE)
            kind = LABEL_GT;
        else if ((offset > 0 && (kind == LABEL_LT || kind == LABEL_LE)) ||
                 (offset < 0 && (kind == LABEL_GT || kind == LABEL_GE)))
            kind = kind == LABEL_LT && offset == 1    ? LABEL_LE
                   : kind == LABEL_GT && offset == -1 ? LABEL_GE
                                                      : LABEL_ALL;
        add_label(edge, axis, kind, 0);
    } else {
        add_label(edge, axis, LABEL_ALL, 0);
    }
}

void depend_labels(const Graph *graph, const Relation *relations, int reader_count,
                   const int *reader, int source_count, const int *source, const At *at,
                   DepEdge *edge) {
    for (int i = 0; i < source_count; i++) {
        int axis = graph->indices.at[source[i]].axis;
        if (source[i] != loop_index(graph, relations, source_count, source, axis)) continue;
        int own = loop_index(graph, relations, reader_count, reader, axis);
        if (!at) {
            if (own < 0)
                add_label(edge, axis, LABEL_ALL, 0); /* a reduction; see depend_reduction */
            else
                label_index(relations, own, axis, source[i], 0, edge);
            continue;
        }
        switch (at[i].kind) {
        case AT_INDEX: label_index(relations, own, axis, at[i].index, at[i].offset, edge); break;
        case AT_SCALE:
        case AT_DIV:
            add_label(edge, axis, LABEL_RATE, 0);
            add_label(edge, graph->indices.at[at[i].index].axis, LABEL_RATE, 0);
            break;
        case AT_FIRST:
        case AT_LAST:
        case AT_MIRROR: add_label(edge, axis, LABEL_ALL, 0); break;
        case AT_POINTER:
            add_label(edge, axis, LABEL_ALL, 0); /* a past pointer is refined by the caller */
            break;
        }
    }
}

void depend_reduction(const Graph *graph, const Relation *relations, const Attr *attr, int index,
                      int reader_count, const int *reader, DepEdge *edge) {
    int axis = graph->indices.at[index].axis;
    int own = loop_index(graph, relations, reader_count, reader, axis);
    Relation r = depend_range(attr);
    if (own >= 0 && r.partner == own) {
        /* The operand itself runs over both indices; what it reads at `index` carries the bound.
         * When it runs over the bound index alone, this edge does. */
        add_label(edge, axis, r.kind, 0);
    } else {
        add_label(edge, axis, LABEL_ALL, 0);
    }
}

static bool in_domain(const Node *node, int index) {
    for (int i = 0; i < node->domain_count; i++)
        if (node->domain[i] == index) return true;
    return false;
}

DepEdges depend_graph(Arena *arena, const Graph *graph) {
    DepEdges edges = {0};
    const Relation *relations = depend_relations(arena, graph);
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        for (int j = 0; j < node->in_count; j++) {
            if (node->in[j] < 0) continue;
            const Node *source = graph->nodes.at[node->in[j]];
            DepEdge edge = {.from = source->id, .to = node->id};
            if (node->op == OP_READ && j == 0) {
                depend_labels(graph, relations, node->domain_count, node->domain,
                              source->domain_count, source->domain, node->attr.at, &edge);
                for (int d = 0; d < source->domain_count; d++) {
                    const At *at = &node->attr.at[d];
                    if (at->kind != AT_POINTER) continue;
                    const Node *pointer = graph->nodes.at[node->in[at->operand]];
                    int axis = graph->indices.at[source->domain[d]].axis;
                    if (pointer->type.pointer != PTR_PAST || pointer->type.axis != axis) continue;
                    /* A past pointer lies before the position that holds it. */
                    if (loop_index(graph, relations, node->domain_count, node->domain, axis) < 0)
                        continue;
                    for (int l = 0; l < edge.label_count; l++)
                        if (edge.labels[l].axis == axis) edge.labels[l].kind = LABEL_LT;
                }
            } else if ((is_reduction(node->op) || node->op == OP_TCONCAT || node->op == OP_CTC) &&
                       (node->op == OP_TSOFTMAX || node->attr.index != -1)) {
                int bound = node->op == OP_CTC && j == 1 ? node->attr.index2 : node->attr.index;
                depend_labels(graph, relations, node->domain_count, node->domain,
                              source->domain_count, source->domain, NULL, &edge);
                if (in_domain(source, bound)) {
                    /* Its label on the bound index's axis comes from the range, unless the operand
                     * also runs over the reader's own index of that axis. */
                    int axis = graph->indices.at[bound].axis;
                    int own = loop_index(graph, relations, node->domain_count, node->domain, axis);
                    bool both = own >= 0 && own != bound && in_domain(source, own);
                    if (!both) {
                        for (int l = 0; l < edge.label_count; l++)
                            if (edge.labels[l].axis == axis)
                                edge.labels[l--] = edge.labels[--edge.label_count];
                        if (node->op == OP_TSOFTMAX || node->op == OP_TCONCAT || node->op == OP_CTC)
                            add_label(&edge, axis, LABEL_ALL, 0);
                        else
                            depend_reduction(graph, relations, &node->attr, bound,
                                             node->domain_count, node->domain, &edge);
                    }
                }
            } else {
                depend_labels(graph, relations, node->domain_count, node->domain,
                              source->domain_count, source->domain, NULL, &edge);
            }
            vec_push(arena, &edges, edge);
        }
    }
    return edges;
}
