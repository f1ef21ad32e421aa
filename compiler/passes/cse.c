/* Merges nodes of equal operation, attributes and operands. Values are numbered as operands become
 * equal, round after round, so nodes on a cycle merge only where everything they read does. */
#include "passes/passes.h"
#include "passes/rewrite.h"

#include "graph/relation.h"

#include <string.h>

static bool at_equal(const Attr *a, const Attr *b) {
    if (a->at_count != b->at_count) return false;
    for (int i = 0; i < a->at_count; i++) {
        const At *x = &a->at[i], *y = &b->at[i];
        bool indexed =
            x->kind == AT_INDEX || x->kind == AT_SCALE || x->kind == AT_DIV || x->kind == AT_MIRROR;
        if (x->kind != y->kind || x->offset != y->offset) return false;
        if (indexed && x->index != y->index) return false;
        if ((x->kind == AT_SCALE || x->kind == AT_DIV) && x->factor != y->factor) return false;
        if (x->kind == AT_POINTER && x->operand != y->operand) return false;
    }
    return true;
}

static bool bound_equal(const Bound *a, const Bound *b) {
    if (a->kind != b->kind) return false;
    if (a->kind == BOUND_INDEX && a->index != b->index) return false;
    return a->kind == BOUND_NONE || a->offset == b->offset;
}

static bool numbers_equal(const int64_t *a, const int64_t *b, int count) {
    return count <= 0 || memcmp(a, b, (size_t)count * sizeof *a) == 0;
}

/* The fields that the operation reads; -0 and 0 differ, a NaN equals itself. */
static bool attr_equal(const Graph *graph, const Node *node, const Attr *b) {
    const Attr *a = &node->attr;
    Op op = node->op;
    int rank = node->type.shape.rank;
    if (a->carry != b->carry || a->mirrored != b->mirrored) return false;
    if (op == OP_CONST) return memcmp(&a->number, &b->number, sizeof a->number) == 0;
    if (op == OP_INPUT || op == OP_GIVEN || op == OP_PARAM || op == OP_LENGTH) return a->slot == b->slot;
    if (op == OP_INDEX) return a->index == b->index;
    if (op == OP_DRAW) return a->draw == b->draw && a->site == b->site && at_equal(a, b);
    if (op == OP_READ) return at_equal(a, b);
    if (op == OP_CTC && (a->index2 != b->index2 || a->slot != b->slot)) return false;
    if (op == OP_HOLD && a->every != b->every) return false;
    if (op_info[op].class_ == CLASS_TIME)
        return a->index == b->index && bound_equal(&a->low, &b->low) &&
               bound_equal(&a->high, &b->high);
    if (op == OP_CONV || op == OP_MAXPOOL || op == OP_AVGPOOL)
        return numbers_equal(a->dims, b->dims, rank - 1) &&
               (op != OP_CONV || numbers_equal(a->pads, b->pads, rank - 1));
    if (op == OP_SLICE) {
        int from = graph->nodes.at[node->in[0]]->type.shape.rank;
        return a->drop == b->drop && numbers_equal(a->dims, b->dims, from) &&
               numbers_equal(a->ends, b->ends, from);
    }
    if (op == OP_SUM || op == OP_MEAN || op == OP_RMAX || op == OP_RMIN) return a->dim == b->dim;
    return true;
}

static uint64_t mix(uint64_t hash, uint64_t value) {
    hash = (hash ^ value) * 0x9E3779B97F4A7C15u;
    return hash ^ hash >> 29;
}

static uint64_t hash_node(const Node *node) {
    uint64_t bits, hash = mix(0, (uint64_t)node->op);
    for (int k = 0; k < node->in_count; k++) hash = mix(hash, (uint64_t)(node->in[k] + 1));
    for (int d = 0; d < node->type.shape.rank; d++)
        hash = mix(hash, (uint64_t)node->type.shape.dim[d]);
    memcpy(&bits, &node->attr.number, sizeof bits);
    if (node->op == OP_CONST) hash = mix(hash, bits);
    if (node->op == OP_INPUT || node->op == OP_PARAM) hash = mix(hash, (uint64_t)node->attr.slot);
    if (node->op == OP_SLICE)
        for (int d = 0; d < MAX_RANK; d++) hash = mix(hash, (uint64_t)node->attr.dims[d]);
    if (node->op == OP_READ)
        for (int i = 0; i < node->attr.at_count; i++)
            hash = mix(hash, (uint64_t)node->attr.at[i].offset);
    return hash;
}

