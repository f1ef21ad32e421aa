/* CTC as a recurrence over both of its axes, in logarithms. Of the paths up to step t:
 *
 *   f[t]     those that are blank so far        f[t] = f[t-1] + blank[t]
 *   l[t,u]   those that end in label u          l[t,u] = (l[t-1,u] or before[t-1,u] or, where label
 *                                                        u-1 is another one, l[t-1,u-1]) +
 * label[t,u] b[t,u]   those that end in the blank then   b[t,u] = (b[t-1,u] or l[t-1,u]) + blank[t]
 *
 * with before[t,u] = b[t,u-1], or f[t] of the first label. The loss is minus the logarithm of what
 * ends in the last label or in the blank behind it at the last step. Inside of a `reverse` both
 * axes are counted from their ends. */
#include "passes/expand.h"

#include <math.h>

typedef struct Ctc {
    Expand *e;
    const Node *node;
    int domain_count;
    int domain[MAX_DOMAIN]; /* of what has both indices */
} Ctc;

static int minus_infinity(const Ctc *c) {
    return expand_const(c->e, -(double)INFINITY, DT_FLOAT);
}

static void add_indices(Ctc *c, const int *domain, int count) {
    for (int i = 0; i < count; i++) {
        int place = 0;
        while (place < c->domain_count && c->domain[place] < domain[i]) place++;
        if (place < c->domain_count && c->domain[place] == domain[i]) continue;
        for (int k = c->domain_count++; k > place; k--) c->domain[k] = c->domain[k - 1];
        c->domain[place] = domain[i];
    }
}

/* A variable that is defined later, without index `except` (-1: with all). */
static int declare(const Ctc *c, int except) {
    Graph *graph = c->e->rewrite.graph;
    int domain[MAX_DOMAIN], count = 0, hole = expand_const(c->e, 0, DT_FLOAT);
    for (int i = 0; i < c->domain_count; i++)
        if (c->domain[i] != except) domain[count++] = c->domain[i];
    int id = graph_add(graph, OP_VAR, (Type){.dtype = DT_FLOAT}, count, domain, 1, &hole, NULL,
                       c->e->span);
    vec_push(graph->arena, &c->e->rewrite.as, id);
    return id;
}

static void define(const Ctc *c, int variable, int value) {
    c->e->rewrite.graph->nodes.at[variable]->in[0] = value;
}

/* `source` one position earlier on the axis of `index`, and of `index2` (-1: of that alone). */
static int earlier(const Ctc *c, int source, int index, int index2, int boundary) {
    Graph *graph = c->e->rewrite.graph;
    const Node *node = graph->nodes.at[source];
    At *at = ARENA_ARRAY(graph->arena, node->domain_count + 1, At);
    for (int k = 0; k < node->domain_count; k++) {
        bool moves = node->domain[k] == index || node->domain[k] == index2;
        at[k] = (At){.kind = AT_INDEX, .index = node->domain[k], .operand = -1};
        if (moves) at[k].offset = c->node->attr.mirrored ? 1 : -1;
    }
    Attr attr = {.at_count = node->domain_count, .at = at};
    int in[2] = {source, boundary};
    return rewrite_node(&c->e->rewrite, OP_READ, 2, in, &attr, c->e->span);
}

/* Whether the position is the first, or the last, as the loss counts them. */
static int at_end(const Ctc *c, int index, bool last) {
    Attr attr = {.index = index, .mirrored = c->node->attr.mirrored != last};
    int position = rewrite_node(&c->e->rewrite, OP_INDEX, 0, NULL, &attr, c->e->span);
    return expand_op(c->e, OP_EQ, position, expand_const(c->e, 0, DT_INT), -1);
}

static int empty(const Ctc *c, int index) {
    Attr attr = {.slot = c->e->rewrite.graph->indices.at[index].axis};
    int length = rewrite_node(&c->e->rewrite, OP_LENGTH, 0, NULL, &attr, c->e->span);
    return expand_op(c->e, OP_EQ, length, expand_const(c->e, 0, DT_INT), -1);
}

static int over(const Ctc *c, int x, int index) {
    Attr attr = {.index = index, .mirrored = c->node->attr.mirrored};
    return rewrite_node(&c->e->rewrite, OP_TSUM, 1, &x, &attr, c->e->span);
}

