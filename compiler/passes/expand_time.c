/* Softmax, logsumexp and mean over an index, in terms of TMAX and TSUM over the same range. */
#include "passes/expand.h"
#include "passes/passes.h"

static int over(Expand *e, Op op, int a, const Node *node) {
    Attr attr = {.index = node->attr.index,
                 .low = node->attr.low,
                 .high = node->attr.high,
                 .mirrored = node->attr.mirrored};
    return rewrite_node(&e->rewrite, op, 1, &a, &attr, e->span);
}

static int whole_number(Expand *e, int64_t value) {
    return expand_const(e, (double)value, DT_INT);
}

static int position(Expand *e, int index) {
    Attr attr = {.index = index};
    return rewrite_node(&e->rewrite, OP_INDEX, 0, NULL, &attr, e->span);
}

static int length(Expand *e, const Node *node) {
    Attr attr = {.slot = e->rewrite.graph->indices.at[node->attr.index].axis};
    return rewrite_node(&e->rewrite, OP_LENGTH, 0, NULL, &attr, e->span);
}

static int plus(Expand *e, int a, int64_t offset) {
    return offset ? expand_op(e, OP_ADD, a, whole_number(e, offset), -1) : a;
}

/* The end of a range as an int; not for BOUND_NONE. */
static int bound_value(Expand *e, const Node *node, const Bound *bound) {
    if (bound->kind == BOUND_INDEX) return plus(e, position(e, bound->index), bound->offset);
    if (bound->kind == BOUND_LAST) return plus(e, length(e, node), bound->offset);
    return whole_number(e, bound->offset);
}

/* `value` where the position is in the range, else 0. */
static int within(Expand *e, const Node *node, int value) {
    const Attr *attr = &node->attr;
    int inside = -1;
    if (attr->low.kind != BOUND_NONE)
        inside =
            expand_op(e, OP_GE, position(e, attr->index), bound_value(e, node, &attr->low), -1);
    if (attr->high.kind != BOUND_NONE) {
        int below =
            expand_op(e, OP_LT, position(e, attr->index), bound_value(e, node, &attr->high), -1);
        inside = inside < 0 ? below : expand_op(e, OP_AND, inside, below, -1);
    }
    if (inside < 0) return value;
    return expand_op(e, OP_SELECT, inside, value, expand_const(e, 0, DT_FLOAT));
}

/* Positions in the range, clipped to the sequence; 1 when there are none, where the sum is 0. */
static int positions(Expand *e, const Node *node) {
    const Attr *attr = &node->attr;
    int count = length(e, node);
    if (attr->high.kind != BOUND_NONE)
        count = expand_op(e, OP_MIN, count, bound_value(e, node, &attr->high), -1);
    if (attr->low.kind != BOUND_NONE) {
        int low = expand_op(e, OP_MAX, bound_value(e, node, &attr->low), whole_number(e, 0), -1);
        count = expand_op(e, OP_SUB, count, low, -1);
    }
    count = expand_op(e, OP_MAX, count, whole_number(e, 1), -1);
    return expand_op(e, OP_FLOAT, count, -1, -1);
}

int expand_time(Expand *e, const Node *node) {
    int a = node->in[0];
    if (node->op == OP_TMEAN)
        return expand_op(e, OP_DIV, over(e, OP_TSUM, a, node), positions(e, node), -1);
    int maximum = over(e, OP_TMAX, a, node);
    if (node->op == OP_TLOGSUMEXP) maximum = expand_finite(e, maximum);
    maximum = expand_shift(e, maximum);
    int power = expand_op(e, OP_EXP, expand_op(e, OP_SUB, a, maximum, -1), -1, -1);
    int sum = over(e, OP_TSUM, power, node);
    if (node->op == OP_TLOGSUMEXP) return expand_op(e, OP_ADD, expand_log_sum(e, sum), maximum, -1);
    int weight = within(e, node, expand_op(e, OP_DIV, power, sum, -1));
    /* A softmax keeps its index even where its operand does not depend on it. */
    const Graph *graph = e->rewrite.graph;
    if (graph->nodes.at[weight]->domain_count == node->domain_count) return weight;
    int id = graph_add(e->rewrite.graph, OP_VAR, node->type, node->domain_count, node->domain, 1,
                       &weight, NULL, e->span);
    vec_push(graph->arena, &e->rewrite.as, id);
    return id;
}

/* What outputs, losses and stops are made from: nothing else asks for a length. */
bool *expand_reached(const Graph *graph) {
    bool *live = ARENA_ARRAY(graph->arena, graph->nodes.count + 1, bool);
    VEC(int) pending = {0};
    for (int i = 0; i < graph->outputs.count; i++)
        vec_push(graph->arena, &pending, graph->outputs.at[i].node);
    for (int i = 0; i < graph->losses.count; i++) {
        vec_push(graph->arena, &pending, graph->losses.at[i].node);
        if (graph->losses.at[i].per >= 0) vec_push(graph->arena, &pending, graph->losses.at[i].per);
    }
    for (int i = 0; i < graph->stops.count; i++)
        vec_push(graph->arena, &pending, graph->stops.at[i].node);
    for (int i = 0; i < pending.count; i++) {
        const Node *node = graph->nodes.at[pending.at[i]];
        if (live[node->id]) continue;
        live[node->id] = true;
        if (node->op == OP_INPUT && graph->inputs.at[node->attr.slot].fallback >= 0)
            vec_push(graph->arena, &pending, graph->inputs.at[node->attr.slot].fallback);
        for (int k = 0; k < node->in_count; k++)
            if (node->in[k] >= 0 && !live[node->in[k]])
                vec_push(graph->arena, &pending, node->in[k]);
    }
    return live;
}

void passes_axes_needed(const Graph *graph, bool *needed) {
    const bool *live = expand_reached(graph);
    for (int i = 0; i < graph->axes.count; i++) needed[i] = false;
    for (int i = 0; i < graph->nodes.count; i++) {
        const Node *node = graph->nodes.at[i];
        if (!live[i]) continue;
        const Attr *attr = &node->attr;
        bool takes = node->op == OP_TMEAN || node->op == OP_TMAX || node->op == OP_TARGMAX ||
                     node->op == OP_TSOFTMAX;
        if (takes && attr->low.kind == BOUND_NONE && attr->high.kind == BOUND_NONE)
            needed[graph->indices.at[attr->index].axis] = true;
        if (node->op != OP_READ) continue;
        const Node *source = graph->nodes.at[node->in[0]];
        for (int k = 0; k < attr->at_count; k++)
            if (attr->at[k].kind == AT_FIRST || attr->at[k].kind == AT_LAST)
                needed[graph->indices.at[source->domain[k]].axis] = true;
    }
    /* A slower axis is as long as its base lets it be. */
    for (int round = 0; round < graph->axes.count; round++)
        for (int i = 0; i < graph->axes.count; i++)
            if (needed[i] && graph->axes.at[i].kind == AXIS_SLOW)
                needed[graph->axes.at[i].base] = true;
}