static bool node_equal(const Graph *graph, const Node *a, const Node *b) {
    if (a->op != b->op || a->in_count != b->in_count || a->domain_count != b->domain_count ||
        !type_equal(a->type, b->type))
        return false;
    for (int k = 0; k < a->in_count; k++)
        if (a->in[k] != b->in[k]) return false;
    for (int i = 0; i < a->domain_count; i++)
        if (a->domain[i] != b->domain[i]) return false;
    return attr_equal(graph, a, &b->attr);
}

/* A product or a test is the same either way round. A sum is not: which of its products the fused
 * multiply-add takes follows from its order. */
static void order_operands(Node *node) {
    bool either = node->op == OP_MUL || node->op == OP_AND || node->op == OP_OR ||
                  node->op == OP_EQ || node->op == OP_NE;
    if (either && node->in[0] > node->in[1]) {
        int first = node->in[0];
        node->in[0] = node->in[1];
        node->in[1] = first;
    }
}

/* A value that is wanted at other positions of a second index than its equal belongs to another
 * loop: merged, both would be wanted everywhere, which a recurrence may not be able to give. */
static bool wanted_alike(const Node *a, Relation *const *relations, int b) {
    for (int d = 0; d < a->domain_count; d++)
        if (relations[a->id][d].kind != relations[b][d].kind ||
            relations[a->id][d].partner != relations[b][d].partner)
            return false;
    return true;
}

static bool merge_round(Rewrite *rewrite, const bool *pinned, Relation *const *relations,
                        int *table, int room) {
    Graph *graph = rewrite->graph;
    bool merged = false;
    for (int i = 0; i < room; i++) table[i] = -1;
    for (int i = 0; i < graph->nodes.count; i++) {
        Node *node = graph->nodes.at[i];
        if (rewrite->as.at[i] != i) continue;
        for (int k = 0; k < node->in_count; k++) node->in[k] = rewrite_find(rewrite, node->in[k]);
        if (pinned[i] || (node->op == OP_VAR && node->name)) continue;
        Node key = *node;
        int pair[2];
        if (node->in_count == 2) {
            pair[0] = node->in[0];
            pair[1] = node->in[1];
            key.in = pair;
            order_operands(&key);
        }
        unsigned place = (unsigned)(hash_node(&key) >> 7) & (unsigned)(room - 1);
        for (; table[place] >= 0; place = (place + 1) & (unsigned)(room - 1)) {
            Node other = *graph->nodes.at[table[place]];
            int other_pair[2];
            if (other.in_count == 2) {
                other_pair[0] = other.in[0];
                other_pair[1] = other.in[1];
                other.in = other_pair;
                order_operands(&other);
            }
            if (node_equal(graph, &key, &other) && wanted_alike(node, relations, other.id)) break;
        }
        if (table[place] < 0) {
            table[place] = i;
        } else {
            rewrite_replace(rewrite, i, table[place]);
            merged = true;
        }
    }
    return merged;
}

Graph *pass_cse(const Graph *graph, bool *changed) {
    Rewrite rewrite = rewrite_begin(graph);
    int count = graph->nodes.count, room = 16;
    while (room < count * 2) room *= 2;
    int *table = ARENA_ARRAY(graph->arena, room, int);
    /* Carried state is known outside by the name of its variable. */
    Relation *const *relations = relation_graph(graph->arena, graph);
    bool *pinned = ARENA_ARRAY(graph->arena, count + 1, bool);
    for (int i = 0; i < count; i++)
        if (graph->nodes.at[i]->op == OP_READ && graph->nodes.at[i]->attr.carry)
            pinned[graph->nodes.at[i]->in[0]] = true;
    for (int round = 0; round < 20 && merge_round(&rewrite, pinned, relations, table, room);
         round++) {
    }
    *changed = rewrite.changed;
    return rewrite.changed ? rewrite_end(&rewrite, false) : (Graph *)graph;
}