/* x at the last step and label: all else adds 0, so that empty axes are refused by nobody. */
static int at_both_ends(const Ctc *c, int x) {
    int zero = expand_const(c->e, 0, DT_FLOAT),
        index[2] = {c->node->attr.index2, c->node->attr.index};
    for (int i = 0; i < 2; i++)
        x = over(c, expand_op(c->e, OP_SELECT, at_end(c, index[i], true), x, zero), index[i]);
    return x;
}

static int either(const Ctc *c, int a, int b) {
    return expand_op(c->e, OP_LOGADDEXP, a, b, -1);
}

static int slice_one(const Ctc *c, int x, int64_t element) {
    Attr attr = {.drop = 1};
    attr.dims[0] = element;
    attr.ends[0] = element + 1;
    return rewrite_node(&c->e->rewrite, OP_SLICE, 1, &x, &attr, c->e->span);
}

/* That a label is no blank is told to the input that holds the labels, where callers are checked;
 * of labels that are computed the loss is NaN. `emitted`: what stands for the label. */
static int without_blank(const Ctc *c, int emitted) {
    Graph *graph = c->e->rewrite.graph;
    int slot = graph_copied_input(graph, c->node->in[1]), blank = 1 + c->node->attr.slot;
    GraphPort *port = slot < 0 ? NULL : &graph->inputs.at[slot];
    if (port && (!port->blank || port->blank == blank)) {
        if (port->blank || !expand_reached(graph)[c->node->id]) return emitted;
        size_t size = (size_t)graph->inputs.count * sizeof *port;
        graph->inputs.at = arena_copy(graph->arena, graph->inputs.at, size);
        graph->inputs.at[slot].blank = blank;
        return emitted;
    }
    int is_blank =
        expand_op(c->e, OP_EQ, c->node->in[1], expand_const(c->e, blank - 1, DT_INT), -1);
    return expand_op(c->e, OP_SELECT, is_blank, expand_const(c->e, NAN, DT_FLOAT), emitted);
}

int expand_ctc(Expand *e, const Node *node) {
    Graph *graph = e->rewrite.graph;
    int t = node->attr.index, u = node->attr.index2, both[2] = {t, u};
    int lp = node->in[0], label = node->in[1];
    Ctc c = {.e = e, .node = node};
    add_indices(&c, both, 2);
    add_indices(&c, graph->nodes.at[lp]->domain, graph->nodes.at[lp]->domain_count);
    add_indices(&c, graph->nodes.at[label]->domain, graph->nodes.at[label]->domain_count);
    int never = minus_infinity(&c), zero = expand_const(e, 0, DT_FLOAT);
    int blank = slice_one(&c, lp, node->attr.slot);
    int emitted = without_blank(&c, expand_op(e, OP_GATHER, lp, label, -1));
    int no_label =
        graph_add(graph, OP_CONST, graph->nodes.at[label]->type, 0, NULL, 0, NULL, NULL, e->span);
    vec_push(graph->arena, &e->rewrite.as, no_label);
    int other = expand_op(e, OP_NE, label, earlier(&c, label, u, -1, no_label), -1);

    int f = declare(&c, u), l = declare(&c, -1), b = declare(&c, -1);
    int f_before = earlier(&c, f, t, -1, zero), l_before = earlier(&c, l, t, -1, never);
    define(&c, f, expand_op(e, OP_ADD, f_before, blank, -1));
    int from_blank =
        expand_op(e, OP_SELECT, at_end(&c, u, false), f_before, earlier(&c, b, t, u, never));
    int skip = expand_op(e, OP_SELECT, other, earlier(&c, l, t, u, never), never);
    int to_label = either(&c, either(&c, l_before, from_blank), skip);
    define(&c, l, expand_op(e, OP_ADD, to_label, emitted, -1));
    int to_blank = either(&c, earlier(&c, b, t, -1, never), l_before);
    define(&c, b, expand_op(e, OP_ADD, to_blank, blank, -1));

    int all = either(&c, at_both_ends(&c, l), at_both_ends(&c, b));
    all = expand_op(e, OP_SELECT, empty(&c, t), never, all);
    all = expand_op(e, OP_SELECT, empty(&c, u), over(&c, blank, t), all);
    return expand_op(e, OP_SUB, zero, all, -1);
}
